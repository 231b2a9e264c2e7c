//! Activations that are a command or a signal: `guard check` first, then what the slot's manifest says.

use std::process::Command;
use std::time::Duration;

use tidegate_domain::release::{Activation, Manifest};

use crate::layout::PackageDir;
use crate::{guard, leftover, os, probe};

/// The longest that an activation command may take where no manifest says how long.
const COMMAND_MAX: Duration = Duration::from_secs(60);

pub(super) fn check_and_run(check: &mut Command, dir: &PackageDir, pid: Option<u32>) -> Result<(), String> {
    if pid.is_none() {
        // The slot before may have been supervised by an agent that was killed.
        leftover::end(dir);
    }
    let status = check.status().map_err(|e| format!("cannot start the guard: {e}"))?;
    if !status.success() {
        return Err(format!("the guard let nothing start: {}", os::ending(status)));
    }
    let current = dir.pointers().current.ok_or_else(|| "nothing is current".to_owned())?;
    let manifest = dir.manifest(current);
    let (slot, run_dir) = (dir.slot(current), dir.run());
    dir.mirror(Some(current));
    // A little less than the downtime: a command that hangs is named as what it is, and not as a payload that is away for too long.
    let downtime = |m: &Manifest| Duration::from_millis(m.downtime.as_ms()).mul_f64(0.9);
    let timeout = manifest.as_ref().map_or(COMMAND_MAX, downtime);
    match (manifest.map(|manifest| manifest.activation), pid) {
        (Some(Activation::Restart { command } | Activation::Hook { command }), _) => {
            let words = guard::filled_in(&command, &slot, &run_dir);
            probe::run_command(&words, &slot, &run_dir, timeout)
        }
        (Some(Activation::Signal { signal }), Some(pid)) => os::tell(pid, signal).map_err(|e| format!("signal: {e}")),
        // The slot that was returned to is of another kind: the service that the release restarted is not its own.
        _ => Err("the slot names no command to start it with".to_owned()),
    }
}
