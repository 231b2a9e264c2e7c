//! `tidegate rollout countersign` and `send`: how an order that goes on after a halt gets its approvers' signatures, and starts.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use tidegate_trust::records::{Order, Resumption};
use tidegate_wire::operator::StartRequest;

use crate::context::Context;
use crate::durable_file::{Readers, read, replace};
use crate::ordering::names;
use crate::output::{Answer, facts, instant};
use crate::signing::sign_record;

const FILE_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, Args)]
pub(crate) struct CountersignArgs {
    /// The order, as `rollout start --resume --out` wrote it; the signature is added to it
    file: PathBuf,
    /// The approver's key: a file, a name in the key folder, or a pkcs11: URI
    #[arg(long, value_name = "KEY")]
    key: String,
    /// Sign without asking
    #[arg(long)]
    yes: bool,
}

pub(super) fn countersign(context: &Context, args: &CountersignArgs) -> Result<Answer> {
    let fleet = context.fleet()?;
    let (request, order, resumes) = held(&args.file)?;
    if order.fleet != fleet {
        bail!("{} is an order of fleet {}, expected {fleet}", args.file.display(), order.fleet);
    }
    context.confirm(&shown(&order, &resumes), "Let this release go on?", args.yes)?;
    let key = context.open_key(&args.key)?;
    let request = StartRequest { order: sign_record(request.order, key.as_ref())? };
    replace(&args.file, &serde_json::to_vec(&request)?, Readers::Anybody)?;
    let text = format!("countersigned the order of {}", order.rollout);
    Answer::new(request, text)
}

pub(super) fn send(context: &Context, file: &Path) -> Result<Answer> {
    let (request, order, _) = held(file)?;
    let api = context.client()?;
    api.start(&request)?;
    let view = api.rollout(&order.rollout)?;
    Answer::new(view, format!("started {0}\nnext: tidegate rollout watch {0}", order.rollout))
}

fn held(file: &Path) -> Result<(StartRequest, Order, Resumption)> {
    let bytes = read(file, FILE_BYTES_MAX)?;
    let wrong = || format!("{} is no order that `rollout start --resume --out` wrote", file.display());
    let request: StartRequest = serde_json::from_slice(&bytes).with_context(wrong)?;
    let order = request.order.danger_unchecked_body().with_context(wrong)?;
    let resumes = order.resumes.clone().with_context(wrong)?;
    Ok((request, order, resumes))
}

fn shown(order: &Order, resumes: &Resumption) -> String {
    facts(&[
        ("order", format!("{} ({} {})", order.rollout, order.package, order.version)),
        ("fleet", order.fleet.to_string()),
        ("release", order.release.to_string()),
        ("policy", order.policy.to_string()),
        ("drafted", instant(order.issued_at_ms)),
        ("goes on after", resumes.halted.to_string()),
        ("without", names(&resumes.without)),
    ])
}
