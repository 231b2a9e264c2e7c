//! The server's own keys: gate, snapshot, timestamp. Sealed in files, opened by the credential file without anybody's help.

use std::path::Path;

use anyhow::Context as _;
use tidegate_control::command::{OnlineKey, OnlineSigner, Refusal, Why};
use tidegate_keyring::{Credential, KeyFile, Secret, Signer};
use tidegate_trust::keys::{PublicKey, SignatureBytes};

/// The opened keys.
pub struct ServerKeys {
    gate: Opened,
    snapshot: Opened,
    timestamp: Opened,
}

struct Opened {
    public_key: PublicKey,
    signer: Box<dyn Signer>,
}

impl ServerKeys {
    /// Opens `gate.key`, `snapshot.key` and `timestamp.key` in a fleet folder with its `credential`.
    ///
    /// # Errors
    /// Names the file that is missing or does not open.
    pub fn open(fleet_dir: &Path) -> anyhow::Result<ServerKeys> {
        let open = |name: &str| -> anyhow::Result<Opened> {
            let path = fleet_dir.join(name);
            let credential = Credential::read(&fleet_dir.join("credential"))?;
            let key = KeyFile::read(&path)?
                .unlock(&Secret::Credential(credential))
                .with_context(|| format!("{}: cannot be opened with the credential beside it", path.display()))?;
            let public_key = PublicKey::from_bytes(key.public_key())?;
            Ok(Opened { public_key, signer: Box::new(key) })
        };
        Ok(ServerKeys { gate: open("gate.key")?, snapshot: open("snapshot.key")?, timestamp: open("timestamp.key")? })
    }

    fn opened(&self, key: OnlineKey) -> &Opened {
        match key {
            OnlineKey::Gate => &self.gate,
            OnlineKey::Snapshot => &self.snapshot,
            OnlineKey::Timestamp => &self.timestamp,
        }
    }
}

impl OnlineSigner for ServerKeys {
    fn public_key(&self, key: OnlineKey) -> PublicKey {
        self.opened(key).public_key
    }

    fn sign(&self, key: OnlineKey, bytes: &[u8]) -> Result<SignatureBytes, Refusal> {
        let signature = self.opened(key).signer.sign(bytes);
        signature.map(SignatureBytes::from_bytes).map_err(|e| Refusal::new(Why::Unavailable, "key_unavailable", e))
    }
}
