//! Signing in at the console.

use serde::{Deserialize, Serialize};
use tidegate_domain::time::WallTime;

/// A link's code that signs one browser in, once.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConsoleCode {
    /// Where the link leads, below the server's address.
    pub path: String,
    /// When it ends.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub expires_at_ms: WallTime,
}
