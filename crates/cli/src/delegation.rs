//! Adds a package to a fleet: the next version of targets names its publishers and how many of them must sign.
//! Never takes a package out, and builds on nothing but verified targets.

use anyhow::{Context as _, Result, bail};
use tidegate_domain::ids::PackageName;
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_keyring::Signer;
use tidegate_trust::tuf::{Expiry, Signers, TufKey, Unsigned};

use crate::client::Client;
use crate::repository::{Repository, role_name};
use crate::signing::sign_metadata;

/// A package that was added, or given other publishers.
pub(crate) struct Delegation {
    /// The version of targets that says so.
    pub(crate) targets_version: u64,
    /// Whether the package was there before.
    pub(crate) replaced: bool,
}

/// Names the publishers of a package in the next version of targets, signs that and uploads it.
///
/// # Errors
/// When the keys make no set of publishers, one of them has another role in root, or the server refuses.
pub(crate) fn add_package(
    api: &Client,
    repository: &Repository,
    package: &PackageName,
    (publishers, threshold): (&[[u8; 32]], u32),
    targets_key: &dyn Signer,
    (now, life): (WallTime, Elapsed),
) -> Result<Delegation> {
    let name = role_name(package)?;
    let keys = publishers.iter().map(|key| TufKey::from_bytes(*key)).collect::<std::result::Result<Vec<_>, _>>()?;
    refuse_keys_of_root(repository, &keys)?;
    let signers = Signers::new(keys, threshold)?;
    let current = repository.targets().role();
    let replaced = current.publishers(&name).is_some();
    let mut next = current.next(Expiry::from_ms(now.after(life).as_ms())?)?;
    next.delegate(name, signers)?;
    let mut file = Unsigned::new(next)?;
    let allowed = repository.root().role().targets();
    let key = TufKey::from_bytes(targets_key.public_key())?;
    if allowed.key(&key.id()).is_none() {
        bail!("--targets-key is not a key that root names for targets; right is one of {}", ids(allowed));
    }
    sign_metadata(&mut file, targets_key)?;
    let file = file.finish(allowed).context("targets need the signatures of more keys than this one")?;
    api.put_targets(file.bytes())?;
    use tidegate_trust::tuf::Role as _;
    Ok(Delegation { targets_version: file.role().version(), replaced })
}

/// A publisher whose key is also one of root's would be a person who checks herself; one of the online keys would let the server publish.
fn refuse_keys_of_root(repository: &Repository, keys: &[TufKey]) -> Result<()> {
    let root = repository.root().role();
    let roles = [
        ("root", root.root()),
        ("targets", root.targets()),
        ("snapshot", root.snapshot()),
        ("timestamp", root.timestamp()),
    ];
    for key in keys {
        if let Some((role, _)) = roles.iter().find(|(_, signers)| signers.key(&key.id()).is_some()) {
            bail!(
                "--publisher-key {}: it is a key of the role {role}; right is a key of its own",
                hex::encode(key.as_bytes())
            );
        }
    }
    Ok(())
}

fn ids(signers: &Signers) -> String {
    let keys: Vec<String> = signers.keys().map(|(_, key)| hex::encode(key.as_bytes())).collect();
    keys.join(", ")
}
