//! Debian's Chromium, driven by its own driver over WebDriver: what a person sees of the console, with scripts and live.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::processes::{PATH, end, until, within};

/// How long the driver may think about an answer.
const ANSWER: Duration = Duration::from_secs(30);

/// Keys as WebDriver names them.
const TAB: char = '\u{e004}';
pub(crate) const ENTER: char = '\u{e007}';

/// A browser with an empty profile; it ends with the test.
pub(crate) struct Browser {
    driver: Child,
    session: String,
    agent: ureq::Agent,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.agent.delete(&self.session).call();
        end(&mut self.driver);
    }
}

impl Browser {
    /// Starts one of this size; the profile lies in a folder of the test.
    pub(crate) fn start(profile: &Path, (width, height): (u32, u32)) -> Browser {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let mut command = Command::new("chromedriver");
        command.arg(format!("--port={port}")).env_clear().env("PATH", PATH).env("HOME", profile);
        let driver = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(ANSWER)).proxy(None);
        let agent = config.build().new_agent();
        let base = format!("http://127.0.0.1:{port}");
        until("the driver", || agent.get(format!("{base}/status")).call().ok());
        // The sandbox needs rights that a container's root does not have; the pages are ours.
        let arguments = json!([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            format!("--window-size={width},{height}"),
            format!("--user-data-dir={}", profile.display()),
        ]);
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let mut browser = Browser { driver, session: format!("{base}/session"), agent };
        let made = browser.post("", &wanted);
        browser.session = format!("{base}/session/{}", made["sessionId"].as_str().unwrap_or_else(|| panic!("{made}")));
        browser
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let mut answer = self.agent.post(format!("{}{path}", self.session)).send(body.to_string()).unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["value"].clone()
    }

    /// Opens a page and waits until it is there.
    pub(crate) fn open(&self, url: &str) {
        let answer = self.post("/url", &json!({"url": url}));
        assert!(answer.is_null(), "{url}: {answer}");
    }

    /// What an expression of the page's script comes to.
    pub(crate) fn eval(&self, expression: &str) -> Value {
        self.post("/execute/sync", &json!({"script": format!("return {expression};"), "args": []}))
    }

    /// The page's text as it is seen.
    pub(crate) fn text(&self) -> String {
        self.eval("document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the page's text says something.
    pub(crate) fn wait_for(&self, words: &str) {
        let mut last = String::new();
        let seen = within(Duration::from_secs(30), || {
            last = self.text();
            last.contains(words).then_some(())
        });
        assert!(seen.is_some(), "the page does not say {words:?}: {last}");
    }

    /// Presses the button with these words, as a person does.
    pub(crate) fn press(&self, words: &str) {
        self.click(&format!("//button[normalize-space()='{words}']"));
    }

    /// Clicks on what this XPath finds first.
    pub(crate) fn click(&self, xpath: &str) {
        let element = self.element(xpath);
        let pressed = self.post(&format!("/element/{element}/click"), &json!({}));
        assert!(pressed.is_null(), "{xpath}: {pressed}");
    }

    /// Types into what this XPath finds first, in the place of what stands there.
    pub(crate) fn fill(&self, xpath: &str, text: &str) {
        let element = self.element(xpath);
        let cleared = self.post(&format!("/element/{element}/clear"), &json!({}));
        assert!(cleared.is_null(), "{xpath}: {cleared}");
        let typed = self.post(&format!("/element/{element}/value"), &json!({"text": text}));
        assert!(typed.is_null(), "{xpath}: {typed}");
    }

    /// Presses a key and lets it go: what has the focus gets it.
    pub(crate) fn key(&self, key: char) {
        let strokes = json!([{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]);
        let typed = self.post("/actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]}));
        assert!(typed.is_null(), "{typed}");
    }

    /// Goes on by the key Tab until what has the focus reads so.
    pub(crate) fn tab_to(&self, words: &str) {
        let mut passed = Vec::new();
        while passed.len() < 200 {
            let focus = self.eval("(document.activeElement.textContent || '').trim()");
            if focus == words {
                return;
            }
            passed.push(focus.as_str().unwrap_or_default().chars().take(40).collect::<String>());
            self.key(TAB);
        }
        panic!("no {words:?} among {passed:?}");
    }

    fn element(&self, xpath: &str) -> String {
        let found = self.post("/element", &json!({"using": "xpath", "value": xpath}));
        let element = found.as_object().and_then(|found| found.values().next()?.as_str().map(str::to_owned));
        element
            .filter(|_| found.get("error").is_none())
            .unwrap_or_else(|| panic!("no {xpath}: {found}\n{}", self.text()))
    }

    /// What a script gives to its callback, which it finds as its last argument.
    pub(crate) fn eval_later(&self, script: &str) -> Value {
        self.post("/execute/async", &json!({"script": script, "args": []}))
    }

    /// Makes the window another size.
    pub(crate) fn resize(&self, (width, height): (u32, u32)) {
        // A window is never as narrow as a phone; what the page is told is.
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.post("/goog/cdp/execute", &json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics}));
    }

    /// Follows the colours that a person's system asks for.
    pub(crate) fn prefer(&self, scheme: &str) {
        let parameters = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        let asked = json!({"cmd": "Emulation.setEmulatedMedia", "params": parameters});
        self.post("/goog/cdp/execute", &asked);
    }

    /// A picture of the whole page as PNG.
    pub(crate) fn picture(&self, to: &Path) {
        let asked = json!({"cmd": "Page.captureScreenshot", "params": {"captureBeyondViewport": true}});
        let picture = self.post("/goog/cdp/execute", &asked);
        let base64 = picture["data"].as_str().unwrap_or_else(|| panic!("{picture}"));
        use base64::Engine as _;
        std::fs::write(to, base64::engine::general_purpose::STANDARD.decode(base64).unwrap()).unwrap();
    }

    /// What the browser complained of since it was asked last: errors of scripts, things that the page's policy forbids.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({"type": "browser"}));
        let entries = log.as_array().cloned().unwrap_or_default();
        let bad = entries.iter().filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING");
        bad.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }
}
