//! What befalls devices: the fault, and misfortunes of their own; and what is lost for good.

use super::{RESTART_MS, Run, UNHORIZONED, mark};
use crate::life::Happening;
use crate::scenario::Harm;
use tidegate_domain::observation::{FailureReason, Observation};

impl Run<'_> {
    /// When the fault strikes next, if it still can.
    pub(super) fn strike_at(&self, device: u32) -> Option<u64> {
        let standing = self.standing(device);
        let again = !self.has(device, mark::STRUCK)
            || self.lives.is_some() && matches!(self.fate.harm(), Harm::Crash | Harm::BootLoop);
        if !standing.on_release || !again || !self.fate.is_hit(device) {
            return None;
        }
        let started = self.started_ms(device);
        let boots = self.boots_for_ms(device);
        Some(self.fate.onset_ms(device, started + boots))
    }

    pub(super) fn misfortune_at(&self, device: u32) -> Option<u64> {
        let within = self.horizons.map_or(UNHORIZONED, |horizons| horizons.second);
        let cell = self.cells.get(device as usize)?;
        if cell.marks & mark::UNLUCKY != 0 || !self.standing(device).on_release {
            return None;
        }
        let took = self.took_ms(device);
        self.fate.misfortune_ms(device, 0, took, within).map(|after| took + after)
    }

    pub(super) fn strike(&mut self, device: u32) {
        let now_ms = self.now_ms();
        if !self.has(device, mark::STRUCK) {
            self.outcome.harmed += 1;
            self.outcome.first_harm_ms.get_or_insert(now_ms);
            self.mark(device, mark::STRUCK, true);
        }
        let harm = self.fate.harm();
        if harm == Harm::Hidden {
            return;
        }
        self.is_updated(device, false);
        if harm == Harm::Destroys && self.lives.is_some() {
            self.fall_back(device, Happening::Destroyed);
        }
        if harm == Harm::Brick || self.fate.is_beyond_repair(device) {
            return self.is_lost(device);
        }
        match harm {
            _ if self.lives.is_none() => {
                if harm.is_reported_without_guard() {
                    let reason = FailureReason::Crashed;
                    self.says(device, Observation::Failed { reason, attempt: 1 });
                }
                self.is_lost_unless_mended(device);
            }
            Harm::Crash => self.fall_back(device, Happening::Crashed),
            Harm::BootLoop => {
                self.mark(device, mark::BOOTING, true);
                self.fall_back(device, Happening::Crashed);
            }
            Harm::Errors if self.standing(device).healthy => self.fall_back(device, Happening::Sick),
            Harm::CutOff if self.scenario.release.contact_deadline.is_none() || !self.standing(device).on_trial => {
                self.is_lost(device);
            }
            Harm::CutOff => self.mark(device, mark::IN_CONTACT, false),
            Harm::Errors | Harm::Brick | Harm::Destroys | Harm::Hidden => {}
        }
    }

    /// It fails for reasons of its own: a guarded device returns, another one reports it and goes on.
    pub(super) fn is_unlucky(&mut self, device: u32) {
        if self.lives.is_some() {
            return self.fall_back(device, Happening::Sick);
        }
        let reason = FailureReason::Crashed;
        self.says(device, Observation::Failed { reason, attempt: 1 });
    }

    pub(super) fn fall_back(&mut self, device: u32, happening: Happening) {
        // Devices hear of it at a check-in; it matters only once something goes wrong.
        if self.outcome.completed_at_ms.is_some_and(|at| self.population.contact_from(device, at + 1) < self.now_ms()) {
            self.happens(device, Happening::FleetProven);
        }
        self.is_updated(device, false);
        self.happens(device, happening);
        if let Some(cell) = self.cells.get_mut(device as usize) {
            cell.started = (self.slot + RESTART_MS / self.slot_ms) as u32;
        }
    }

    fn is_lost(&mut self, device: u32) {
        self.mark(device, mark::LOST, true);
        self.outcome.need_hands += 1;
    }

    fn is_lost_unless_mended(&mut self, device: u32) {
        self.mark(device, mark::LOST, true);
        self.outcome.need_hands += u32::from(self.fate.needs_hands());
    }
}
