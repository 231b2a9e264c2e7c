//! The step from one version of a file to its next.
//! Never wraps: when the numbers are used up, that is an error.

use crate::tuf::expiry::Expiry;
use crate::tuf::signing::{Header, VERSION_MAX};

/// The last version number there is has been used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("version {VERSION_MAX} is the last: a repository whose versions ran away needs new keys for that role")]
pub struct VersionExhausted;

pub(super) fn next_header(header: &Header, expires: Expiry) -> Result<Header, VersionExhausted> {
    if header.version >= VERSION_MAX {
        return Err(VersionExhausted);
    }
    Ok(header.at(header.version + 1, expires))
}
