//! The console over HTTP: who gets in and how, what every answer forbids, and that a page hears of a change at once.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;
use ureq::http::Method;

use crate::fleet::{Api, Fleet, PACKAGE, Reply, Running, request, until};
use crate::played::Temper;
use crate::world::{World, world};

/// Every page for somebody who is signed in, with a rollout, a release, an incident, a customer and a device in it.
fn pages(rollout: &str, device: &str) -> Vec<String> {
    let incident = format!("/console/incidents/inc-{rollout}");
    let mut pages: Vec<String> = [
        "/console/",
        "/console/rollouts",
        "/console/fleet",
        "/console/fleet?select=os+%3D%3D+%22linux%22",
        "/console/releases",
        "/console/incidents",
        "/console/trust",
        "/console/log",
        "/console/policies",
        "/console/policies/editor",
        "/console/continuity",
    ]
    .map(str::to_owned)
    .into();
    pages.push(format!("/console/rollouts/{rollout}"));
    pages.push(format!("/console/rollouts/{rollout}/what-if"));
    pages.push(format!("/console/devices/{device}"));
    pages.push(format!("/console/releases/{PACKAGE}/1.0.0"));
    for part in ["", "/hands", "/sheet", "/hands.csv", "/customers/acme"] {
        pages.push(format!("{incident}{part}"));
    }
    pages
}

/// A browser without scripts, that follows nothing by itself.
pub(crate) struct Browser {
    base: String,
    pub(crate) cookie: Option<String>,
    agent: ureq::Agent,
}

impl Browser {
    pub(crate) fn new(base: &str) -> Browser {
        let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build();
        Browser { base: base.to_owned(), cookie: None, agent: config.new_agent() }
    }

    pub(crate) fn ask(&self, method: Method, path: &str, more: &[(&str, &str)], body: &str) -> Reply {
        let mut headers: Vec<(&str, &str)> = more.to_vec();
        headers.extend(self.cookie.as_deref().map(|cookie| ("cookie", cookie)));
        if method == Method::POST {
            headers.push(("content-type", "application/x-www-form-urlencoded"));
        }
        let reply = request(&self.agent, method, &format!("{}{path}", self.base), &headers, body.as_bytes()).unwrap();
        for name in
            ["content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy", "cache-control"]
        {
            assert!(reply.headers.contains_key(name), "{path} lacks {name}");
        }
        let policy = reply.headers["content-security-policy"].to_str().unwrap();
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{policy}");
        reply
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.ask(Method::GET, path, &[], "")
    }

    /// Signs in by a link.
    fn enter(&mut self, path: &str) -> Reply {
        let code = path.split("code=").nth(1).unwrap();
        let reply = self.ask(Method::POST, "/console/enter", &[], &format!("code={code}"));
        if let Some(cookie) = reply.headers.get("set-cookie") {
            self.cookie = Some(cookie.to_str().unwrap().split(';').next().unwrap().to_owned());
        }
        reply
    }
}

fn link(api: &Api) -> String {
    let made = api.post("/console-codes", &json!({}));
    assert_eq!(made.status, 201, "{made:?}");
    made.json()["path"].as_str().unwrap().to_owned()
}

pub(crate) fn text(reply: &Reply) -> String {
    String::from_utf8(reply.body.clone()).unwrap()
}

