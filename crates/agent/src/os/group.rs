//! Linux: a process group that is known again after its agent, and perhaps its leader, are gone.
//!
//! The kernel gives no process the number of a group that somebody is still in. So if the number's process is the leader that was
//! kept (same boot, same start), the group is the one that was kept. If the leader is gone, the number may have been given out anew
//! and its new leader be gone as well: then only a member that carries what the payload's children inherit shows whose group it is.

use std::fs::{self, File};
use std::io;
use std::os::fd::IntoRawFd as _;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use serde::{Deserialize, Serialize};

/// Scripts use low numbers of open files for themselves, shells those up to some tens.
const MARK_FD_MIN: i32 = 100;

/// A process group, by what never comes twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    /// The boot, as the kernel names it.
    pub(crate) boot: String,
    /// The leader's process id, which is the group's number.
    pub(crate) leader: u32,
    /// When the leader began, in the kernel's ticks since the boot.
    pub(crate) started: u64,
}

/// Whether a group lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lives {
    /// Shown by its leader, or by a member's mark.
    Yes,
    /// Nobody is in it, or its number is another's.
    No,
    /// There is a group of that number, and nothing shows whose.
    PerhapsAnothers,
}

/// What the kernel says of a process.
struct Process {
    pid: u32,
    group: u32,
    started: u64,
    /// It has ended, and its parent has not taken note yet.
    ended: bool,
}

impl Group {
    /// The leader's process id.
    pub(crate) fn leader(&self) -> u32 {
        self.leader
    }
}

/// The group that a process leads; none where it leads none.
pub(crate) fn group_led_by(pid: u32) -> Option<Group> {
    let leader = process(pid).filter(|process| process.group == pid)?;
    Some(Group { boot: boot()?, leader: pid, started: leader.started })
}

/// Opens a file, which is made where it is not there, such that whatever this process becomes and starts has it open.
pub(crate) fn leave_mark(file: &Path) -> io::Result<()> {
    let mark = match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            File::create(file)?;
            File::open(file)?
        }
        opened => opened?,
    };
    let inherited = fcntl_dupfd_cloexec(&mark, MARK_FD_MIN)?;
    fcntl_setfd(&inherited, FdFlags::empty())?;
    // Nobody closes it: it is open until the last process that inherits it ends.
    let _ = inherited.into_raw_fd();
    Ok(())
}

/// Whether the group lives. `mark` is the file of [`leave_mark`], `variable` a `NAME=value` that its processes inherit.
pub(crate) fn group_lives(group: &Group, mark: &Path, variable: &str) -> Lives {
    if boot().as_ref() != Some(&group.boot) {
        return Lives::No;
    }
    let leader = process(group.leader);
    if leader.as_ref().is_some_and(|leader| leader.started != group.started) {
        // The number was given out anew, so nobody was left in the group.
        return Lives::No;
    }
    let members = members(group.leader);
    let marked = |member: &Process| holds(member.pid, mark) || inherited(member.pid, variable);
    if members.is_empty() {
        Lives::No
    } else if leader.is_some() || members.iter().any(marked) {
        Lives::Yes
    } else {
        Lives::PerhapsAnothers
    }
}

/// Whether anybody is in the group of that number. Not by itself a sign that it is the one that was kept.
pub(crate) fn group_has_members(group: &Group) -> bool {
    !members(group.leader).is_empty()
}

fn members(number: u32) -> Vec<Process> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.file_name());
    let ids = names.filter_map(|name| name.to_str()?.parse().ok());
    ids.filter_map(process).filter(|process| process.group == number && !process.ended).collect()
}

fn process(pid: u32) -> Option<Process> {
    // The name in parentheses may hold anything, the last `)` ends it: state is the 1st field after it, group the 3rd, start the 20th.
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let ended = matches!(*fields.first()?, "Z" | "X" | "x");
    Some(Process { pid, group: fields.get(2)?.parse().ok()?, started: fields.get(19)?.parse().ok()?, ended })
}

fn boot() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(boot.trim_end().to_owned())
}

fn holds(pid: u32, mark: &Path) -> bool {
    let Ok(mark) = fs::metadata(mark) else { return false };
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    open.filter_map(|entry| fs::metadata(entry.path()).ok()).any(|at| (at.dev(), at.ino()) == (mark.dev(), mark.ino()))
}

fn inherited(pid: u32, variable: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|held| held == variable.as_bytes())
}
