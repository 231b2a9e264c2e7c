//! `tidegate rollout start`: shows the order that will be signed, signs and sends it.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use tidegate_domain::ids::{DeviceId, PackageName, Version};
use tidegate_keyring::Signer;

use crate::context::{Context, now};
use crate::durable_file::{Readers, create};
use crate::ordering::{CheckedDraft, PolicyReference, Wanted, draft, names, signed, start};
use crate::output::{Answer, facts, instant};
use crate::repository::Repository;

#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// The package
    package: PackageName,
    /// The version
    version: Version,
    /// The policy in full, as `policy list` prints it
    #[arg(long, value_name = "NAME@DIGEST")]
    policy: PolicyReference,
    /// The order key: a file, a name in the key folder, or a pkcs11: URI
    #[arg(long, value_name = "KEY")]
    key: String,
    /// Go on with a release that was halted; approvers sign the order too, so it is written to `--out` instead of being sent
    #[arg(long, requires = "out")]
    resume: bool,
    /// With `--resume`: a device whose words are left out; once for each
    #[arg(long, value_name = "DEVICE", requires = "resume")]
    without: Vec<DeviceId>,
    /// With `--resume`: the new file for the order, for approvers to countersign
    #[arg(long, value_name = "FILE", requires = "resume")]
    out: Option<PathBuf>,
    /// Sign without asking
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(context: &Context, args: &StartArgs) -> Result<Answer> {
    if let Some(out) = args.out.as_ref().filter(|out| out.exists()) {
        bail!("{} is there already and is not overwritten", out.display());
    }
    let (api, fleet, now) = (context.client()?, context.fleet()?, now());
    let repository = Repository::refresh(&api, &fleet, &[&args.package], now)?;
    let resume = args.resume.then(|| args.without.iter().cloned().collect());
    let wanted =
        Wanted { package: args.package.clone(), version: args.version.clone(), policy: args.policy.clone(), resume };
    let checked = draft(&api, &repository, fleet, &wanted, now)?;
    context.confirm(&shown(&checked, &args.policy), "Sign this order?", args.yes)?;
    let key = context.open_key(&args.key)?;
    if let Some(out) = &args.out {
        return write(out, checked, key.as_ref());
    }
    let rollout = start(&api, checked, key.as_ref())?;
    let view = api.rollout(&rollout)?;
    Answer::new(view, format!("started {rollout}\nnext: tidegate rollout watch {rollout}"))
}

fn write(out: &Path, draft: CheckedDraft, key: &dyn Signer) -> Result<Answer> {
    let (rollout, approvals) = (draft.order.rollout.clone(), draft.approvals);
    let request = signed(draft, key)?;
    create(out, &serde_json::to_vec(&request)?, Readers::Anybody)?;
    let file = out.display();
    let text = format!(
        "signed the order of {rollout}; nothing has started yet\n\
         next: {approvals} approvers: tidegate rollout countersign {file} --key approver-1.key\n\
         then, within a day of the draft: tidegate rollout send {file}"
    );
    Answer::new(request, text)
}

fn shown(draft: &CheckedDraft, policy: &PolicyReference) -> String {
    let order = &draft.order;
    let rings: Vec<&str> = order.rings.iter().map(|ring| ring.as_str()).collect();
    facts(&[
        ("order", format!("{} ({} {})", order.rollout, order.package, order.version)),
        ("fleet", order.fleet.to_string()),
        ("release", order.release.to_string()),
        ("policy", policy.to_string()),
        ("rings", rings.join(", ")),
        ("devices", draft.devices.to_string()),
        ("first window", draft.first_window.to_string()),
        ("expires", instant(order.expires_at_ms)),
        ("goes on after", order.resumes.as_ref().map_or_else(|| "-".to_owned(), |r| r.halted.to_string())),
        ("without", order.resumes.as_ref().map_or_else(|| "-".to_owned(), |r| names(&r.without))),
    ])
}
