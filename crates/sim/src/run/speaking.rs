//! What devices say and whether it arrives: at once, late with the next check-in, twice, or never.

use super::{NEVER, Run, mark};
use crate::scenario::Harm;
use crate::spread::Stand;
use tidegate_domain::observation::{FailureReason, Observation};
use tidegate_domain::time::Elapsed;

impl Run<'_> {
    /// Whether a device could reach the server now.
    pub(super) fn can_speak(&self, device: u32) -> bool {
        let struck = self.has(device, mark::STRUCK) && self.standing(device).on_release;
        let cut = struck && self.fate.harm() == Harm::CutOff;
        let now_ms = self.now_ms();
        let mute = self.has(device, mark::LOST) || self.boots_until_ms(device).is_some_and(|at| now_ms < at);
        !cut && !mute && self.is_in_contact(device)
    }

    /// Whether what a device says now arrives; it is asked several times in a row.
    fn is_in_contact(&self, device: u32) -> bool {
        match self.contact.get() {
            (asked, slot, met) if asked == device && slot == self.slot => met,
            _ => {
                let met = self.population.is_in_contact(device, self.now_ms());
                self.contact.set((device, self.slot, met));
                met
            }
        }
    }

    pub(super) fn says(&mut self, device: u32, observation: Observation) {
        let age = self.age_of(device);
        self.says_of_age(device, observation, age);
    }

    fn says_of_age(&mut self, device: u32, observation: Observation, age: Elapsed) {
        let speaks = self.can_speak(device) && !self.fate.is_late(device, self.now_ms());
        if !(speaks && self.send_waiting(device) && self.arrives(device, &observation, age)) {
            self.outbox.entry(device).or_default().push((observation, age));
        }
    }

    /// How long ago a device took the release, by its own clock.
    fn age_of(&self, device: u32) -> Elapsed {
        let took = self.cells.get(device as usize).map_or(NEVER, |cell| cell.took);
        let age_ms = self.slot.saturating_sub(u64::from(took)) * self.slot_ms;
        self.fate.by_its_clock(device, Elapsed::from_ms(age_ms))
    }

    /// Sends what waits, in order. Whether nothing waits any more.
    pub(super) fn send_waiting(&mut self, device: u32) -> bool {
        let waiting = self.outbox.remove(&device).unwrap_or_default();
        let sent = waiting.iter().take_while(|(observation, age)| self.arrives(device, observation, *age)).count();
        let left = waiting.get(sent..).unwrap_or_default();
        if !left.is_empty() {
            self.outbox.insert(device, left.to_vec());
        }
        left.is_empty()
    }

    /// Whether it was acknowledged.
    fn arrives(&mut self, device: u32, observation: &Observation, age: Elapsed) -> bool {
        let now_ms = self.now_ms();
        let heard = self.spread.hear(device, observation, age, now_ms);
        heard && (!self.fate.arrives_twice(device, now_ms) || self.spread.hear(device, observation, age, now_ms))
    }

    /// At a check-in, where it is wanted and says something new: the same word twice in a band changes nothing.
    pub(super) fn say_health(&mut self, device: u32) {
        let now_ms = self.now_ms();
        let Stand::Taken { seen, wanted: true, .. } = self.spread.stand(device, now_ms) else { return };
        let (standing, Some(horizons)) = (self.standing(device), self.horizons) else { return };
        let Some(band) = horizons.band_of(self.age_of(device)) else { return };
        let new = !seen.healthy.get(band).copied().unwrap_or(true);
        if new && standing.healthy && self.has(device, mark::IN_CONTACT) && self.can_speak(device) {
            self.says(device, Observation::Healthy);
        }
    }

    pub(super) fn speaks_as_control(&mut self, device: u32) {
        let now_ms = self.now_ms();
        let stand = self.spread.stand(device, now_ms);
        if stand == Stand::Unanswered {
            return self.asks_again(device);
        }
        let Stand::Control { block, age, seen } = stand else { return };
        let Some(horizons) = self.horizons else { return };
        let opened_ms = now_ms.saturating_sub(age.as_ms());
        if self.can_speak(device) {
            self.send_waiting(device);
            let fails = self.fate.misfortune_ms(device, block, opened_ms, horizons.second);
            if fails.is_some_and(|after| after <= age.as_ms()) && !self.control_fails.contains_key(&device) {
                self.control_fails.insert(device, opened_ms);
                let reason = FailureReason::ProbeFailed;
                let at = Elapsed::from_ms(fails.unwrap_or_default());
                self.says_of_age(device, Observation::Failed { reason, attempt: 3 }, at);
            } else if horizons.band_of(age).is_some_and(|band| !seen.healthy.get(band).copied().unwrap_or(true)) {
                self.says_of_age(device, Observation::Healthy, age);
            }
        }
        let seen = match self.spread.stand(device, now_ms) {
            Stand::Control { seen, .. } => seen,
            Stand::Unanswered => return self.asks_again(device),
            Stand::Shut | Stand::Open | Stand::Taken { .. } => return,
        };
        let second_begins = opened_ms + horizons.first.as_ms() + 1;
        let from = if seen.healthy[0] { second_begins.max(now_ms + 1) } else { now_ms + 1 };
        let fails_at =
            self.fate.misfortune_ms(device, block, opened_ms, horizons.second).map(|after| opened_ms + after);
        let mut next = self.population.contact_from(device, from);
        if let Some(at) = fails_at.filter(|_| !self.control_fails.contains_key(&device)) {
            next = next.min(self.population.contact_from(device, at.max(now_ms + 1)));
        } else if seen.healthy[1] {
            return;
        }
        self.wake_at(device, next);
    }
}
