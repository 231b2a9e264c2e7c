//! What the open ring still lacks before it passes, and when a person is called for it. It reads; it decides nothing.

use super::fact::Escalation;
use super::gate::{Signal, WaitReason};
use super::{Phase, Rollout};
use crate::time::{Elapsed, WallTime};

impl Rollout {
    pub(super) fn wait_reasons(&self, now: WallTime) -> Vec<WaitReason> {
        let mut reasons = Vec::new();
        if let Phase::Paused { by, reason } = &self.phase {
            reasons.push(WaitReason::Paused { by: by.clone(), reason: reason.clone() });
        }
        self.add_ring_waits(now, &mut reasons);
        reasons.extend(self.approval_wanted(now));
        // Who joined since keeps nobody waiting but themselves.
        let more = (0..=self.ring).find(|ring| !self.is_approved(*ring, now));
        if !reasons.is_empty() || matches!(self.phase, Phase::Completed { .. }) {
            reasons.extend(more.and_then(|ring| self.approval_of(ring)));
        }
        // A ring that has come through after all needs nobody, however long it took.
        let blocks = |why: &Escalation| *why != Escalation::Stalled || !reasons.is_empty();
        if let Some(why) = self.escalation(now).filter(blocks) {
            reasons.insert(0, WaitReason::NeedsOperator { why });
        }
        reasons
    }

    /// The approval that the next ring lacks.
    fn approval_wanted(&self, now: WallTime) -> Option<WaitReason> {
        let next = self.ring.checked_add(1).filter(|next| self.given(*next, now).is_none());
        self.approval_of(next?)
    }

    fn approval_of(&self, ring: u8) -> Option<WaitReason> {
        let rule = self.policy.rings.get(usize::from(ring))?;
        Some(WaitReason::Approval { ring: rule.name.clone(), role: rule.approve? })
    }

    /// What the open ring still lacks.
    fn add_ring_waits(&self, now: WallTime, reasons: &mut Vec<WaitReason>) {
        let ring = usize::from(self.ring);
        let (Some(rule), Some(tally)) = (self.policy.rings.get(ring), self.rings.get(ring)) else { return };
        let (shut, shut_late) = self.shut_for_good(ring);
        let (places, late) = (tally.places.saturating_sub(shut), tally.late.saturating_sub(shut_late));
        let (places, proven) = (places.saturating_sub(late), tally.proven.saturating_sub(tally.proven_late));
        let needed = (rule.proven_share_min() * f64::from(places)).ceil() as u32;
        if proven < needed {
            reasons.push(WaitReason::Proofs { proven, needed });
        }
        if !rule.lab {
            self.add_stratum_waits(rule.proven_share_min(), reasons);
        }
        if tally.places > 0 {
            let open_for =
                self.ring_reached.get(ring).copied().flatten().map_or(Elapsed::ZERO, |since| now.since(since));
            let left_ms = rule.soak.as_ms().saturating_sub(open_for.as_ms());
            if left_ms > 0 {
                reasons.push(WaitReason::Soak { left_ms });
            }
            reasons.extend(self.clearance_waits());
        }
        let left = self.order_left.saturating_sub(self.of_order_shut_for_good());
        if ring + 1 == self.rings.len() && left > 0 {
            reasons.push(WaitReason::LastPlaces { left });
        }
    }

    /// In each stratum of the open ring, `proven_min_per_stratum` devices must be proven, or the ring's share of those that took it.
    fn add_stratum_waits(&self, share: f64, reasons: &mut Vec<WaitReason>) {
        let ring = usize::from(self.ring);
        for (index, stratum) in self.strata.iter().enumerate().filter(|(index, _)| !self.is_closed(*index)) {
            let of = |table: &[Vec<u32>]| table.get(index).and_then(|rings| rings.get(ring)).copied().unwrap_or(0);
            let (taken, proven) = (of(&self.strata_taken), of(&self.strata_proven));
            let fair_share = (share * f64::from(taken)).floor() as u32;
            let needed = self.policy.gate.proven_min_per_stratum.min(fair_share);
            if proven < needed {
                reasons.push(WaitReason::StratumProofs { stratum: stratum.clone(), proven, needed });
            }
        }
    }

    fn clearance_waits(&self) -> impl Iterator<Item = WaitReason> {
        let ln_needed = -self.policy.gate.beta.ln();
        let signals = self.gate.clearance(self.ring).into_iter().flatten().zip([Signal::Hard, Signal::Silent]);
        let short = signals.filter(move |(ln_e, _)| *ln_e < ln_needed);
        short.map(move |(ln_e, signal)| WaitReason::Clearance { signal, ln_e, ln_needed })
    }

    /// Whether the open ring has shown all that it can: each of its places was taken or has lapsed, and no block is open.
    fn is_heard_out(&self) -> bool {
        let tally = self.rings.get(usize::from(self.ring)).filter(|tally| tally.places > 0);
        let shut = || self.shut_for_good(usize::from(self.ring)).0;
        tally.is_some_and(|tally| {
            tally.opened.saturating_add(shut()) >= tally.places && tally.taken + tally.lapsed >= tally.opened
        }) && self.blocks.is_empty()
    }

    /// Whether a person is needed: a window full of silence, evidence that is complete and does not clear the ring, or nothing
    /// opened for two proof times.
    pub(super) fn escalation(&self, now: WallTime) -> Option<Escalation> {
        if self.phase != Phase::Running {
            return None;
        }
        let (window, lab) = (&self.policy.window, self.is_lab(self.ring));
        if self.open_scopes().any(|scope| matches!(scope.spent(window, lab), (0, overdue, true) if overdue > 0)) {
            return Some(Escalation::OnlySilent);
        }
        if self.is_heard_out() && self.clearance_waits().next().is_some() {
            return Some(Escalation::CannotClear);
        }
        if self.approval_wanted(now).is_some() {
            let mut lacking = Vec::new();
            self.add_ring_waits(now, &mut lacking);
            return lacking.is_empty().then_some(Escalation::ApprovalWanted).or_else(|| self.stalled(now));
        }
        self.stalled(now)
    }

    /// Nothing was opened for longer than opening needs.
    fn stalled(&self, now: WallTime) -> Option<Escalation> {
        let rings_soak = self.policy.rings.get(usize::from(self.ring)).map_or(Elapsed::ZERO, |ring| ring.soak);
        // Places that were opened last may be taken for as long as they stay open, and are heard of for as long as a block lasts.
        let to_take = self.policy.prove.duration.times(2).max(self.policy.pace.take_within);
        let patience = to_take.plus(self.horizons().second).plus(rings_soak);
        let idle_since = self.last_opened_at.unwrap_or(self.identity.started_at_ms);
        (now.since(idle_since) > patience).then_some(Escalation::Stalled)
    }
}
