//! `tidegate console`: a link that signs one browser in, once.

use anyhow::Result;
use serde_json::json;

use crate::context::Context;
use crate::output::{Answer, instant};

/// Examples under `tidegate console --help`.
pub(crate) const EXAMPLES: &str = "\
The link signs one browser in as you and with your role, once, within five minutes. The console shows, closes and keeps the incident
desk; being signed in approves nothing.

Examples:
  tidegate console
  xdg-open \"$(tidegate --json console | jq -r .url)\"";

pub(super) fn run(context: &Context) -> Result<Answer> {
    let api = context.client()?;
    let code = api.console_code()?;
    let url = format!("{}{}", api.base(), code.path);
    let text = format!("{url}\ngood once, until {}", instant(code.expires_at_ms));
    Answer::new(json!({"url": url, "expires_at_ms": code.expires_at_ms}), text)
}
