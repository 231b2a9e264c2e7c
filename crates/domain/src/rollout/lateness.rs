//! The order in which the members of a block were healthy again, for F4. It reads one block; it judges nothing.
//!
//! Time is cut into slots of two check-ins from the start of band 2 on, when the allowed downtime is over, so that a release that restarts its
//! device is not late by that. Within a slot the order is drawn: by the hash of each device under the order's digest, which nobody could aim at
//! when places were drawn.

use super::Rollout;
use super::block::Block;
use super::place::PlaceRef;
use crate::digest::Digest;
use crate::evidence::{LogrankProcess, Side, Unreported};

impl Rollout {
    /// What that order says of a block whose second band enters. Who failed in band 1 has said so and is waited for no more.
    pub(super) fn lateness_in(&self, block: &Block) -> LogrankProcess {
        let mut process = LogrankProcess::new();
        let (mut treated, mut control) = (self.back_in(&block.treated), self.back_in(&block.controls));
        let mut unreported =
            Unreported { treated: super::number(treated.len()), control: super::number(control.len()) };
        treated.retain(|(slot, _)| slot.is_some());
        control.retain(|(slot, _)| slot.is_some());
        let of_treated = treated.into_iter().map(|back| (back, Side::Treated));
        let mut reports: Vec<_> = of_treated.chain(control.into_iter().map(|back| (back, Side::Control))).collect();
        reports.sort_unstable_by_key(|(back, _)| *back);
        for (_, side) in reports {
            // Nobody reports who was not counted.
            let _ = process.enter(side, &mut unreported);
        }
        process
    }

    /// The members that are at risk, each with the slot in which it was healthy first, and its place among those of one slot.
    fn back_in(&self, members: &[PlaceRef]) -> Vec<(Option<u16>, Digest)> {
        let at_risk = members.iter().filter_map(|at| {
            let (seen, (_, place)) = (self.seen(*at)?, self.place(*at)?);
            let lot =
                Digest::of_parts([&self.identity.order.as_bytes()[..], b"lateness", place.device.as_str().as_bytes()]);
            (!seen.hard[0]).then(|| (seen.back_in.map(std::num::NonZeroU16::get), lot))
        });
        at_risk.collect()
    }
}
