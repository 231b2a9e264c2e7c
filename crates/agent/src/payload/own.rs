//! Payloads that the agent does not start: this agent itself, which runs as long as the process does and is started anew by ending;
//! and what is only observed, which something else runs.

use tidegate_domain::release::Probe;

use super::Payload;
use crate::own::Own;

impl Payload {
    /// What this process is to the package, where that is the agent itself.
    pub(crate) fn own(&self) -> Option<&Own> {
        self.setup.own.as_ref()
    }

    /// How the package is seen to be well, where the device only observes.
    pub(crate) fn observed(&self) -> Option<&Vec<Probe>> {
        self.setup.observed.as_ref()
    }

    /// Takes this very process for the payload that the guard started. Gives the attempt.
    pub(crate) fn be(&mut self) -> u32 {
        self.generation += 1;
        self.up = true;
        self.last_attempt = self.setup.dir.attempts().map_or(0, |attempts| attempts.count);
        self.last_attempt
    }

    /// Whether this agent has to end, so that the guard starts what is current now.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// Stops it in order for good: this agent ends.
    pub(crate) fn end(&mut self) {
        self.stop();
        if self.setup.own.is_some() {
            self.note_orderly_end();
        }
    }
}
