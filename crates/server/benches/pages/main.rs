//! What the console's pages cost with a large fleet: the time until a page is there, and its weight. `cargo bench --workspace --bench pages`;
//! TIDEGATE_BENCH_DEVICES says how many devices (20,000; a million take some minutes to write down), TIDEGATE_BENCH_ROLLOUTS how many rollouts.
//!
//! The records are written into the store beforehand, as a server would have written them but without signatures; the server, its state and
//! its HTTP are whole. Each page stands beside a page that asks nothing of the state. Prints and judges nothing: machines differ.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code)]

#[path = "../../tests/http/fleet.rs"]
mod fleet;
#[path = "../../tests/http/played.rs"]
mod played;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;
use tidegate_control::contract::{LeaseAnswer, NewEntry, Request, StoreEpoch, Table};
use tidegate_control::decision::{Decision, REPORT};
use tidegate_control::state::State;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::RolloutId;
use tidegate_domain::observation::Observation;
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::rollout::report::StepReport;
use tidegate_domain::roster::rosters;
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_server::clock::now;
use tidegate_store::{OpenOptions, SqliteStore};
use tidegate_trust::records::{Enrolment, Order, Report, RosterRoot};
use tidegate_trust::signed::Unverified;
use ureq::http::Method;

use crate::fleet::{Fleet, PACKAGE, Running, TOKEN_KEY, key, public, request};

const BATCH: usize = 5_000;
const SITES: usize = 400;
const SYSTEMS: [&str; 5] = ["win11", "win10", "linux", "macos", "other-os"];

fn policy(name: &str, select: &str) -> String {
    format!(
        "name = \"{name}\"\nselect = '{select}'\n[strata]\nby = [\"os\"]\nlisted = [[\"win11\"], [\"win10\"], [\"linux\"], [\"macos\"]]\n\
         [[rings]]\nname = \"lab\"\nlab = true\nsoak = \"1h\"\n[[rings]]\nname = \"canary\"\nshare = 0.01\nsoak = \"1h\"\n\
         [[rings]]\nname = \"broad\"\nsoak = \"1h\"\n"
    )
}

