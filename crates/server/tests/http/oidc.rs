//! Signing in by an OpenID Connect provider that lies: who comes back with something else than what this browser set out for gets in nowhere.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tidegate_server::Settings;
use ureq::http::Method;

use crate::console::{Browser, text};
use crate::fleet::{Fleet, Reply, Running, key};
use crate::listener::{self, Asked};

const CLIENT: &str = "tidegate";
const SECRET: &str = "between the two of us";
/// A key that the provider lists, and one that it does not.
const LISTED: u8 = 71;
const UNLISTED: u8 = 72;

/// What the provider gives for the next code, and what it was asked with.
#[derive(Default)]
struct Next {
    token: String,
    asked: Option<Asked>,
}

struct Provider {
    base: String,
    next: Arc<Mutex<Next>>,
}

impl Provider {
    fn begin() -> Provider {
        let next = Arc::new(Mutex::new(Next::default()));
        let kept = next.clone();
        let base = listener::begin(move |asked| {
            let at = format!("http://{}", asked.header("host"));
            let public = URL_SAFE_NO_PAD.encode(key(LISTED).verifying_key().as_bytes());
            let answer = match asked.path.as_str() {
                "/.well-known/openid-configuration" => json!({
                    "issuer": at, "authorization_endpoint": format!("{at}/authorize"), "token_endpoint": format!("{at}/token"),
                    "jwks_uri": format!("{at}/jwks"), "response_types_supported": ["code"],
                    "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["EdDSA", "HS256", "none"],
                }),
                "/jwks" => json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "1", "use": "sig", "x": public}]}),
                "/token" => {
                    let mut next = kept.lock().unwrap();
                    next.asked = Some(asked.clone());
                    json!({"access_token": "a", "token_type": "bearer", "id_token": next.token})
                }
                other => panic!("{other}"),
            };
            (200, answer.to_string())
        });
        Provider { base, next }
    }
}

