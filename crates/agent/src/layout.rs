//! Where everything lies in the device's data folder, and the small files of a package: pointers, attempts, machine.
//! Nothing here decides what may stand in them.

use std::fs::{self, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tidegate_domain::device::guard::Attempts;
use tidegate_domain::device::{Machine, Pointers};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::PackageName;
use tidegate_domain::observation::Observation;
use tidegate_domain::release::Manifest;

use crate::durable::{self, DiskError};
use crate::os;

/// The number that every file with a `format` carries. It rises only once an agent that reads it is fleet-proven.
pub(crate) const FORMAT: u32 = 1;
/// The variable that names the package's run folder to the payload.
pub(crate) const RUN_VARIABLE: &str = "TIDEGATE_RUN";

/// How long the data folder is waited for.
const HOLD: Duration = Duration::from_secs(1);

/// The data folder.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    dir: PathBuf,
}

/// The folder of one package.
#[derive(Debug, Clone)]
pub(crate) struct PackageDir {
    dir: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateFile {
    format: u32,
    machine: Machine,
    /// Reports that belong to the last change and may not be in the outbox yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unsent: Vec<Unsent>,
}

/// A report as it is kept together with the machine's change that it tells of: a kill between the two loses neither.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unsent {
    /// The order that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) order: Option<Digest>,
    /// What was seen.
    pub(crate) observation: Observation,
    /// A few words for people.
    pub(crate) detail: String,
    /// How long after the take.
    pub(crate) age_ms: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AttemptsFile {
    format: u32,
    attempts: Attempts,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PayloadFile {
    format: u32,
    payload: os::Group,
}

impl Home {
    pub(crate) fn new(dir: impl Into<PathBuf>) -> Home {
        Home { dir: dir.into() }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Holds the folder for this agent until the file is dropped: two would end each other's payloads. Storage that cannot be
    /// written, or that has no locks, keeps no agent down: then there is none to hold.
    ///
    /// # Errors
    /// When another agent holds it.
    pub(crate) fn hold(&self) -> Result<Option<fs::File>, DiskError> {
        let path = self.dir.join("agent.lock");
        let _ = fs::File::options().create(true).truncate(false).write(true).open(&path);
        // Held for reading only: storage with a file open for writing cannot be made read-only.
        let Ok(file) = fs::File::open(&path) else { return Ok(None) };
        let asked = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                // What an agent that was killed is just starting may hold it for an instant.
                Err(TryLockError::WouldBlock) if asked.elapsed() < HOLD => thread::sleep(HOLD / 20),
                Err(TryLockError::WouldBlock) => {
                    let other = io::Error::other("another agent runs on this data folder");
                    return Err(DiskError::new("hold", &path, other));
                }
                Err(TryLockError::Error(_)) => return Ok(None),
            }
        }
    }

    /// Whether an agent holds the folder now.
    pub(crate) fn is_held(&self) -> bool {
        let file = fs::File::open(self.dir.join("agent.lock"));
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    pub(crate) fn device_key(&self) -> PathBuf {
        self.dir.join("device.key")
    }

    pub(crate) fn enrolment(&self) -> PathBuf {
        self.dir.join("enrolment.json")
    }

    pub(crate) fn token(&self) -> PathBuf {
        self.dir.join("token")
    }

    pub(crate) fn trust(&self) -> PathBuf {
        self.dir.join("trust")
    }

    pub(crate) fn seen(&self) -> PathBuf {
        self.dir.join("seen.json")
    }

    pub(crate) fn outbox(&self) -> PathBuf {
        self.dir.join("outbox")
    }

    pub(crate) fn package(&self, package: &PackageName) -> PackageDir {
        PackageDir { dir: self.dir.join("packages").join(package.as_str()) }
    }
}

impl PackageDir {
    pub(crate) fn new(dir: impl Into<PathBuf>) -> PackageDir {
        PackageDir { dir: dir.into() }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn slot(&self, release: Digest) -> PathBuf {
        self.slots().join(release.hex())
    }

    pub(crate) fn part(&self, release: Digest) -> PathBuf {
        self.slots().join(format!("{}.part", release.hex()))
    }

    fn manifest_path(&self, release: Digest) -> PathBuf {
        self.slots().join(format!("{}.manifest.json", release.hex()))
    }

    fn slots(&self) -> PathBuf {
        self.dir.join("slots")
    }

    pub(crate) fn run(&self) -> PathBuf {
        self.dir.join("run")
    }

    pub(crate) fn make(&self) -> Result<(), DiskError> {
        durable::make_dir(&self.slots())?;
        durable::make_dir(&self.run())
    }

    /// Keeps a release's manifest beside its slot.
    pub(crate) fn keep_manifest(&self, release: Digest, bytes: &[u8]) -> Result<(), DiskError> {
        durable::write(&self.manifest_path(release), bytes, "manifest-kept")
    }

    /// The manifest of a release, if it is there and is the one that the release is named by.
    pub(crate) fn manifest(&self, release: Digest) -> Option<Manifest> {
        let bytes = durable::read(&self.manifest_path(release)).ok().flatten()?;
        if Digest::of(&bytes) != release {
            return None;
        }
        Manifest::parse(&bytes).ok()
    }

    /// The pointers. One that is not there, cannot be read or is garbled is none: the guard then starts what is behind it.
    pub(crate) fn pointers(&self) -> Pointers {
        let read = |name: &str| {
            let bytes = durable::read(&self.dir.join(name)).ok().flatten()?;
            std::str::from_utf8(&bytes).ok()?.trim_end().parse().ok()
        };
        Pointers { current: read("current"), fallback: read("fallback"), kept: read("kept") }
    }

    /// Moves `current`, and the link `active` after it.
    pub(crate) fn point_current(&self, to: Option<Digest>, point: &str) -> Result<(), DiskError> {
        self.point("current", to, point)?;
        self.mirror(to);
        Ok(())
    }

    /// A path that does not change when the slot does, for payloads that read their content again on a signal. The pointer file is
    /// the truth; where a system has no links, there is none.
    pub(crate) fn active(&self) -> PathBuf {
        self.dir.join("active")
    }

    /// Lets `active` point at a slot.
    pub(crate) fn mirror(&self, to: Option<Digest>) {
        let target = to.map(|release| Path::new("slots").join(release.hex()));
        if let Err(error) = os::mirror_link(&self.active(), target.as_deref()) {
            eprintln!("tidegate: cannot move the link {}: {error}", self.active().display());
        }
    }

    /// Writes fallback and kept slot, the kept one first: a kill between leaves both at the old fallback.
    pub(crate) fn advance(&self, release: Digest) -> Result<(), DiskError> {
        let pointers = self.pointers();
        let advanced = pointers.advanced(release);
        if advanced == pointers {
            return Ok(());
        }
        if advanced.kept != pointers.kept {
            self.point("kept", advanced.kept, "kept-pointer")?;
        }
        self.point("fallback", advanced.fallback, "fallback-pointer")
    }

    fn point(&self, name: &str, to: Option<Digest>, point: &str) -> Result<(), DiskError> {
        let path = self.dir.join(name);
        match to {
            Some(digest) => durable::write(&path, format!("{digest}\n").as_bytes(), point),
            None => durable::remove(&path),
        }
    }

    /// The attempts; none where there are none or they cannot be read: the slot then counts as never started, unproven unless it is
    /// fallback or kept.
    pub(crate) fn attempts(&self) -> Option<Attempts> {
        let file: Option<AttemptsFile> = durable::read_json(&self.dir.join("attempts.json")).ok().flatten();
        file.map(|file| file.attempts)
    }

    pub(crate) fn write_attempts(&self, attempts: &Attempts, point: &str) -> Result<(), DiskError> {
        let file = AttemptsFile { format: FORMAT, attempts: attempts.clone() };
        durable::write_json(&self.dir.join("attempts.json"), &file, point)
    }

    /// The process group that the payload was started in last; none where none was kept or it cannot be read.
    pub(crate) fn payload(&self) -> Option<os::Group> {
        let file: Option<PayloadFile> = durable::read_json(&self.dir.join("payload.json")).ok().flatten();
        file.map(|file| file.payload)
    }

    pub(crate) fn write_payload(&self, payload: os::Group) -> Result<(), DiskError> {
        durable::write_json(
            &self.dir.join("payload.json"),
            &PayloadFile { format: FORMAT, payload },
            "guard-payload-kept",
        )
    }

    /// An empty file that every process of the payload inherits open: by it they are known when the first one is gone.
    pub(crate) fn mark(&self) -> PathBuf {
        self.dir.join("payload.mark")
    }

    /// Changes the attempts of a slot, if they are about that slot.
    pub(crate) fn change_attempts(
        &self,
        slot: Digest,
        point: &str,
        change: impl FnOnce(&mut Attempts),
    ) -> Result<(), DiskError> {
        match self.attempts() {
            Some(mut attempts) if attempts.slot == slot => {
                change(&mut attempts);
                self.write_attempts(&attempts, point)
            }
            _ => Ok(()),
        }
    }

    /// The machine as it was written, with reports that may not have been kept; none where there is none.
    pub(crate) fn machine(&self) -> Result<Option<(Machine, Vec<Unsent>)>, DiskError> {
        let file: Option<StateFile> = durable::read_json(&self.dir.join("state.json"))?;
        Ok(file.map(|file| (file.machine, file.unsent)))
    }

    pub(crate) fn write_machine(&self, machine: &Machine, unsent: &[Unsent]) -> Result<(), DiskError> {
        let file = StateFile { format: FORMAT, machine: machine.clone(), unsent: unsent.to_vec() };
        durable::write_json(&self.dir.join("state.json"), &file, &format!("state-{}", machine.state.word()))
    }

    /// Deletes every slot that is not among `wanted`. What cannot be deleted stays: it only takes room.
    pub(crate) fn delete_slots_except(&self, wanted: &[Digest]) {
        let keep: Vec<String> = wanted.iter().map(Digest::hex).collect();
        let Ok(entries) = fs::read_dir(self.slots()) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if keep.iter().any(|hex| name.starts_with(hex.as_str())) {
                continue;
            }
            let path = entry.path();
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}
