//! What bad input gets: RFC 9457 problem documents with a stable word.

use serde::{Deserialize, Serialize};

/// The media type of a problem document.
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// A problem document (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// `urn:tidegate:problem:` and the kind.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// What sort of problem, the same for every case of it.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What, where, and what would be right.
    pub detail: String,
    /// The stable word that programs may compare.
    pub kind: String,
    /// The request field that is wrong, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

impl Problem {
    /// A problem of this kind.
    pub fn new(status: u16, kind: &str, title: &str, detail: impl Into<String>) -> Problem {
        Problem {
            type_uri: format!("urn:tidegate:problem:{kind}"),
            title: title.to_owned(),
            status,
            detail: detail.into(),
            kind: kind.to_owned(),
            field: None,
        }
    }
}
