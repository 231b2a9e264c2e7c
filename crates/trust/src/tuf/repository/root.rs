//! Root: the keys and thresholds of the four top-level roles. The anchor of everything; signed offline.
//! A new root must be signed by a threshold of the old root keys and of the new ones.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::key_list::{KeyList, key_ids, write_keys};
use super::version::{VersionExhausted, next_header};
use crate::tuf::expiry::Expiry;
use crate::tuf::form::FormError;
use crate::tuf::keys::Signers;
use crate::tuf::signing::{Header, Role, Sealed};

/// Who signs for root, targets, snapshot and timestamp.
#[derive(Debug, Clone, PartialEq)]
pub struct RootRole {
    header: Header,
    root: Signers,
    targets: Signers,
    snapshot: Signers,
    timestamp: Signers,
}

impl RootRole {
    /// Version 1, which devices pin.
    pub fn first(expires: Expiry, root: Signers, targets: Signers, snapshot: Signers, timestamp: Signers) -> RootRole {
        RootRole { header: Header::new(1, expires), root, targets, snapshot, timestamp }
    }

    /// The next version, with the same keys until they are changed.
    ///
    /// # Errors
    /// When there is no next version number.
    pub fn next(&self, expires: Expiry) -> Result<RootRole, VersionExhausted> {
        Ok(RootRole { header: next_header(&self.header, expires)?, ..self.clone() })
    }

    /// The same with other root signers.
    #[must_use]
    pub fn with_root(self, root: Signers) -> RootRole {
        RootRole { root, ..self }
    }

    /// The same with other targets signers.
    #[must_use]
    pub fn with_targets(self, targets: Signers) -> RootRole {
        RootRole { targets, ..self }
    }

    /// The same with other snapshot signers.
    #[must_use]
    pub fn with_snapshot(self, snapshot: Signers) -> RootRole {
        RootRole { snapshot, ..self }
    }

    /// The same with other timestamp signers.
    #[must_use]
    pub fn with_timestamp(self, timestamp: Signers) -> RootRole {
        RootRole { timestamp, ..self }
    }

    /// Who signs root itself.
    pub fn root(&self) -> &Signers {
        &self.root
    }

    /// Who signs the top-level targets.
    pub fn targets(&self) -> &Signers {
        &self.targets
    }

    /// Who signs snapshots.
    pub fn snapshot(&self) -> &Signers {
        &self.snapshot
    }

    /// Who signs timestamps.
    pub fn timestamp(&self) -> &Signers {
        &self.timestamp
    }
}

impl Role for RootRole {
    const TYPE: &'static str = "root";
    const BYTES_MAX: usize = 128 * 1024;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    consistent_snapshot: bool,
    keys: Value,
    roles: WrittenRoles,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRoles {
    root: WrittenRole,
    targets: WrittenRole,
    snapshot: WrittenRole,
    timestamp: WrittenRole,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRole {
    keyids: Vec<String>,
    threshold: u32,
}

impl Sealed for RootRole {
    fn header(&self) -> &Header {
        &self.header
    }

    fn body(&self) -> Map<String, Value> {
        let role = |signers: &Signers| json!({"keyids": key_ids(signers), "threshold": signers.threshold()});
        let mut body = Map::new();
        body.insert("consistent_snapshot".into(), true.into());
        body.insert("keys".into(), write_keys([&self.root, &self.targets, &self.snapshot, &self.timestamp]));
        body.insert(
            "roles".into(),
            json!({
                "root": role(&self.root),
                "targets": role(&self.targets),
                "snapshot": role(&self.snapshot),
                "timestamp": role(&self.timestamp),
            }),
        );
        body
    }

    fn from_body(header: Header, body: Map<String, Value>) -> Result<RootRole, FormError> {
        let written: Written =
            serde_json::from_value(Value::Object(body)).map_err(|error| FormError::json("signed", error))?;
        if !written.consistent_snapshot {
            return Err(FormError::field("signed.consistent_snapshot", false, "true"));
        }
        let keys = KeyList::read("signed.keys", written.keys)?;
        let signers = |name: &str, role: &WrittenRole| {
            keys.signers(&format!("signed.roles.{name}"), &role.keyids, role.threshold)
        };
        Ok(RootRole {
            header,
            root: signers("root", &written.roles.root)?,
            targets: signers("targets", &written.roles.targets)?,
            snapshot: signers("snapshot", &written.roles.snapshot)?,
            timestamp: signers("timestamp", &written.roles.timestamp)?,
        })
    }
}
