//! The five kinds of file of a repository, each a type that can only hold what is allowed.
//! A role is made with `first` or `next`, changed, then wrapped in [`super::Unsigned`] to be signed. Nothing here signs.

mod key_list;
mod package;
mod pin;
mod root;
mod snapshot;
mod targets;
mod timestamp;
mod version;

pub use package::{AddReleaseError, PackageRole, TargetInfo};
pub use pin::Pin;
pub use root::RootRole;
pub use snapshot::SnapshotRole;
pub use targets::{DelegateError, TargetsRole};
pub use timestamp::TimestampRole;
pub use version::VersionExhausted;
