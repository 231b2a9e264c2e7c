//! What a fleet that only is there costs: memory of the server, and a backup while it serves. `cargo bench -p tidegate-server --bench keeping`;
//! TIDEGATE_BENCH_DEVICES says how many devices (10,000; a million take some minutes to enrol).
//!
//! Each figure stands beside the limit that it is held against, measured in the same run. Prints and judges nothing: machines differ.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, dead_code)]

#[path = "../hot_paths/devices.rs"]
mod devices;
#[path = "../../tests/http/fleet.rs"]
mod fleet;
#[path = "../hot_paths/load.rs"]
mod load;
#[path = "../../tests/http/played.rs"]
mod played;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::devices::Crowd;
use crate::fleet::Fleet;

fn main() {
    let wanted = std::env::var("TIDEGATE_BENCH_DEVICES").ok().and_then(|text| text.parse().ok());
    let devices: usize = wanted.unwrap_or(10_000);
    let fleet = Fleet::found();
    let running = fleet.start();
    let before = resident();
    let begun = Instant::now();
    let crowd = Crowd::enrol(&fleet, &running, devices);
    println!("{devices} devices enrolled and heard of once, {:.1} s", begun.elapsed().as_secs_f64());
    let store = std::fs::metadata(fleet.data().join("tidegate.db")).unwrap().len();
    println!(
        "resident: {:.0} MiB before, {:.0} MiB after, the crowd's own keys and requests included; records: {:.0} MiB",
        mib(before),
        mib(resident()),
        mib(store)
    );
    let copy = seconds(|| copied(&fleet.data().join("tidegate.db"), &fleet.folder.path().join("copy")));
    let requests = crowd.check_ins();
    let requests = requests.get(..requests.len().min(10_000)).unwrap();
    let alone = load::load(&running.base, requests, Duration::from_secs(2));
    let (over, backup) = (AtomicBool::new(false), fleet.folder.path().join("backup"));
    let (took, beside) = std::thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let mut rates = Vec::new();
            while !over.load(Ordering::Relaxed) {
                rates.push(load::load(&running.base, requests, Duration::from_millis(500)));
            }
            rates.iter().copied().fold(f64::INFINITY, f64::min)
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let data = fleet.data();
        let copying = tidegate_server::backup(&data, &backup, None, &|_, _, _| {});
        let took = seconds(|| drop(runtime.block_on(copying).unwrap()));
        over.store(true, Ordering::Relaxed);
        (took, serving.join().unwrap())
    });
    println!("backup: {took:.2} s, {:.2} of a plain copy of the records made durable ({copy:.2} s)", took / copy);
    println!(
        "check-ins meanwhile: {:.2} of what they are alone, at the least ({beside:.0} of {alone:.0} /s)",
        beside / alone
    );
    running.stop();
}

fn copied(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
    std::fs::File::open(to).unwrap().sync_all().unwrap();
}

fn seconds(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64()
}

/// This process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1_024
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}
