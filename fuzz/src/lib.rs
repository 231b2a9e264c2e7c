//! What all fuzz targets share: seeds written at the start of a run, a bound on memory, and "read, written, read is the same".
//! Knows nothing of any one format.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The variable that names the folder into which a target writes its seeds before it starts.
pub const SEEDS_VARIABLE: &str = "TIDEGATE_FUZZ_SEEDS";

/// Writes a seed, where seeds are asked for.
pub fn seed(name: &str, bytes: impl AsRef<[u8]>) {
    let Some(folder) = std::env::var_os(SEEDS_VARIABLE) else { return };
    std::fs::write(Path::new(&folder).join(format!("seed-{name}")), bytes).unwrap();
}

/// Writes a value's JSON as a seed.
pub fn seed_json(name: &str, value: &impl Serialize) {
    seed(name, serde_json::to_vec(value).unwrap());
}

/// A file of the repository, by its path from the root.
pub fn repository_file(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

/// Every golden record, by its kind.
pub fn golden_records() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    const KINDS: [&str; 13] = [
        "key-list",
        "envelope",
        "policy",
        "order",
        "permit",
        "addendum",
        "go-request",
        "go",
        "halt",
        "fleet-proven",
        "enrolment-token",
        "enrolment",
        "report",
    ];
    KINDS.into_iter().map(|kind| (kind, golden(kind)))
}

/// One golden record.
pub fn golden(kind: &str) -> Vec<u8> {
    repository_file(&format!("crates/trust/tests/golden/{kind}.json"))
}

/// A new folder, in memory where the system has such.
pub fn folder() -> tempfile::TempDir {
    let shared = PathBuf::from("/dev/shm");
    let base = if shared.is_dir() { shared } else { std::env::temp_dir() };
    tempfile::tempdir_in(base).unwrap()
}

/// What was accepted is written to bytes that are accepted again and written the same: nothing is lost, added or read in two ways.
pub fn same_again<T: Serialize + DeserializeOwned>(value: &T) {
    let first = serde_json::to_vec(value).unwrap();
    let again: T = serde_json::from_slice(&first).expect("what is written is accepted");
    assert_eq!(first, serde_json::to_vec(&again).unwrap(), "written twice, read once between");
}

/// Reads JSON as `T` within the bound on memory, and holds it to [`same_again`].
pub fn read_json<T: Serialize + DeserializeOwned>(data: &[u8]) -> Option<T> {
    let value: T = bounded(data.len(), || serde_json::from_slice(data).ok())?;
    same_again(&value);
    Some(value)
}

/// Runs `work` and asserts that it held at most 1 MiB and 400 bytes for each byte of input at once.
pub fn bounded<T>(input_bytes: usize, work: impl FnOnce() -> T) -> T {
    let before = HELD.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let answer = work();
    let most = MOST.load(Ordering::Relaxed).saturating_sub(before);
    let bound = (1 << 20) + 400 * input_bytes;
    assert!(most <= bound, "{most} bytes held for {input_bytes} bytes of input, at most {bound} are right");
    answer
}

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counting.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is passed to the system's allocator as it came; the counters allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(held, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}
