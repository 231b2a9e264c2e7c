//! Storage that is full or read-only: refused, said, and recovered from. Needs root for a small file system of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench::{Bench, GOOD};

/// A tiny file system, unmounted when dropped.
struct Tiny(PathBuf);

impl Tiny {
    fn mount(at: &Path, size: &str) -> Option<Tiny> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={size},mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Tiny(at.to_owned())),
            other => {
                println!("skipped: cannot mount a small file system here ({other:?})");
                None
            }
        }
    }

    fn remount(&self, options: &str) {
        let how = format!("remount,{options}");
        let begun = std::time::Instant::now();
        // Not while a file is open for writing there: the device writes whenever it likes.
        while !Command::new("mount").args(["-o", &how]).arg(&self.0).output().unwrap().status.success() {
            assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{how}");
            std::thread::park_timeout(std::time::Duration::from_millis(10));
        }
    }
}

impl Drop for Tiny {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn bench(size: &str) -> Option<(Bench, Tiny)> {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let tiny = Tiny::mount(&data, size)?;
    Some((Bench::with_data(folder, data), tiny))
}

#[test]
fn a_full_disk_is_a_refusal_that_is_reported_and_recovered_from() {
    let Some((mut bench, tiny)) = bench("1m") else { return };
    let big = vec![7_u8; 3 << 20];
    let release = bench.offer_files("1.0.0", &[("data.bin", &big), ("start", GOOD)], 1);
    bench.start();
    let refused = bench.server.wait_for_report("refused");
    assert_eq!(serde_json::to_value(&refused.observation).unwrap()["reason"], "disk_full", "{}", refused.detail);
    assert_eq!(bench.pointer("current"), Some(bench.factory));
    tiny.remount("size=16m");
    bench.server.wait_for_report("proven");
    assert_eq!(bench.pointer("current"), Some(release.digest));
    bench.stop();
}

/// How storage fails.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Full,
    ReadOnly,
}

impl Fault {
    /// Lets the storage fail so from now on.
    fn begin(self, tiny: &Tiny) {
        match self {
            // Whatever is free is taken; no error is one: there was nothing free.
            Fault::Full => drop(std::fs::write(tiny.0.join("ballast"), vec![1_u8; 64 << 20])),
            Fault::ReadOnly => tiny.remount("ro"),
        }
    }

    fn end(self, tiny: &Tiny) {
        match self {
            Fault::Full => std::fs::remove_file(tiny.0.join("ballast")).unwrap(),
            Fault::ReadOnly => tiny.remount("rw"),
        }
    }
}

/// Storage that fails at each step of a release on its way, and for as long as it takes the device to notice. Whatever comes of the
/// release, the device is on one that works afterwards, and says so.
#[test]
fn storage_that_fails_at_any_step_leaves_the_device_on_a_working_release() {
    let policy = crate::fleet::POLICY.replace("prove = { for = \"1s\" }", "prove = { for = \"2s\" }");
    for fault in [Fault::Full, Fault::ReadOnly] {
        for step in ["staged", "activating", "proving", "proven"] {
            let Some((mut bench, tiny)) = bench("24m") else { return };
            let slow = b"sleep 1\necho '{\"ready\": true}' > \"$TIDEGATE_RUN/health.json\"\nexec sleep 600\n";
            let release = bench.offer_changed("1.0.0", &[("start", slow)], 1, &policy, crate::bench::probed);
            bench.server.with(|world| world.goes_wait = step == "staged");
            bench.start();
            bench.wait_until(step, |bench| bench.state() == step);
            fault.begin(&tiny);
            bench.server.with(|world| world.goes_wait = false);
            let heard = bench.server.with(|world| world.check_ins);
            bench.server.wait_for("check-ins on storage that fails", |w| (w.check_ins >= heard + 8).then_some(()));
            fault.end(&tiny);
            let settled = |b: &Bench| ["idle", "proven", "reverted"].contains(&b.state().as_str());
            bench.wait_until("the device is settled", |bench| settled(bench) && bench.is_said_to_be_well());
            bench.assert_defined();
            let current = bench.pointer("current");
            assert!([Some(release.digest), Some(bench.factory)].contains(&current), "{fault:?} at {step}: {current:?}");
            bench.stop();
        }
    }
}

#[test]
fn read_only_storage_is_a_refusal_that_is_reported_and_recovered_from() {
    let Some((mut bench, tiny)) = bench("8m") else { return };
    bench.start();
    bench.server.wait_for("check-ins", |world| (world.check_ins >= 2).then_some(()));
    bench.wait_until("the factory release runs", |b| b.package().join("run/health.json").exists());
    tiny.remount("ro");
    let release = bench.offer("1.0.0", GOOD, 1);
    let refused = bench.server.wait_for_report("refused");
    assert_eq!(serde_json::to_value(&refused.observation).unwrap()["reason"], "read_only", "{}", refused.detail);
    assert_eq!(bench.pointer("current"), Some(bench.factory));
    tiny.remount("rw");
    bench.server.wait_for_report("proven");
    assert_eq!(bench.pointer("current"), Some(release.digest));
    bench.stop();
}