fn coded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// An id token, signed by a key.
fn signed(claims: &Value, key: &SigningKey) -> String {
    let said = format!("{}.{}", coded(&json!({"alg": "EdDSA", "kid": "1"})), coded(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(said.as_bytes()).to_bytes());
    format!("{said}.{signature}")
}

/// An id token that whoever knows the client's secret can make.
fn by_secret(claims: &Value) -> String {
    let said = format!("{}.{}", coded(&json!({"alg": "HS256"})), coded(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(said.as_bytes());
    format!("{said}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// An id token that anybody can make.
fn by_nobody(claims: &Value) -> String {
    format!("{}.{}.", coded(&json!({"alg": "none"})), coded(claims))
}

fn settings(fleet: &Fleet, provider: &str, rest: &str) -> Settings {
    let (file, secret) = (fleet.data().with_file_name("oidc.toml"), fleet.data().with_file_name("secret"));
    std::fs::write(&secret, SECRET).unwrap();
    let text = format!(
        "name = \"Harbour\"\nissuer = {provider:?}\nclient_id = {CLIENT:?}\nclient_secret_file = {secret:?}\n{rest}"
    );
    std::fs::write(&file, text).unwrap();
    Settings { oidc: Some(file), ..fleet.settings() }
}

/// A browser that is with the provider: what it keeps, and what the address says.
struct Away {
    cookie: String,
    query: Vec<(String, String)>,
}

impl Away {
    fn set_out(base: &str) -> Away {
        let reply = Browser::new(base).get("/console/oidc");
        assert_eq!(reply.status, 303, "{reply:?}");
        let cookie = reply.headers["set-cookie"].to_str().unwrap();
        assert!(cookie.contains("HttpOnly; SameSite=Lax; Max-Age=600"), "{cookie}");
        let url = reply.headers["location"].to_str().unwrap();
        let (_, query) = url.split_once("/authorize?").unwrap();
        let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap();
        Away { cookie: cookie.split(';').next().unwrap().to_owned(), query: query.split('&').map(pair).collect() }
    }

    fn said(&self, name: &str) -> &str {
        &self.query.iter().find(|(given, _)| given == name).unwrap().1
    }

    /// Claims that nobody could object to.
    fn claims(&self, issuer: &str) -> Value {
        let now = jiff::Timestamp::now().as_second();
        json!({"iss": issuer, "aud": CLIENT, "sub": "p-1", "nonce": self.said("nonce"), "iat": now, "exp": now + 60})
    }

    fn back(&self, base: &str, rest: &str) -> Reply {
        Browser::new(base).ask(Method::GET, &format!("/console/oidc/back?{rest}"), &[("cookie", &self.cookie)], "")
    }

    fn back_well(&self, base: &str) -> Reply {
        self.back(base, &format!("code=c-1&state={}", self.said("state")))
    }
}

fn signs_nobody_in(what: &str, reply: &Reply) {
    assert!(matches!(reply.status, 400 | 403 | 502), "{what}: {reply:?}");
    assert!(!reply.headers.contains_key("set-cookie"), "{what}: {reply:?}");
}

#[test]
fn whom_the_provider_vouches_for_is_the_operator_that_the_file_says() {
    let (fleet, provider) = (Fleet::found(), Provider::begin());
    let people = "claim = \"sub\"\n[operators]\n\"p-1\" = \"a-viewer\"\n\"p-2\" = \"nobody-yet\"\n";
    let running = Running::start(settings(&fleet, &provider.base, people));
    running.admin().operator("viewer");
    let mut browser = Browser::new(&running.base);
    assert!(text(&browser.get("/console/")).contains("Sign in with Harbour"));

    let away = Away::set_out(&running.base);
    provider.next.lock().unwrap().token = signed(&away.claims(&provider.base), &key(LISTED));
    let reply = away.back_well(&running.base);
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(text(&reply).contains("0; url=/console/"), "it leads on by itself: {}", text(&reply));
    let cookies: Vec<&str> = reply.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    assert!(cookies[0].starts_with("tidegate=") && cookies[0].contains("SameSite=Strict"), "{cookies:?}");
    assert!(cookies[1].starts_with("tidegate-oidc=;") && cookies[2].starts_with("tidegate-page=;"), "{cookies:?}");
    browser.cookie = Some(cookies[0].split(';').next().unwrap().to_owned());
    assert!(text(&browser.get("/console/")).contains("<span>a-viewer</span>"));

    // The code was spent with the verifier that only this browser keeps.
    let asked = provider.next.lock().unwrap().asked.take().unwrap();
    let sent = |name: &str| asked.body.split('&').find_map(|pair| pair.strip_prefix(name)).unwrap().to_owned();
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(sent("code_verifier=")));
    assert_eq!(challenge, away.said("code_challenge"));
    assert_eq!(away.said("code_challenge_method"), "S256");

    // And to the page that was asked for before.
    let again = Away::set_out(&running.base);
    provider.next.lock().unwrap().token = signed(&again.claims(&provider.base), &key(LISTED));
    let kept = format!("{}; tidegate-page=/console/trust", again.cookie);
    let reply = Away { cookie: kept, ..again }.back_well(&running.base);
    assert!(text(&reply).contains("0; url=/console/trust"), "{}", text(&reply));

    // Listed, but no operator; and not listed at all.
    for (sub, part) in [("p-2", "tidegate operator add nobody-yet"), ("p-3", "[operators]")] {
        let away = Away::set_out(&running.base);
        let mut claims = away.claims(&provider.base);
        claims["sub"] = json!(sub);
        provider.next.lock().unwrap().token = signed(&claims, &key(LISTED));
        let reply = away.back_well(&running.base);
        signs_nobody_in(sub, &reply);
        assert!(text(&reply).contains(part), "{}", text(&reply));
    }
    running.stop();
}

#[test]
fn a_token_that_is_not_for_this_browser_and_by_the_provider_signs_nobody_in() {
    let (fleet, provider) = (Fleet::found(), Provider::begin());
    let people = "claim = \"email\"\n[operators]\n\"ada@harbour.example\" = \"a-viewer\"\n";
    let running = Running::start(settings(&fleet, &provider.base, people));
    running.admin().operator("viewer");
    let try_token = |what: &str, change: &dyn Fn(&mut Value), sign: &dyn Fn(&Value) -> String| {
        let away = Away::set_out(&running.base);
        let mut claims = away.claims(&provider.base);
        claims["email"] = json!("ada@harbour.example");
        claims["email_verified"] = json!(true);
        change(&mut claims);
        provider.next.lock().unwrap().token = sign(&claims);
        let reply = away.back_well(&running.base);
        if what != "good" {
            signs_nobody_in(what, &reply);
        }
        reply
    };
    let listed = |claims: &Value| signed(claims, &key(LISTED));
    assert_eq!(try_token("good", &|_| (), &listed).status, 200);
    try_token("another nonce", &|claims| claims["nonce"] = json!("another"), &listed);
    try_token("no nonce", &|claims| drop(claims.as_object_mut().unwrap().remove("nonce")), &listed);
    try_token("for another client", &|claims| claims["aud"] = json!("another"), &listed);
    try_token("for another client too", &|claims| claims["aud"] = json!([CLIENT, "another"]), &listed);
    try_token("of another issuer", &|claims| claims["iss"] = json!("https://another.example"), &listed);
    try_token("past its end", &|claims| claims["exp"] = json!(1_700_000_000), &listed);
    try_token("no address", &|claims| drop(claims.as_object_mut().unwrap().remove("email")), &listed);
    try_token("an address that nobody verified", &|claims| claims["email_verified"] = json!(false), &listed);
    try_token("by another key", &|_| (), &|claims| signed(claims, &key(UNLISTED)));
    try_token("by the secret", &|_| (), &by_secret);
    try_token("by nobody", &|_| (), &by_nobody);
    try_token("nonsense", &|_| (), &|_| "nonsense".to_owned());
    running.stop();
}

#[test]
fn who_comes_back_to_another_browser_or_with_nonsense_is_astray() {
    let (fleet, provider) = (Fleet::found(), Provider::begin());
    let people = "claim = \"sub\"\n[operators]\n\"p-1\" = \"a-viewer\"\n";
    let running = Running::start(settings(&fleet, &provider.base, people));
    running.admin().operator("viewer");
    let away = Away::set_out(&running.base);
    provider.next.lock().unwrap().token = signed(&away.claims(&provider.base), &key(LISTED));
    let state = away.said("state");
    let other = Away::set_out(&running.base);
    signs_nobody_in(
        "another browser's state",
        &away.back(&running.base, &format!("code=c&state={}", other.said("state"))),
    );
    for cookie in [
        "",
        "tidegate-oidc=",
        "tidegate-oidc=a.b.c",
        &format!("tidegate-oidc={state}.{state}"),
        &format!("tidegate-oidc={state}.x.y"),
    ] {
        let away = Away { cookie: cookie.to_owned(), query: Vec::new() };
        signs_nobody_in(cookie, &away.back(&running.base, &format!("code=c&state={state}")));
    }
    signs_nobody_in("no state", &away.back(&running.base, "code=c"));
    signs_nobody_in("a long code", &away.back(&running.base, &format!("code={}&state={state}", "c".repeat(5_000))));
    let hostile = away.back(&running.base, &format!("error=%3Cscript%3Ealert(1)%3C/script%3E&state={state}"));
    signs_nobody_in("an error", &hostile);
    assert!(!text(&hostile).contains("<script>alert"), "{}", text(&hostile));
    assert!(provider.next.lock().unwrap().asked.is_none(), "nothing of that was asked of the provider");
    running.stop();

    // A provider that is away: links and tokens sign in all the same.
    let running = Running::start(settings(&fleet, "http://127.0.0.1:9", people));
    assert_eq!(Browser::new(&running.base).get("/console/oidc").status, 502);
    running.stop();
    // Without a provider there is none.
    let running = fleet.start();
    assert_eq!(Browser::new(&running.base).get("/console/oidc").status, 404);
    assert_eq!(Browser::new(&running.base).get("/console/oidc/back?code=c&state=s").status, 404);
    running.stop();
}

#[test]
fn a_server_that_nobody_could_be_sent_back_to_takes_no_provider() {
    let fleet = Fleet::found();
    let everywhere = Settings {
        listen: "0.0.0.0:0".parse().unwrap(),
        ..settings(&fleet, "http://127.0.0.1:9", "claim = \"sub\"\n[operators]\n\"p-1\" = \"a-viewer\"\n")
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let refused = runtime.block_on(tidegate_server::Server::start(everywhere.clone())).map(|_| ());
    assert!(refused.unwrap_err().to_string().contains("public_url is missing"));
    let named = Settings { public_url: Some("https://gate.example".to_owned()), ..everywhere };
    let started = runtime.block_on(tidegate_server::Server::start(named)).unwrap();
    runtime.block_on(started.stop()).unwrap();
}
