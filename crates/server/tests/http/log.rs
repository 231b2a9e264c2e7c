//! What a store holds, read apart from the server: the whole log, and the bound of P1 recomputed from it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tidegate_control::contract::{Entry, Request, Seq, Table};
use tidegate_control::decision::Decision;
use tidegate_domain::digest::Digest;
use tidegate_domain::observation::Observation;
use tidegate_domain::policy::Policy;
use tidegate_store::SqliteStore;
use tidegate_trust::records::{GoRequest, Report};
use tidegate_trust::signed::Unverified;

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Every entry of a data folder's store.
pub(crate) fn whole_log(data: &Path) -> Vec<Entry> {
    runtime().block_on(async {
        let store = SqliteStore::open_read_only(&data.join("tidegate.db")).await.unwrap();
        let mut log: Vec<Entry> = Vec::new();
        loop {
            let after = log.last().map_or(Seq::ZERO, |entry| entry.seq);
            let read = store.perform(Request::Read { after, limit: 10_000 }).await.unwrap().into_entries().unwrap();
            if read.is_empty() {
                return log;
            }
            log.extend(read);
        }
    })
}

/// What the log says, by a fold of its own that shares nothing with the server's.
#[derive(Default)]
pub(crate) struct Account {
    /// Enrolled devices: ring and system.
    pub(crate) devices: BTreeMap<String, (String, String)>,
    /// Devices and the numbers of their reports.
    pub(crate) reports: BTreeSet<(String, u64)>,
    /// Devices and the orders that they took.
    pub(crate) takes: BTreeSet<(String, Digest)>,
    /// How often the bound was checked.
    pub(crate) checked: u64,
    policies: BTreeMap<Digest, Policy>,
    orders: BTreeMap<Digest, Policy>,
    counts: BTreeMap<(Digest, String), Counts>,
}

#[derive(Default, Clone, Copy)]
struct Counts {
    lab_taken: u32,
    lab_proven: u32,
    taken: u32,
    proven: u32,
}

impl Account {
    /// Folds the log, and checks the window in every scope at every take.
    pub(crate) fn of(log: &[Entry]) -> Account {
        let mut account = Account::default();
        let mut proven = BTreeSet::new();
        for entry in log {
            match (entry.content.table, entry.content.kind.as_str()) {
                (Table::Decisions, _) => account.decided(serde_json::from_slice(&entry.content.body).unwrap()),
                (Table::Reports, "take") => {
                    let record: Unverified<GoRequest> = serde_json::from_slice(&entry.content.body).unwrap();
                    account.took(&record.danger_unchecked_body().unwrap());
                }
                (Table::Reports, _) => {
                    let record: Unverified<Report> = serde_json::from_slice(&entry.content.body).unwrap();
                    let report = record.danger_unchecked_body().unwrap();
                    account.reports.insert((report.device.to_string(), report.seq));
                    let of = (report.device.to_string(), report.order);
                    if let (Observation::Proven { .. }, Some(order)) = (&report.observation, report.order)
                        && proven.insert(of)
                    {
                        account.count(report.device.as_str(), order, |counts, lab| {
                            *(if lab { &mut counts.lab_proven } else { &mut counts.proven }) += 1;
                        });
                    }
                }
            }
        }
        account
    }

    fn decided(&mut self, decision: Decision) {
        match decision {
            Decision::Enrolled { enrolment, .. } => {
                let body = enrolment.danger_unchecked_body().unwrap();
                let os = body.attributes.get(&"os".parse().unwrap()).unwrap().to_string();
                self.devices.insert(body.device.to_string(), (body.ring.unwrap().to_string(), os));
            }
            Decision::Policy { record } => {
                let body = record.danger_unchecked_body().unwrap();
                self.policies.insert(body.policy_digest(), Policy::parse(&body.text).unwrap());
            }
            Decision::Started { order, .. } => {
                let policy = self.policies[&order.danger_unchecked_body().unwrap().policy].clone();
                self.orders.insert(order.digest(), policy);
            }
            _ => {}
        }
    }

    fn took(&mut self, request: &GoRequest) {
        let (device, order) = (request.device.to_string(), request.order);
        assert!(self.takes.insert((device.clone(), order)), "{device} took an order twice");
        self.count(&device, order, |counts, lab| {
            *(if lab { &mut counts.lab_taken } else { &mut counts.taken }) += 1;
        });
        let policy = &self.orders[&order];
        let (ring, os) = &self.devices[&device];
        for (scope, initial) in [("all", policy.window.initial_all), (os.as_str(), policy.window.initial_stratum)] {
            let Counts { lab_taken, lab_proven, taken, proven } = self.counts[&(order, scope.to_owned())];
            let counted = if ring == "lab" { lab_proven } else { proven };
            let unproven = (lab_taken - lab_proven) + (taken - proven);
            let bound = initial + policy.window.growth * counted;
            assert!(unproven <= bound, "P1: {unproven} unproven in {scope}, the window holds {bound}");
            self.checked += 1;
        }
    }

    fn count(&mut self, device: &str, order: Digest, change: impl Fn(&mut Counts, bool)) {
        let (ring, os) = self.devices[device].clone();
        for scope in ["all".to_owned(), os] {
            change(self.counts.entry((order, scope)).or_default(), ring == "lab");
        }
    }
}
