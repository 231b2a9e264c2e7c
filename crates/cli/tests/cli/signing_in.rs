//! A person signs in by an OpenID Connect provider, in a real browser, at a real provider program.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::Home;
use crate::browser::Browser;
use crate::processes::{end, is_there, python_tool, start, until};

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

#[test]
fn a_person_signs_in_by_a_provider_as_the_operator_that_the_file_says() {
    let Some(program) = python_tool("oidc-provider-mock") else { return };
    if !is_there("chromium", "chromium") || !is_there("chromedriver", "chromium-driver") {
        return;
    }
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let mut command = Command::new(program);
    command.args(["--port", &port.to_string(), "--require-nonce", "true"]);
    let quiet = || Stdio::null();
    let _provider = Running(command.stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn().unwrap());
    let issuer = format!("http://127.0.0.1:{port}");
    until("the provider", || ureq::get(format!("{issuer}/.well-known/openid-configuration")).call().ok());

    let home = Home::new().with("TIDEGATE_KEY_DIR", "fleet/offline");
    let fleet = home.init(&[]);
    home.write("oidc.secret", "between the two of us\n");
    home.write(
        "oidc.toml",
        &format!("name = \"Harbour\"\nissuer = {issuer:?}\nclient_id = \"gate\"\nclient_secret_file = \"oidc.secret\"\nclaim = \"sub\"\n[operators]\np-1 = \"ada\"\n"),
    );
    let up = ["up", "--data", "data", "--fleet", "fleet/server", "--listen", "127.0.0.1:0", "--oidc", "oidc.toml"];
    let _server = Running(start(&home, &[&up[..], &["--announce", "server.json"]].concat(), &home.path("server.log")));
    let announced: Value =
        until("the server", || serde_json::from_slice(&std::fs::read(home.path("server.json")).ok()?).ok());
    let (url, code) = (announced["url"].as_str().unwrap(), announced["login_code"].as_str().unwrap());
    home.json(&["login", url, "--code", code, "--fleet-digest", &fleet]);
    home.json(&["operator", "add", "ada", "--role", "viewer"]);

    let browser = Browser::start(&home.path("profile"), (1280, 1600));
    let as_whom = |sub: &str| {
        browser.open(&format!("{url}/console/"));
        browser.click("//a[normalize-space()='Sign in with Harbour']");
        browser.wait_for("Authorize Client");
        browser.fill("//input[@name='sub']", sub);
        browser.press("Authorize");
    };
    as_whom("p-2");
    browser.wait_for("nobody of that name stands under [operators]");
    browser.open(&format!("{url}/console/"));
    browser.click("//a[normalize-space()='Sign in with Harbour']");
    browser.press("Deny");
    browser.wait_for("Harbour did not sign you in");
    as_whom("p-1");
    // The page leads on by itself, and the browser brings the session's cookie along.
    browser.wait_for("From here to a first release");
    browser.wait_for("ada");
    let cookies = browser.eval("document.cookie");
    assert_eq!(cookies, "", "no script reads them");
    browser.press("Sign out");
    browser.wait_for("Sign in with Harbour");
    let log = home.json(&["log", "--what", "signed_in"]).to_string();
    assert!(log.contains("ada"), "{log}");
}
