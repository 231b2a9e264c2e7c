//! Makes a fleet: root 1, targets, key list and envelope, signed by new keys, laid out as what goes offline and what the
//! server gets. Whole or not at all: it is built beside its place and verified before it is put there.
//! No key ever stands in two roles, and the server's folder holds no key that could sign a release, an order or a token.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use secrecy::SecretString;
use serde::Serialize;
use tidegate_domain::digest::Digest;
use tidegate_domain::envelope::Envelope;
use tidegate_domain::ids::PolicyName;
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_keyring::{Credential, KeyFile, Seal, Secret, Signer, WorkFactor, key_id};
use tidegate_trust::keys::{ListedKey, PublicKey, Scope};
use tidegate_trust::records::{EnvelopeRecord, KeyList};
use tidegate_trust::tuf::acceptance::{Accepted, accept_first_root, accept_targets};
use tidegate_trust::tuf::repository::{RootRole, TargetsRole};
use tidegate_trust::tuf::{Expiry, Signers, TufKey, Unsigned};

use crate::durable_file::{self, Readers};
use crate::signing::{sign_metadata, signed_record};

/// How long root, targets and every listed key are good: long enough to forget nothing, short enough to rehearse rotation.
pub(crate) const LIFE: Elapsed = Elapsed::from_s(365 * 86_400);
/// Keys are good from a little before now, so that a device whose clock is behind can join at once.
const CLOCK_SLACK_MS: u64 = 3_600_000;
/// The most keys of one role.
pub(crate) const KEYS_MAX: u32 = 16;

/// The envelope of a fleet for which nobody wrote one: the safe bounds.
pub(crate) const SAFE_ENVELOPE: &str = "\
# The bounds that no policy may leave, whoever approved it. Signed by root; devices refuse whatever lies outside.
# Weaker bounds need a name that contains `danger`.
name = \"safe\"
initial_all_max = 100
initial_stratum_max = 30
growth_max = 3
unproven_share_max = 0.25
prove_min = \"2min\"
soak_min = \"4min\"
clear_max = 0.05
unproven_all_rollouts_max = 1000000
";

/// What a new fleet should be.
pub(crate) struct FleetPlan {
    /// How many root keys are made.
    pub(crate) root_keys: u32,
    /// How many of them must sign.
    pub(crate) root_threshold: u32,
    /// How many publisher keys are made.
    pub(crate) publishers: u32,
    /// How many approver keys are made.
    pub(crate) approvers: u32,
    /// The envelope, TOML.
    pub(crate) envelope: String,
    /// When it is made.
    pub(crate) now: WallTime,
    /// Seals the offline keys.
    pub(crate) passphrase: SecretString,
    /// How dear one guess of the passphrase is.
    pub(crate) work_factor: WorkFactor,
}

/// A fleet that was made. Also what `fleet.json` says.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct NewFleet {
    /// Its name: the digest of root 1, which every device pins.
    pub(crate) fleet: Digest,
    /// The envelope's name.
    pub(crate) envelope: PolicyName,
    /// How many root keys must sign.
    pub(crate) root_threshold: u32,
    /// Until when root, targets and the listed keys are good.
    pub(crate) good_until_ms: WallTime,
    /// The keys.
    pub(crate) keys: Vec<MadeKey>,
}

/// A key of a new fleet.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct MadeKey {
    /// What it is for: `root`, `targets`, `publisher`, `order`, `enrolment`, `halt`, `approver`, `gate`, `snapshot`, `timestamp`.
    pub(crate) role: &'static str,
    /// The file, relative to the fleet's folder.
    pub(crate) file: PathBuf,
    /// Its id in records.
    pub(crate) key_id: String,
    /// Its public half, 64 digits.
    pub(crate) public_key: String,
}

/// The keys while the fleet is made.
struct Keys {
    made: Vec<(MadeKey, Box<dyn Signer>)>,
}

/// Makes a fleet in the folder `place`, which must not be there or be empty.
///
/// # Errors
/// When the plan contradicts itself, the folder is in use or cannot be written; nothing is left then.
pub(crate) fn make_fleet(place: &Path, plan: &FleetPlan) -> Result<NewFleet> {
    let envelope = Envelope::parse(&plan.envelope)?;
    check_counts(plan)?;
    if fs::read_dir(place).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is not empty; right is a folder that does not exist yet", place.display());
    }
    let beside = beside(place)?;
    let made = build(&beside, plan, &envelope).and_then(|fleet| {
        fs::rename(&beside, place).with_context(|| format!("cannot put the fleet in place at {}", place.display()))?;
        Ok(fleet)
    });
    if made.is_err() {
        let _ = fs::remove_dir_all(&beside);
    }
    made
}

