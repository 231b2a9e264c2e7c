//! The five kinds of file of a repository, each a type that can only hold what is allowed.
//! A role is made with `first` or `next`, changed, then wrapped in [`super::Unsigned`] to be signed. Nothing here signs.

mod key_list;
mod package;
mod pin;
mod root;
mod snapshot;
mod targets;
mod timestamp;

pub use package::{AddReleaseError, PackageRole, TargetInfo};
pub use pin::Pin;
pub use root::RootRole;
pub use snapshot::SnapshotRole;
pub use targets::{DelegateError, TargetsRole};
pub use timestamp::TimestampRole;

use super::expiry::Expiry;
use super::signing::{Header, VERSION_MAX};

/// The last version number there is has been used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("version {VERSION_MAX} is the last: a repository whose versions ran away needs new keys for that role")]
pub struct VersionExhausted;

fn next_header(header: &Header, expires: Expiry) -> Result<Header, VersionExhausted> {
    if header.version >= VERSION_MAX {
        return Err(VersionExhausted);
    }
    Ok(header.at(header.version + 1, expires))
}
