//! How a release is spread: what a run asks of a policy or a rival's rule, and nothing about devices.

use tidegate_domain::observation::Observation;
use tidegate_domain::rollout::block::Horizons;
use tidegate_domain::rollout::place::Seen;
use tidegate_domain::time::Elapsed;

/// What a device that asks to go is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// That it may; it has taken the release.
    Go,
    /// That it may not.
    No,
    /// Nothing: nobody answered.
    Nothing,
}

/// Where a device stands with the release, as whoever spreads it has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stand {
    /// Nobody answered; it asks again.
    Unanswered,
    /// It may not have it.
    Shut,
    /// It may ask for it.
    Open,
    /// It is held against others.
    Control {
        /// The block's number.
        block: u32,
        /// How long ago the block was opened.
        age: Elapsed,
        /// What was heard of it.
        seen: Seen,
    },
    /// It took it.
    Taken {
        /// What was heard of it.
        seen: Seen,
        /// Its health reports are wanted.
        wanted: bool,
        /// It is ordered back.
        to_return: bool,
    },
}

/// What is known of the world besides reports.
pub(crate) trait Presence {
    /// Whether a device checked in, and well, during the interval that begins there.
    fn is_well_during(&self, device: u32, from_ms: u64) -> bool;
    /// Whether a device was heard of during the last two intervals.
    fn is_present(&self, device: u32) -> bool;
    /// How many the fault has struck: what people would say on the telephone. A gate may not ask.
    fn harmed(&self) -> u32;
}

/// What became of a step.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Stepped {
    /// Devices whose standing changed: they hear of it at their next check-in.
    pub(crate) concerned: Vec<u32>,
    /// Why it was halted, in this step: the reason's stable word, and the reason.
    pub(crate) halted: Option<Vec<(&'static str, String)>>,
    /// Whom the evidence blames, where somebody weighs any.
    pub(crate) blamed: Vec<String>,
    /// A person was called.
    pub(crate) called: Option<String>,
    /// ln of the evidence against the release, where there is such a thing.
    pub(crate) ln_evidence: Option<f64>,
    /// What it must reach to halt.
    pub(crate) ln_halt: Option<f64>,
    /// The last ring has passed.
    pub(crate) completed: bool,
}

/// What is seen at the last look.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Settled {
    /// What must never happen and did.
    pub(crate) broken: Vec<String>,
    /// By server, where there are any: the entries that it recorded.
    pub(crate) recorded: Vec<u64>,
}

/// A policy or a rival's rule at work. Devices are numbers; time is milliseconds since the start.
pub(crate) trait Spread {
    /// Reads from memory what it keeps of devices that will be asked about next. Changes nothing.
    fn look_ahead(&self, _devices: &[u32]) {}
    /// Where a device stands.
    fn stand(&self, device: u32, now_ms: u64) -> Stand;
    /// A device asks to go.
    fn take(&mut self, device: u32, now_ms: u64) -> Told;
    /// A device says something; `age` is how long ago it took the release, by its own clock. Whether it was acknowledged: where it was
    /// not, the device says it again.
    fn hear(&mut self, device: u32, observation: &Observation, age: Elapsed, now_ms: u64) -> bool;
    /// Decides what happens next.
    fn step(&mut self, now_ms: u64, presence: &dyn Presence) -> Stepped;
    /// Whether steps can still change anything.
    fn is_over(&self) -> bool;
    /// The age bands, where there are any.
    fn horizons(&self) -> Option<Horizons>;
    /// Devices that are never opened on purpose.
    fn held_back(&self) -> u32;
    /// The last look, at the end of a run.
    fn settle(&mut self, _now_ms: u64) -> Settled {
        Settled::default()
    }
}
