//! What is trusted at the moment, for people: the metadata that stand, until when they are good, and who signed a package's releases.

use tidegate_domain::ids::PackageName;
use tidegate_domain::time::WallTime;
use tidegate_trust::tuf::repository::{PackageRole, RootRole, SnapshotRole, TargetsRole, TimestampRole};
use tidegate_trust::tuf::{KeyId, Role, RoleName, Signers, Unverified};

use crate::state::State;

/// A role of the metadata as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleStanding {
    /// `root`, `targets`, `snapshot`, `timestamp`, or `package` and its name.
    pub role: String,
    /// Its version.
    pub version: u64,
    /// Until when it is good.
    pub expires_at_ms: WallTime,
    /// How many of how many people's keys must sign it; none where the server does.
    pub threshold: Option<(u32, usize)>,
}

/// Who signed the role that lists a package's releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageSigners {
    /// How many must sign.
    pub threshold: u32,
    /// The role's version.
    pub version: u64,
    /// Until when it is good.
    pub expires_at_ms: WallTime,
    /// The publishers.
    pub keys: Vec<Publisher>,
}

/// A key that may sign a package's releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publisher {
    /// The beginning of its id.
    pub key: String,
    /// Whether it signed.
    pub signed: bool,
    /// Since when it is listed, by the log: TUF says of a key neither when it was made nor when it ends.
    pub listed_at_ms: Option<WallTime>,
}

/// Digits of a key's id that people are shown.
const SHOWN: usize = 12;

/// All roles that stand; none of a file that does not read, or is not there.
pub fn roles(state: &State) -> Vec<RoleStanding> {
    let root = read::<RootRole>(state, "root");
    let targets = read::<TargetsRole>(state, "targets");
    let of = |signers: &Signers| (signers.threshold(), signers.keys().count());
    let mut all = Vec::new();
    if let Some(root) = &root {
        all.push(standing("root".to_owned(), root, Some(of(root.root()))));
    }
    if let Some(targets) = &targets {
        let threshold = root.as_ref().map(|root| of(root.targets()));
        all.push(standing("targets".to_owned(), targets, threshold));
        for (name, signers) in targets.packages() {
            if let Some(package) = read::<PackageRole>(state, name.as_str()) {
                all.push(standing(format!("package {}", name.as_str()), &package, Some(of(signers))));
            }
        }
    }
    all.extend(read::<SnapshotRole>(state, "snapshot").map(|role| standing("snapshot".to_owned(), &role, None)));
    let timestamp = state.metadata("timestamp.json").and_then(parsed::<TimestampRole>);
    all.extend(timestamp.map(|role| standing("timestamp".to_owned(), &role, None)));
    all
}

/// Who signed a package's releases; none while the package is not delegated or has no release.
pub fn signers(state: &State, package: &PackageName) -> Option<PackageSigners> {
    let name = RoleName::parse(package.as_str()).ok()?;
    let targets = read::<TargetsRole>(state, "targets")?;
    let publishers = targets.publishers(&name)?;
    let file = Unverified::<PackageRole>::parse(state.newest_metadata(package.as_str())?.as_bytes()).ok()?;
    let good = |key: &KeyId| file.signatures().iter().any(|signature| signature.key_id == *key);
    let keys = publishers.keys().map(|(id, _)| Publisher {
        key: id.to_string().chars().take(SHOWN).collect(),
        signed: good(id),
        listed_at_ms: state.publishers_since.get(&id.to_string()).copied(),
    });
    Some(PackageSigners {
        threshold: publishers.threshold(),
        version: file.role().version(),
        expires_at_ms: WallTime::from_ms(file.role().expires().as_ms()),
        keys: keys.collect(),
    })
}

fn read<R: Role>(state: &State, role: &str) -> Option<R> {
    parsed(state.newest_metadata(role)?)
}

/// What stands was verified before it was recorded.
fn parsed<R: Role>(file: &str) -> Option<R> {
    Unverified::<R>::parse(file.as_bytes()).ok().map(|file| file.role().clone())
}

fn standing<R: Role>(role: String, file: &R, threshold: Option<(u32, usize)>) -> RoleStanding {
    let expires_at_ms = WallTime::from_ms(file.expires().as_ms());
    RoleStanding { role, version: file.version(), expires_at_ms, threshold }
}
