//! What one age band of one block comes to: who was at risk on either side, and to whom what happened. It counts; it judges nothing.

use super::place::Seen;
use crate::evidence::{BlockCounts, DeviceTime, LogrankProcess, Side};
use crate::time::Elapsed;

/// The outcomes of one band of one block, by signal. What cannot be held against anything is none.
pub(crate) struct BandCounts {
    /// Whether it is band 2.
    pub(super) second: bool,
    /// Hard failures.
    pub(super) hard: Option<BlockCounts>,
    /// Silence. Left out where nobody could be heard.
    pub(super) silent: Option<BlockCounts>,
    /// Of those that were heard of, those whose last numbers lie outside their bounds.
    pub(super) outside: Option<BlockCounts>,
    /// First crashes in the order of their ages, each with how many were at risk then.
    pub(super) crashes: Vec<(Side, DeviceTime)>,
    /// What the order says in which members were healthy again; none in band 1, and where it is not asked for.
    pub(super) late: Option<LogrankProcess>,
}

impl BandCounts {
    /// Band 2 counts those who were still at risk when it began: not failed, for silence not silent, and for crashes not crashed in band 1,
    /// which ends at the age `first`.
    pub(crate) fn of(treated: &[Seen], controls: &[Seen], second: bool, deaf: bool, first: Elapsed) -> BandCounts {
        let band = usize::from(second);
        let in_band = |cells: &[bool; 2]| cells.get(band).copied().unwrap_or(false);
        let failed = |s: &Seen| in_band(&s.hard) || in_band(&s.elsewhere);
        let hard = block_counts(treated, controls, |s| !second || !(s.hard[0] || s.elsewhere[0]), failed);
        let silent = block_counts(treated, controls, |s| !second || s.healthy[0], |s| !in_band(&s.healthy));
        let outside = block_counts(treated, controls, |s| in_band(&s.healthy), |s| in_band(&s.outside));
        let crashes = crashes(treated, controls, second, first);
        BandCounts { second, hard, silent: silent.filter(|_| !deaf), outside, crashes, late: None }
    }
}

/// Who of a group is at risk, and to whom of them it happened.
pub(super) fn block_counts(
    treated: &[Seen],
    controls: &[Seen],
    at_risk: impl Fn(&Seen) -> bool,
    event: impl Fn(&Seen) -> bool,
) -> Option<BlockCounts> {
    let count = |group: &[Seen]| {
        let members = group.iter().filter(|seen| at_risk(seen));
        members.fold((0, 0), |(all, hit), seen| (all + 1, hit + u32::from(event(seen))))
    };
    let ((nb, yb), (na, ya)) = (count(treated), count(controls));
    BlockCounts::new(nb, yb, na, ya).ok()
}

/// The first crashes of a band. All members are at risk for the same time, so that their number stands for it; who has crashed leaves.
fn crashes(treated: &[Seen], controls: &[Seen], second: bool, first: Elapsed) -> Vec<(Side, DeviceTime)> {
    let at_risk = |seen: &&Seen| !second || seen.crashed_at().is_none_or(|age| age > first);
    let count = |group: &[Seen]| group.iter().filter(at_risk).count() as u64;
    let (mut treated_ms, mut control_ms) = (count(treated), count(controls));
    let of = |group: &[Seen], side: Side| {
        let ages = group.iter().filter_map(Seen::crashed_at).filter(|age| (*age > first) == second);
        // Where two crash at one instant, control goes first: the treated's then counts for less.
        ages.map(|age| (age, side == Side::Treated, side)).collect::<Vec<_>>()
    };
    let mut events = of(treated, Side::Treated);
    events.extend(of(controls, Side::Control));
    events.sort_by_key(|(age, treated, _)| (*age, *treated));
    let enter = |(_, _, side): (Elapsed, bool, Side)| {
        let at_risk = DeviceTime { treated_ms, control_ms };
        match side {
            Side::Treated => treated_ms = treated_ms.saturating_sub(1),
            Side::Control => control_ms = control_ms.saturating_sub(1),
        }
        (side, at_risk)
    };
    events.into_iter().map(enter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crashed_at(ms: u64) -> Seen {
        let mut seen = Seen::default();
        seen.crashes_at(Elapsed::from_ms(ms));
        seen
    }

    #[test]
    fn a_device_counts_at_its_first_crash_and_is_not_at_risk_after_it() {
        let mut again = crashed_at(500);
        again.crashes_at(Elapsed::from_ms(700));
        let treated = [again, crashed_at(2_000), Seen::default()];
        let controls = [crashed_at(500), Seen::default()];
        let first = Elapsed::from_ms(1_000);
        let one = crashes(&treated, &controls, false, first);
        let at = |treated_ms, control_ms| DeviceTime { treated_ms, control_ms };
        assert_eq!(one, [(Side::Control, at(3, 2)), (Side::Treated, at(3, 1))]);
        assert_eq!(crashes(&treated, &controls, true, first), [(Side::Treated, at(2, 1))]);
    }
}