#[test]
fn a_link_signs_one_browser_in_once_and_only_as_long_as_its_operator() {
    let fleet = Fleet::found();
    let running = fleet.start();
    let admin = running.admin();
    let viewer = admin.operator("viewer");
    let mut browser = Browser::new(&running.base);
    for path in ["/console/", "/console/rollouts/x.1", "/console/rollouts/x.1/events"] {
        let reply = browser.get(path);
        assert_eq!(reply.status, 401, "{path}");
        assert!(text(&reply).contains("tidegate console"), "it says how to sign in");
    }
    assert_eq!(Api::nobody(&running.base).post("/console-codes", &json!({})).status, 401);
    let path = link(&viewer);
    assert_eq!(browser.get(&path).status, 200);
    assert_eq!(browser.get(&path).status, 200, "looking at the link spends nothing");
    let foreign = [("sec-fetch-site", "cross-site")];
    let code = path.split("code=").nth(1).unwrap();
    assert_eq!(browser.ask(Method::POST, "/console/enter", &foreign, &format!("code={code}")).status, 403);
    let entered = browser.enter(&path);
    assert_eq!((entered.status, entered.headers["location"].to_str().unwrap()), (303, "/console/"));
    let cookie = entered.headers["set-cookie"].to_str().unwrap();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains("Secure"),
        "{cookie}"
    );
    let page = text(&browser.get("/console/"));
    assert!(page.contains("a-viewer") && page.contains("From here to a first release"), "{page}");
    let unknown = browser.get("/console/rollouts/nothing.1");
    assert!(unknown.status == 404 && text(&unknown).contains("href=\"/console/rollouts\""), "{}", text(&unknown));
    assert_eq!(browser.get("/console/rollouts/%3Cscript%3E").status, 404);
    assert_eq!(Browser::new(&running.base).enter(&path).status, 403, "spent");
    // A session is no token: it asks nothing of the API.
    let session = browser.cookie.clone().unwrap().split('=').nth(1).unwrap().to_owned();
    assert_eq!(admin.with_token(&session).post("/console-codes", &json!({})).status, 401);
    assert_eq!(browser.ask(Method::POST, "/console/leave", &foreign, "").status, 403);
    assert_eq!(browser.get("/console/").status, 200);
    assert_eq!(admin.call(Method::DELETE, "/operators/a-viewer", b"").status, 204);
    assert_eq!(browser.get("/console/").status, 401, "it ends with its operator");
    let mut other = Browser::new(&running.base);
    other.enter(&link(&admin));
    assert_eq!(other.get("/console/").status, 200);
    assert_eq!(other.ask(Method::POST, "/console/leave", &[("sec-fetch-site", "same-origin")], "").status, 303);
    assert_eq!(other.get("/console/").status, 401, "signed out on the server too");
    // Or by a token; either outlives a restart of the server, and ends with the token.
    let publisher = admin.operator("publisher");
    let mut third = Browser::new(&running.base);
    assert_eq!(third.ask(Method::POST, "/console/token", &foreign, "token=x").status, 403);
    assert_eq!(third.ask(Method::POST, "/console/token", &[], "token=made-up").status, 403);
    let token = publisher.token.clone().unwrap();
    let entered = third.ask(Method::POST, "/console/token", &[], &format!("token={token}"));
    assert_eq!(entered.status, 303);
    third.cookie = Some(entered.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned());
    assert_eq!(third.get("/console/").status, 200);
    running.stop();
    let running = fleet.start();
    third.base.clone_from(&running.base);
    assert_eq!(third.get("/console/").status, 200, "still signed in");
    let admin = admin.at(&running.base);
    admin.operator("publisher");
    assert_eq!(third.get("/console/").status, 401, "another token of the same operator ends it");
    let said = admin.get("/log?what=signed_in");
    assert_eq!(said["lines"].as_array().unwrap().len(), 3, "{said}");
    running.stop();
}

#[test]
fn whoever_signs_in_gets_to_the_page_that_was_asked_for_and_to_no_other_place() {
    let fleet = Fleet::found();
    let running = fleet.start();
    let viewer = running.admin().operator("viewer");
    let asked = Browser::new(&running.base).get("/console/rollouts/x.1");
    let kept = asked.headers["set-cookie"].to_str().unwrap();
    let ours = "tidegate-page=/console/rollouts/x.1";
    assert_eq!(kept, format!("{ours}; Path=/; HttpOnly; SameSite=Lax; Max-Age=600"));
    for (page, to) in [
        (ours, "/console/rollouts/x.1"),
        ("tidegate-page=", "/console/"),
        ("tidegate-page=//elsewhere.example", "/console/"),
        ("tidegate-page=/console//elsewhere.example", "/console/"),
        ("tidegate-page=https://elsewhere.example/console/", "/console/"),
        ("tidegate-page=/console/\\elsewhere", "/console/"),
        ("tidegate-page=/console/?to=x", "/console/"),
    ] {
        let mut browser = Browser::new(&running.base);
        browser.cookie = Some(page.to_owned());
        let entered = browser.enter(&link(&viewer));
        assert_eq!((entered.status, entered.headers["location"].to_str().unwrap()), (303, to), "{page}");
        let cookies = entered.headers.get_all("set-cookie").iter().map(|kept| kept.to_str().unwrap());
        assert!(cookies.skip(1).all(|kept| kept.starts_with("tidegate-page=; Path=/; ")), "kept for one sign-in");
    }
    // What a page's script asks for is no page.
    let stream = Browser::new(&running.base).get("/console/rollouts/x.1/events");
    assert!(stream.headers.get("set-cookie").is_none(), "{stream:?}");
    running.stop();
}

