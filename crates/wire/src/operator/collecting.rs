//! Deleting files of old releases that nothing needs any more.

use serde::{Deserialize, Serialize};

/// Asks for the deletion of artifacts that nothing needs any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CollectRequest {
    /// Of each package so many of the newest releases are kept whole.
    pub keep_releases: u32,
    /// And those that were published so lately, in milliseconds.
    pub keep_ms: u64,
    /// Only say what would be deleted.
    #[serde(default)]
    pub dry_run: bool,
}

/// What was deleted, or would be.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CollectView {
    /// Releases that lose files by it, as `package version`: to order one again, publish its files again.
    pub releases: Vec<String>,
    /// Artifacts.
    pub artifacts: u64,
    /// Their size.
    pub bytes: u64,
    /// Artifacts that stay.
    pub kept: u64,
}
