//! Key objects and role entries as root and targets write them, to and from `Signers`.
//! Nothing becomes `Signers` that lists one key material twice, under one id or two.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::tuf::form::FormError;
use crate::tuf::keys::{KEYS_PER_ROLE_MAX, KeyId, Signers, SignersError, TufKey, lower_hex};

/// The most distinct keys in one file.
const KEYS_MAX: usize = 4096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKey {
    keytype: String,
    scheme: String,
    keyval: WrittenKeyValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKeyValue {
    public: String,
}

/// A file's `keys`: every key once, under its own id.
pub(super) struct KeyList(BTreeMap<KeyId, TufKey>);

impl KeyList {
    /// Reads `keys`; `place` is the field's name for errors.
    pub(super) fn read(place: &'static str, value: Value) -> Result<KeyList, FormError> {
        let written: BTreeMap<String, WrittenKey> =
            serde_json::from_value(value).map_err(|error| FormError::json(place, error))?;
        if written.len() > KEYS_MAX {
            return Err(FormError::field(place, written.len(), "at most 4096 keys"));
        }
        let mut seen: BTreeMap<[u8; 32], String> = BTreeMap::new();
        let mut keys = BTreeMap::new();
        for (id, written) in written {
            if written.keytype != "ed25519" || written.scheme != "ed25519" {
                let found = format!("{} with {}", written.keytype, written.scheme);
                return Err(FormError::field(format!("{place}.{id}"), found, "keytype and scheme ed25519"));
            }
            // Upper-case digits name the same material: read them, so that the repeat is what gets reported.
            let Some(bytes) = lower_hex::<32>(&written.keyval.public.to_ascii_lowercase()) else {
                return Err(FormError::field(format!("{place}.{id}"), written.keyval.public, "64 hexadecimal digits"));
            };
            if let Some(first) = seen.insert(bytes, id.clone()) {
                return Err(FormError::RepeatedKey { place: place.into(), first, second: id });
            }
            let key = TufKey::from_bytes(bytes).map_err(|error| FormError::json(place, error))?;
            keys.insert(id, key);
        }
        let own = |(id, key): (String, TufKey)| {
            if id == key.id().to_string() {
                Ok((key.id(), key))
            } else {
                Err(FormError::field(format!("{place}.{id}"), id, "the SHA-256 of the key's canonical JSON as its id"))
            }
        };
        keys.into_iter().map(own).collect::<Result<_, _>>().map(KeyList)
    }

    /// The signers of one role: its key ids and threshold, looked up here.
    pub(super) fn signers(&self, place: &str, ids: &[String], threshold: u32) -> Result<Signers, FormError> {
        if ids.len() > KEYS_PER_ROLE_MAX {
            return Err(FormError::field(place, ids.len(), "at most 64 keys"));
        }
        let mut keys = Vec::with_capacity(ids.len());
        for id in ids {
            let key = KeyId::parse(id)
                .and_then(|parsed| self.0.get(&parsed))
                .ok_or_else(|| FormError::field(format!("{place}.keyids"), id, "an id from `keys`"))?;
            keys.push(*key);
        }
        Signers::new(keys, threshold).map_err(|error| match error {
            SignersError::RepeatedKey(id) => {
                FormError::RepeatedKey { place: place.into(), first: id.to_string(), second: id.to_string() }
            }
            SignersError::Threshold { threshold, keys } => {
                FormError::Threshold { place: place.into(), threshold, keys }
            }
            SignersError::TooManyKeys => FormError::field(place, ids.len(), "at most 64 keys"),
        })
    }
}

/// `keys` for these roles: every key of any of them, once.
pub(super) fn write_keys<'s>(roles: impl IntoIterator<Item = &'s Signers>) -> Value {
    let mut keys = Map::new();
    for (id, key) in roles.into_iter().flat_map(Signers::keys) {
        let public = hex::encode(key.as_bytes());
        keys.insert(id.to_string(), json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": public}}));
    }
    Value::Object(keys)
}

/// The ids of a role's keys, in order.
pub(super) fn key_ids(signers: &Signers) -> Vec<String> {
    signers.keys().map(|(id, _)| id.to_string()).collect()
}
