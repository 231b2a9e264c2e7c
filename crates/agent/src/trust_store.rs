//! What the device holds for true: TUF metadata, key list, envelope, and the orders and halts that it has seen. On disk under
//! `trust/` and in `seen.json`; everything is verified again from root version 1 when it is read.

use std::collections::BTreeMap;
use std::fs;

use serde::{Deserialize, Serialize};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{PackageName, Version};
use tidegate_domain::release::Manifest;
use tidegate_domain::time::WallTime;
use tidegate_trust::keys::PublicKey;
use tidegate_trust::signed::{Fleet, Unverified};
use tidegate_trust::tuf::client::{Answer, Client, ClientError, Step};
use tidegate_trust::tuf::repository::{RootRole, TargetInfo};
use tidegate_trust::tuf::{RoleName, TargetPath, Unverified as UnverifiedFile};
use tidegate_wire::device::TrustBundle;

use crate::durable::{self, DiskError};
use crate::layout::{FORMAT, Home};
use crate::server::{Server, ServerError};
use crate::verdict::{Refusal, RootKeys, RootSigned, Seen, judge_root_signed, refusal_of_metadata};

const ROOT_1: &str = "1.root.json";
const KEY_LIST: &str = "key-list.json";
const ENVELOPE: &str = "envelope.json";

/// Why the held trust could not be read, fetched or kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    /// Root version 1 is not the one that the token pins.
    #[error("root version 1 has the digest {found}, the token pins {pinned}")]
    AnotherFleet {
        /// What the server gave.
        found: Digest,
        /// What the token says.
        pinned: Fleet,
    },
    /// Something is wrong with what was offered.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The server did not answer.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The storage refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A root file is missing or does not read.
    #[error("the held metadata cannot be used: {0}")]
    Held(String),
}

