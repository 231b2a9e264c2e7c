//! The account by webhook: every line that was asked for arrives, in order and signed, although the receiver fails and the server starts anew.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tidegate_server::Settings;

use crate::fleet::{Fleet, Running, until};
use crate::listener::{self, Asked};

/// What a receiver got: the signed headers and the event.
#[derive(Debug, Clone)]
struct Got {
    id: String,
    signature: String,
    timestamp: String,
    body: String,
}

/// Answers with these statuses in turn, then with 204, and keeps what it accepted.
struct Receiver {
    url: String,
    got: Arc<Mutex<Vec<Got>>>,
    refused: Arc<Mutex<Vec<Got>>>,
}

impl Receiver {
    fn begin(mut statuses: Vec<u16>) -> Receiver {
        let (got, refused) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let (kept, not) = (got.clone(), refused.clone());
        let base = listener::begin(move |asked: &Asked| {
            let one = Got {
                id: asked.header("webhook-id"),
                signature: asked.header("webhook-signature"),
                timestamp: asked.header("webhook-timestamp"),
                body: asked.body.clone(),
            };
            let status = if statuses.is_empty() { 204 } else { statuses.remove(0) };
            let list = if status == 204 { &kept } else { &not };
            list.lock().unwrap().push(one);
            (status, String::new())
        });
        let url = format!("{base}/hook");
        Receiver { url, got, refused }
    }

    fn acts(&self) -> Vec<(String, String)> {
        let event = |got: &Got| -> Value { serde_json::from_str(&got.body).unwrap() };
        let act =
            |event: Value| (event["type"].as_str().unwrap().to_owned(), event["subject"].as_str().unwrap().to_owned());
        self.got.lock().unwrap().iter().map(|got| act(event(got))).collect()
    }
}

fn settings(fleet: &Fleet, text: &str) -> Settings {
    let file = fleet.data().with_file_name("webhooks.toml");
    std::fs::write(&file, text).unwrap();
    Settings { webhooks: Some(file), ..fleet.settings() }
}

#[test]
fn every_line_arrives_in_order_over_failures_and_a_restart() {
    let fleet = Fleet::found();
    // What was before is nobody's news.
    let running = fleet.start();
    drop(running.admin());
    running.stop();
    let receiver = Receiver::begin(vec![500, 503]);
    let secret = fleet.data().with_file_name("secret");
    std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    let text = format!(
        "[[webhooks]]\nname = \"ops\"\nurl = \"{}\"\nsecret_file = {secret:?}\nwhat = [\"held\", \"hold_lifted\"]\n",
        receiver.url
    );
    let running = Running::start(settings(&fleet, &text));
    let api = running.admin();
    until("the receiver stands", || fleet.data().join("webhooks/ops").exists().then_some(()));
    assert_eq!(api.post("/holds", &json!({"reason": "first"})).status, 201);
    assert_eq!(api.post("/holds", &json!({"reason": "second"})).status, 201);
    until("both arrived", || (receiver.acts().len() == 2).then_some(()));
    let refused = receiver.refused.lock().unwrap().clone();
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused.iter().all(|one| one.id == receiver.got.lock().unwrap()[0].id), "the same event has the same id");
    running.stop();

    // A line that was recorded by a server that had no webhooks is news for the next one that has.
    let running = fleet.start();
    let api = running.admin();
    assert_eq!(api.post("/holds/1/lift", &json!({"reason": "done"})).status, 204);
    running.stop();
    let running = Running::start(settings(&fleet, &text));
    until("the third arrived", || (receiver.acts().len() == 3).then_some(()));
    let acts = receiver.acts();
    let expected = [("held", "hold 1"), ("held", "hold 2"), ("hold_lifted", "hold 1")];
    assert_eq!(acts, expected.map(|(what, about)| (format!("tidegate.{what}.v1"), about.to_owned())).to_vec());
    for got in receiver.got.lock().unwrap().iter() {
        assert!(got.signature.starts_with("v1,") && got.timestamp.parse::<u64>().is_ok(), "{got:?}");
        let event: Value = serde_json::from_str(&got.body).unwrap();
        assert_eq!((&event["specversion"], &event["id"]), (&json!("1.0"), &json!(got.id)), "{event}");
        assert_eq!(event["data"]["who"], "admin", "{event}");
    }
    let ids: std::collections::BTreeSet<String> =
        receiver.got.lock().unwrap().iter().map(|got| got.id.clone()).collect();
    assert_eq!(ids.len(), 3);
    running.stop();
}

#[test]
fn a_server_with_webhooks_that_cannot_be_used_does_not_start() {
    let fleet = Fleet::found();
    let start = |text: &str| {
        let settings = settings(&fleet, text);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(tidegate_server::Server::start(settings)).map(|_| ()).map_err(|error| format!("{error:#}"))
    };
    for (text, part) in [
        ("[[webhook]]", "unknown field"),
        ("[[webhooks]]\nname = \"x\"\nurl = \"https://example.org/\"\nsecret_file = \"/nowhere\"", "/nowhere"),
        (
            "[[webhooks]]\nname = \"X Y\"\nurl = \"https://example.org/\"\nsecret_file = \"/nowhere\"",
            "expected up to 40",
        ),
    ] {
        let problem = start(text).unwrap_err();
        assert!(problem.contains("webhooks.toml") && problem.contains(part), "{problem}");
    }
}