fn check_counts(plan: &FleetPlan) -> Result<()> {
    for (flag, count) in
        [("--root-keys", plan.root_keys), ("--publishers", plan.publishers), ("--approvers", plan.approvers)]
    {
        if !(1..=KEYS_MAX).contains(&count) {
            bail!("{flag} {count}: right is 1 to {KEYS_MAX}");
        }
    }
    if !(1..=plan.root_keys).contains(&plan.root_threshold) {
        bail!("--root-threshold {}: right is 1 to {} (the number of root keys)", plan.root_threshold, plan.root_keys);
    }
    Ok(())
}

fn beside(place: &Path) -> Result<PathBuf> {
    let name = place.file_name().with_context(|| format!("{} names no folder", place.display()))?;
    let mut suffix = [0; 4];
    getrandom::fill(&mut suffix).map_err(|e| anyhow::anyhow!("no randomness from the operating system: {e}"))?;
    Ok(place.with_file_name(format!(".{}.{}.new", name.to_string_lossy(), hex::encode(suffix))))
}

fn build(folder: &Path, plan: &FleetPlan, envelope: &Envelope) -> Result<NewFleet> {
    for part in ["offline", "server", "server/fleet"] {
        durable_file::create_private_folder(&folder.join(part))?;
    }
    let keys = Keys::make(folder, plan)?;
    keys.check_separate()?;
    let root = root(&keys, plan)?;
    let fleet = Digest::of(&root);
    let targets = targets(&keys, plan)?;
    let key_list = key_list(&keys, fleet, plan)?;
    let envelope_body = EnvelopeRecord {
        fleet,
        version: 1,
        text: plan.envelope.clone(),
        issued_at_ms: plan.now,
        ext: Default::default(),
    };
    let root_signers = keys.signers("root", plan.root_threshold);
    let records = [
        ("key-list.json", serde_json::to_vec(&signed_record(&key_list, &root_signers)?)?),
        ("envelope.json", serde_json::to_vec(&signed_record(&envelope_body, &root_signers)?)?),
    ];
    verify(&root, &targets, plan.now)?;
    let files = [("1.root.json", root), ("1.targets.json", targets)];
    for (name, bytes) in files.into_iter().chain(records) {
        durable_file::create(&folder.join("server/fleet").join(name), &bytes, Readers::Anybody)?;
    }
    let made = NewFleet {
        fleet,
        envelope: envelope.name.clone(),
        root_threshold: plan.root_threshold,
        good_until_ms: plan.now.after(LIFE),
        keys: keys.made.into_iter().map(|(key, _)| key).collect(),
    };
    let mut bytes = serde_json::to_vec_pretty(&made)?;
    bytes.push(b'\n');
    durable_file::create(&folder.join("fleet.json"), &bytes, Readers::Anybody)?;
    Ok(made)
}

/// Nothing leaves here that a server or a device would refuse.
fn verify(root: &[u8], targets: &[u8], now: WallTime) -> Result<()> {
    let root = accept_first_root(root, now.as_ms())?;
    match accept_targets(&root, None, targets, now.as_ms())? {
        Accepted::New(_) => Ok(()),
        Accepted::AlreadyCurrent => bail!("the new targets are not new"),
    }
}

fn root(keys: &Keys, plan: &FleetPlan) -> Result<Vec<u8>> {
    let signers = |role: &str, threshold: u32| -> Result<Signers> {
        let public = keys.of(role).map(|(_, signer)| TufKey::from_bytes(signer.public_key()));
        Ok(Signers::new(public.collect::<std::result::Result<Vec<_>, _>>()?, threshold)?)
    };
    let role = RootRole::first(
        expiry(plan)?,
        signers("root", plan.root_threshold)?,
        signers("targets", 1)?,
        signers("snapshot", 1)?,
        signers("timestamp", 1)?,
    );
    let mut file = Unsigned::new(role)?;
    for signer in keys.signers("root", plan.root_threshold) {
        sign_metadata(&mut file, signer)?;
    }
    Ok(file.to_bytes())
}

fn targets(keys: &Keys, plan: &FleetPlan) -> Result<Vec<u8>> {
    let mut file = Unsigned::new(TargetsRole::first(expiry(plan)?))?;
    for signer in keys.signers("targets", 1) {
        sign_metadata(&mut file, signer)?;
    }
    Ok(file.to_bytes())
}

fn key_list(keys: &Keys, fleet: Digest, plan: &FleetPlan) -> Result<KeyList> {
    let scopes = [
        ("order", Scope::Order),
        ("gate", Scope::Gate),
        ("enrolment", Scope::Enrolment),
        ("halt", Scope::Halt),
        ("approver", Scope::Approve),
    ];
    let mut listed = Vec::new();
    for (role, scope) in scopes {
        for (_, signer) in keys.of(role) {
            listed.push(ListedKey {
                public_key: PublicKey::from_bytes(signer.public_key())?,
                holder: role.to_owned(),
                scopes: BTreeSet::from([scope]),
                not_before_ms: WallTime::from_ms(plan.now.as_ms().saturating_sub(CLOCK_SLACK_MS)),
                not_after_ms: plan.now.after(LIFE),
            });
        }
    }
    let list = KeyList { fleet, version: 1, keys: listed, issued_at_ms: plan.now, ext: Default::default() };
    list.check()?;
    Ok(list)
}