/// Everything that is held.
pub(crate) struct TrustStore {
    home: Home,
    fleet: Fleet,
    client: Client,
    root_1: Vec<u8>,
    root_signed: Option<RootSigned>,
    seen: Seen,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeenFile {
    format: u32,
    seen: Seen,
}

impl TrustStore {
    /// Reads what was kept before; none where root version 1 is not there yet.
    pub(crate) fn open(home: &Home, fleet: Fleet, packages: &[PackageName]) -> Result<Option<TrustStore>, TrustError> {
        let Some(root_1) = durable::read(&home.trust().join(ROOT_1))? else { return Ok(None) };
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(home.trust()).map_err(|e| DiskError::new("read", &home.trust(), e))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".json") && ![ROOT_1, KEY_LIST, ENVELOPE].contains(&name.as_str()) {
                files.extend(durable::read(&entry.path())?.map(|bytes| (name, bytes)));
            }
        }
        let mut store = TrustStore::from_root(home, fleet, root_1, files, packages)?;
        let key_list = durable::read(&home.trust().join(KEY_LIST))?;
        let envelope = durable::read(&home.trust().join(ENVELOPE))?;
        if let (Some(key_list), Some(envelope)) = (key_list, envelope)
            && let (Ok(key_list), Ok(envelope)) = (Unverified::parse(&key_list), Unverified::parse(&envelope))
        {
            // A root that was rotated meanwhile may no longer vouch for them: then they are fetched anew.
            let judged = judge_root_signed(key_list, envelope, fleet, &store.root_keys()?, None);
            store.root_signed = judged.ok();
        }
        let seen: Option<SeenFile> = durable::read_json(&home.seen())?;
        store.seen = seen.map_or_else(Seen::default, |file| file.seen);
        Ok(Some(store))
    }

    /// Fetches root version 1 and pins it.
    pub(crate) fn pin(
        home: &Home,
        fleet: Fleet,
        packages: &[PackageName],
        server: &Server,
    ) -> Result<TrustStore, TrustError> {
        let root_1 = server.metadata(ROOT_1, durable::BYTES_MAX)?;
        let root_1 = root_1.ok_or_else(|| TrustError::Held("the server has no root version 1".to_owned()))?;
        let found = Digest::of(&root_1);
        if found != fleet {
            return Err(TrustError::AnotherFleet { found, pinned: fleet });
        }
        let store = TrustStore::from_root(home, fleet, root_1, BTreeMap::new(), packages)?;
        durable::make_dir(&home.trust())?;
        durable::write(&home.trust().join(ROOT_1), &store.root_1, "trust-kept")?;
        Ok(store)
    }

    fn from_root(
        home: &Home,
        fleet: Fleet,
        root_1: Vec<u8>,
        files: BTreeMap<String, Vec<u8>>,
        packages: &[PackageName],
    ) -> Result<TrustStore, TrustError> {
        let found = Digest::of(&root_1);
        if found != fleet {
            return Err(TrustError::AnotherFleet { found, pinned: fleet });
        }
        let roles = packages.iter().filter_map(|package| RoleName::parse(package.as_str()).ok());
        let client = Client::resume(&root_1, roles, files).map_err(|e| refusal_of_metadata(&e))?;
        Ok(TrustStore { home: home.clone(), fleet, client, root_1, root_signed: None, seen: Seen::default() })
    }

    /// Brings the TUF metadata up to date. What was verified before it failed is kept.
    pub(crate) fn refresh(&mut self, server: &Server, now: WallTime) -> Result<(), TrustError> {
        let outcome = self.walk(server, now);
        self.keep_metadata()?;
        outcome
    }

    fn walk(&mut self, server: &Server, now: WallTime) -> Result<(), TrustError> {
        loop {
            match self.client.next(now.as_ms()) {
                Step::Need(request) => match server.metadata(&request.path, request.bytes_max) {
                    Ok(Some(bytes)) => self.client.feed(Answer::Bytes(bytes)),
                    Ok(None) => self.client.feed(Answer::NotFound),
                    Err(error) => {
                        self.client.abandon();
                        return Err(error.into());
                    }
                },
                Step::Done(_) => return Ok(()),
                Step::Refused(error) => return Err(refusal_of_metadata(&error).into()),
            }
        }
    }

    fn keep_metadata(&self) -> Result<(), TrustError> {
        for (name, bytes) in self.client.metadata_files() {
            let path = self.home.trust().join(&name);
            if durable::read(&path)?.as_ref() != Some(&bytes) {
                durable::write(&path, &bytes, "trust-kept")?;
            }
        }
        Ok(())
    }

    /// Fetches key list and envelope and takes them if root signed them and they are not older.
    pub(crate) fn fetch_root_signed(&mut self, server: &Server) -> Result<(), TrustError> {
        let TrustBundle { key_list, envelope } = server.trust()?;
        let keys = self.root_keys()?;
        let judged = judge_root_signed(key_list, envelope, self.fleet, &keys, self.root_signed.as_ref())?;
        durable::write_json(&self.home.trust().join(KEY_LIST), judged.key_list.record(), "trust-kept")?;
        durable::write_json(&self.home.trust().join(ENVELOPE), judged.envelope_record.record(), "trust-kept")?;
        self.root_signed = Some(judged);
        Ok(())
    }

    /// The keys of the newest root that is trusted, and their threshold.
    fn root_keys(&self) -> Result<RootKeys, TrustError> {
        let newest = format!("{}.root.json", self.client.root_version());
        let files = self.client.metadata_files();
        let bytes = files.iter().find(|(name, _)| *name == newest).map_or(&self.root_1, |(_, bytes)| bytes);
        let root = UnverifiedFile::<RootRole>::parse(bytes).map_err(|e| TrustError::Held(e.to_string()))?;
        let signers = root.role().root();
        let keys = signers.keys().filter_map(|(_, key)| PublicKey::from_bytes(*key.as_bytes()).ok()).collect();
        Ok(RootKeys { keys, threshold: usize::try_from(signers.threshold()).unwrap_or(usize::MAX) })
    }

    /// The TUF target of a release's manifest.
    pub(crate) fn target(
        &self,
        package: &PackageName,
        version: &Version,
        now: WallTime,
    ) -> Result<TargetInfo, ClientError> {
        let missing = || ClientError::NotRefreshed { role: package.to_string() };
        let path = TargetPath::parse(&Manifest::target_path(package, version)).map_err(|_| missing())?;
        self.client.target(&path, now.as_ms())
    }

    /// What root signed, if it was fetched.
    pub(crate) fn root_signed(&self) -> Option<&RootSigned> {
        self.root_signed.as_ref()
    }

    /// The fleet.
    pub(crate) fn fleet(&self) -> Fleet {
        self.fleet
    }

    /// Orders and halts that were seen.
    pub(crate) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Changes what was seen, and keeps it where it changed. Where the storage refuses, it is remembered until the agent ends.
    pub(crate) fn note(&mut self, change: impl FnOnce(&mut Seen)) -> Result<(), DiskError> {
        let before = self.seen.clone();
        change(&mut self.seen);
        if before == self.seen {
            return Ok(());
        }
        let file = SeenFile { format: FORMAT, seen: self.seen.clone() };
        durable::write_json(&self.home.seen(), &file, "seen-kept")
    }

    /// The newest instant that root vouched for: it has passed, whatever the device's clock says.
    pub(crate) fn witnessed(&self) -> WallTime {
        let issued =
            |signed: &RootSigned| signed.key_list.body().issued_at_ms.max(signed.envelope_record.body().issued_at_ms);
        self.root_signed.as_ref().map_or_else(WallTime::default, issued)
    }
}
