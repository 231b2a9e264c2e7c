//! `tidegate status`: what the server is and which promises are in force.

use anyhow::Result;

use crate::context::Context;
use crate::output::{Answer, facts};

pub(super) const EXAMPLES: &str = "\
Examples:
  tidegate status
  tidegate --json status | jq .incidents_open";

pub(super) fn run(context: &Context) -> Result<Answer> {
    let api = context.client()?;
    let status = api.status()?;
    let text = facts(&[
        ("server", format!("{} (tidegate {})", api.base(), status.version)),
        ("fleet", status.fleet.to_string()),
        ("envelope", status.envelope.clone()),
        ("P4", status.p4.clone()),
        ("devices", status.devices.to_string()),
        ("open incidents", status.incidents_open.to_string()),
        ("store", format!("epoch {}, record {}", status.store_epoch, status.seq)),
    ]);
    Answer::new(status, text)
}
