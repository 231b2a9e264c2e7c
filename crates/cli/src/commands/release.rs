//! `tidegate release`: stage, sign, publish. Each publisher sees what is signed before it is.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tidegate_domain::ids::{PackageName, Version};
use tidegate_domain::time::Elapsed;
use tidegate_wire::operator::{CollectRequest, CollectView};

use crate::context::{Context, now};
use crate::fleet_setup::LIFE;
use crate::output::{Answer, facts, table};
use crate::publishing::publish;
use crate::repository::{Repository, role_name};
use crate::staging::{Stage, StagePlan, Template};

const EXAMPLES: &str = "\
A stage is a folder that travels: made by one publisher, signed by as many as the package needs, on
machines that need no network, then published by anybody with the role publisher. --manifest says
how the release takes effect:

  downtime = \"30s\"
  activation = { kind = \"supervise\", command = [\"sensor\", \"--content\", \"{slot}\"] }
  [[probes]]
  kind = \"health_file\"
  path = \"health.json\"
  fresh = \"10s\"
  [[numbers]]          # held against devices without the release
  name = \"latency_ms\"
  at_most = 200
  [needs]
  sensor-engine = 7

Examples:
  tidegate release stage content 1.0.0 --files build/ --manifest release.toml --out stage/
  tidegate release sign stage/ --key publisher-1.key
  tidegate release publish stage/
  tidegate release collect --keep 5 --dry-run";

/// Stage, sign and publish releases
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum ReleaseCommand {
    /// Make a stage: manifest with digests, and the package's next role, unsigned
    #[command(after_help = EXAMPLES)]
    Stage(StageArgs),
    /// Show what a stage holds and add a publisher's signature
    #[command(after_help = EXAMPLES)]
    Sign(SignArgs),
    /// Send a signed stage's files that the server lacks, then the package's role
    #[command(after_help = EXAMPLES)]
    Publish {
        /// The stage
        stage: PathBuf,
    },
    /// Delete files of old releases that nothing needs any more: no device runs or returns to them, no rollout goes on with them
    Collect(CollectArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CollectArgs {
    /// Of each package so many of the newest releases are kept
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    keep: u32,
    /// And those that were published so lately
    #[arg(long, value_name = "TIME", default_value = "90d")]
    keep_for: Elapsed,
    /// Only say what would be deleted
    #[arg(long)]
    dry_run: bool,
    /// Delete without asking
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StageArgs {
    /// The package
    package: PackageName,
    /// The version, unique in the package
    version: Version,
    /// The folder with the release's files
    #[arg(long, value_name = "DIR")]
    files: PathBuf,
    /// How the release takes effect: TOML, or JSON where the name ends in .json
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// The stage to make
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How long the package's role is good
    #[arg(long, value_name = "TIME", default_value_t = LIFE)]
    expires: Elapsed,
}

#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// The stage
    stage: PathBuf,
    /// A publisher's key: a file, a name in the key folder, or a pkcs11: URI
    #[arg(long, value_name = "KEY")]
    key: String,
    /// Sign without asking
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(context: &Context, command: ReleaseCommand) -> Result<Answer> {
    match command {
        ReleaseCommand::Stage(args) => stage(context, args),
        ReleaseCommand::Sign(args) => sign(context, &args),
        ReleaseCommand::Publish { stage } => publish_stage(context, &Stage::read(&stage)?),
        ReleaseCommand::Collect(args) => collect(context, &args),
    }
}

fn stage(context: &Context, args: StageArgs) -> Result<Answer> {
    let template = Template::read(&args.manifest)?;
    let (fleet, now) = (context.fleet()?, now());
    let repository = Repository::refresh(&context.client()?, &fleet, &[&args.package], now)?;
    let current = repository.package(&args.package)?;
    let publishers = repository.targets().role().publishers(&role_name(&args.package)?);
    let publishers = publishers.with_context(|| format!("package {} is not in this repository", args.package))?;
    let plan = StagePlan {
        package: args.package,
        version: args.version,
        files: &args.files,
        template,
        now,
        life: args.expires,
    };
    let stage = Stage::make(&args.out, plan, publishers, current.as_ref())?;
    Answer::new(json_of(&stage), format!("{}next: tidegate release sign {}", shown(&stage), args.out.display()))
}

fn sign(context: &Context, args: &SignArgs) -> Result<Answer> {
    let mut stage = Stage::read(&args.stage)?;
    if let Some(public_key) = context.locked_public_key(&args.key)? {
        stage.check_publisher(public_key)?;
    }
    context.confirm(&shown(&stage), "Sign this release?", args.yes)?;
    let key = context.open_key(&args.key)?;
    stage.sign(key.as_ref())?;
    let signed = format!("signed by {} of {} publishers", stage.signatures(), stage.publishers.threshold());
    Answer::new(json_of(&stage), signed)
}

fn publish_stage(context: &Context, stage: &Stage) -> Result<Answer> {
    let total = stage.manifest.size_bytes().saturating_add(stage.manifest_bytes.len() as u64);
    let bar = if std::io::stderr().is_terminal() && !context.json {
        let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}")?;
        ProgressBar::new(total).with_style(style)
    } else {
        ProgressBar::hidden()
    };
    let sent = publish(&context.client()?, stage, &|bytes| bar.inc(bytes))?;
    bar.finish_and_clear();
    let manifest = &stage.manifest;
    let text = format!(
        "published {} {} as {}\nsent {} artifacts ({} bytes), {} were there",
        manifest.package,
        manifest.version,
        stage.release(),
        sent.sent,
        sent.bytes,
        sent.skipped
    );
    Answer::new(
        json!({
            "package": manifest.package,
            "version": manifest.version,
            "release": stage.release(),
            "artifacts_sent": sent.sent,
            "artifacts_skipped": sent.skipped,
            "bytes_sent": sent.bytes,
        }),
        text,
    )
}

fn collect(context: &Context, args: &CollectArgs) -> Result<Answer> {
    let api = context.client()?;
    let request = CollectRequest { keep_releases: args.keep, keep_ms: args.keep_for.as_ms(), dry_run: true };
    let plan = api.collect(&request)?;
    let shown = |view: &CollectView, did: &str| {
        let lines: Vec<String> = view.releases.iter().map(|release| format!("  {release}\n")).collect();
        format!("{}{} artifacts ({} bytes) {did}, {} stay", lines.concat(), view.artifacts, view.bytes, view.kept)
    };
    if args.dry_run || plan.artifacts == 0 {
        let text = shown(&plan, "would be deleted");
        return Answer::new(plan, text);
    }
    context.confirm(&shown(&plan, "will be deleted"), "Delete them?", args.yes)?;
    let done = api.collect(&CollectRequest { dry_run: false, ..request })?;
    let text = shown(&done, "deleted");
    Answer::new(done, text)
}

/// What a publisher looks at before signing.
fn shown(stage: &Stage) -> String {
    use tidegate_trust::tuf::Role as _;
    let manifest = &stage.manifest;
    let role = stage.role.role();
    let mut files = table(&["file", "bytes", "sha256"]);
    for file in &manifest.files {
        let name = if file.executable { format!("{} (executable)", file.path) } else { file.path.to_string() };
        files.add_row([name, file.size.to_string(), file.sha256.hex()]);
    }
    let releases: Vec<&str> = role.releases().map(|(path, _)| path.version()).collect();
    let about = facts(&[
        ("package", manifest.package.to_string()),
        ("version", manifest.version.to_string()),
        ("release", stage.release().to_string()),
        ("role", format!("version {}, good until {}", role.version(), role.expires())),
        ("lists", releases.join(", ")),
        ("activation", serde_json::to_string(&manifest.activation).unwrap_or_default()),
        ("downtime", manifest.downtime.to_string()),
        ("signatures", format!("{} of {}", stage.signatures(), stage.publishers.threshold())),
    ]);
    format!("{about}{files}\n")
}

fn json_of(stage: &Stage) -> Value {
    json!({
        "package": stage.manifest.package,
        "version": stage.manifest.version,
        "release": stage.release(),
        "files": stage.manifest.files,
        "signatures": stage.signatures(),
        "threshold": stage.publishers.threshold(),
    })
}