#[test]
fn behind_tls_the_cookie_is_for_tls_only() {
    let fleet = Fleet::found();
    let running = Running::start(tidegate_server::Settings {
        public_url: Some("https://gate.example".to_owned()),
        ..fleet.settings()
    });
    let admin = running.admin();
    let entered = Browser::new(&running.base).enter(&link(&admin));
    let cookie = entered.headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("__Host-tidegate=") && cookie.ends_with("; Secure"), "{cookie}");
    running.stop();
}

#[test]
fn nobody_takes_more_browsers_and_open_pages_than_their_share() {
    let fleet = Fleet::found();
    let running = fleet.start();
    let admin = running.admin();
    let token = admin.operator("viewer").token.unwrap();
    let sign_in = || {
        let mut browser = Browser::new(&running.base);
        let entered = browser.ask(Method::POST, "/console/token", &[], &format!("token={token}"));
        assert_eq!(entered.status, 303);
        browser.cookie = Some(entered.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned());
        browser
    };
    let browsers: Vec<Browser> = (0..21).map(|_| sign_in()).collect();
    let still: Vec<bool> = browsers.iter().map(|browser| browser.get("/console/continuity").status == 200).collect();
    assert!(!still[0] && still[1..].iter().all(|still| *still), "the first gave way: {still:?}");

    let viewer = browsers.last().unwrap();
    let mut open: Vec<Events> = (0..16).map(|_| Events::open(viewer, "/console/events")).collect();
    open.iter_mut().for_each(|events| assert!(events.next().is_some()));
    assert_eq!(viewer.get("/console/events").status, 503);
    assert_eq!(viewer.get("/console/").status, 200, "pages are there all the same");
    let mut other = Browser::new(&running.base);
    other.enter(&link(&admin));
    assert!(Events::open(&other, "/console/events").next().is_some(), "another has their own share");
    open.pop();
    until("a place is free again", || Events::open(viewer, "/console/events").next().map(|_| ()));
    drop(open);
    running.stop();
}

/// The parts of a page as they come.
struct Events(BufReader<TcpStream>);

impl Events {
    fn open(browser: &Browser, path: &str) -> Events {
        let address = browser.base.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let cookie = browser.cookie.as_deref().unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\nAccept: text/event-stream\r\n\r\n"
        )
        .unwrap();
        Events(BufReader::new(stream))
    }

    /// The next part; none when the stream is over.
    fn next(&mut self) -> Option<String> {
        let mut part = String::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 || line == "0\r\n" {
                return None;
            }
            match line.strip_prefix("data: ") {
                Some(data) => part.push_str(data),
                None if !part.is_empty() => return Some(part),
                None => {}
            }
        }
    }
}

#[test]
fn an_open_page_hears_of_a_change_at_once_and_of_the_halt() {
    let mut world = world();
    world.players.iter_mut().for_each(|player| player.temper = Temper::Fails);
    let path = world.start("1.0.0");
    let rollout = path.strip_prefix("/rollouts/").unwrap();
    let World { running, api, mut players, .. } = world;
    let mut browser = Browser::new(&running.base);
    browser.enter(&link(&api));
    let page = text(&browser.get(&format!("/console/rollouts/{rollout}")));
    assert!(page.contains(&format!("{PACKAGE} 1.0.0")) && page.contains("Nothing") | page.contains("<li>"), "{page}");
    let events = format!("/console/rollouts/{rollout}/events");
    assert!(page.contains(&events) && page.contains("<noscript>"), "{page}");
    let mut events = Events::open(&browser, &events);
    assert!(events.next().unwrap().contains("running"));
    until("it halted", || {
        players.iter_mut().for_each(|player| drop(player.play()));
        (api.get(&path)["report"]["phase"] == "halted").then_some(())
    });
    let halted = Instant::now();
    let part = until("the page says so", || events.next().filter(|part| part.contains("phase halted")));
    println!("the page said so {} ms after the API", halted.elapsed().as_millis());
    assert!(
        part.contains("inc-sensor-content.1</a> is") && part.contains("probe_failed") | part.contains("crashed"),
        "{part}"
    );
    assert!(text(&browser.get("/console/")).contains(rollout));
    // A stream does not hold up the server's end, and ends with it.
    let stopping = Instant::now();
    running.stop();
    while events.next().is_some() {}
    assert!(stopping.elapsed() < Duration::from_secs(8), "{:?}", stopping.elapsed());
}

