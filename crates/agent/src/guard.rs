//! The guard: runs before the payload at each start, counts the attempt, and returns the package when attempts run out.
//!
//! It needs no network and no agent, and becomes the payload when it is done. It never reads a release's content: what a bad one
//! could break is not parsed before the decision. On a real device it also runs from an early-boot unit of its own (`guard check`).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};
use tidegate_domain::device::guard::{GuardDecision, GuardFacts, decide};
use tidegate_domain::digest::Digest;
use tidegate_domain::release::{AGENT_PROGRAM, Activation, Manifest};

use crate::layout::{PackageDir, RUN_VARIABLE};
use crate::{drill, leftover, os, own, program as programs, said};

/// The exit code where nothing may be started.
pub const EXIT_NOTHING: u8 = 75;
/// The exit code where the payload's program cannot be run.
pub const EXIT_CANNOT_START: u8 = 76;

/// More rounds than there are slots to return to.
const ROUNDS_MAX: u32 = 4;

/// Runs before a payload: counts the start, returns to the fallback when attempts run out, then becomes the payload.
#[derive(Debug, Parser)]
#[command(name = "tidegate-guard", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Decide, then become the payload. It sees TIDEGATE_SLOT (the active slot's folder), TIDEGATE_RUN (the package's run folder)
    /// and TIDEGATE_ACTIVE (a link to the active slot that keeps its name); {slot}, {run} and {active} in its words are replaced.
    Run {
        /// The package's folder, for example /var/lib/tidegate/packages/sensor-content
        #[arg(long, value_name = "DIR")]
        package_dir: PathBuf,
        /// End, payload included, when the process with this id is no longer the parent (Linux).
        #[arg(long, value_name = "PID")]
        die_with_parent: Option<u32>,
        /// The payload's program and arguments, where the release names none of its own.
        #[arg(last = true)]
        words: Vec<String>,
    },
    /// Decide, then become the agent itself, where it is a package like any other. For whoever starts the agent and starts it again when
    /// it ends, such as a systemd unit with Restart=always.
    Agent {
        /// The package's folder below the agent's data folder, for example /var/lib/tidegate-agent/packages/tidegate-agent
        #[arg(long, value_name = "DIR")]
        package_dir: PathBuf,
        /// The program that runs as long as the device has no release of the agent.
        #[arg(long, value_name = "FILE")]
        packaged: PathBuf,
        /// The agent's own arguments.
        #[arg(last = true)]
        words: Vec<OsString>,
    },
    /// Decide and count the start, but leave starting to somebody else: for early boot and for services.
    Check {
        /// The package's folder.
        #[arg(long, value_name = "DIR")]
        package_dir: PathBuf,
    },
    /// Forget the attempts of what is current: after somebody repaired the device by hand.
    Reset {
        /// The package's folder.
        #[arg(long, value_name = "DIR")]
        package_dir: PathBuf,
    },
}

/// Runs the guard. `args` begins with the program's name. Becomes the payload where there is one to start.
///
/// Exit codes otherwise: 0 after `check` and `reset`, 2 for wrong arguments, [`EXIT_NOTHING`], [`EXIT_CANNOT_START`].
pub fn main_with_args(args: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Where stderr is gone there is nobody left to tell.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match cli.verb {
        Verb::Run { package_dir, die_with_parent, words } => run(&PackageDir::new(package_dir), die_with_parent, words),
        Verb::Agent { package_dir, packaged, words } => become_agent(&PackageDir::new(package_dir), packaged, &words),
        Verb::Check { package_dir } => match choose(&PackageDir::new(package_dir)) {
            Some(_) => ExitCode::SUCCESS,
            None => ExitCode::from(EXIT_NOTHING),
        },
        Verb::Reset { package_dir } => reset(&PackageDir::new(package_dir)),
    }
}

