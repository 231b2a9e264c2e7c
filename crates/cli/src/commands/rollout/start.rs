//! `tidegate rollout start`: shows the order that will be signed, signs and sends it.

use anyhow::Result;
use clap::Args;
use tidegate_domain::ids::{PackageName, Version};

use crate::context::{Context, now};
use crate::ordering::{CheckedDraft, PolicyReference, Wanted, draft, start};
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
    /// Sign without asking
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(context: &Context, args: &StartArgs) -> Result<Answer> {
    let (api, fleet, now) = (context.client()?, context.fleet()?, now());
    let repository = Repository::refresh(&api, &fleet, &[&args.package], now)?;
    let wanted = Wanted { package: args.package.clone(), version: args.version.clone(), policy: args.policy.clone() };
    let checked = draft(&api, &repository, fleet, &wanted, now)?;
    context.confirm(&shown(&checked, &args.policy), "Sign this order?", args.yes)?;
    let key = context.open_key(&args.key)?;
    let rollout = start(&api, checked, key.as_ref())?;
    let view = api.rollout(&rollout)?;
    Answer::new(view, format!("started {rollout}\nnext: tidegate rollout watch {rollout}"))
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
    ])
}
