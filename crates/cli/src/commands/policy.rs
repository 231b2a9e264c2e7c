//! `tidegate policy`: check, apply and show how packages may spread.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use tidegate_domain::digest::Digest;
use tidegate_domain::envelope::Envelope;
use tidegate_domain::ids::{PolicyName, RingName};
use tidegate_domain::policy::{POLICY_BYTES_MAX, Policy};
use tidegate_domain::policy_check::{self, FleetEstimate, PolicyCheck, RingCheck};
use tidegate_domain::rollout::reason::Signal;
use tidegate_domain::roster::{Candidate, rosters};
use tidegate_domain::time::Elapsed;
use tidegate_keyring::Signer;
use tidegate_trust::records::PolicyRecord;
use tidegate_wire::operator::{PolicyRequest, PolicyView};

use crate::context::{Context, now};
use crate::durable_file;
use crate::fleet_setup::SAFE_ENVELOPE;
use crate::ordering::PolicyReference;
use crate::output::{Answer, facts, instant, table};
use crate::repository::Repository;
use crate::signing::signed_record;

const EXAMPLES: &str = "\
A policy is a TOML file. Its name in orders is NAME@DIGEST, the digest being the SHA-256 of the
file: `sha256sum` prints the same. A rollout pins it; a change applies to later rollouts only.
`check` says how it would go, and ends with exit code 1 where it should not be used.

Examples:
  tidegate policy check default.toml
  tidegate policy check default.toml --devices 10000 --label lab=20 --label canary=500
  tidegate policy check default.toml --envelope envelope.toml
  tidegate policy apply default.toml --key order.key
  tidegate policy list
  tidegate policy show default";

