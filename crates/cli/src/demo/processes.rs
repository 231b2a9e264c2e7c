//! The processes that the demo starts, and that end with it: on success, on error, and on Ctrl-C.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How long a process may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// Somebody pressed Ctrl-C.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; everything that the demo started was stopped")]
pub(super) struct Interrupted;

/// All that the demo started.
pub(super) struct Processes {
    program: PathBuf,
    children: Vec<Child>,
    interrupted: Arc<AtomicBool>,
}

impl Processes {
    /// Nothing yet. From here on Ctrl-C and SIGTERM end the demo in order.
    ///
    /// # Errors
    /// When the own program cannot be found or the signals cannot be watched.
    pub(super) fn new() -> Result<Processes> {
        let program = std::env::current_exe().context("cannot find the tidegate program itself")?;
        let interrupted = Arc::new(AtomicBool::new(false));
        let flag = interrupted.clone();
        ctrlc::set_handler(move || flag.store(true, Ordering::SeqCst)).context("cannot watch for Ctrl-C")?;
        Ok(Processes { program, children: Vec::new(), interrupted })
    }

    /// The tidegate program, which plays every role.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// Starts the tidegate program in a role. What it says goes to `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(&mut self, arguments: &[OsString], log: &Path) -> Result<()> {
        let log_file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(&self.program);
        // What a person has set for their own fleet is not meant for this one.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIDEGATE_")) {
            command.env_remove(name);
        }
        let child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log_file.try_clone()?)
            .stderr(log_file)
            .spawn()
            .with_context(|| format!("cannot start {} {:?}", self.program.display(), arguments.first()))?;
        self.children.push(child);
        Ok(())
    }

    /// Fails once somebody pressed Ctrl-C, so that every wait ends.
    ///
    /// # Errors
    /// After Ctrl-C or SIGTERM.
    pub(super) fn check_interrupted(&self) -> Result<()> {
        if self.interrupted.load(Ordering::SeqCst) {
            return Err(Interrupted.into());
        }
        Ok(())
    }

    /// Waits until somebody presses Ctrl-C.
    pub(super) fn wait_for_interrupt(&self) {
        while !self.interrupted.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Asks again and again until there is an answer.
    ///
    /// # Errors
    /// When asking fails, time is over, or somebody pressed Ctrl-C.
    pub(super) fn wait_for<T>(
        &self,
        what: &str,
        limit: Duration,
        mut ask: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            self.check_interrupted()?;
            if let Some(answer) = ask()? {
                return Ok(answer);
            }
            if start.elapsed() > limit {
                bail!("{what}: not within {} s", limit.as_secs());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.children {
            ask_to_end(child);
        }
        let start = Instant::now();
        for child in &mut self.children {
            while start.elapsed() < PATIENCE && matches!(child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(unix)]
fn ask_to_end(child: &mut Child) {
    let id = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let (Some(id), Ok(None)) = (id, child.try_wait()) {
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
    }
}

#[cfg(not(unix))]
fn ask_to_end(child: &mut Child) {
    let _ = child.kill();
}
