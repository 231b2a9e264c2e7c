//! The payload's process: started, watched, and ended with whoever holds it.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

/// A payload that has been up for this long did not crash at its start.
const SETTLED_AFTER: Duration = Duration::from_millis(300);

/// A running payload; dropping it ends the process.
#[derive(Debug)]
pub(crate) struct Payload {
    child: Child,
    started: Instant,
}

impl Payload {
    /// Starts the payload on the content folder.
    pub(crate) fn start(command: &[OsString], content: &Path) -> anyhow::Result<Self> {
        let (program, arguments) = command.split_first().context("the payload's command is empty")?;
        let child = Command::new(program)
            .args(arguments)
            .env("TIDEGATE_SLOT", content)
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.to_string_lossy()))?;
        Ok(Self { child, started: Instant::now() })
    }

    /// Whether the process has ended.
    pub(crate) fn has_ended(&mut self) -> anyhow::Result<bool> {
        let status = self.child.try_wait().context("cannot ask after the payload")?;
        Ok(status.is_some())
    }

    /// Whether the process has been up for longer than a crash at start takes.
    pub(crate) fn is_settled(&self) -> bool {
        self.started.elapsed() >= SETTLED_AFTER
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        // Both fail only when the process has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
