//! A line of the account as a CloudEvent (specification 1.0, structured JSON).

use serde::Serialize;
use tidegate_control::account::Line;
use tidegate_domain::digest::Digest;
use tidegate_domain::time::WallTime;

#[derive(Debug, Serialize)]
struct Event<'a> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    subject: &'a str,
    time: String,
    datacontenttype: &'static str,
    data: Data<'a>,
}

#[derive(Debug, Serialize)]
struct Data<'a> {
    entry: u64,
    who: &'a str,
    what: &'a str,
    about: &'a str,
    detail: &'a str,
}

/// The same for the same line, however often it is sent: who gets it twice knows it by its id.
pub(super) fn id(store_epoch: &str, entry: u64, index: usize) -> String {
    format!("{store_epoch}-{entry}-{index}")
}

/// The event's JSON.
///
/// # Errors
/// When it cannot be written as JSON, which is a fault of the code.
pub(super) fn body(
    fleet: Digest,
    id: &str,
    entry: u64,
    at: WallTime,
    line: &Line,
) -> Result<Vec<u8>, serde_json::Error> {
    let ms = i64::try_from(at.as_ms()).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(ms).map(|at| at.to_string()).unwrap_or_default();
    let Line { who, what, about, detail } = line;
    serde_json::to_vec(&Event {
        specversion: "1.0",
        id,
        source: format!("urn:tidegate:fleet:{}", fleet.hex()),
        kind: format!("tidegate.{what}.v1"),
        subject: about,
        time,
        datacontenttype: "application/json",
        data: Data { entry, who, what, about, detail },
    })
}
