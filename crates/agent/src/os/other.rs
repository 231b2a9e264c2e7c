//! Systems without Unix signals: a command is run and waited for instead of becoming it, and a payload is killed to be stopped.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use tidegate_domain::release::PayloadSignal;

/// Ends this process at once, without any clean-up.
pub(crate) fn kill_self() {
    std::process::abort();
}

/// Runs the command and ends with its exit code. Returns only the error, where it cannot be run.
pub(crate) fn become_command(command: &mut Command) -> io::Error {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}

/// Not to be had on this system.
pub(crate) fn die_with_parent(_parent: u32) -> io::Result<()> {
    Ok(())
}

/// Not to be had on this system.
pub(crate) fn own_group(_command: &mut Command) {}

/// There is no polite way on this system: the owner's `kill` ends the process.
pub(crate) fn terminate(_pid: u32) {}

/// Left to the owner's handle.
pub(crate) fn kill(_pid: u32) {}

/// Not to be had on this system.
///
/// # Errors
/// Always.
pub(crate) fn tell(_pid: u32, _signal: PayloadSignal) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no signals: use another activation"))
}

/// Returns at once: the owner asks at each tick.
pub(crate) fn wait_until_ended(_pid: u32) {}

/// How a process ended, for people.
pub(crate) fn ending(status: ExitStatus) -> String {
    status.code().map_or_else(|| "ended".to_owned(), |code| format!("exit code {code}"))
}

/// Folders cannot be flushed on this system; the files in them are.
pub(crate) fn sync_dir(_dir: &Path) -> io::Result<()> {
    Ok(())
}

/// Files have no such mark on this system.
pub(crate) fn set_executable(_file: &File, _executable: bool) -> io::Result<()> {
    Ok(())
}

/// The folder's access rules decide on this system.
pub(crate) fn set_private(_file: &File) -> io::Result<()> {
    Ok(())
}

/// Links need a privilege on this system: none is made.
pub(crate) fn mirror_link(_link: &Path, _target: Option<&Path>) -> io::Result<()> {
    Ok(())
}

/// A socket at which other processes leave datagrams; not to be had on this system.
pub(crate) enum Datagrams {}

impl Datagrams {
    /// Not to be had on this system.
    ///
    /// # Errors
    /// Always.
    pub(crate) fn at(_path: &Path, _patience: Duration) -> io::Result<Datagrams> {
        Err(io::Error::other("this system has no sockets for it"))
    }

    /// There is none.
    pub(crate) fn next(&self, _bytes: &mut [u8]) -> io::Result<Option<usize>> {
        match *self {}
    }
}

/// Files have other owners here: nothing is done.
pub(crate) fn give_to(_path: &Path, _user: &str) -> io::Result<()> {
    Ok(())
}

/// Nobody manages services that way here.
pub(crate) fn tell_manager(_state: super::ServiceState) {}

/// Nobody waits for a sign of life.
pub(crate) fn managers_patience() -> Option<std::time::Duration> {
    None
}
