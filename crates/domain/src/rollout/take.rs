//! The go path's own look at the window: counts of takes and proofs, not the planner's word.

use serde::{Deserialize, Serialize};

use super::place::{PlaceRef, Stage};
use super::scope::ScopeName;
use super::{Phase, Rollout};
use crate::ids::DeviceId;
use crate::time::WallTime;

/// Why a device may not take the release now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum GoRefusal {
    /// The device has no place in the rosters.
    #[error("device {0} has no place in this rollout")]
    NoPlace(DeviceId),
    /// The rollout is not running.
    #[error("the rollout is {0}")]
    NotRunning(String),
    /// The place is not open, or has lapsed.
    #[error("the place of device {0} is not open")]
    NotOpen(DeviceId),
    /// The permit's time is over.
    #[error("the permit was to be taken by {take_by_ms} ms, it is {now_ms} ms")]
    TooLate {
        /// The permit's last instant.
        take_by_ms: u64,
        /// Now.
        now_ms: u64,
    },
    /// One more would leave the window, whatever the permit says.
    #[error("{scope}: {taken_unproven} devices are unproven already, the window holds {bound}")]
    WindowFull {
        /// The scope.
        scope: ScopeName,
        /// Took it and are not proven.
        taken_unproven: u32,
        /// How many may be.
        bound: u32,
    },
}

impl GoRefusal {
    /// The stable word for problem documents and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            GoRefusal::NoPlace(_) => "no_place",
            GoRefusal::NotRunning(_) => "rollout_not_running",
            GoRefusal::NotOpen(_) => "place_not_open",
            GoRefusal::TooLate { .. } => "permit_lapsed",
            GoRefusal::WindowFull { .. } => "window_full",
        }
    }
}

/// A device may take the release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// It takes it now: to be recorded before it is told.
    New,
    /// It took it before and lost the answer: to be told again, not counted again.
    Again,
}

impl Rollout {
    /// Whether this device may take the release now.
    ///
    /// # Errors
    /// Says why not. The window is counted anew here in every scope, so that a planner that lies opens nothing.
    pub fn may_take(&self, device: &DeviceId, now: WallTime) -> Result<Take, GoRefusal> {
        self.gives_goes()?;
        let (at, ..) = self.place_of(device).ok_or_else(|| GoRefusal::NoPlace(device.clone()))?;
        self.may_take_at(at, now)
    }

    /// The same for the device of a place.
    ///
    /// # Errors
    /// As [`Rollout::may_take`].
    pub fn may_take_at(&self, at: PlaceRef, now: WallTime) -> Result<Take, GoRefusal> {
        self.gives_goes()?;
        let Some((row, place)) = self.place(at) else {
            return Err(GoRefusal::NotRunning("without this place".to_owned()));
        };
        let device = &place.device;
        if place.ring > self.ring || self.is_closed(usize::from(row.stratum)) {
            return Err(GoRefusal::NotOpen(device.clone()));
        }
        let step = match &place.stage {
            Stage::Taken(taken) if taken.failed.is_none() => return Ok(Take::Again),
            Stage::Open { step } => *step,
            Stage::Taken(_) | Stage::Waiting | Stage::Control { .. } | Stage::Lapsed => {
                return Err(GoRefusal::NotOpen(device.clone()));
            }
        };
        let permit = self.permits.binary_search_by_key(&step, |permit| permit.step);
        let take_by = permit.ok().and_then(|at| self.permits.get(at)).map_or(WallTime::default(), |p| p.take_by_ms);
        if now > take_by || now > self.identity.expires_at_ms {
            return Err(GoRefusal::TooLate { take_by_ms: take_by.as_ms(), now_ms: now.as_ms() });
        }
        let lab = self.is_lab(place.ring);
        for index in self.scopes.of_stratum(usize::from(row.stratum)) {
            let Some(scope) = self.scopes.get(*index) else { continue };
            let (taken_unproven, bound) = (scope.taken_unproven(), scope.bound(&self.policy.window, lab));
            if taken_unproven >= bound {
                return Err(GoRefusal::WindowFull { scope: scope.name.clone(), taken_unproven, bound });
            }
        }
        Ok(Take::New)
    }

    fn gives_goes(&self) -> Result<(), GoRefusal> {
        if matches!(self.phase, Phase::Running | Phase::Completed { .. }) {
            return Ok(());
        }
        Err(GoRefusal::NotRunning(self.phase.word().to_owned()))
    }
}
