//! Systems that do not tell when a process began: a group cannot be known again, so nothing is kept and nothing is ended.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A process group; there is none that could be known again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Group {}

/// Whether a group lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code)]
pub(crate) enum Lives {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// There is one of that number.
    PerhapsAnothers,
}

impl Group {
    pub(crate) fn leader(&self) -> u32 {
        match *self {}
    }
}

/// Not to be had on this system.
pub(crate) fn group_led_by(_pid: u32) -> Option<Group> {
    None
}

/// Of no use on this system.
pub(crate) fn leave_mark(_file: &Path) -> io::Result<()> {
    Ok(())
}

/// There is no group to ask about.
pub(crate) fn group_lives(group: &Group, _mark: &Path, _variable: &str) -> Lives {
    match *group {}
}

/// There is no group to ask about.
pub(crate) fn group_has_members(group: &Group) -> bool {
    match *group {}
}