/// How packages may spread
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum PolicyCommand {
    /// Say what a policy means and how it would go
    #[command(after_help = EXAMPLES)]
    Check(CheckArgs),
    /// Sign a policy and make it known to the server
    #[command(after_help = EXAMPLES)]
    Apply(ApplyArgs),
    /// Show all policies that were applied
    List,
    /// Show a policy: the newest of that name, or NAME@DIGEST
    Show {
        /// NAME or NAME@DIGEST
        policy: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The policy
    file: PathBuf,
    /// The envelope to hold it against [default: the safe bounds]
    #[arg(long, value_name = "FILE", conflicts_with = "fleet")]
    envelope: Option<PathBuf>,
    /// Hold it against the envelope and the devices of the fleet's server
    #[arg(long)]
    fleet: bool,
    /// Say how it would go on so many devices, evenly spread over the policy's strata
    #[arg(long, value_name = "N", conflicts_with = "fleet", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    devices: Option<u32>,
    /// So many of them carry a ring's label; repeatable [default: all are dealt out by the rings' shares]
    #[arg(long = "label", value_name = "RING=N", requires = "devices")]
    labels: Vec<Labelled>,
    /// The downtime that releases are assumed to be allowed
    #[arg(long, value_name = "TIME", default_value = "30s")]
    downtime: Elapsed,
}

/// `RING=N`.
#[derive(Debug, Clone)]
struct Labelled {
    ring: RingName,
    devices: u32,
}

impl FromStr for Labelled {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Labelled, String> {
        let right = "right is RING=N, for example lab=8";
        let (ring, devices) = text.split_once('=').ok_or(right)?;
        let ring = ring.parse().map_err(|e| format!("{e}"))?;
        Ok(Labelled { ring, devices: devices.parse().map_err(|_| right.to_owned())? })
    }
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The policy
    file: PathBuf,
    /// The order key: a file, a name in the key folder, or a pkcs11: URI
    #[arg(long, value_name = "KEY")]
    key: String,
    /// Sign without asking
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(context: &Context, command: PolicyCommand) -> Result<Answer> {
    match command {
        PolicyCommand::Check(args) => check(context, &args),
        PolicyCommand::Apply(args) => apply(context, &args),
        PolicyCommand::List => list(context),
        PolicyCommand::Show { policy } => show(context, &policy),
    }
}

fn check(context: &Context, args: &CheckArgs) -> Result<Answer> {
    let (text, policy) = read(&args.file)?;
    let envelope = match &args.envelope {
        Some(path) => Envelope::parse(&durable_file::read_text(path, 64 * 1024)?)?,
        None if args.fleet => envelope_of_fleet(context)?,
        None => Envelope::parse(SAFE_ENVELOPE)?,
    };
    envelope.admits(&policy)?;
    let reference = PolicyReference { name: policy.name.clone(), digest: Policy::digest_of(&text) };
    let forecast = estimate(context, args, &policy)?.map(|fleet| policy_check::check(&policy, Some(&envelope), &fleet));
    let mut shown = format!("{}{}", about(&policy, &reference, &envelope), rings(&policy));
    match &forecast {
        Some(forecast) => shown.push_str(&format!("\n{}", foretold(forecast))),
        None => shown.push_str("\nHow it would go: --devices N for an even fleet, --fleet for the server's devices"),
    }
    let problems: Vec<String> = forecast.iter().flat_map(|f| &f.problems).map(ToString::to_string).collect();
    let answer = Answer::new(
        json!({
            "name": policy.name,
            "digest": reference.digest,
            "policy": reference.to_string(),
            "envelope": envelope.name,
            "rings": policy.rings,
            "window": policy.window,
            "forecast": forecast,
            "problems": problems,
        }),
        shown,
    )?;
    Ok(if problems.is_empty() { answer } else { answer.into_bad_news() })
}

/// The fleet to try the policy on, if one was named.
fn estimate(context: &Context, args: &CheckArgs, policy: &Policy) -> Result<Option<FleetEstimate>> {
    if args.fleet {
        let devices = context.client()?.devices(None)?;
        let reached = devices.into_iter().filter(|device| policy.select.matches(&device.attributes));
        let candidates = reached.map(|d| Candidate { device: d.device, ring: d.ring, attributes: d.attributes });
        // Any seed will do: only how many stand where counts.
        let rosters = rosters(policy, &Digest::of(b"forecast"), candidates.collect());
        return Ok(Some(FleetEstimate::of_rosters(policy, &rosters, args.downtime)));
    }
    let Some(devices) = args.devices else { return Ok(None) };
    let labelled: BTreeMap<RingName, u32> = args.labels.iter().map(|l| (l.ring.clone(), l.devices)).collect();
    if let Some(unknown) = labelled.keys().find(|ring| !policy.rings.iter().any(|known| known.name == **ring)) {
        bail!("--label {unknown}: the policy has no such ring; right is one of its own");
    }
    Ok(Some(FleetEstimate::evenly(policy, devices, &labelled, args.downtime)))
}

fn foretold(forecast: &PolicyCheck) -> String {
    let mut shown = table(&["ring", "places", "windows", "clears", "smallest margins"]);
    for ring in &forecast.rings {
        shown.add_row([
            ring.name.to_string(),
            ring.places.to_string(),
            ring.windows.to_string(),
            ring.clears.map_or("-", |clears| if clears { "yes" } else { "no" }).to_owned(),
            margins(ring),
        ]);
    }
    let count = |events: Option<u32>| events.map_or_else(|| "no".to_owned(), |events| events.to_string());
    let about = facts(&[
        ("devices", forecast.devices.to_string()),
        ("first window", format!("{} devices before any proof", forecast.first_window)),
        (
            "halts at",
            format!(
                "{} failures or {} silent devices by evidence, {} failures that fill a window",
                count(forecast.failures_to_halt),
                count(forecast.silent_to_halt),
                forecast.failures_to_wedge
            ),
        ),
        ("if all fail", stops(forecast, Signal::Hard)),
        ("if all fall silent", stops(forecast, Signal::Silent)),
        ("whole fleet", format!("in {}", forecast.time_to_whole_fleet)),
    ]);
    let problems: String = forecast.problems.iter().map(|problem| format!("\nPROBLEM  {problem}")).collect();
    format!("{about}{shown}{problems}")
}

/// What stops a release that breaks every device, by the ring that it meets first.
fn stops(forecast: &PolicyCheck, signal: Signal) -> String {
    let of_signal = forecast.stops.iter().filter(|stop| stop.signal == signal);
    let in_words = of_signal.map(|stop| format!("{}: {}, {} exposed", stop.ring, stop.by, stop.exposed));
    in_words.collect::<Vec<_>>().join("; ")
}

/// The smallest margins that a ring could clear, in the words of the policy's own.
fn margins(ring: &RingCheck) -> String {
    let word = |delta: Option<f64>| delta.map_or_else(|| "no".to_owned(), |delta| delta.to_string());
    if ring.clears.is_none() {
        return "-".to_owned();
    }
    format!("{} hard, {} silent", word(ring.delta_min_hard), word(ring.delta_min_silent))
}

fn apply(context: &Context, args: &ApplyArgs) -> Result<Answer> {
    let (text, policy) = read(&args.file)?;
    let envelope = envelope_of_fleet(context)?;
    envelope.admits(&policy)?;
    let reference = PolicyReference { name: policy.name.clone(), digest: Policy::digest_of(&text) };
    let shown = format!("{}{}", about(&policy, &reference, &envelope), rings(&policy));
    context.confirm(&shown, "Sign and apply this policy?", args.yes)?;
    let key = context.open_key(&args.key)?;
    put(context, &text, &policy, key.as_ref())?;
    Answer::new(
        json!({"name": reference.name, "digest": reference.digest, "policy": reference.to_string()}),
        format!("applied {reference}"),
    )
}

/// Signs a policy and hands it to the server, which holds it against the envelope.
pub(super) fn put(context: &Context, text: &str, policy: &Policy, key: &dyn Signer) -> Result<()> {
    let (name, text) = (policy.name.clone(), text.to_owned());
    let body = PolicyRecord { fleet: context.fleet()?, name, text, issued_at_ms: now(), ext: Default::default() };
    Ok(context.client()?.apply_policy(&PolicyRequest { policy: signed_record(&body, &[key])? })?)
}

fn list(context: &Context) -> Result<Answer> {
    let policies = context.client()?.policies()?;
    let mut shown = table(&["policy", "applied", ""]);
    for policy in &policies {
        shown.add_row([
            format!("{}@{}", policy.name, policy.digest),
            instant(policy.applied_at_ms),
            if policy.current { "current" } else { "" }.to_owned(),
        ]);
    }
    Answer::new(policies, shown.to_string())
}

fn show(context: &Context, wanted: &str) -> Result<Answer> {
    let api = context.client()?;
    let digest = if wanted.contains('@') {
        wanted.parse::<PolicyReference>().map_err(|problem| anyhow::anyhow!("policy {wanted:?}: {problem}"))?.digest
    } else {
        newest(&api.policies()?, &wanted.parse()?)?
    };
    let view = api.policy(&digest)?;
    let text = view.text.clone().context("the server does not show the policy's text")?;
    Answer::new(&view, format!("# {}@{}, applied {}\n{text}", view.name, view.digest, instant(view.applied_at_ms)))
}

fn newest(policies: &[PolicyView], name: &PolicyName) -> Result<Digest> {
    match policies.iter().find(|policy| policy.current && policy.name == *name) {
        Some(policy) => Ok(policy.digest),
        None => bail!("no policy {name} was applied; right is a name that `tidegate policy list` shows"),
    }
}

/// The envelope in force, as root signed it.
fn envelope_of_fleet(context: &Context) -> Result<Envelope> {
    let (api, fleet) = (context.client()?, context.fleet()?);
    let repository = Repository::refresh(&api, &fleet, &[], now())?;
    let (keys, threshold) = repository.root_keys()?;
    let record = api.trust()?.envelope.verify(fleet, keys, threshold)?;
    Ok(Envelope::parse(&record.body().text)?)
}

fn read(path: &Path) -> Result<(String, Policy)> {
    let text = durable_file::read_text(path, POLICY_BYTES_MAX as u64)?;
    let policy = Policy::parse(&text).with_context(|| path.display().to_string())?;
    Ok((text, policy))
}

fn about(policy: &Policy, reference: &PolicyReference, envelope: &Envelope) -> String {
    let w = &policy.window;
    facts(&[
        ("policy", reference.to_string()),
        ("envelope", format!("{}: inside", envelope.name)),
        ("reaches", policy.select.to_string()),
        (
            "window",
            format!(
                "{} devices before any proof ({} an attribute value, {} a stratum), then {} for each proof",
                w.initial_all, w.initial_value, w.initial_stratum, w.growth
            ),
        ),
        ("proof", format!("healthy for {} and {} restarts", policy.prove.duration, policy.prove.restarts)),
        ("strata", strata(policy)),
        ("holdback", format!("{}%", policy.holdback.share * 100.0)),
    ])
}

fn strata(policy: &Policy) -> String {
    let by: Vec<&str> = policy.strata.by.iter().map(|name| name.as_str()).collect();
    match policy.strata.listed.len() {
        0 if by.is_empty() => "all devices are one".to_owned(),
        listed => format!("{listed} by {}, the rest in `other`", by.join(" and ")),
    }
}

fn rings(policy: &Policy) -> String {
    let mut shown = table(&["ring", "share", "soak", "proven at least", "clears at"]);
    for ring in &policy.rings {
        shown.add_row([
            if ring.lab { format!("{} (lab)", ring.name) } else { ring.name.to_string() },
            format!("{}%", ring.share * 100.0),
            ring.soak.to_string(),
            format!("{}%", ring.proven_share_min() * 100.0),
            if ring.lab { "-".to_owned() } else { format!("{} hard, {} silent", ring.clear_hard, ring.clear_silent) },
        ]);
    }
    shown.to_string()
}