fn number(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn main() {
    let (devices, rollouts) = (number("TIDEGATE_BENCH_DEVICES", 20_000), number("TIDEGATE_BENCH_ROLLOUTS", 200));
    let mut fleet = Fleet::found();
    let running = fleet.start();
    let api = running.admin();
    let sites: Vec<Digest> = (0..20)
        .map(|n| fleet.apply_policy(&api, &policy(&format!("site-{n}"), &format!("site == \"s{n}\""))))
        .collect();
    let whole = fleet.apply_policy(&api, &policy("whole", "true"));
    fleet.publish(&api, "1.0.0", "1");
    let release = fleet.publish(&api, "2.0.0", "2");
    running.stop();

    let begun = Instant::now();
    let written = write(&fleet, devices, rollouts, &sites, &whole, &release);
    println!(
        "{devices} devices and {rollouts} rollouts written down as {written} records, {:.0} s",
        begun.elapsed().as_secs_f64()
    );
    let begun = Instant::now();
    let running = Running::start(tidegate_server::Settings { step_every: Elapsed::from_s(1), ..fleet.settings() });
    let api = api.at(&running.base);
    while api.call(Method::GET, "/status", b"").status != 200 {
        std::thread::sleep(Duration::from_millis(200));
    }
    println!("the server knows all of it after {:.0} s", begun.elapsed().as_secs_f64());
    let agent = fleet::http_agent();
    let begun = Instant::now();
    let cookie = loop {
        // A server that keeps its first snapshot of so many records does nothing else meanwhile.
        if let Some(cookie) = sign_in(&running.base, &api) {
            break cookie;
        }
    };
    println!("a browser is signed in after {:.1} s more", begun.elapsed().as_secs_f64());
    let get = |path: &str| {
        request(&agent, Method::GET, &format!("{}{path}", running.base), &[("cookie", &cookie)], b"").unwrap()
    };

    let (last, first) = (format!("{PACKAGE}.{rollouts}"), format!("{PACKAGE}.1"));
    let pages = [
        "/console/continuity".to_owned(),
        "/console/".to_owned(),
        "/console/rollouts".to_owned(),
        format!("/console/rollouts/{last}"),
        format!("/console/rollouts/{first}"),
        "/console/fleet".to_owned(),
        "/console/fleet?select=os+%3D%3D+%22linux%22".to_owned(),
        "/console/fleet?select=os+%3D%3D+%22none%22".to_owned(),
        "/console/fleet?select=dev-0012".to_owned(),
        "/console/devices/dev-00000042".to_owned(),
        "/console/releases".to_owned(),
        format!("/console/releases/{PACKAGE}/2.0.0"),
        "/console/policies".to_owned(),
        format!("/console/policies/{whole}"),
        "/console/policies/editor".to_owned(),
        "/console/incidents".to_owned(),
        format!("/console/incidents/inc-{first}"),
        format!("/console/incidents/inc-{first}/hands"),
        "/console/trust".to_owned(),
        "/console/log".to_owned(),
    ];
    let mut nothing_asked = 0.0;
    println!("{:50} {:>9} {:>9} {:>9} {:>9} {:>9}", "page", "median ms", "p95 ms", "most ms", "of least", "KiB");
    for path in pages {
        let mut took: Vec<f64> = Vec::new();
        let mut bytes = 0;
        for _ in 0..60 {
            let begun = Instant::now();
            let reply = get(&path);
            took.push(begun.elapsed().as_secs_f64() * 1e3);
            assert_eq!(reply.status, 200, "{path}");
            bytes = reply.body.len();
        }
        took.sort_by(f64::total_cmp);
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
        if nothing_asked == 0.0 {
            nothing_asked = at(0.5);
        }
        println!(
            "{path:50} {:9.2} {:9.2} {:9.2} {:9.1} {:9.1}",
            at(0.5),
            at(0.95),
            at(1.0),
            at(0.5) / nothing_asked,
            bytes as f64 / 1_024.0
        );
    }
    running.stop();
}

/// Signs a browser in by a link; none where that took too long.
fn sign_in(base: &str, api: &fleet::Api) -> Option<String> {
    let made = api.post("/console-codes", &json!({})).json();
    let body = format!("code={}", made["path"].as_str()?.split("code=").nth(1)?);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build();
    let path = format!("{base}/console/enter");
    let entered = request(&config.new_agent(), Method::POST, &path, &form, body.as_bytes()).ok()?;
    let cookie = entered.headers.get("set-cookie")?.to_str().ok()?;
    Some(cookie.split(';').next()?.to_owned())
}

/// Writes the fleet and its rollouts into the store; gives how many records there are.
fn write(fleet: &Fleet, devices: usize, rollouts: usize, sites: &[Digest], whole: &Digest, release: &Digest) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = OpenOptions { fresh_epoch: StoreEpoch::from_bytes([1; 16]), size_max_bytes: None };
        let store = SqliteStore::open(&fleet.data().join("tidegate.db"), options).await.unwrap();
        let mut book = Book::open(store).await;
        let token = fleet.token("lab", 100_000_000);
        let at = WallTime::from_ms(now().as_ms() - 3_600_000);
        let mut batch = Vec::new();
        for n in 0..devices {
            let id = format!("dev-{n:08}");
            let attributes = json!({
                "os": SYSTEMS[n % SYSTEMS.len()], "site": format!("s{}", n % SITES), "customer": format!("c{}", n % 50),
            });
            let body = json!({
                "fleet": fleet.fleet, "device": id, "public_key": public(&key(TOKEN_KEY)), "attributes": attributes,
                "ring": if n % 1_000 == 0 { Some("lab") } else { None }, "token": token.digest(), "enrolled_at_ms": at,
            });
            let enrolment = Unverified::draft(&serde_json::from_value::<Enrolment>(body).unwrap()).unwrap();
            let enrolled = Decision::Enrolled { token: token.clone(), enrolment, bearer: Digest::of(id.as_bytes()) };
            batch.push(enrolled.to_entry(at).unwrap());
            let report = Report {
                fleet: fleet.fleet,
                device: id.parse().unwrap(),
                seq: 1,
                package: PACKAGE.parse().unwrap(),
                order: None,
                observation: Observation::Healthy,
                detail: String::new(),
                numbers: BTreeMap::new(),
                age_ms: 0,
                current: Some(*release),
                fallback: Some(*release),
                at_ms: at,
                ext: Default::default(),
            };
            batch.push(NewEntry {
                table: Table::Reports,
                kind: REPORT.to_owned(),
                subject: id.clone(),
                unique_key: Some(format!("{REPORT}/{id}/1")),
                at,
                body: serde_json::to_vec(&Unverified::draft(&report).unwrap()).unwrap(),
            });
            if batch.len() >= BATCH {
                book.write(std::mem::take(&mut batch)).await;
            }
        }
        book.write(batch).await;
        for n in 1..=rollouts {
            let policy = if n == rollouts { whole } else { &sites[n % sites.len()] };
            book.rollout(fleet, n as u64, policy, release).await;
        }
        let last = book.state.last().as_u64();
        book.close().await;
        last
    })
}

