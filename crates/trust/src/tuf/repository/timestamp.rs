//! Timestamp: which snapshot is the newest. Short-lived and signed online, so that a device notices when it is kept in the past.
//! It lists the snapshot and nothing else.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::pin::Pin;
use crate::tuf::expiry::Expiry;
use crate::tuf::form::FormError;
use crate::tuf::signing::{Header, Role, Sealed};

/// The newest snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct TimestampRole {
    header: Header,
    snapshot: Pin,
}

impl TimestampRole {
    pub(crate) fn new(version: u64, expires: Expiry, snapshot: Pin) -> TimestampRole {
        TimestampRole { header: Header::new(version, expires), snapshot }
    }

    /// The snapshot that it names.
    pub fn snapshot(&self) -> &Pin {
        &self.snapshot
    }
}

impl Role for TimestampRole {
    const TYPE: &'static str = "timestamp";
    const BYTES_MAX: usize = 64 * 1024;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    meta: WrittenMeta,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMeta {
    #[serde(rename = "snapshot.json")]
    snapshot: Value,
}

impl Sealed for TimestampRole {
    fn header(&self) -> &Header {
        &self.header
    }

    fn body(&self) -> Map<String, Value> {
        let mut body = Map::new();
        body.insert("meta".into(), json!({"snapshot.json": self.snapshot.write()}));
        body
    }

    fn from_body(header: Header, body: Map<String, Value>) -> Result<TimestampRole, FormError> {
        let written: Written =
            serde_json::from_value(Value::Object(body)).map_err(|error| FormError::json("signed", error))?;
        Ok(TimestampRole { header, snapshot: Pin::read("signed.meta.snapshot", written.meta.snapshot)? })
    }
}