const HOSTILE: &str = "</p><script>alert(1)</script><img src=x onerror=alert(1)>";

#[test]
fn what_devices_and_people_say_is_text_on_every_page() {
    let mut world = world();
    world.players.iter_mut().for_each(|player| {
        player.temper = Temper::NeedsHands;
        player.words = HOSTILE.to_owned();
    });
    let path = world.start("1.0.0");
    let rollout = path.strip_prefix("/rollouts/").unwrap().to_owned();
    let incident = format!("/incidents/inc-{rollout}");
    let device = until("it halted", || {
        world.play();
        let shown = world.api.call(Method::GET, &incident, b"");
        let first = (shown.status == 200).then(|| shown.json()["devices"][0].clone());
        first.filter(|one| one["state"] == "needs_hands").and_then(|one| one["device"].as_str().map(str::to_owned))
    });
    world.hold(&json!({"reason": HOSTILE}));
    let mut browser = Browser::new(&world.running.base);
    browser.enter(&link(&world.api));
    let write = |act: &str, fields: &str| {
        let said = HOSTILE.replace('<', "%3C").replace('>', "%3E").replace(' ', "+").replace('=', "%3D");
        let body = format!("act={act}&{}", fields.replace("SAID", &said));
        let reply = browser.ask(Method::POST, &format!("/console{incident}/acts"), &[], &body);
        assert_eq!(reply.status, 303, "{act}: {reply:?}");
    };
    write("note", "text=SAID");
    write("task", "text=SAID&customer=acme");
    write("instruct", "text=SAID");
    write("contact", "customer=acme&text=SAID");
    write("lesson", "text=SAID&blocks=yes");
    write("explain", "mechanism=SAID&trigger=SAID&not_caught=SAID&contained_by=SAID");
    let mut said = 0;
    for path in pages(&rollout, &device) {
        let reply = browser.get(&path);
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        let shown = text(&reply);
        if reply.headers["content-type"].to_str().unwrap().starts_with("text/html") {
            assert!(!shown.contains("<script>alert") && !shown.contains("<img src=x"), "{path}: {shown}");
            said += u32::from(shown.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        }
        assert_eq!(
            Browser::new(&world.running.base).get(&path).status,
            401,
            "{path} is for nobody who is not signed in"
        );
    }
    assert!(said >= 7, "{said} pages say it");
    let path = "/console/fleet?select=%3Cscript%3Ealert(1)%3C/script%3E";
    assert!(!text(&browser.get(path)).contains("<script>alert"));
    world.running.stop();
}

#[test]
fn whoever_looks_may_close_by_a_form_of_this_site_and_open_nothing() {
    let mut world = world();
    let path = world.start("1.0.0");
    let rollout = path.strip_prefix("/rollouts/").unwrap().to_owned();
    let page = format!("/console/rollouts/{rollout}");
    let mut browser = Browser::new(&world.running.base);
    browser.enter(&link(&world.api.operator("viewer")));
    let post =
        |browser: &Browser, path: &str, more: &[(&str, &str)], body: &str| browser.ask(Method::POST, path, more, body);
    let foreign = [("sec-fetch-site", "cross-site")];
    for act in ["halt", "pause"] {
        let path = format!("{page}/{act}");
        assert_eq!(post(&browser, &path, &foreign, "reason=x").status, 403, "{act} by another site's form");
        let origin = [("origin", "https://elsewhere.example")];
        assert_eq!(
            post(&browser, &path, &origin, "reason=x").status,
            403,
            "{act} by another site's form, as older browsers say it"
        );
        assert_eq!(post(&Browser::new(&world.running.base), &path, &[], "reason=x").status, 401, "{act} by nobody");
        assert_eq!(post(&browser, &path, &[], "reason=+").status, 422, "{act} for no reason");
        assert_eq!(post(&browser, &path.replace(&rollout, "nothing.1"), &[], "reason=x").status, 404);
    }
    let large = format!("reason={}", "x".repeat(300 << 10));
    assert_eq!(post(&browser, &format!("{page}/halt"), &[], &large).status, 413);
    assert_eq!(
        post(&browser, &format!("{page}/resume"), &[], "reason=x").status,
        404,
        "nothing opens by being signed in"
    );
    for body in ["reason=x", "reason=x&body=%7B%7D&key=00&sig=00", "reason=x&body=1&key=x&sig=x"] {
        assert_eq!(post(&browser, &format!("{page}/approve"), &[], body).status, 422, "{body}");
    }
    assert_eq!(post(&browser, &format!("{page}/approve"), &foreign, "reason=x").status, 403);
    assert_eq!(world.api.get(&path)["report"]["phase"], "running");
    let paused = post(&browser, &format!("{page}/pause"), &[], "reason=look+first");
    assert_eq!((paused.status, paused.headers["location"].to_str().unwrap()), (303, page.as_str()));
    assert_eq!(world.api.get(&path)["report"]["phase"], "paused");
    let clicked = Instant::now();
    assert_eq!(post(&browser, &format!("{page}/halt"), &[], "reason=looks+wrong").status, 303);
    world.play();
    println!("halted and refused {} ms after the click", clicked.elapsed().as_millis());
    assert_eq!(world.taken(&path), 0);
    let shown = text(&browser.get(&page));
    assert!(shown.contains("phase halted") && shown.contains("looks wrong") && !shown.contains("/halt\""), "{shown}");
    let incident = format!("/console/incidents/inc-{rollout}");
    let refused = post(&browser, &format!("{incident}/acts"), &[], "act=reach&stage=closed");
    assert_eq!(refused.status, 409);
    assert!(
        text(&refused).contains("the next stage is restored") | text(&refused).contains("the next stage is explained")
    );
    assert_eq!(post(&browser, &format!("{incident}/acts"), &foreign, "act=note&text=x").status, 403);
    assert_eq!(post(&browser, "/console/incidents", &foreign, "title=x").status, 403);
    let opened = post(&browser, "/console/incidents", &[], "title=logins+fail");
    assert_eq!(opened.headers["location"].to_str().unwrap(), "/console/incidents/inc-hand-1");
    assert_eq!(post(&browser, "/console/incidents", &[], "title=x&at=soon").status, 422);
    world.running.stop();
}

#[test]
fn nothing_that_is_asked_for_gets_into_a_header_or_leads_elsewhere() {
    let world = world();
    let mut browser = Browser::new(&world.running.base);
    let inject = "x%0d%0aset-cookie:%20tidegate=stolen%0d%0alocation:%20https://elsewhere.example";
    let odd = [
        format!("/console/enter?code={inject}"),
        format!("/console/fleet?select={inject}&after={inject}"),
        format!("/console/log?who={inject}&before=1"),
        format!("/console/policies/editor?from={inject}"),
        format!("/console/incidents/{inject}/hands.csv?customer={inject}"),
        format!("/console/{inject}"),
        "/console//elsewhere.example".to_owned(),
        "/console/?next=https://elsewhere.example".to_owned(),
    ];
    for signed_in in [false, true] {
        if signed_in {
            browser.enter(&link(&world.api));
        }
        for path in &odd {
            let reply = browser.get(path);
            let kept = reply.headers.get_all("set-cookie").iter().map(|kept| kept.to_str().unwrap());
            let kept: Vec<&str> = kept.collect();
            let pages = ["", "/console/fleet", "/console/log", "/console/policies/editor"];
            let ours =
                |kept: &str| pages.iter().any(|page| kept.starts_with(&format!("tidegate-page={page}; Path=/;")));
            assert!(kept.iter().all(|kept| ours(kept)), "{path}: {reply:?}");
            assert!(!signed_in || kept.is_empty(), "{path}: {reply:?}");
            assert!(reply.headers.get("location").is_none(), "{path}: {reply:?}");
            assert!(reply.status < 500, "{path}: {reply:?}");
        }
        let posts = [
            ("/console/enter", "code=x"),
            ("/console/token", "token=x"),
            ("/console/leave", ""),
            ("/console/incidents", "title=x"),
        ];
        for (path, body) in posts {
            let reply =
                browser.ask(Method::POST, path, &[], &format!("{body}&next=https://elsewhere.example&{inject}=1"));
            let to = reply.headers.get("location").map(|to| to.to_str().unwrap().to_owned());
            assert!(to.iter().all(|to| to.starts_with("/console/")), "{path}: {to:?}");
        }
    }
    world.running.stop();
}
