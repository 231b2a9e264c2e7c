//! `tidegate diff` and `tidegate apply`: a folder says how a fleet should be set up. The plan is shown before anything changes, and
//! applying it twice changes nothing the second time.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::{Value, json};
use tidegate_keyring::Signer;
use tidegate_wire::operator::OperatorRequest;

use super::policy;
use crate::context::{Context, now};
use crate::declared::{Change, Declared, DeclaredOperator, Present, Publishers};
use crate::delegation::add_package;
use crate::fleet_setup::LIFE;
use crate::output::Answer;
use crate::repository::{Repository, role_name};

/// The exit code of `diff` where something has to change.
const EXIT_DIFFERS: u8 = 4;

/// Examples under `tidegate diff --help` and `tidegate apply --help`.
pub(crate) const EXAMPLES: &str = "\
DIR/fleet.toml:
  [packages.content]
  publishers = [\"publisher-1\", \"7f3c...(64 digits)\"]   # keys as `package add` takes them
  threshold = 2
  [operators.pipeline]
  role = \"publisher\"
  packages = [\"content\"]                              # may publish this one only
  [tokens.lab]                                        # for: device token create --rule lab --from DIR
  ring = \"lab\"
  devices = 20
  expires = \"7d\"
  attributes = { site = [\"ams\"] }
DIR/policies/*.toml: one policy a file; the rings that token rules name must be in one of them.

Nothing is ever taken out of a fleet by being left out here, but operators with --prune.

Examples:
  tidegate diff -f fleet/                        exit code 0: as it says; 4: something has to change
  tidegate apply -f fleet/ --targets-key targets --order-key order";

/// What to hold the server against.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The folder that says how it should be
    #[arg(short = 'f', long = "from", value_name = "DIR")]
    from: PathBuf,
    /// Count operators that the folder does not name; admins stay
    #[arg(long)]
    prune: bool,
}

/// What to make so.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    what: DiffArgs,
    /// The targets key; needed where packages change
    #[arg(long, value_name = "KEY")]
    targets_key: Option<String>,
    /// The order key; needed where policies change
    #[arg(long, value_name = "KEY")]
    order_key: Option<String>,
    /// Go on without asking
    #[arg(long)]
    yes: bool,
}

/// Says what has to change.
pub(super) fn diff(context: &Context, args: &DiffArgs) -> Result<Answer> {
    let (changes, unnamed) = plan(context, args)?;
    let answer = Answer::new(json_of(&changes, &[]), shown(&changes, &unnamed))?;
    Ok(if changes.is_empty() { answer } else { answer.with_exit(EXIT_DIFFERS) })
}

/// Changes it, after showing what.
pub(super) fn apply(context: &Context, args: &ApplyArgs) -> Result<Answer> {
    let (changes, unnamed) = plan(context, &args.what)?;
    if changes.is_empty() {
        return Answer::new(json_of(&changes, &[]), shown(&changes, &unnamed));
    }
    let needs = |key: &Option<String>, flag: &str, what: &str| {
        key.clone().with_context(|| {
            format!("{flag} is missing: {what} have to change; right is a key as `tidegate diff` shows what for")
        })
    };
    let packages = changes.iter().any(|change| matches!(change, Change::Package { .. }));
    let policies = changes.iter().any(|change| matches!(change, Change::Policy(_)));
    // Everything that can be missing is asked for before anything changes.
    let targets = packages.then(|| needs(&args.targets_key, "--targets-key", "packages")).transpose()?;
    let order = policies.then(|| needs(&args.order_key, "--order-key", "policies")).transpose()?;
    context.confirm(&shown(&changes, &unnamed), "Make these changes?", args.yes)?;
    let targets = targets.map(|key| context.open_key(&key)).transpose()?;
    let order = order.map(|key| context.open_key(&key)).transpose()?;
    let mut tokens = Vec::new();
    for (done, change) in changes.iter().enumerate() {
        let made = make(context, change, targets.as_deref(), order.as_deref());
        let made = made.with_context(|| format!("after {done} of {} changes, at `{change}`", changes.len()))?;
        tokens.extend(made);
    }
    let mut text = format!("made {} changes", changes.len());
    for (operator, token) in &tokens {
        text.push_str(&format!("\n{operator}'s token, shown this once: {token}"));
    }
    Answer::new(json_of(&changes, &tokens), text)
}

fn plan(context: &Context, args: &DiffArgs) -> Result<(Vec<Change>, Vec<String>)> {
    let declared = Declared::read(&args.from)?;
    let present = present(context, &declared)?;
    let changes = declared.changes(&present, args.prune, &|key| context.public_key(key))?;
    let unnamed = if args.prune { Vec::new() } else { declared.unnamed(&present) };
    Ok((changes, unnamed.iter().map(ToString::to_string).collect()))
}

/// Packages as the signed targets name them; policies and operators as the server says.
fn present(context: &Context, declared: &Declared) -> Result<Present> {
    let (api, fleet) = (context.client()?, context.fleet()?);
    let repository = Repository::refresh(&api, &fleet, &[], now())?;
    let mut present = Present::default();
    for package in declared.packages.keys() {
        let Some(signers) = repository.targets().role().publishers(&role_name(package)?) else { continue };
        let keys = signers.keys().map(|(_, key)| *key.as_bytes()).collect();
        present.packages.insert(package.clone(), Publishers { keys, threshold: signers.threshold() });
    }
    present.policies =
        api.policies()?.into_iter().filter(|policy| policy.current).map(|policy| policy.digest).collect();
    let operators = api.operators()?.into_iter();
    present.operators =
        operators.map(|o| (o.operator, DeclaredOperator { role: o.role, packages: o.packages })).collect();
    Ok(present)
}

/// Makes one change. Gives the token of an operator who got one.
fn make(
    context: &Context,
    change: &Change,
    targets: Option<&dyn Signer>,
    order: Option<&dyn Signer>,
) -> Result<Option<(String, String)>> {
    let api = context.client()?;
    match change {
        Change::Package { package, publishers, .. } => {
            // Read anew: each package makes a version of its own.
            let repository = Repository::refresh(&api, &context.fleet()?, &[], now())?;
            let keys: Vec<[u8; 32]> = publishers.keys.iter().copied().collect();
            let key = targets.context("--targets-key is missing")?;
            add_package(&api, &repository, package, (&keys, publishers.threshold), key, (now(), LIFE))?;
            Ok(None)
        }
        Change::Policy(declared) => {
            policy::put(context, &declared.text, &declared.policy, order.context("--order-key is missing")?)?;
            Ok(None)
        }
        Change::Operator { operator, wanted, .. } => {
            let request =
                OperatorRequest { operator: operator.clone(), role: wanted.role, packages: wanted.packages.clone() };
            Ok(Some((operator.to_string(), api.add_operator(&request)?.token)))
        }
        Change::Removed { operator } => {
            api.remove_operator(operator)?;
            Ok(None)
        }
    }
}

fn shown(changes: &[Change], unnamed: &[String]) -> String {
    let mut lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
    if lines.is_empty() {
        lines.push("nothing to change".to_owned());
    }
    if !unnamed.is_empty() {
        lines.push(format!("not named here, and left alone: operators {}", unnamed.join(", ")));
    }
    lines.join("\n")
}

fn json_of(changes: &[Change], tokens: &[(String, String)]) -> Value {
    let one = |change: &Change| json!({"sign": change.sign().to_string(), "change": change.to_string()});
    let tokens: serde_json::Map<String, Value> =
        tokens.iter().map(|(operator, token)| (operator.clone(), json!(token))).collect();
    json!({"changes": changes.iter().map(one).collect::<Vec<_>>(), "tokens": tokens})
}