fn expiry(plan: &FleetPlan) -> Result<Expiry> {
    Ok(Expiry::from_ms(plan.now.after(LIFE).as_ms())?)
}

impl Keys {
    fn make(folder: &Path, plan: &FleetPlan) -> Result<Keys> {
        let mut keys = Keys { made: Vec::new() };
        let numbered = |role: &str, count: u32| (1..=count).map(|i| format!("{role}-{i}")).collect::<Vec<_>>();
        let one = |role: &str| vec![role.to_owned()];
        let offline: [(&'static str, Vec<String>); 7] = [
            ("root", numbered("root", plan.root_keys)),
            ("targets", one("targets")),
            ("publisher", numbered("publisher", plan.publishers)),
            ("order", one("order")),
            ("enrolment", one("enrolment")),
            ("halt", one("halt")),
            ("approver", numbered("approver", plan.approvers)),
        ];
        let seal = Seal::Passphrase { passphrase: plan.passphrase.clone(), work_factor: plan.work_factor };
        let secret = Secret::Passphrase(plan.passphrase.clone());
        for (role, names) in offline {
            for name in names {
                keys.add(folder, "offline", role, &name, (&seal, &secret))?;
            }
        }
        let credential = Credential::create(&folder.join("server/credential"))?;
        let seal = Seal::Credential(credential.recipient());
        let secret = Secret::Credential(credential);
        for role in ["gate", "snapshot", "timestamp"] {
            keys.add(folder, "server", role, role, (&seal, &secret))?;
        }
        Ok(keys)
    }

    /// Makes a key, and opens it at once: what it signs with is what lies on disk.
    fn add(
        &mut self,
        folder: &Path,
        part: &str,
        role: &'static str,
        name: &str,
        (seal, secret): (&Seal, &Secret),
    ) -> Result<()> {
        let file = KeyFile::create(&folder.join(part), name, role, seal)?;
        let signer = file.unlock(secret)?;
        let public_key = signer.public_key();
        let made = MadeKey {
            role,
            file: Path::new(part).join(format!("{name}.key")),
            key_id: key_id(&public_key),
            public_key: hex::encode(public_key),
        };
        self.made.push((made, Box::new(signer)));
        Ok(())
    }

    fn of(&self, role: &str) -> impl Iterator<Item = &(MadeKey, Box<dyn Signer>)> {
        self.made.iter().filter(move |(key, _)| key.role == role)
    }

    /// The first `count` keys of a role.
    fn signers(&self, role: &str, count: u32) -> Vec<&dyn Signer> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.of(role).take(count).map(|(_, signer)| signer.as_ref()).collect()
    }

    /// One key in two roles would let the one that is online, or stolen, stand for the other.
    fn check_separate(&self) -> Result<()> {
        let mut seen: Vec<&MadeKey> = Vec::new();
        for (key, _) in &self.made {
            if let Some(twin) = seen.iter().find(|twin| twin.public_key == key.public_key) {
                bail!(
                    "{} and {} are the same key; right is a key of its own for each role",
                    twin.file.display(),
                    key.file.display()
                );
            }
            seen.push(key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(root_keys: u32, root_threshold: u32) -> FleetPlan {
        FleetPlan {
            root_keys,
            root_threshold,
            publishers: 1,
            approvers: 3,
            envelope: SAFE_ENVELOPE.to_owned(),
            now: WallTime::from_ms(1_795_367_340_000),
            passphrase: "correct horse battery".into(),
            work_factor: WorkFactor::MIN,
        }
    }

    #[test]
    fn one_key_in_an_online_and_an_offline_role_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("fleet");
        durable_file::create_private_folder(&place.join("offline")).unwrap();
        durable_file::create_private_folder(&place.join("server")).unwrap();
        let mut keys = Keys::make(&place, &plan(1, 1)).unwrap();
        keys.check_separate().unwrap();
        let (mut twin, signer) = keys.made.remove(0);
        let (_, gate) = keys.made.iter().find(|(key, _)| key.role == "gate").unwrap();
        twin.public_key = hex::encode(gate.public_key());
        keys.made.push((twin, signer));
        assert!(keys.check_separate().unwrap_err().to_string().contains("the same key"));
    }

    #[test]
    fn what_cannot_be_made_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("fleet");
        for plan in [plan(0, 1), plan(2, 3), plan(1, 0), plan(99, 1)] {
            assert!(make_fleet(&place, &plan).is_err());
        }
        let unsafe_envelope = FleetPlan { envelope: "name = \"x\"\ngrowth_max = 9\n".to_owned(), ..plan(1, 1) };
        assert!(make_fleet(&place, &unsafe_envelope).unwrap_err().to_string().contains("danger"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_safe_envelope_is_safe() {
        assert_eq!(Envelope::parse(SAFE_ENVELOPE).unwrap().name.as_str(), "safe");
    }
}