/// The store, and what it says.
struct Book {
    store: SqliteStore,
    fence: tidegate_control::contract::Fence,
    state: State,
}

impl Book {
    async fn open(store: SqliteStore) -> Book {
        let ttl = Elapsed::from_s(300);
        // The lease of the server that has stopped ends by then.
        let at = now().after(Elapsed::from_s(120));
        let asked = store.perform(Request::Acquire { holder: "bench".to_owned(), now: at, ttl }).await.unwrap();
        let LeaseAnswer::Granted { fence, .. } = asked.into_lease().unwrap() else { panic!("the store is in use") };
        let mut book = Book { store, fence, state: State::default() };
        loop {
            let after = book.state.last();
            let read = book.store.perform(Request::Read { after, limit: 10_000 }).await.unwrap();
            let entries = read.into_entries().unwrap();
            if entries.is_empty() {
                return book;
            }
            entries.iter().for_each(|entry| book.state.apply(entry).unwrap());
        }
    }

    async fn write(&mut self, entries: Vec<NewEntry>) {
        if entries.is_empty() {
            return;
        }
        let renewed =
            Request::Renew { fence: self.fence, now: now().after(Elapsed::from_s(120)), ttl: Elapsed::from_s(300) };
        self.store.perform(renewed).await.unwrap();
        let expected = self.state.last();
        let appended = Request::Append { fence: self.fence, expected, entries: entries.clone() };
        self.store.perform(appended).await.unwrap();
        for (content, n) in entries.into_iter().zip(1..) {
            self.state.apply(&tidegate_control::contract::Entry { seq: expected.plus(n), content }).unwrap();
        }
    }

    /// A rollout that is complete; the first one halted, the last one under way.
    async fn rollout(&mut self, fleet: &Fleet, number: u64, policy: &Digest, release: &Digest) {
        let at = now();
        let applied = &self.state.policies()[policy].policy;
        let rank_seed = Digest::of(&number.to_be_bytes());
        let meant = |device: &tidegate_control::state::Device| applied.select.matches(&device.enrolment.attributes);
        let candidates = self.state.devices().iter().filter(|(_, device)| meant(device)).map(|(id, device)| {
            let (ring, attributes) = (device.enrolment.ring.clone(), device.enrolment.attributes.clone());
            tidegate_domain::roster::Candidate { device: id.clone(), ring, attributes }
        });
        let rosters = rosters(applied, &rank_seed, candidates.collect());
        let order = Order {
            fleet: fleet.fleet,
            rollout: RolloutId::of(&PACKAGE.parse().unwrap(), number),
            package: PACKAGE.parse().unwrap(),
            version: "2.0.0".parse().unwrap(),
            release: *release,
            policy: *policy,
            order_seq: number,
            rank_seed,
            rings: applied.rings.iter().map(|ring| ring.name.clone()).collect(),
            rosters: rosters
                .iter()
                .map(|(stratum, places)| RosterRoot {
                    stratum: stratum.clone(),
                    size: u32::try_from(places.len()).unwrap(),
                    root: Digest::of(b"not looked at"),
                })
                .collect(),
            issued_at_ms: at,
            expires_at_ms: at.after(Elapsed::from_s(86_400)),
            resumes: None,
            ext: Default::default(),
        };
        let (id, order) = (order.rollout.clone(), Unverified::draft(&order).unwrap());
        let started = Decision::Started { order, absent: Vec::new() };
        self.write(vec![started.to_entry(at).unwrap()]).await;
        let rollout = &self.state.rollouts()[&id].rollout;
        let facts = match number {
            1 => {
                let by = "bench".parse().unwrap();
                vec![Fact::Halted {
                    reasons: vec![tidegate_domain::rollout::reason::HaltReason::ByPerson {
                        by,
                        reason: "bench".to_owned(),
                    }],
                }]
            }
            _ if policy == &Digest::of(policy_text("whole").as_bytes()) => Vec::new(),
            _ => vec![Fact::Completed],
        };
        if facts.is_empty() {
            return;
        }
        let step = Decision::Step {
            rollout: id,
            facts,
            records: Vec::new(),
            report: Box::new(StepReport::of(rollout, at)),
            serving_since_ms: None,
        };
        self.write(vec![step.to_entry(at).unwrap()]).await;
    }

    async fn close(self) {
        self.store.perform(Request::Release { fence: self.fence }).await.unwrap();
        self.store.close().await;
    }
}

fn policy_text(name: &str) -> String {
    policy(name, "true")
}
