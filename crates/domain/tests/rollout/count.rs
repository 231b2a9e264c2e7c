//! An independent count of a rollout: everything anew from its places, nothing from its tallies.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_domain::ids::{DeviceId, StratumName};
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::rollout::place::{PlaceState, Stage};
use tidegate_domain::rollout::scope::{ScopeName, Tally};
use tidegate_domain::rollout::{RingTally, Rollout, Row};

/// Whether the planner can be trusted: a lying one opens too much, and only the takes are bounded then.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planner {
    Honest,
    Lying,
}

/// What must be remembered between facts.
#[derive(Default)]
pub(crate) struct Watch {
    controls: BTreeMap<DeviceId, u32>,
    served: BTreeSet<DeviceId>,
}

/// The window of one scope, lab and rings after it apart.
#[derive(Default, Clone, Copy, PartialEq, Debug)]
struct Windows {
    lab: Tally,
    main: Tally,
}

impl Watch {
    /// Holds a rollout against its promises after a fact was applied.
    pub(crate) fn check(&mut self, rollout: &Rollout, fact: &Fact, planner: Planner) -> Result<(), String> {
        let anew = count(rollout);
        check_scopes(rollout, &anew, planner)?;
        check_rings(rollout, &anew)?;
        check_rows(rollout)?;
        check_opening(rollout, &anew, fact, planner)?;
        self.check_controls(rollout, fact)?;
        expect("controls", anew.controls, self.controls.len())?;
        expect("places left of the order", rollout.places_left(), anew.order_left)
    }

    fn check_controls(&mut self, rollout: &Rollout, fact: &Fact) -> Result<(), String> {
        if let Fact::BandEntered { block, band: 2, .. } = fact {
            self.controls.retain(|_, of| of != block);
        }
        if let Fact::BlockOpened { controls, .. } = fact {
            for device in controls {
                let stage = rollout.place_of(device).map(|(_, _, place)| &place.stage);
                let Some(Stage::Control { block, .. }) = stage else {
                    return Err(format!("{device} was named as control and is {stage:?}"));
                };
                self.controls.insert(device.clone(), *block);
                if !self.served.insert(device.clone()) {
                    return Err(format!("{device} serves as control twice"));
                }
            }
        }
        for (device, block) in &self.controls {
            let stage = rollout.place_of(device).map(|(_, _, place)| &place.stage);
            if !matches!(stage, Some(Stage::Control { block: of, .. }) if of == block) {
                return Err(format!("control {device} of the open block {block} is {stage:?}"));
            }
        }
        Ok(())
    }
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}, counted anew {expected:?}")) }
}

/// Everything that a rollout's tallies claim, counted from its places alone.
struct Anew {
    /// By stratum and ring.
    cells: BTreeMap<(u16, u8), (Tally, RingTally)>,
    controls: usize,
    order_left: u32,
}

/// Counts every place once; of a device that came back only its newest place.
fn count(rollout: &Rollout) -> Anew {
    let mut anew = Anew { cells: BTreeMap::new(), controls: 0, order_left: 0 };
    let mut newest: BTreeMap<&DeviceId, usize> = BTreeMap::new();
    for (index, row) in rollout.rows().iter().enumerate().filter(|(_, row)| row.addendum > 0) {
        newest.extend(row.places.iter().map(|place| (&place.device, index)));
    }
    for (row_index, row) in rollout.rows().iter().enumerate() {
        for (index, place) in row.places.iter().enumerate() {
            let held_back = index + row.held_back as usize >= row.places.len();
            anew.order_left += u32::from(row.addendum == 0 && !held_back && !place.is_settled());
            anew.controls += usize::from(matches!(place.stage, Stage::Control { .. }));
            if !held_back && newest.get(&place.device).is_none_or(|newest| *newest == row_index) {
                let (tally, ring) = anew.cells.entry((row.stratum, place.ring)).or_default();
                count_place(place, tally, ring);
            }
        }
    }
    anew
}

