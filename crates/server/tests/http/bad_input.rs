//! Bad input: every route of the OpenAPI document, with everything that can be wrong with a request, gives the promised status
//! and the promised word in a problem document, and changes nothing. A route without a row here fails the test.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::json;
use ureq::http::Method;

use crate::fleet::{Api, Fleet, Reply, http_agent, request};
use crate::played::{FAST_POLICY, Player, twelve};

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Anybody,
    Device,
    /// Operators with at least this role.
    Least(&'static str),
}

/// What a route takes as its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    /// JSON of a fixed shape.
    Json,
    /// A TUF file, with the word for what is none.
    Tuf(&'static str),
    /// An artifact.
    Bytes,
}

struct Row {
    route: &'static str,
    who: Who,
    takes: Takes,
    /// A name of the right form that stands for nothing, with the word that says so; the body that goes with it.
    unknown: Option<(&'static str, &'static str, &'static str)>,
    /// Whether the route's names have a form that can be wrong.
    formed: bool,
    /// Whether it reads a query.
    query: bool,
}

const REASON: &str = r#"{"reason": "because"}"#;
const NO_ARTIFACT: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const NO_POLICY: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

const fn row(route: &'static str, who: Who, takes: Takes) -> Row {
    Row { route, who, takes, unknown: None, formed: false, query: false }
}

const fn list(route: &'static str, who: Who) -> Row {
    Row { query: true, ..row(route, who, Takes::Nothing) }
}

const fn named(route: &'static str, who: Who, takes: Takes, name: &'static str, word: &'static str) -> Row {
    Row { unknown: Some((name, word, REASON)), formed: true, ..row(route, who, takes) }
}

const VIEWER: Who = Who::Least("viewer");
const PUBLISHER: Who = Who::Least("publisher");
const APPROVER: Who = Who::Least("approver");
const ADMIN: Who = Who::Least("admin");

const ROWS: &[Row] = &[
    row("POST /api/v1/login", Who::Anybody, Takes::Json),
    row("GET /api/v1/status", VIEWER, Takes::Nothing),
    list("GET /api/v1/operators", ADMIN),
    row("POST /api/v1/operators", ADMIN, Takes::Json),
    named("DELETE /api/v1/operators/{operator}", ADMIN, Takes::Nothing, "nobody", "unknown_operator"),
    row("GET /api/v1/trust", VIEWER, Takes::Nothing),
    row("PUT /api/v1/trust/key-list", ADMIN, Takes::Json),
    row("PUT /api/v1/trust/envelope", ADMIN, Takes::Json),
    Row {
        unknown: Some(("9.root.json", "unknown_metadata", "")),
        ..row("GET /api/v1/metadata/{name}", VIEWER, Takes::Nothing)
    },
    row("PUT /api/v1/metadata/root", ADMIN, Takes::Tuf("malformed")),
    row("PUT /api/v1/metadata/targets", ADMIN, Takes::Tuf("malformed")),
    Row { formed: true, ..row("PUT /api/v1/metadata/packages/{package}", PUBLISHER, Takes::Tuf("malformed")) },
    named("HEAD /api/v1/artifacts/{sha256}", PUBLISHER, Takes::Nothing, NO_ARTIFACT, "unknown_artifact"),
    Row { formed: true, ..row("PUT /api/v1/artifacts/{sha256}", PUBLISHER, Takes::Bytes) },
    row("POST /api/v1/artifacts/collect", ADMIN, Takes::Json),
    row("POST /api/v1/console-codes", VIEWER, Takes::Nothing),
    list("GET /api/v1/packages", VIEWER),
    named("GET /api/v1/packages/{package}", VIEWER, Takes::Nothing, "nothing", "unknown_package"),
    list("GET /api/v1/policies", VIEWER),
    named("GET /api/v1/policies/{digest}", VIEWER, Takes::Nothing, NO_POLICY, "unknown_policy"),
    row("POST /api/v1/policies", APPROVER, Takes::Json),
    row("POST /api/v1/rollouts/draft", APPROVER, Takes::Json),
    list("GET /api/v1/rollouts", VIEWER),
    list("GET /api/v1/concluded", VIEWER),
    row("POST /api/v1/rollouts", APPROVER, Takes::Json),
    named("GET /api/v1/rollouts/{rollout}", VIEWER, Takes::Nothing, "nothing.1", "unknown_rollout"),
    named("POST /api/v1/rollouts/{rollout}/pause", VIEWER, Takes::Json, "nothing.1", "unknown_rollout"),
    named("POST /api/v1/rollouts/{rollout}/resume", APPROVER, Takes::Json, "nothing.1", "unknown_rollout"),
    Row {
        unknown: Some((
            "nothing.1",
            "unknown_rollout",
            concat!(
                r#"{"reason": "fine", "approval": "#,
                include_str!("../../../trust/tests/golden/approval.json"),
                "}"
            ),
        )),
        formed: true,
        ..row("POST /api/v1/rollouts/{rollout}/approve", VIEWER, Takes::Json)
    },
    row("GET /api/v1/blame", VIEWER, Takes::Nothing),
    named("POST /api/v1/rollouts/{rollout}/halt", VIEWER, Takes::Json, "nothing.1", "unknown_rollout"),
    named("GET /api/v1/halts/{rollout}", Who::Anybody, Takes::Nothing, "nothing.1", "unknown_rollout"),
    row("POST /api/v1/halts", Who::Anybody, Takes::Json),
    list("GET /api/v1/devices", VIEWER),
    named("GET /api/v1/devices/{device}", VIEWER, Takes::Nothing, "nobody", "unknown_device"),
    named("POST /api/v1/devices/{device}/retire", APPROVER, Takes::Json, "nobody", "unknown_device"),
    list("GET /api/v1/holds", VIEWER),
    row("POST /api/v1/holds", VIEWER, Takes::Json),
    named("POST /api/v1/holds/{hold}/lift", APPROVER, Takes::Json, "999", "unknown_hold"),
    Row { query: true, ..row("GET /api/v1/log", VIEWER, Takes::Nothing) },
    list("GET /api/v1/incidents", VIEWER),
    named("GET /api/v1/incidents/{incident}", VIEWER, Takes::Nothing, "nothing.1", "unknown_incident"),
    row("POST /api/v1/incidents", VIEWER, Takes::Json),
    Row {
        unknown: Some(("nothing.1", "unknown_incident", r#"{"act": "note", "at_ms": 0, "text": "seen"}"#)),
        formed: true,
        ..row("POST /api/v1/incidents/{incident}/acts", VIEWER, Takes::Json)
    },
    Row {
        query: true,
        ..named("GET /api/v1/incidents/{incident}/hands", VIEWER, Takes::Nothing, "nothing.1", "unknown_incident")
    },
    Row {
        unknown: Some(("9.root.json", "unknown_metadata", "")),
        ..row("GET /device/v1/metadata/{name}", Who::Anybody, Takes::Nothing)
    },
    row("GET /device/v1/trust", Who::Anybody, Takes::Nothing),
    row("POST /device/v1/enrol", Who::Anybody, Takes::Json),
    row("POST /device/v1/check-in", Who::Device, Takes::Json),
    named("GET /device/v1/offers/{rollout}", Who::Device, Takes::Nothing, "nothing.1", "unknown_offer"),
    named("GET /device/v1/artifacts/{sha256}", Who::Anybody, Takes::Nothing, NO_ARTIFACT, "unknown_artifact"),
    row("POST /device/v1/go", Who::Device, Takes::Json),
    row("POST /device/v1/reports", Who::Device, Takes::Json),
];

/// One wrong request and what it must get.
struct Case {
    what: String,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    status: u16,
    kind: &'static str,
}

struct Stage {
    admin: Api,
    roles: Vec<(&'static str, String)>,
    device: Player,
}

impl Stage {
    fn headers(&self, who: Who) -> Vec<(&'static str, String)> {
        match who {
            Who::Anybody => Vec::new(),
            Who::Device => device_headers(&self.device.id, &self.device.bearer),
            Who::Least(role) => bearer(&self.token(role)),
        }
    }

    fn token(&self, role: &str) -> String {
        self.roles.iter().find(|(known, _)| *known == role).unwrap().1.clone()
    }

    /// The role just below, which must not be enough.
    fn below(&self, role: &str) -> Option<String> {
        let at = self.roles.iter().position(|(known, _)| *known == role).unwrap();
        Some(self.roles.get(at.checked_sub(1)?)?.1.clone())
    }
}

fn bearer(token: &str) -> Vec<(&'static str, String)> {
    vec![("authorization", format!("Bearer {token}"))]
}

fn device_headers(id: &str, token: &str) -> Vec<(&'static str, String)> {
    vec![("authorization", format!("Bearer {token}")), ("tidegate-device", id.to_owned())]
}

fn cases(stage: &Stage, row: &Row) -> Vec<Case> {
    let (method, pattern) = row.route.split_once(' ').unwrap();
    let filled = |name: &str| match (pattern.find('{'), pattern.find('}')) {
        (Some(from), Some(to)) => format!("{}{name}{}", &pattern[..from], &pattern[to + 1..]),
        _ => pattern.to_owned(),
    };
    let right_name = match pattern {
        _ if pattern.contains("{sha256}") => NO_ARTIFACT,
        _ if pattern.contains("{digest}") => NO_POLICY,
        _ if pattern.contains("{package}") => "sensor-content",
        _ if pattern.contains("{hold}") => "1",
        _ => "name.1",
    };
    let (path, right) = (filled(right_name), stage.headers(row.who));
    let case = |what: &str, path: &str, headers: &[(&'static str, String)], body: &[u8], status, kind| Case {
        what: format!("{method} {path}: {what}"),
        path: path.to_owned(),
        headers: headers.to_vec(),
        body: body.to_vec(),
        status,
        kind,
    };
    let mut cases = Vec::new();
    if row.who != Who::Anybody {
        cases.push(case("no token", &path, &[], b"", 401, "not_authenticated"));
        cases.push(case("unknown token", &path, &bearer("nonsense"), b"", 401, "not_authenticated"));
    }
    match row.who {
        Who::Anybody => {}
        Who::Device => {
            let id = &stage.device.id;
            cases.push(case("wrong token", &path, &device_headers(id, "x"), b"", 401, "not_authenticated"));
            cases.push(case("no such device", &path, &device_headers("x", "x"), b"", 401, "not_authenticated"));
            let mut headers = right.clone();
            headers.push(("tidegate-nonce", "short".to_owned()));
            cases.push(case("nonce", &path, &headers, b"", 400, "nonce_malformed"));
        }
        Who::Least(role) => {
            if let Some(below) = stage.below(role) {
                cases.push(case("role too low", &path, &bearer(&below), b"", 403, "role_too_low"));
            }
            let device = device_headers(&stage.device.id, &stage.device.bearer);
            cases.push(case("a device's token", &path, &device, b"", 401, "not_authenticated"));
        }
    }
    if row.formed {
        let path = filled("No%20Name");
        cases.push(case("malformed name", &path, &right, REASON.as_bytes(), 400, "name_malformed"));
    }
    if let Some((name, kind, body)) = row.unknown {
        cases.push(case("unknown name", &filled(name), &right, body.as_bytes(), 404, kind));
    }
    if row.query {
        for query in ["limit=0", "limit=10001", "limit=x", "nonsense=1"] {
            let path = format!("{path}?{query}");
            cases.push(case("query", &path, &right, b"", 400, "query_malformed"));
        }
    }
    match row.takes {
        Takes::Nothing => {}
        Takes::Json => {
            for (what, body) in [("empty", ""), ("cut off", "{"), ("no text", "\u{0}")] {
                cases.push(case(what, &path, &right, body.as_bytes(), 400, "json_malformed"));
            }
            for (what, body) in [("a list", "[]"), ("unknown field", r#"{"nonsense": 1}"#), ("a number", "7")] {
                cases.push(case(what, &path, &right, body.as_bytes(), 400, "json_shape"));
            }
        }
        Takes::Tuf(kind) => {
            for body in ["", "{", "[]", r#"{"signed": 1, "signatures": []}"#] {
                cases.push(case("no TUF file", &path, &right, body.as_bytes(), 422, kind));
            }
        }
        Takes::Bytes => {
            cases.push(case("another digest", &path, &right, b"something else", 422, "wrong_digest"));
        }
    }
    cases
}

fn stage(fleet: &mut Fleet, base: &str, admin: Api) -> Stage {
    let mut device = twelve(fleet, base).remove(0);
    assert!(device.enrol());
    fleet.publish(&admin, "1.0.0", "good");
    fleet.apply_policy(&admin, FAST_POLICY);
    let roles = ["viewer", "publisher", "approver", "admin"];
    let roles = roles.map(|role| (role, admin.operator(role).token.unwrap())).to_vec();
    Stage { admin, roles, device }
}

fn check(case: &Case, reply: &Reply, head: bool) {
    assert_eq!(reply.status, case.status, "{}: {}", case.what, String::from_utf8_lossy(&reply.body));
    let media_type = reply.headers.get("content-type").map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(media_type.as_deref(), Some("application/problem+json"), "{}", case.what);
    if head {
        return;
    }
    let problem = reply.json();
    assert_eq!(problem["kind"], case.kind, "{}: {problem}", case.what);
    assert_eq!(problem["type"], format!("urn:tidegate:problem:{}", case.kind));
    assert_eq!(problem["status"], case.status);
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 5), "{problem}");
}

#[test]
fn every_route_refuses_bad_input_and_changes_nothing() {
    let mut fleet = Fleet::found();
    let running = fleet.start();
    let stage = stage(&mut fleet, &running.base, running.admin());
    let document = stage.admin.get("/openapi.json");
    let described: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |m| format!("{} {path}", m.to_uppercase())))
        .collect();
    let tested: BTreeSet<String> = ROWS.iter().map(|row| row.route.to_owned()).collect();
    assert_eq!(described, tested, "every route of the document has a row, and every row a route");

    let (agent, seq) = (http_agent(), stage.admin.seq());
    let mut count = 0;
    for row in ROWS {
        let method: Method = row.route.split_once(' ').unwrap().0.parse().unwrap();
        for case in cases(&stage, row) {
            let headers: Vec<(&str, &str)> = case.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let url = format!("{}{}", running.base, case.path);
            let reply = request(&agent, method.clone(), &url, &headers, &case.body).unwrap();
            check(&case, &reply, method == Method::HEAD);
            assert_eq!(stage.admin.seq(), seq, "{} changed something", case.what);
            count += 1;
        }
        if row.takes != Takes::Nothing {
            let path = row.route.split_once(' ').unwrap().1.replace("{package}", "x").replace("{rollout}", "x.1");
            let path = path.replace("{sha256}", NO_ARTIFACT).replace("{device}", "x").replace("{hold}", "1");
            let path = path.replace("{incident}", "inc-x.1");
            let bytes: u64 = if row.takes == Takes::Bytes { 5 << 30 } else { 9 << 20 };
            let headers = stage.headers(row.who);
            let answer = announce(&running.base, method.as_str(), &path, &headers, bytes);
            assert!(answer.starts_with("HTTP/1.1 413 "), "{}: {answer}", row.route);
            assert!(answer.contains("\"kind\":\"body_too_large\""), "{answer}");
            count += 1;
        }
    }
    assert_eq!(stage.admin.seq(), seq);
    println!("{count} wrong requests over {} routes", ROWS.len());
    running.stop();
}

/// The answer to a request that announces a body of so many bytes and has not sent any of it.
fn announce(base: &str, method: &str, path: &str, headers: &[(&'static str, String)], bytes: u64) -> String {
    let mut stream = TcpStream::connect(base.strip_prefix("http://").unwrap()).unwrap();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {bytes}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn requests_that_are_well_formed_and_wrong_are_refused_and_change_nothing() {
    let mut fleet = Fleet::found();
    let running = fleet.start();
    let mut stage = stage(&mut fleet, &running.base, running.admin());
    stage.device.play().unwrap();
    let policy = tidegate_domain::digest::Digest::of(FAST_POLICY.as_bytes());
    let order = fleet.order(&stage.admin, "1.0.0", &policy);
    let unsigned: serde_json::Value = json!({"body": json!(order)["body"], "signatures": []});
    let mut altered = json!(order);
    altered["body"]["order_seq"] = json!(7);
    let wide = FAST_POLICY.replace("initial_all = 4", "initial_all = 400");
    let too_wide = json!({"policy": fleet.policy_record(&wide)});
    let nonsense = json!({"code": "000000-000000-000000"});
    let draft =
        |version: &str, policy: &str| json!({"package": "sensor-content", "version": version, "policy": policy});
    let cases = [
        ("/login", nonsense, 403, "login_code"),
        ("/rollouts/draft", draft("9.9.9", &policy.to_string()), 404, "unknown_release"),
        ("/rollouts/draft", draft("1.0.0", NO_POLICY), 404, "unknown_policy"),
        ("/rollouts", json!({"order": unsigned}), 403, "record_not_signed"),
        ("/rollouts", json!({"order": altered}), 409, "not_the_draft"),
        ("/policies", too_wide, 409, "outside_envelope"),
        ("/rollouts/sensor-content.1/halt", json!({"reason": ""}), 422, "reason"),
        ("/rollouts/sensor-content.1/halt", json!({"reason": "x".repeat(501)}), 422, "reason"),
    ];
    let seq = stage.admin.seq();
    for (path, body, status, kind) in cases {
        let reply = stage.admin.post(path, &body);
        assert_eq!((reply.status, reply.kind().as_str()), (status, kind), "{path}: {reply:?}");
    }
    let select = stage.admin.call(Method::GET, "/devices?select=os%20%3D%3D", b"");
    assert_eq!((select.status, select.kind().as_str()), (400, "selector"));
    let range = [("range", "bytes=99-")];
    let artifact = tidegate_domain::digest::Digest::of(b"good").hex();
    let url = format!("{}/device/v1/artifacts/{artifact}", running.base);
    assert_eq!(request(&http_agent(), Method::GET, &url, &range, b"").unwrap().status, 416);
    let many = json!({"packages": vec![json!({"package": "x", "state": "idle", "healthy": true}); 65]});
    assert_eq!(stage.device.post("/check-in", &many).unwrap().kind(), "too_many_packages");
    assert_eq!(stage.admin.seq(), seq, "nothing changed");
    running.stop();
}
