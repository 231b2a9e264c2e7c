//! How a payload is known to be well: what a manifest may ask to be looked at. Nothing here looks.

use serde::{Deserialize, Serialize};

use super::SlotPath;
use crate::ids::NumberName;
use crate::time::Elapsed;

/// One way to see that the payload is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Probe {
    /// A file that the payload rewrites; passes while it says `"ready": true` and is younger than `fresh`.
    HealthFile {
        /// Relative to the package's run folder on the device.
        path: SlotPath,
        /// The greatest age at which the file still counts.
        fresh: Elapsed,
    },
    /// A command; passes with exit code 0 within `timeout`.
    Exec {
        /// Program and arguments.
        command: Vec<String>,
        /// After this long it has failed.
        timeout: Elapsed,
    },
    /// An HTTP GET on loopback; passes with the expected status within `timeout`.
    Http {
        /// TCP port on 127.0.0.1.
        port: u16,
        /// Path, starting with `/`.
        path: String,
        /// The expected status code.
        status: u16,
        /// A text that the body must contain.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contains: Option<String>,
        /// After this long it has failed.
        timeout: Elapsed,
    },
    /// A TCP connection on loopback; passes when accepted within `timeout`.
    Tcp {
        /// TCP port on 127.0.0.1.
        port: u16,
        /// After this long it has failed.
        timeout: Elapsed,
    },
    /// The payload says over `$NOTIFY_SOCKET` how it is, as services do under systemd; passes once it said `READY=1`.
    Notify {
        /// From then on it also has to say `WATCHDOG=1` this often.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        watchdog: Option<Elapsed>,
    },
    /// A number that the payload says over the same socket; passes while the last one is no older than `fresh` and keeps its bounds.
    Number {
        /// Which one.
        name: NumberName,
        /// The least that is well.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_least: Option<i64>,
        /// The most that is well.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_most: Option<i64>,
        /// The greatest age at which it still counts.
        fresh: Elapsed,
    },
}

impl Probe {
    pub(super) fn problem(&self) -> Option<String> {
        match self {
            Probe::Notify { watchdog: Some(watchdog) } if watchdog.as_ms() == 0 => {
                Some("watchdog is 0: expected how often the payload speaks".to_owned())
            }
            Probe::Number { name, at_least: None, at_most: None, .. } => {
                Some(format!("number `{name}` has no bound: expected `at_least`, `at_most` or both"))
            }
            Probe::Number { name, at_least: Some(least), at_most: Some(most), .. } if least > most => {
                Some(format!("number `{name}` can never be well: at_least {least} is more than at_most {most}"))
            }
            Probe::HealthFile { .. }
            | Probe::Exec { .. }
            | Probe::Http { .. }
            | Probe::Tcp { .. }
            | Probe::Notify { .. }
            | Probe::Number { .. } => None,
        }
    }

    pub(super) fn command(&self) -> Option<&Vec<String>> {
        match self {
            Probe::Exec { command, .. } => Some(command),
            Probe::HealthFile { .. }
            | Probe::Http { .. }
            | Probe::Tcp { .. }
            | Probe::Notify { .. }
            | Probe::Number { .. } => None,
        }
    }
}