fn count_place(place: &PlaceState, tally: &mut Tally, ring: &mut RingTally) {
    let late = u32::from(!place.evidence);
    ring.places += 1;
    ring.late += late;
    let mut add = |opened, lapsed| {
        tally.opened += opened;
        tally.lapsed += lapsed;
        ring.opened += opened;
        ring.lapsed += lapsed;
    };
    match &place.stage {
        Stage::Waiting | Stage::Control { .. } => {}
        Stage::Open { .. } => add(1, 0),
        Stage::Lapsed => add(1, 1),
        Stage::Taken(taken) => {
            add(1, 0);
            let proven = u32::from(taken.proven);
            tally.taken += 1;
            tally.proven += proven;
            tally.proven_late += proven * late;
            tally.failed += u32::from(taken.failed.is_some() && !taken.proven);
            tally.overdue += u32::from(taken.overdue);
            ring.taken += 1;
            ring.proven += proven;
            ring.proven_late += proven * late;
            ring.failed += u32::from(taken.failed.is_some());
            ring.silent += u32::from(taken.overdue);
            let crashed = taken.seen.crashed_at().is_some();
            let troubled = taken.failed.is_some() || taken.overdue || crashed;
            ring.troubled += u32::from(troubled);
            tally.harmed += u32::from(taken.failed.is_some() || taken.overdue);
            tally.well += u32::from(taken.well);
            tally.healed += u32::from((taken.failed.is_some() || taken.overdue) && taken.well && !taken.needs_hands);
            tally.back += u32::from(taken.returned && !taken.needs_hands);
            tally.moved_on += u32::from(taken.moved_on && !taken.returned);
            tally.needs_hands += u32::from(taken.needs_hands);
        }
    }
}

impl Anew {
    fn windows(&self, rollout: &Rollout, scope: &ScopeName) -> Windows {
        let mut windows = Windows::default();
        for ((stratum, ring), (tally, _)) in &self.cells {
            if covers(scope, rollout.stratum(*stratum).unwrap(), rollout) {
                let lab = rollout.policy().rings[usize::from(*ring)].lab;
                let sum = if lab { &mut windows.lab } else { &mut windows.main };
                sum.opened += tally.opened;
                sum.lapsed += tally.lapsed;
                sum.taken += tally.taken;
                sum.proven += tally.proven;
                sum.proven_late += tally.proven_late;
                sum.failed += tally.failed;
                sum.overdue += tally.overdue;
                sum.harmed += tally.harmed;
                sum.well += tally.well;
                sum.healed += tally.healed;
                sum.back += tally.back;
                sum.moved_on += tally.moved_on;
                sum.needs_hands += tally.needs_hands;
            }
        }
        windows
    }
}

fn covers(scope: &ScopeName, stratum: &StratumName, rollout: &Rollout) -> bool {
    match scope {
        ScopeName::All => true,
        ScopeName::Stratum { stratum: of } => of == stratum,
        ScopeName::Value { attribute, value } => {
            let strata = &rollout.policy().strata;
            let position = strata.by.iter().position(|by| by == attribute).unwrap();
            strata.values_of(stratum).map_or("other", |values| values[position].as_str()) == value
        }
    }
}

fn is_lab(rollout: &Rollout, place: &PlaceState) -> bool {
    rollout.policy().rings[usize::from(place.ring)].lab
}

fn initial(rollout: &Rollout, scope: &ScopeName) -> u32 {
    let window = &rollout.policy().window;
    match scope {
        ScopeName::All => window.initial_all,
        ScopeName::Value { .. } => window.initial_value,
        ScopeName::Stratum { .. } => window.initial_stratum,
    }
}

/// P1 in every scope: in the lab by the lab's proofs, outside it by the others', and over both by both.
fn check_scopes(rollout: &Rollout, anew: &Anew, planner: Planner) -> Result<(), String> {
    let growth = rollout.policy().window.growth;
    for scope in rollout.scopes().iter() {
        let Windows { lab, main } = anew.windows(rollout, &scope.name);
        expect(&format!("{} in the lab", scope.name), scope.lab, lab)?;
        expect(&format!("{} after the lab", scope.name), scope.main, main)?;
        let initial = initial(rollout, &scope.name);
        let proofs = [lab.proven - lab.proven_late, main.proven - main.proven_late];
        let opened = [lab, main].map(|tally| tally.opened - tally.lapsed - tally.proven);
        let taken = [lab, main].map(|tally| tally.taken - tally.proven);
        for (which, unproven) in [("open", opened), ("taken", taken)] {
            if planner == Planner::Lying && which == "open" {
                continue;
            }
            let bounds = [
                ("lab", unproven[0], proofs[0]),
                ("after the lab", unproven[1], proofs[1]),
                ("both", unproven[0] + unproven[1], proofs[0] + proofs[1]),
            ];
            for (part, unproven, proofs) in bounds {
                if unproven > initial + growth * proofs {
                    return Err(format!(
                        "{} ({part}): {unproven} {which} and unproven, {initial} + {growth} x {proofs} allowed",
                        scope.name
                    ));
                }
            }
        }
    }
    Ok(())
}

