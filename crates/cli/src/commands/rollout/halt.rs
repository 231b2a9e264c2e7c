//! `tidegate rollout halt`: by the operator who is logged in, or by a record that a halt key signs, without any login.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::RolloutId;
use tidegate_trust::records::Halt;
use tidegate_wire::operator::{HaltAnswer, SignedHaltRequest};

use super::{ReasonArgs, act};
use crate::client::Client;
use crate::context::{Context, now};
use crate::durable_file::{Readers, create};
use crate::output::Answer;
use crate::signing::signed_record;

#[derive(Debug, Args)]
pub(crate) struct HaltArgs {
    #[command(flatten)]
    what: ReasonArgs,
    /// Sign the halt instead of being logged in: a file, a name in the key folder, or a pkcs11: URI
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// The rollout's order, as `rollout status` shows it; without it the server is asked
    #[arg(long, value_name = "DIGEST", requires = "key")]
    order: Option<Digest>,
    /// Write the signed halt to a new file instead of sending it, for a server that is down or out of reach
    #[arg(long, value_name = "FILE", requires_all = ["key", "order"])]
    out: Option<PathBuf>,
}

pub(super) fn run(context: &Context, args: &HaltArgs) -> Result<Answer> {
    let Some(key) = &args.key else { return act(context, &args.what, Client::halt, "halted") };
    let (rollout, reason) = (&args.what.rollout, &args.what.reason);
    if !(1..=500).contains(&reason.chars().count()) {
        bail!("--reason has {} characters; right is 1 to 500", reason.chars().count());
    }
    let fleet = context.fleet()?;
    let order = match args.order {
        Some(order) => order,
        None => order_of(&context.client_without_login()?, rollout, fleet)?,
    };
    let halt = Halt { fleet, order, reasons: vec![reason.clone()], issued_at_ms: now(), ext: Default::default() };
    let key = context.open_key(key)?;
    let request = SignedHaltRequest { halt: signed_record(&halt, &[key.as_ref()])? };
    match &args.out {
        Some(out) => write(out, &request, rollout),
        None => send(&context.client_without_login()?, &request, rollout),
    }
}

fn order_of(api: &Client, rollout: &RolloutId, fleet: Digest) -> Result<Digest> {
    let target = api.halt_target(rollout)?;
    if target.fleet != fleet {
        bail!("{} serves fleet {}, expected {fleet}; nothing was signed", api.base(), target.fleet);
    }
    Ok(target.order)
}

fn send(api: &Client, request: &SignedHaltRequest, rollout: &RolloutId) -> Result<Answer> {
    let answer: HaltAnswer = api.signed_halt(request)?;
    if answer.rollout != *rollout {
        bail!("the order was that of {}, which is halted now; {rollout} is not", answer.rollout);
    }
    let kept = if answer.recorded { "" } else { "\nthe server cannot write its log now; it keeps the halt beside it" };
    let text = format!("halted {rollout}{kept}");
    Answer::new(answer, text)
}

fn write(out: &Path, request: &SignedHaltRequest, rollout: &RolloutId) -> Result<Answer> {
    create(out, &serde_json::to_vec(request)?, Readers::Anybody)?;
    let text = format!(
        "signed a halt of {rollout}; it counts once a server of the fleet has it:\n\
         curl --json @{} https://HOST:PORT/api/v1/halts",
        out.display()
    );
    Answer::new(request, text)
}