fn run(dir: &PackageDir, parent: Option<u32>, words: Vec<String>) -> ExitCode {
    if let Some(parent) = parent
        && let Err(error) = os::die_with_parent(parent)
    {
        eprintln!("tidegate-guard: {error}");
        return ExitCode::from(EXIT_CANNOT_START);
    }
    // Before the start is counted: a payload must not fail for what the one before it left.
    leftover::end(dir);
    let Some(release) = choose(dir) else {
        eprintln!("tidegate-guard: nothing may be started from {}", dir.dir().display());
        return ExitCode::from(EXIT_NOTHING);
    };
    let manifest = dir.manifest(release);
    let watchdog = manifest.as_ref().and_then(Manifest::watchdog);
    let words = match manifest.map(|manifest| manifest.activation) {
        Some(Activation::Supervise { command }) if !command.is_empty() => command,
        _ => words,
    };
    let slot = absolute(&dir.slot(release));
    let run_dir = absolute(&dir.run());
    dir.mirror(Some(release));
    let active = absolute(&dir.active());
    let mut words = filled_in(&words, &slot, &run_dir).into_iter();
    let Some(program) = words.next() else {
        eprintln!("tidegate-guard: no command: neither the release nor the device names one");
        return ExitCode::from(EXIT_CANNOT_START);
    };
    // The system would take it for a shell's script.
    if programs::is_for_another_machine(Path::new(&program)) {
        eprintln!("tidegate-guard: cannot run {program}: it was built for another machine");
        return ExitCode::from(EXIT_CANNOT_START);
    }
    let mut command = Command::new(&program);
    command.args(words).env("TIDEGATE_SLOT", &slot).env(RUN_VARIABLE, &run_dir).env("TIDEGATE_ACTIVE", &active);
    command.env_remove(drill::KILL_AT_VARIABLE).env_remove(drill::KILL_ONCE_VARIABLE);
    // Where the agent itself is a service, or a package, what it was told must not reach the payload.
    for variable in ["WATCHDOG_USEC", "WATCHDOG_PID", own::DIR_VARIABLE, own::RELEASE_VARIABLE] {
        command.env_remove(variable);
    }
    command.env(said::SOCKET_VARIABLE, said::socket(&run_dir));
    if let Some(watchdog) = watchdog {
        let micros = watchdog.as_ms().saturating_mul(1_000);
        command.env("WATCHDOG_USEC", micros.to_string()).env("WATCHDOG_PID", std::process::id().to_string());
    }
    leftover::remember(dir);
    drill::reached("guard-before-start");
    let error = os::become_command(&mut command);
    eprintln!("tidegate-guard: cannot run {program}: {error}");
    ExitCode::from(EXIT_CANNOT_START)
}

/// What the service manager gave to this process stays: the agent is the service.
fn become_agent(dir: &PackageDir, packaged: PathBuf, words: &[OsString]) -> ExitCode {
    let dir = PackageDir::new(absolute(dir.dir()));
    let release = choose(&dir);
    dir.mirror(release);
    let program = release.map_or(packaged, |release| dir.slot(release).join(AGENT_PROGRAM));
    let mut command = Command::new(&program);
    command.args(words).env(own::DIR_VARIABLE, dir.dir());
    match release {
        Some(release) => command.env(own::RELEASE_VARIABLE, release.to_string()),
        None => command.env_remove(own::RELEASE_VARIABLE),
    };
    drill::reached("guard-before-start");
    let error = os::become_command(&mut command);
    eprintln!("tidegate-guard: cannot run {}: {error}", program.display());
    ExitCode::from(EXIT_CANNOT_START)
}

/// Decides which slot is started and writes it down. Storage that cannot be written must not keep a proven slot down, nor let an
/// unproven one run uncounted: then what is behind it is started, and nothing is written.
fn choose(dir: &PackageDir) -> Option<Digest> {
    for _ in 0..ROUNDS_MAX {
        let facts = GuardFacts { pointers: dir.pointers(), attempts: dir.attempts() };
        let (slot, written) = match decide(&facts) {
            GuardDecision::Start { slot, attempts, .. } => {
                let proven = attempts.proven;
                match dir.write_attempts(&attempts, "guard-attempt-kept") {
                    Ok(()) => return Some(slot),
                    Err(error) => (if proven { Some(slot) } else { facts.pointers.behind() }, Err(error)),
                }
            }
            GuardDecision::ReturnTo { slot, attempts } => {
                eprintln!("tidegate-guard: attempts used up, returning to {}", slot.short());
                let pointed = dir.point_current(Some(slot), "guard-current-pointer");
                (Some(slot), pointed.and_then(|()| dir.write_attempts(&attempts, "guard-attempt-kept")))
            }
            GuardDecision::NothingToStart => return None,
        };
        if let Err(error) = written {
            eprintln!("tidegate-guard: {error}");
            return slot;
        }
    }
    None
}

fn reset(dir: &PackageDir) -> ExitCode {
    let Some(current) = dir.pointers().current else {
        eprintln!("tidegate-guard: nothing is current in {}", dir.dir().display());
        return ExitCode::from(EXIT_NOTHING);
    };
    match dir.change_attempts(current, "guard-attempt-kept", |attempts| attempts.count = 0) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidegate-guard: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Replaces `{slot}`, `{run}` and `{active}` (the link beside the run folder) in a command's words.
pub(crate) fn filled_in(words: &[String], slot: &Path, run_dir: &Path) -> Vec<String> {
    let active = run_dir.with_file_name("active");
    let places = [("{slot}", slot), ("{run}", run_dir), ("{active}", &active)];
    let fill = |word: &String| {
        places.iter().fold(word.clone(), |word, (name, path)| word.replace(name, &path.to_string_lossy()))
    };
    words.iter().map(fill).collect()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
