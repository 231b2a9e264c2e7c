//! What must hold of everything that simulated servers record, whatever befell them. It reads the log as a stranger would and counts
//! for itself.

use std::collections::BTreeSet;

use tidegate_control::contract::{Entry, Table};
use tidegate_control::decision::{Decision, GateRecord, REPORT, TAKE};
use tidegate_control::state::{Course, State};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::DeviceId;
use tidegate_domain::observation::Observation;
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::rollout::place::Stage;
use tidegate_trust::records::{GoRequest, Report};

use crate::record::body_of;

/// The most breaches that are told.
const BREACHES_MAX: usize = 10;

/// Reads a log from its beginning.
#[derive(Default)]
pub(super) struct Audit {
    /// The fold of what was read.
    pub(super) truth: State,
    takes: BTreeSet<DeviceId>,
    proven: BTreeSet<DeviceId>,
    permits: u32,
    last_permit: Option<Digest>,
    over: bool,
    breaches: Vec<String>,
}

impl Audit {
    /// Reads the next entry; the facts that it holds.
    pub(super) fn read(&mut self, entry: &Entry) -> Vec<Fact> {
        let content = &entry.content;
        if let Some(go) = Some(content).filter(|it| it.kind == TAKE).and_then(|it| body_of::<GoRequest>(&it.body)) {
            self.taken(&go.device);
        }
        if let Err(error) = self.truth.apply(entry) {
            self.breach(format!("entry {}: {error}", entry.seq));
        }
        let report = Some(content).filter(|it| it.kind == REPORT).and_then(|it| body_of::<Report>(&it.body));
        if let Some(report) = report
            && matches!(report.observation, Observation::Proven { .. })
            && self.takes.contains(&report.device)
        {
            self.proven.insert(report.device);
        }
        let decision = Some(content).filter(|it| it.table == Table::Decisions);
        let decision = decision.and_then(|it| serde_json::from_slice(&it.body).ok());
        let Some(Decision::Step { facts, records, .. }) = decision else { return Vec::new() };
        self.stepped(&facts, &records);
        facts
    }

    pub(super) fn breach(&mut self, what: String) {
        if self.breaches.len() < BREACHES_MAX {
            self.breaches.push(what);
        }
    }

    pub(super) fn breaches(&mut self) -> Vec<String> {
        std::mem::take(&mut self.breaches)
    }

    /// A device may go: it was recorded before.
    pub(super) fn gone(&mut self, device: &DeviceId) {
        if !self.takes.contains(device) {
            self.breach(format!("{device} was given a go that is not recorded"));
        }
    }

    /// The rollout, once it has started.
    pub(super) fn course(&self) -> Option<&Course> {
        self.truth.rollouts().values().next()
    }

    fn taken(&mut self, device: &DeviceId) {
        let stage = self.course().and_then(|course| course.rollout.place_of(device)).map(|(_, _, place)| &place.stage);
        if !matches!(stage, Some(Stage::Open { .. })) {
            self.breach(format!("{device} took the release from a place that is not open: {stage:?}"));
        }
        if self.over {
            self.breach(format!("{device} took the release after the halt"));
        }
        if !self.takes.insert(device.clone()) {
            self.breach(format!("{device} took the release twice"));
        }
    }

    fn stepped(&mut self, facts: &[Fact], records: &[GateRecord]) {
        let signed: Vec<&GateRecord> = records.iter().filter(|r| matches!(r, GateRecord::Permit(_))).collect();
        let issued = facts.iter().filter(|fact| matches!(fact, Fact::PermitIssued { .. })).count();
        if signed.len() != issued {
            self.breach(format!("{issued} permits were issued and {} signed", signed.len()));
        }
        for record in signed {
            let GateRecord::Permit(record) = record else { continue };
            let Ok(permit) = record.danger_unchecked_body() else { continue };
            self.permits += 1;
            if permit.step != self.permits || permit.previous != self.last_permit {
                self.breach(format!("permit {} does not follow permit {}", permit.step, self.permits - 1));
            }
            self.last_permit = Some(record.digest());
        }
        for fact in facts {
            if self.over && matches!(fact, Fact::PermitIssued { .. } | Fact::RingPassed { .. } | Fact::Halted { .. }) {
                self.breach(format!("after the halt: {fact:?}"));
            }
            self.over |= matches!(fact, Fact::Halted { .. });
        }
        if issued > 0 {
            self.hold_window();
        }
    }

    /// P1, counted anew: of the places that are open or taken, no more are unproven than the window of all devices allows.
    fn hold_window(&mut self) {
        let Some(course) = self.course() else { return };
        let rollout = &course.rollout;
        let rule = rollout.policy().window.clone();
        let lab_ring = rollout.policy().rings.first().is_some_and(|ring| ring.lab);
        let mut unproven = [0_u64; 2];
        let mut proven = [0_u64; 2];
        for place in rollout.rows().iter().flat_map(|row| &row.places) {
            let lab = usize::from(lab_ring && place.ring == 0);
            let exposed = matches!(place.stage, Stage::Open { .. } | Stage::Taken(_));
            let shown = self.proven.contains(&place.device);
            unproven[lab] += u64::from(exposed && !shown);
            proven[lab] += u64::from(exposed && shown);
        }
        for (unproven, proven) in unproven.into_iter().zip(proven) {
            let bound = u64::from(rule.initial_all) + u64::from(rule.growth) * proven;
            if unproven > bound {
                self.breach(format!("{unproven} places are unproven, {bound} may be"));
            }
        }
    }
}
