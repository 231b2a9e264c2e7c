//! `tidegate status`: what the server is and which promises are in force.

use anyhow::Result;

use crate::context::Context;
use crate::output::{Answer, facts, instant};

pub(super) const EXAMPLES: &str = "\
Examples:
  tidegate status
  tidegate --json status | jq .incidents_open";

pub(super) fn run(context: &Context) -> Result<Answer> {
    let api = context.client()?;
    let status = api.status()?;
    let restored = status.restored.map_or_else(
        || "-".to_owned(),
        |restored| format!("{} from a backup of {}", instant(restored.at_ms), instant(restored.from_ms)),
    );
    let text = facts(&[
        ("server", format!("{} (tidegate {})", api.base(), status.version)),
        ("fleet", status.fleet.to_string()),
        ("envelope", status.envelope.clone()),
        ("P4", status.p4.clone()),
        ("devices", status.devices.to_string()),
        ("open incidents", status.incidents_open.to_string()),
        ("store", format!("epoch {}, record {}", status.store_epoch, status.seq)),
        ("restored", restored),
    ]);
    Answer::new(status, text)
}
