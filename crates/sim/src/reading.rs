//! What a run reads off a rollout, whether the planner steps it alone or whole servers do.

use tidegate_domain::rollout::block::Horizons;
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::rollout::place::{PlaceRef, Stage};
use tidegate_domain::rollout::report::StepReport;
use tidegate_domain::rollout::{Phase, Rollout};
use tidegate_domain::time::Elapsed;

use crate::names::{number_of, wall};
use crate::spread::{Stand, Stepped};

/// What became of the facts of a step.
pub(crate) fn stepped(rollout: &Rollout, facts: &[Fact], report: &StepReport) -> Stepped {
    let blamed = report.suspects.iter().filter(|one| one.blamed).map(|one| one.scope.to_string());
    let mut stepped = Stepped {
        ln_evidence: Some(report.ln_evidence),
        ln_halt: Some(report.ln_halt),
        blamed: blamed.collect(),
        ..Stepped::default()
    };
    for fact in facts {
        concerned_by(rollout, fact, &mut stepped.concerned);
        match fact {
            Fact::Halted { reasons } => {
                stepped.halted = Some(reasons.iter().map(|reason| (reason.word(), reason.to_string())).collect());
            }
            Fact::Completed => stepped.completed = true,
            _ => {}
        }
    }
    stepped
}

/// Whether steps can still change anything; `all_joined` says whether nobody joins any more.
pub(crate) fn is_over(rollout: &Rollout, all_joined: bool) -> bool {
    match rollout.phase() {
        Phase::Running | Phase::Paused { .. } => false,
        Phase::Completed { .. } if rollout.policy().holdback.duration.is_some() && held_back(rollout) > 0 => false,
        Phase::Completed { .. } => all_joined && rollout.blocks().is_empty(),
        Phase::Halted { .. } => !rollout.needs_steps(),
    }
}

/// Devices that are never opened on purpose.
pub(crate) fn held_back(rollout: &Rollout) -> u32 {
    rollout.rows().iter().map(|row| row.held_back).sum()
}

/// The age bands.
pub(crate) fn horizons(rollout: &Rollout) -> Horizons {
    Horizons::new(rollout.identity().downtime, rollout.policy())
}

/// The devices whose standing a fact changed.
fn concerned_by(rollout: &Rollout, fact: &Fact, into: &mut Vec<u32>) {
    match fact {
        Fact::PermitIssued { step, .. } => {
            let permit = rollout.permits().iter().rev().find(|permit| permit.step == *step);
            for (row, from, to) in permit.iter().flat_map(|permit| &permit.ranges) {
                let row = rollout.rows().get(*row as usize);
                let places = row.and_then(|row| row.places.get(*from as usize..*to as usize));
                into.extend(places.into_iter().flatten().filter_map(|place| number_of(&place.device)));
            }
        }
        Fact::ReturnIssued { .. } => {
            for row in rollout.rows() {
                let reached = (0..row.returning).filter(|index| rollout.is_to_return(row, *index));
                let places = reached.filter_map(|index| row.places.get(index as usize));
                into.extend(places.filter_map(|place| number_of(&place.device)));
            }
        }
        Fact::BlockOpened { controls, .. } => into.extend(controls.iter().filter_map(number_of)),
        _ => {}
    }
}

/// How a place stands to whoever has it; `lasting_ms` is how long after the downtime its health is wanted.
pub(crate) fn stand(rollout: &Rollout, at: PlaceRef, stage: &Stage, lasting_ms: u64, now_ms: u64) -> Stand {
    match stage {
        Stage::Open { .. } => Stand::Open,
        Stage::Control { block, seen } => {
            let opened = rollout.blocks().get(*block).map(|block| block.opened_at_ms);
            let age = opened.map_or(Elapsed::ZERO, |opened| wall(now_ms).since(opened));
            Stand::Control { block: *block, age, seen: *seen }
        }
        Stage::Taken(taken) => {
            let to_return = rollout.rows().get(at.row as usize).is_some_and(|row| rollout.is_to_return(row, at.index));
            let young = wall(now_ms).since(taken.at_ms).as_ms() < lasting_ms + rollout.identity().downtime.as_ms();
            let wanted = young && taken.failed.is_none() && !taken.heard_out;
            Stand::Taken { seen: taken.seen, wanted, to_return }
        }
        Stage::Waiting | Stage::Lapsed => Stand::Shut,
    }
}
