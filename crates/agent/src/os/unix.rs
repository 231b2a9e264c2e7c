//! Unix: real signals, exec, process groups. Dying with the parent is Linux; elsewhere on Unix a payload outlives a killed agent.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use sd_notify::NotifyState;
use tidegate_domain::release::PayloadSignal;

use super::ServiceState;

/// Ends this process as a power cut would.
pub(crate) fn kill_self() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
}

/// Becomes the command. Returns only the error, where that fails.
pub(crate) fn become_command(command: &mut Command) -> io::Error {
    command.exec()
}

/// Makes the kernel kill this process, and what it becomes, when its parent is gone. `parent` is who it should be.
#[cfg(target_os = "linux")]
pub(crate) fn die_with_parent(parent: u32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let now = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
    if i32::try_from(parent) == Ok(now) { Ok(()) } else { Err(io::Error::other("the agent is gone already")) }
}

/// Not to be had on this system: nothing is done, and a payload outlives an agent that is killed.
#[cfg(not(target_os = "linux"))]
pub(crate) fn die_with_parent(_parent: u32) -> io::Result<()> {
    Ok(())
}

/// Puts the command into a process group of its own, so that it can be stopped with all its children.
pub(crate) fn own_group(command: &mut Command) {
    command.process_group(0);
}

/// Asks the process group to end.
pub(crate) fn terminate(pid: u32) {
    signal_group(pid, Signal::TERM);
}

/// Ends the process group.
pub(crate) fn kill(pid: u32) {
    signal_group(pid, Signal::KILL);
}

/// Tells the payload to read its content again.
///
/// # Errors
/// When there is no such process.
pub(crate) fn tell(pid: u32, signal: PayloadSignal) -> io::Result<()> {
    let signal = match signal {
        PayloadSignal::Hup => Signal::HUP,
        PayloadSignal::Usr1 => Signal::USR1,
        PayloadSignal::Usr2 => Signal::USR2,
    };
    let pid = to_pid(pid).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    Ok(rustix::process::kill_process(pid, signal)?)
}

/// Waits until the process has ended, and leaves it to its owner to take note.
pub(crate) fn wait_until_ended(pid: u32) {
    let Some(pid) = to_pid(pid) else { return };
    while let Err(error) = rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
        if error != rustix::io::Errno::INTR {
            return;
        }
    }
}

/// How a process ended, for people.
pub(crate) fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Makes a folder's entries durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Sets a file's permissions: 0755 where it may be executed, else 0644.
pub(crate) fn set_executable(file: &File, executable: bool) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(if executable { 0o755 } else { 0o644 }))
}

/// Lets only the owner read a file.
pub(crate) fn set_private(file: &File) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(0o600))
}

/// Gives a file to a user of this system. Where there is no such user, or this process may not, the file stays whose it is.
pub(crate) fn give_to(path: &Path, user: &str) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let users = std::fs::read_to_string("/etc/passwd")?;
    let fields =
        users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields.first() == Some(&user));
    let id = |at: usize| fields.as_ref()?.get(at)?.parse().ok();
    match (id(2), id(3)) {
        (Some(owner), Some(group)) => std::os::unix::fs::chown(path, Some(owner), Some(group)),
        _ => Ok(()),
    }
}

/// Replaces a symbolic link; none removes it.
pub(crate) fn mirror_link(link: &Path, target: Option<&Path>) -> io::Result<()> {
    let held = std::fs::read_link(link).ok();
    let Some(target) = target else { return if held.is_some() { std::fs::remove_file(link) } else { Ok(()) } };
    if held.as_deref() == Some(target) {
        return Ok(());
    }
    let beside = link.with_extension("new");
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::os::unix::fs::symlink(target, &beside)?;
    std::fs::rename(&beside, link)
}

/// Tells whoever manages this service (systemd) how it is, where somebody does.
pub(crate) fn tell_manager(state: ServiceState) {
    let state = match state {
        ServiceState::Ready => NotifyState::Ready,
        ServiceState::Alive => NotifyState::Watchdog,
        ServiceState::Stopping => NotifyState::Stopping,
    };
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!("the service manager does not hear: {error}");
    }
}

/// How long the service manager waits for a sign of life, where it does.
pub(crate) fn managers_patience() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

fn signal_group(pid: u32, signal: Signal) {
    if let Some(pid) = to_pid(pid) {
        // Gone already is what was wanted.
        let _ = rustix::process::kill_process_group(pid, signal);
    }
}

fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// A socket in the file system at which other processes leave datagrams.
pub(crate) struct Datagrams(UnixDatagram);

impl Datagrams {
    /// A new socket at this path, in the place of one that an earlier process left.
    ///
    /// # Errors
    /// When it cannot be made, for example because the path is longer than the system takes (about 100 bytes).
    pub(crate) fn at(path: &Path, patience: Duration) -> io::Result<Datagrams> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = UnixDatagram::bind(path)?;
        socket.set_read_timeout(Some(patience))?;
        Ok(Datagrams(socket))
    }

    /// The next datagram's length; none where none came for a while.
    pub(crate) fn next(&self, bytes: &mut [u8]) -> io::Result<Option<usize>> {
        match self.0.recv(bytes) {
            Ok(length) => Ok(Some(length)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
