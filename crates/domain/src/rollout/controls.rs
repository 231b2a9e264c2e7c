//! Which devices a block is held against. It chooses; it changes nothing.
//!
//! A control may not be opened until its block has closed, and rows open strictly in their order. So controls come from the far end, and
//! from behind whatever the window may open in the open ring meanwhile, though never from less than the last quarter of what is shut: without control a
//! window that is late is better than one that is blind. Those that are held back to the end come last of all.

use super::block::Tick;
use super::scope::Scope;
use super::{Rollout, Row, number};
use crate::evidence::{block_size_max, control_count};
use crate::ids::DeviceId;

/// How many controls a block of so many treated takes from a pool of so many devices.
///
/// In a pool too small for the rule's least ratio the least ratio is taken as far as the pool goes: a block without control
/// says nothing, and a small fleet has nobody to save controls for.
pub(crate) fn controls_wanted(treated: u32, pool: u32) -> u32 {
    control_count(treated, pool).max(treated.div_ceil(4).min(pool))
}

impl Rollout {
    /// Fresh places of a stratum.
    pub(super) fn fresh_in(&self, stratum: usize) -> u32 {
        self.rows.iter().filter(|row| usize::from(row.stratum) == stratum).map(|row| row.fresh.all()).sum()
    }

    /// The controls of a block of so many treated: unexposed, never control before, well and heard of in the block's tick.
    pub(super) fn controls_for(
        &self,
        of: &Tick,
        treated: u32,
        well_in_tick: &dyn Fn(&DeviceId, u64) -> bool,
    ) -> Vec<DeviceId> {
        let reach = self.reach(usize::from(of.stratum));
        let rows = || self.rows.iter().rev().filter(|row| row.stratum == of.stratum);
        let shut = |row: &Row| number(row.places.len()).saturating_sub(row.held_back);
        let ring_end = |row: &Row| number(row.places.partition_point(|place| place.ring <= self.ring));
        let last_quarter = |row: &Row| (shut(row) - row.opened) / 4 * 3;
        let behind =
            |row: &Row| row.opened + reach.min(ring_end(row).saturating_sub(row.opened)).min(last_quarter(row));
        let pool = rows().map(|row| row.fresh.from(behind(row), &row.places)).sum();
        let wanted = controls_wanted(treated, pool) as usize;
        let later = rows().flat_map(|row| row.fresh.backwards(&row.places, behind(row), shut(row)));
        let never = rows().flat_map(|row| row.fresh.backwards(&row.places, shut(row), number(row.places.len())));
        let well = later.chain(never).filter(|place| well_in_tick(&place.device, of.tick));
        well.take(wanted).map(|place| place.device.clone()).collect()
    }

    /// How many places of a stratum the window may open while a block lasts: those that are free now, and those that are when everybody
    /// who is unproven now is proven. None are kept from serving while the open ring is still to be cleared: its evidence goes first.
    fn reach(&self, stratum: usize) -> u32 {
        if self.is_to_clear() {
            return 0;
        }
        let growth = self.policy.window.growth;
        let of = |scope: &Scope| {
            let (bound, unproven) = (scope.bound(&self.policy.window, false), scope.unproven());
            bound.saturating_sub(unproven).saturating_add(bound).saturating_add(growth.saturating_mul(unproven))
        };
        let scopes = self.scopes.of_stratum(stratum).iter().filter_map(|index| self.scopes.get(*index));
        scopes.map(of).min().unwrap_or(0)
    }

    /// Whether the open ring still lacks evidence that clears it.
    fn is_to_clear(&self) -> bool {
        let ln_needed = -self.policy.gate.beta.ln();
        self.gate.clearance(self.ring).is_some_and(|ln_e| ln_e.iter().any(|ln_e| *ln_e < ln_needed))
    }

    /// How many more places of a stratum may open so that each block still gets some control (F6 needs it), while the open ring is to be
    /// cleared; any number after that.
    pub(super) fn openable_with_control(&self, stratum: usize) -> u32 {
        if !self.is_to_clear() || self.phase != super::Phase::Running {
            return u32::MAX;
        }
        let stratum_scope = self.scopes.of_stratum(stratum).last().and_then(|index| self.scopes.get(*index));
        let untaken =
            stratum_scope.map_or(0, |scope| scope.main.opened.saturating_sub(scope.main.lapsed + scope.main.taken));
        let outstanding = untaken.saturating_add(self.blocks.gathering_in(stratum));
        match block_size_max(self.fresh_in(stratum).saturating_add(outstanding)) {
            u32::MAX => u32::MAX,
            widest => widest.saturating_sub(outstanding),
        }
    }
}