/// Right after a permit or a take, all that is unproven (lab and rest together) keeps to the bound of what was opened.
fn check_opening(rollout: &Rollout, anew: &Anew, fact: &Fact, planner: Planner) -> Result<(), String> {
    let growth = rollout.policy().window.growth;
    let every = |row: &'_ Row| row.places.iter().map(|place| (row.stratum, place.clone())).collect::<Vec<_>>();
    let (places, only_taken): (Vec<(u16, PlaceState)>, bool) = match fact {
        Fact::PermitIssued { step, .. } if planner == Planner::Honest => {
            let opened = rollout.rows().iter().flat_map(every);
            (opened.filter(|(_, place)| place.stage == Stage::Open { step: *step }).collect(), false)
        }
        Fact::Took { device } => {
            (rollout.place_of(device).map(|(_, row, place)| (row.stratum, place.clone())).into_iter().collect(), true)
        }
        _ => return Ok(()),
    };
    for scope in rollout.scopes().iter() {
        let here = places.iter().filter(|(of, _)| covers(&scope.name, rollout.stratum(*of).unwrap(), rollout));
        let kinds: BTreeSet<bool> = here.map(|(_, place)| is_lab(rollout, place)).collect();
        let Windows { lab, main } = anew.windows(rollout, &scope.name);
        let of = |tally: &Tally| {
            if only_taken { tally.taken - tally.proven } else { tally.opened - tally.lapsed - tally.proven }
        };
        let bound = |tally: &Tally| initial(rollout, &scope.name) + growth * (tally.proven - tally.proven_late);
        let widest = kinds.iter().map(|is_lab| bound(if *is_lab { &lab } else { &main })).max();
        if widest.is_some_and(|widest| of(&lab) + of(&main) > widest) {
            return Err(format!("{}: opened to {} of {widest:?}", scope.name, of(&lab) + of(&main)));
        }
    }
    Ok(())
}

fn check_rings(rollout: &Rollout, anew: &Anew) -> Result<(), String> {
    for (index, (ring, tally)) in rollout.rings().enumerate() {
        let mut sum = RingTally::default();
        for (_, (_, cell)) in anew.cells.iter().filter(|((_, of), _)| usize::from(*of) == index) {
            sum.places += cell.places;
            sum.late += cell.late;
            sum.opened += cell.opened;
            sum.lapsed += cell.lapsed;
            sum.taken += cell.taken;
            sum.proven += cell.proven;
            sum.proven_late += cell.proven_late;
            sum.failed += cell.failed;
            sum.silent += cell.silent;
            sum.troubled += cell.troubled;
        }
        expect(&format!("ring {}", ring.name), *tally, sum)?;
        let of_all = rollout.scopes().all().unwrap().places[index];
        expect(&format!("places of ring {} in all devices", ring.name), of_all, sum.places)?;
    }
    Ok(())
}

/// What is held back stays shut; a row is open from its front, and only there.
fn check_rows(rollout: &Rollout) -> Result<(), String> {
    for row in rollout.rows() {
        for (index, place) in row.places.iter().enumerate() {
            let shut = matches!(place.stage, Stage::Waiting | Stage::Control { .. });
            let held_back = index + row.held_back as usize >= row.places.len();
            if held_back && !shut {
                return Err(format!("{} is held back and is {:?}", place.device, place.stage));
            }
            if shut == (index < row.opened as usize) {
                return Err(format!("row is open to {}, place {index} is {:?}", row.opened, place.stage));
            }
        }
    }
    Ok(())
}
