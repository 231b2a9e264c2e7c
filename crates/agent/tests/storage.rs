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
        assert!(Command::new("mount").args(["-o", &how]).arg(&self.0).status().unwrap().success());
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
