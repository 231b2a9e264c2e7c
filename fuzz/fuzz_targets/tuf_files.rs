//! TUF metadata files: each has one written form, and none is believed that the role's keys did not sign.
#![no_main]

#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/trust/tests/tuf_threats/bench.rs"]
mod bench;

use std::sync::LazyLock;

use bench::{Bench, signed, signers};
use libfuzzer_sys::fuzz_target;
use tidegate_fuzz::{bounded, seed};
use tidegate_trust::tuf::repository::{PackageRole, RootRole, SnapshotRole, TargetsRole, TimestampRole};
use tidegate_trust::tuf::{Role, Unverified};

/// What the bench's keys signed: the canonical bytes.
static SIGNED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let bench = Bench::new();
    let of = |name: &str| bench.files[name].clone();
    vec![
        Unverified::<RootRole>::parse(&of("1.root.json")).unwrap().signed_bytes().to_vec(),
        Unverified::<TargetsRole>::parse(&of("1.targets.json")).unwrap().signed_bytes().to_vec(),
        Unverified::<PackageRole>::parse(&of("1.app.json")).unwrap().signed_bytes().to_vec(),
        Unverified::<SnapshotRole>::parse(&of("1.snapshot.json")).unwrap().signed_bytes().to_vec(),
        Unverified::<TimestampRole>::parse(&of("timestamp.json")).unwrap().signed_bytes().to_vec(),
    ]
});

fuzz_target!(
    init: Bench::new().files.iter().for_each(|(name, file)| seed(name, file)),
    |data: &[u8]| {
        check::<RootRole>(data);
        check::<TargetsRole>(data);
        check::<PackageRole>(data);
        check::<SnapshotRole>(data);
        check::<TimestampRole>(data);
    }
);

fn check<R: Role>(data: &[u8]) {
    let Ok(file) = bounded(data.len(), || Unverified::<R>::parse(data)) else { return };
    let again = Unverified::<R>::parse(&signed(file.role().clone(), &[])).expect("a role that is read can be written");
    assert_eq!(again.signed_bytes(), file.signed_bytes(), "one content, two forms");
    assert_eq!(again.role(), file.role());
    assert!(file.role().version() >= 1 && file.signed_bytes().len() <= R::BYTES_MAX);
    let canonical = file.signed_bytes().to_vec();
    let anybody = signers(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 20], 1);
    assert!(file.verify(&anybody).is_err() || SIGNED.contains(&canonical), "a file that nobody signed is believed");
}
