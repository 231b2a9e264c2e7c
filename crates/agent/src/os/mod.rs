//! All that differs between operating systems, in one place: how a process ends, starts another in its stead, and is stopped.
//! Where a system lacks something (dying with the parent, signals), the nearest thing that is safe is done and said here.

#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(crate) use other::*;
#[cfg(unix)]
pub(crate) use unix::*;
