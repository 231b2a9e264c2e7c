//! The device API's hot paths over real HTTP on loopback: `cargo bench -p tidegate-server`.
//!
//! One thread serves, one thread asks over kept-alive connections. Each rate stands beside the limit that it is held against, measured
//! in the same run. Prints ratios and judges nothing: machines differ.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code)]

mod devices;
#[path = "../../tests/http/fleet.rs"]
mod fleet;
mod load;
#[path = "../../tests/http/played.rs"]
mod played;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ed25519_dalek::Signer as _;
use tidegate_domain::time::Elapsed;
use tidegate_server::Server;

use crate::devices::{Crowd, WIDE_POLICY};
use crate::fleet::{Api, ENVELOPE, Fleet, Running, envelope, record, until};
use crate::load::{BareRoute, load, load_once};

const DEVICES: usize = 10_000;
const ROUND: Duration = Duration::from_secs(2);
const ROUNDS: usize = 3;

fn main() {
    let mut fleet = Fleet::found();
    widen(&fleet);
    let running = served(&fleet);
    let api = running.admin();
    let crowd = Crowd::enrol(&fleet, &running, DEVICES);
    println!("{DEVICES} devices enrolled");
    check_ins("check-in, idle", &running, &crowd);
    take_and_report(&mut fleet, &running, &api, &crowd);
    running.stop();
}

/// Replaces the envelope before the first start by one that lets the whole crowd take a release at once.
fn widen(fleet: &Fleet) {
    let text = format!(
        "{ENVELOPE}initial_all_max = {DEVICES}\ninitial_value_max = {DEVICES}\ninitial_stratum_max = {DEVICES}\n"
    );
    let record = record(&envelope(fleet.fleet, 1, &text), &[1, 2]);
    std::fs::write(fleet.folder.path().join("keys/fleet/envelope.json"), serde_json::to_vec(&record).unwrap()).unwrap();
}

/// A server on one thread, with the pace of a large fleet.
fn served(fleet: &Fleet) -> Running {
    let mut settings = fleet.settings();
    settings.idle_check_in = Elapsed::from_s(60);
    settings.step_every = Elapsed::from_s(1);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("served")
        .enable_all()
        .build()
        .unwrap();
    let server = runtime.block_on(Server::start(settings)).unwrap();
    let base = format!("http://{}", server.address);
    Running { runtime, server: Some(server), base }
}

/// The highest of several rounds, ours and a bare route's in turn, so that what else the machine does meets both.
fn check_ins(what: &str, running: &Running, crowd: &Crowd) -> f64 {
    let requests = crowd.check_ins();
    let bare = BareRoute::answering(&load::once(&running.base, &requests[0]));
    let (mut ours, mut theirs) = (0_f64, 0_f64);
    for _ in 0..ROUNDS {
        theirs = theirs.max(load(&bare.base, &requests, ROUND));
        ours = ours.max(load(&running.base, &requests, ROUND));
    }
    show(what, ours, "a bare route with the same bytes", theirs);
    ours
}

fn show(what: &str, ours: f64, limit: &str, theirs: f64) {
    println!("{what:<46} {ours:>9.0} /s  {:.3} of {limit} ({theirs:.0} /s)", ours / theirs);
}

fn take_and_report(fleet: &mut Fleet, running: &Running, api: &Api, crowd: &Crowd) {
    let policy = fleet.apply_policy(api, WIDE_POLICY);
    fleet.publish(api, "1.0.0", "good");
    let rollout = fleet.start_rollout(api, "1.0.0", &policy);
    let open = || api.get(&format!("/rollouts/{rollout}"))["permit_step"].as_u64().filter(|step| *step > 0);
    until("places are open", open);

    let offers = crowd.offers(&rollout);
    let bare = BareRoute::answering(&load::once(&running.base, &offers[0]));
    let theirs = load(&bare.base, &offers, ROUND);
    show("offer with roster proof", load(&running.base, &offers, ROUND), "a bare route with the same bytes", theirs);
    check_ins("check-in with an offer waiting", running, crowd);

    let (order, permit) = crowd.offered(&running.base, &rollout);
    let (signing, verifying) = signatures_per_s();
    let syncs = syncs_per_s(&fleet.data());
    let takes = load_once(&running.base, &crowd.go_requests(order, permit));
    let limit = 1.0 / (1.0 / signing + 1.0 / verifying);
    show("go: a take recorded, a go signed", takes, "one signature made and one verified", limit);
    println!("{:<46} {syncs:>9.0} /s: takes per sync {:.1}", "the disk's syncs, one after the other", takes / syncs);

    let single = crowd.reports(DEVICES, order, 1, 1);
    show("reports, one a request", load_once(&running.base, &single), "one signature verified", verifying);
    let batches = crowd.reports(800, order, 2, 64);
    let batched = load_once(&running.base, &batches[..400]) * 64.0;
    show("reports, 64 a request", batched, "one signature verified", verifying);
    while_reporting(running, crowd, &batches[400..]);
}

/// Check-ins beside a stream of reports that keeps the conduct loop busy.
fn while_reporting(running: &Running, crowd: &Crowd, batches: &[Vec<u8>]) {
    let requests = crowd.check_ins();
    let alone = load(&running.base, &requests, ROUND);
    let over = AtomicBool::new(false);
    let (beside, reports) = std::thread::scope(|scope| {
        let reporting = scope.spawn(|| {
            let (begun, mut sent) = (Instant::now(), 0);
            for batch in batches {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                load::once(&running.base, batch);
                sent += 64;
            }
            f64::from(sent) / begun.elapsed().as_secs_f64()
        });
        let beside = load(&running.base, &requests, ROUND);
        over.store(true, Ordering::Relaxed);
        (beside, reporting.join().unwrap())
    });
    show("check-in while reports are recorded", beside, "the same without reports", alone);
    println!("{:<46} {reports:>9.0} /s", "  reports recorded meanwhile");
}

fn signatures_per_s() -> (f64, f64) {
    let key = fleet::key(9);
    let public = fleet::public(&key);
    let message = [7_u8; 400];
    let rate = |work: &dyn Fn()| {
        let begun = Instant::now();
        (0..2_000).for_each(|_| work());
        2_000.0 / begun.elapsed().as_secs_f64()
    };
    let signature = tidegate_trust::keys::SignatureBytes::from_bytes(key.sign(&message).to_bytes());
    let signing = rate(&|| {
        std::hint::black_box(key.sign(&message));
    });
    (signing, rate(&|| assert!(public.verifies(&message, &signature))))
}

/// Writes of one page, each made durable, where the server writes.
fn syncs_per_s(folder: &std::path::Path) -> f64 {
    use std::io::Write as _;
    let mut file = std::fs::File::create(folder.join("syncs")).unwrap();
    let begun = Instant::now();
    for _ in 0..200 {
        file.write_all(&[0x5A; 4_096]).unwrap();
        file.sync_data().unwrap();
    }
    200.0 / begun.elapsed().as_secs_f64()
}
