//! `tidegate demo`: the main job on one machine, with real processes: a server, 60 devices with their guards and payloads, a good
//! release, the re-enactment of Channel File 291, and what the same file does to 60 devices without a gate.
//!
//! It goes through the same doors as people do: keys from `trust init`'s maker, the operator API, signed orders.

mod fleet;
mod processes;
mod releases;
mod summary;
mod unguarded;
mod watching;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::output::Answer;
use fleet::{DEVICES, Fleet};
use processes::{Interrupted, Processes};
use releases::{Content, Releases};
use summary::{Outcome, Summary};

pub(crate) const EXAMPLES: &str = "\
Examples:
  tidegate demo                   about two minutes; needs nothing but this program
  tidegate demo --json            one object with the figures, for programs
  tidegate demo --keep            leaves server and devices up, and prints where they are";

/// See the main job: a good release spreads, a bad one halts by itself, and what the world had instead
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Leave server and devices up at the end, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Where to put keys, data and logs; a new folder [default: a temporary one, removed at the end]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Runs the demo.
///
/// # Errors
/// When something did not go as it must; the folder with the logs is named.
pub(crate) fn run(args: &DemoArgs, json: bool) -> Result<Answer> {
    let place = Place::make(args)?;
    let outcome = play(args, json, &place);
    let interrupted = outcome.as_ref().is_err_and(|error| error.is::<Interrupted>());
    if outcome.is_err() && !interrupted {
        eprintln!("The logs of all processes stay in {}", place.path.display());
    } else if place.temporary {
        let _ = std::fs::remove_dir_all(&place.path);
    }
    outcome
}

fn play(args: &DemoArgs, json: bool, place: &Place) -> Result<Answer> {
    let say = |text: &str| eprintln!("{text}");
    let mut processes = Processes::new()?;
    say(&format!(
        "Tidegate demo: {DEVICES} devices, each a real process with guard and payload, in {}",
        place.path.display()
    ));
    let fleet = Fleet::start(&mut processes, &place.path)?;
    say(&format!("Server at {} (envelope danger-demo; P4 not in force: one host, no auditors)", fleet.url()));
    fleet.wait_for_devices(&processes)?;

    let releases = Releases::open(&fleet, &place.path)?;
    say("\n1. A good release spreads ring by ring, as fast as the proofs come in.");
    let good = releases.start("1.1.0", &Content::Good)?;
    let spread = watching::until_over(&processes, &fleet, &good)?;
    anyhow::ensure!(spread.phase == "completed", "the good release is {}, not completed", spread.phase);
    say(&format!("   All {DEVICES} devices run 1.1.0 after {:.0} s.", spread.took.as_secs_f64()));

    say("\n2. Channel File 291 again: content that names a 21st input where the payload supplies 20.");
    let bad = releases.start("1.2.0", &Content::ChannelFile291 { lab_tolerates: false })?;
    let halted = watching::until_over(&processes, &fleet, &bad)?;
    let outcome = restored(&processes, &fleet, &halted)?;
    say(&format!("   Halted by itself: {}", halted.reasons.join("; ")));
    say(&format!("   {}", outcome.in_words()));

    say("\n3. The same fault, and the lab does not see it: the canary's first window, no more.");
    let missed = releases.start("1.3.0", &Content::ChannelFile291 { lab_tolerates: true })?;
    let halted = watching::until_over(&processes, &fleet, &missed)?;
    let missed_by_lab = restored(&processes, &fleet, &halted)?;
    say(&format!("   Halted by itself: {}", halted.reasons.join("; ")));
    say(&format!("   {}", missed_by_lab.in_words()));

    say("\n4. What the world had: the same file to everyone at once, no gate, no guard.");
    let everyone = unguarded::run(&mut processes, &place.path)?;
    let summary = Summary { tidegate: outcome, missed_by_lab, everyone_at_once: everyone };
    if args.keep {
        if json {
            crate::output::line(&serde_json::to_string(&summary.figures())?);
        } else {
            crate::output::line(&summary.table());
        }
        say(&format!(
            "\nServer and devices stay up until Ctrl-C.\n  server   {}\n  operator token   {}\n  devices  {}",
            fleet.url(),
            place.path.join("operator-token").display(),
            place.path.join("devices").display()
        ));
        processes.wait_for_interrupt();
        return Ok(Answer::shown(0));
    }
    drop(processes);
    Answer::new(summary.figures(), summary.table())
}

/// Waits until every exposed device is well again or is known to need hands, and counts.
fn restored(processes: &Processes, fleet: &Fleet, halted: &watching::Course) -> Result<Outcome> {
    anyhow::ensure!(halted.phase == "halted", "the bad release is {}, not halted", halted.phase);
    let incident = processes.wait_for("the incident's devices", Duration::from_secs(60), || {
        let incident = fleet.incident(&halted.rollout)?;
        let settled = incident.restored + incident.need_hands >= incident.exposed;
        Ok(settled.then_some(incident))
    })?;
    Ok(Outcome {
        devices: DEVICES,
        first_window: halted.first_window,
        harmed: incident.harmed,
        halt_s: halted.took.as_secs_f64(),
        back_without_hands: incident.back_without_hands,
        need_hands: incident.need_hands,
    })
}

/// The demo's folder.
struct Place {
    path: PathBuf,
    temporary: bool,
}

impl Place {
    fn make(args: &DemoArgs) -> Result<Place> {
        let (path, temporary) = match &args.dir {
            Some(dir) => {
                std::fs::create_dir(dir).with_context(|| format!("--dir {}: right is a new folder", dir.display()))?;
                (dir.canonicalize()?, false)
            }
            None => (tempfile::Builder::new().prefix("tidegate-demo-").tempdir()?.keep(), true),
        };
        Ok(Place { path, temporary })
    }
}
