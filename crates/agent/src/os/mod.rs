//! All that differs between operating systems, in one place: how a process ends, starts another in its stead, and is stopped, and
//! how a group of processes is known again. Where a system lacks something, the nearest thing that is safe is done and said here.

#[cfg(target_os = "linux")]
mod group;
#[cfg(not(target_os = "linux"))]
mod no_group;
#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod unix;

#[cfg(target_os = "linux")]
pub(crate) use group::*;
#[cfg(not(target_os = "linux"))]
pub(crate) use no_group::*;
#[cfg(not(unix))]
pub(crate) use other::*;
#[cfg(unix)]
pub(crate) use unix::*;

/// How this process is, as a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServiceState {
    Ready,
    Alive,
    Stopping,
}
