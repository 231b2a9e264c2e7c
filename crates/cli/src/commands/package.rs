//! `tidegate package`: which packages there are and who publishes each.

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::json;
use tidegate_domain::ids::PackageName;
use tidegate_domain::time::Elapsed;
use tidegate_wire::operator::PackageView;

use crate::context::{Context, now};
use crate::delegation::add_package;
use crate::fleet_setup::LIFE;
use crate::output::{Answer, facts, instant, table};
use crate::repository::Repository;

const EXAMPLES: &str = "\
A package is a stream of releases with publishers of its own. Adding it takes the targets key only:
publishers are named by their public halves (a key file is not unlocked for that). Their first
release makes the package's own role. Adding a package again gives it these publishers instead;
its releases stay.

Examples:
  tidegate package add content --publisher-key publisher-1.key --targets-key targets.key
  tidegate package add agent --publisher-key ada.key --publisher-key 7f3c...(64 digits) \\
      --threshold 2 --targets-key targets.key
  tidegate package list";

/// Packages and who publishes them
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum PackageCommand {
    /// Add a package, or give it other publishers
    #[command(after_help = EXAMPLES)]
    Add(AddArgs),
    /// Show all packages
    List,
    /// Show a package and its releases
    Show {
        /// The package
        package: PackageName,
    },
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// The package
    package: PackageName,
    /// A publisher's key: a file, a name in the key folder, a pkcs11: URI, or the public half as 64 digits; repeatable
    #[arg(long = "publisher-key", value_name = "KEY", required = true)]
    publisher_keys: Vec<String>,
    /// How many publishers must sign a release
    #[arg(long, value_name = "M", default_value_t = 1)]
    threshold: u32,
    /// The targets key: a file, a name in the key folder, or a pkcs11: URI
    #[arg(long, value_name = "KEY")]
    targets_key: String,
    /// How long the new targets are good
    #[arg(long, value_name = "TIME", default_value_t = LIFE)]
    expires: Elapsed,
}

pub(super) fn run(context: &Context, command: PackageCommand) -> Result<Answer> {
    match command {
        PackageCommand::Add(args) => add(context, &args),
        PackageCommand::List => {
            let packages = context.client()?.packages()?;
            let mut shown = table(&["package", "publishers", "releases", "newest"]);
            for package in &packages {
                shown.add_row([
                    package.package.to_string(),
                    format!("{} of {}", package.threshold, package.publishers),
                    package.releases.len().to_string(),
                    package.releases.last().map_or_else(|| "-".to_owned(), |release| release.version.to_string()),
                ]);
            }
            Answer::new(packages, shown.to_string())
        }
        PackageCommand::Show { package } => {
            let package = context.client()?.package(&package)?;
            let text = show(&package);
            Answer::new(package, text)
        }
    }
}

fn add(context: &Context, args: &AddArgs) -> Result<Answer> {
    let (fleet, now) = (context.fleet()?, now());
    let publishers = args.publisher_keys.iter().map(|key| context.public_key(key)).collect::<Result<Vec<_>>>()?;
    let api = context.client()?;
    let repository = Repository::refresh(&api, &fleet, &[], now)?;
    let key = context.open_key(&args.targets_key)?;
    let publishers = (publishers.as_slice(), args.threshold);
    let made = add_package(&api, &repository, &args.package, publishers, key.as_ref(), (now, args.expires))?;
    let text = facts(&[
        ("package", args.package.to_string()),
        ("publishers", format!("{} of {} must sign", args.threshold, args.publisher_keys.len())),
        ("targets", format!("version {}", made.targets_version)),
    ]);
    Answer::new(
        json!({
            "package": args.package,
            "threshold": args.threshold,
            "publishers": args.publisher_keys.len(),
            "targets_version": made.targets_version,
            "replaced": made.replaced,
        }),
        text,
    )
}

fn show(package: &PackageView) -> String {
    let about = facts(&[
        ("package", package.package.to_string()),
        ("publishers", format!("{} of {} must sign", package.threshold, package.publishers)),
    ]);
    let mut releases = table(&["version", "release", "published", "halted by"]);
    for release in &package.releases {
        releases.add_row([
            release.version.to_string(),
            release.release.to_string(),
            instant(release.published_at_ms),
            release.halted_by.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        ]);
    }
    format!("{about}{releases}")
}
