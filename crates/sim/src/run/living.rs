//! What a device that took the release does when it wakes, and when it wakes next.

use super::{FALLBACK_UP_MS, Run, mark};
use crate::life::Happening;
use crate::scenario::Harm;
use crate::spread::Stand;
use tidegate_domain::observation::Observation;

impl Run<'_> {
    /// What a device that took the release does when it wakes.
    pub(super) fn lives_on(&mut self, device: u32) {
        if self.has(device, mark::LOST) {
            return;
        }
        let now_ms = self.now_ms();
        self.count_time(device);
        if self.population.check_in_from(device, now_ms.saturating_sub(self.slot_ms - 1)) <= now_ms {
            let met = self.can_speak(device);
            self.mark(device, mark::IN_CONTACT, met);
            if met {
                self.send_waiting(device);
            }
        }
        // What took the device down is told before the payload is started again.
        if self.boots_until_ms(device) == Some(now_ms) && self.can_speak(device) {
            self.send_waiting(device);
        }
        let ordered = matches!(self.spread.stand(device, now_ms), Stand::Taken { to_return: true, .. });
        if ordered && self.standing(device).on_release && self.can_speak(device) {
            self.fall_back(device, Happening::ReturnOrdered);
        }
        let strike = self.strike_at(device);
        if strike.is_some_and(|at| at <= now_ms) {
            self.strike(device);
        } else if self.misfortune_at(device).is_some_and(|at| at <= now_ms) {
            self.mark(device, mark::UNLUCKY, true);
            self.is_unlucky(device);
        } else if self.health_at(device).is_some_and(|at| at <= now_ms) {
            self.comes_up(device);
        }
        self.say_health(device);
        self.go_on(device);
    }

    /// Plans the next wake of a device that took the release.
    pub(super) fn go_on(&mut self, device: u32) {
        if self.has(device, mark::LOST) {
            return;
        }
        let standing = self.standing(device);
        let now_ms = self.now_ms();
        let (unheard, heard) = match self.spread.stand(device, now_ms) {
            Stand::Taken { to_return: true, .. } => (standing.on_release, [false; 2]),
            Stand::Taken { seen, wanted: true, .. } => (seen.healthy != [true; 2], seen.healthy),
            Stand::Unanswered => (true, [false; 2]),
            _ => (false, [false; 2]),
        };
        let waiting = self.outbox.contains_key(&device);
        let strikes = [self.strike_at(device), self.misfortune_at(device), self.health_at(device)];
        let next = standing.undisturbed_for.filter(|_| self.has(device, mark::IN_CONTACT));
        let next = next.map(|left| now_ms + left.as_ms());
        let speaks = unheard || standing.on_trial || standing.settles_contact;
        let check_in = if speaks || waiting || self.has(device, mark::BOOTING) {
            let undisturbed = next.filter(|next| strikes.into_iter().flatten().all(|at| at > *next));
            let second_ends = self.took_ms(device) + self.horizons.map_or(0, |horizons| horizons.second.as_ms());
            let is_proof_in_time =
                |next: &u64| !standing.is_to_restart && !self.lateness_counts && *next <= second_ends;
            let is_heard = |next: &u64| heard[0] && !waiting && (heard[1] || is_proof_in_time(next));
            Some(self.next_check_in(device, undisturbed.filter(is_heard)))
        } else {
            None
        };
        let booted = self.boots_until_ms(device).filter(|at| *at > now_ms);
        let due = strikes.into_iter().chain([next, check_in, booted]);
        if let Some(at) = due.flatten().min() {
            self.wake_at(device, at);
        }
    }

    /// The next check-in that could matter. On the way to a proof or a planned restart that nothing disturbs, for a device that was heard
    /// of and has nothing to send, one that succeeds changes nothing: a proof is heard of in the band that is left, in time unless lateness
    /// counts.
    fn next_check_in(&self, device: u32, undisturbed: Option<u64>) -> u64 {
        let mut at = self.population.check_in_from(device, self.now_ms() + 1);
        let Some(until) = undisturbed else { return at };
        let mut last = at;
        while at < until && self.population.is_in_contact(device, at) {
            (last, at) = (at, self.population.check_in_from(device, at + 1));
        }
        // Time counts as in contact up to the last check-in that succeeds.
        if at < until { last } else { at }
    }

    fn count_time(&mut self, device: u32) {
        let Some(lives) = &self.lives else { return };
        let Some(cell) = self.cells.get_mut(device as usize) else { return };
        let tick_slots = (lives.tick().as_ms() / self.slot_ms).max(1);
        let count = (self.slot - u64::from(cell.counted)) / tick_slots;
        if count == 0 {
            return;
        }
        cell.counted += (count * tick_slots) as u32;
        let standing = lives.standing(cell.life);
        if standing.on_trial || standing.settles_contact {
            let in_contact = cell.marks & mark::IN_CONTACT != 0 && self.can_speak(device);
            let count = u16::try_from(count).unwrap_or(u16::MAX);
            self.happens(device, Happening::Ticks { count, in_contact });
        }
    }

    pub(super) fn took_ms(&self, device: u32) -> u64 {
        self.cells.get(device as usize).map_or(0, |cell| u64::from(cell.took)) * self.slot_ms
    }

    pub(super) fn started_ms(&self, device: u32) -> u64 {
        self.cells.get(device as usize).map_or(0, |cell| u64::from(cell.started)) * self.slot_ms
    }

    /// How long a device that restarts as a whole is away before its payload is started.
    pub(super) fn boots_for_ms(&self, device: u32) -> u64 {
        if self.has(device, mark::BOOTING) { self.scenario.fleet.boot.as_ms() } else { 0 }
    }

    /// When a device that restarts as a whole is there again.
    pub(super) fn boots_until_ms(&self, device: u32) -> Option<u64> {
        let boots = self.has(device, mark::BOOTING);
        boots.then(|| self.slot_of(self.started_ms(device) + self.scenario.fleet.boot.as_ms()) * self.slot_ms)
    }

    /// When what was started last comes up, unless something strikes it first.
    fn health_at(&self, device: u32) -> Option<u64> {
        let standing = self.standing(device);
        if !standing.waits_for_health {
            return None;
        }
        // A payload that works badly from the start never passes its probes.
        if standing.on_release && self.has(device, mark::STRUCK) && self.fate.harm() == Harm::Errors {
            return None;
        }
        let boots = self.boots_for_ms(device);
        let up = if standing.on_release { self.fate.up_ms(device) } else { FALLBACK_UP_MS };
        Some(self.started_ms(device) + boots + up)
    }

    fn comes_up(&mut self, device: u32) {
        self.mark(device, mark::BOOTING, false);
        self.happens(device, Happening::Healthy);
        if self.lives.is_none() && self.can_speak(device) {
            self.says(device, Observation::Healthy);
        }
        if self.standing(device).on_release {
            self.is_updated(device, true);
        } else if self.has(device, mark::STRUCK) {
            self.outcome.back += 1;
        }
    }

    pub(super) fn is_updated(&mut self, device: u32, updated: bool) {
        if self.has(device, mark::UPDATED) != updated {
            self.mark(device, mark::UPDATED, updated);
            self.updated = if updated { self.updated + 1 } else { self.updated.saturating_sub(1) };
        }
        if f64::from(self.updated) >= self.wanted && self.outcome.fleet_done_ms.is_none() {
            self.outcome.fleet_done_ms = Some(self.now_ms());
        }
    }
}
