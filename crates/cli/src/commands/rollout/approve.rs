//! `tidegate rollout approve`: an approver's own key lets the next ring open. What is signed is made here from what the server shows.

use anyhow::{Context as _, Result};
use clap::Args;
use tidegate_domain::ids::{RingName, RolloutId};
use tidegate_domain::time::Elapsed;
use tidegate_trust::records::Approval;
use tidegate_wire::operator::{ApprovalRequest, RolloutView};

use super::check_reason;
use crate::context::{Context, now};
use crate::output::{Answer, facts, instant};
use crate::rollout_view;
use crate::signing::signed_record;

#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// The rollout
    rollout: RolloutId,
    /// The ring
    #[arg(long)]
    ring: RingName,
    /// The approver's key: a file, a name in the key folder, or a pkcs11: URI
    #[arg(long, value_name = "KEY")]
    key: String,
    /// How long the approval can be used
    #[arg(long = "for", value_name = "TIME", default_value = "1h")]
    good_for: Elapsed,
    /// Why, for the account; 1 to 500 characters
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Sign without asking
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(context: &Context, args: &ApproveArgs) -> Result<Answer> {
    check_reason(&args.reason)?;
    let (api, rollout, ring) = (context.client()?, &args.rollout, &args.ring);
    let view = api.rollout(rollout)?;
    let body = approval(context, &view, args)?;
    let shown = facts(&[
        ("rollout", format!("{rollout}: {} {}", view.package, view.version)),
        ("policy", format!("{}@{}", view.policy_name, view.policy)),
        ("opens", format!("ring {ring} with {} places, inside its windows", body.places)),
        ("once", "the ring before it has passed".to_owned()),
        ("good until", instant(body.expires_at_ms)),
    ]);
    context.confirm(&shown, "Sign this approval?", args.yes)?;
    let key = context.open_key(&args.key)?;
    let approval = signed_record(&body, &[key.as_ref()])?;
    api.approve(rollout, &ApprovalRequest { approval, reason: args.reason.clone() })?;
    let view = api.rollout(rollout)?;
    let text = format!("approved ring {ring} of {rollout}\n{}", rollout_view::full(&view));
    Answer::new(view, text)
}

fn approval(context: &Context, view: &RolloutView, args: &ApproveArgs) -> Result<Approval> {
    let ring = view.report.rings.iter().find(|ring| ring.name == args.ring);
    let ring = ring.with_context(|| {
        let known: Vec<&str> = view.report.rings.iter().map(|ring| ring.name.as_str()).collect();
        format!("--ring {}: rollout {} has the rings {}", args.ring, args.rollout, known.join(", "))
    })?;
    let at = now();
    Ok(Approval {
        fleet: context.fleet()?,
        order: view.order,
        policy: view.policy,
        ring: ring.name.clone(),
        places: ring.places,
        issued_at_ms: at,
        expires_at_ms: at.after(args.good_for),
        ext: Default::default(),
    })
}
