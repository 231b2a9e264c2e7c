//! A release's manifest: its files, what it needs and offers, how it is activated, how it shows that it is well.
//!
//! The manifest is a TUF target of its package's role; its digest is the release's name. It holds no file contents.

mod number;
mod probe;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::ids::{ContractName, NameError, PackageName, Version};
use crate::time::Elapsed;

pub use number::{WatchedNumber, Worse};
pub use probe::Probe;

/// The largest manifest that anybody reads, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 1 << 20;
/// The program in the slot of a release of the agent itself.
pub const AGENT_PROGRAM: &str = "tidegate-agent";
/// What such a release must not bring: what returns a bad agent is not replaced together with it.
const GUARD_PROGRAM: &str = "tidegate-guard";
const FILES_MAX: usize = 4_096;
const WORDS_MAX: usize = 64;

/// What a release is. Parsed with [`Manifest::parse`]; a value of this type keeps all bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The package that this is a release of.
    pub package: PackageName,
    /// The version, unique in the package.
    pub version: Version,
    /// The files; at least one.
    pub files: Vec<FileEntry>,
    /// Contracts that the device must offer before it may take this release: name to least level.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub needs: BTreeMap<ContractName, u64>,
    /// Contracts that a device offers once this release is its fallback: name to level.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub offers: BTreeMap<ContractName, u64>,
    /// How the release takes effect.
    pub activation: Activation,
    /// How the device sees that the release is well; all must pass. Empty: the process being alive is all there is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<Probe>,
    /// Numbers that the payload says and that are held against those of devices without the release; at most eight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<WatchedNumber>,
    /// How long the payload may be away while the release is activated.
    pub downtime: Elapsed,
    /// Whether the release may break the device's connectivity: it then returns after `contact_deadline` without contact.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub network: bool,
    /// How long without contact before a `network` release returns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_deadline: Option<Elapsed>,
    /// Room for later additions that older devices may ignore.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ext: BTreeMap<String, serde_json::Value>,
}

/// One file of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Where the file stands inside the slot.
    pub path: SlotPath,
    /// SHA-256 of its content; also its name in the artifact store.
    pub sha256: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it may be executed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

/// How a release takes effect. Commands are words, never a shell line; `{slot}` stands for the active slot's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Activation {
    /// The agent itself runs the payload's command, stopped and started anew.
    Supervise {
        /// Program and arguments. Empty: the command that the device's own configuration names.
        #[serde(default)]
        command: Vec<String>,
    },
    /// A command that restarts a service which the agent does not run itself, for example `systemctl restart nginx`.
    Restart {
        /// Program and arguments; exit code 0 means that the service was restarted.
        command: Vec<String>,
    },
    /// A signal to the running payload, which then reads its content again.
    Signal {
        /// The signal.
        signal: PayloadSignal,
    },
    /// A command that does whatever it takes; it is run once per activation and once per return.
    Hook {
        /// Program and arguments; exit code 0 means done.
        command: Vec<String>,
    },
    /// The agent itself: it ends in order, and the guard starts the release's program `tidegate-agent` in its place.
    Agent {},
}

/// A signal that makes a payload read its content again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayloadSignal {
    /// SIGHUP
    Hup,
    /// SIGUSR1
    Usr1,
    /// SIGUSR2
    Usr2,
}

/// A path inside a slot: relative, forward slashes, no `.` or `..`, portable to every system.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SlotPath(Box<str>);

impl SlotPath {
    /// The path as text, with forward slashes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SlotPath {
    type Err = NameError;

    fn from_str(text: &str) -> Result<SlotPath, NameError> {
        let byte = |b: u8| b.is_ascii_alphanumeric() || b"._-+@".contains(&b);
        let part = |p: &str| {
            !p.is_empty() && p.len() <= 120 && !p.starts_with('.') && !p.ends_with('.') && p.bytes().all(byte)
        };
        if text.len() <= 240 && text.split('/').all(part) {
            return Ok(SlotPath(text.into()));
        }
        Err(NameError {
            what: "path inside a release",
            text: text.chars().take(80).collect(),
            rule: "relative, parts of A-Z, a-z, 0-9 and ._-+@ joined by `/`, no part that begins or ends with a dot, at most 240 characters",
        })
    }
}

impl TryFrom<String> for SlotPath {
    type Error = NameError;

    fn try_from(text: String) -> Result<SlotPath, NameError> {
        text.parse()
    }
}

impl From<SlotPath> for String {
    fn from(path: SlotPath) -> String {
        path.0.into()
    }
}

impl fmt::Display for SlotPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for SlotPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why bytes are not a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// More bytes than anybody reads.
    #[error("manifest of {0} bytes: at most {MANIFEST_BYTES_MAX}")]
    TooLarge(usize),
    /// Not JSON of the manifest's shape.
    #[error("manifest: {0}")]
    Shape(String),
    /// A field whose value lies outside its bounds.
    #[error("manifest field `{field}`: {problem}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
}

impl Manifest {
    /// Reads a manifest from JSON and checks every bound.
    ///
    /// # Errors
    /// When the bytes are too many, are no manifest, or a field lies outside its bounds.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLarge(bytes.len()));
        }
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(|e| ManifestError::Shape(e.to_string()))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Checks every bound that the types alone do not keep.
    ///
    /// # Errors
    /// Names the first field that lies outside its bounds.
    pub fn check(&self) -> Result<(), ManifestError> {
        let wrong = |field, problem: String| Err(ManifestError::Field { field, problem });
        if self.files.is_empty() || self.files.len() > FILES_MAX {
            return wrong("files", format!("{} files: expected 1 to {FILES_MAX}", self.files.len()));
        }
        let mut paths = BTreeSet::new();
        for file in &self.files {
            if !paths.insert(file.path.as_str().to_ascii_lowercase()) {
                return wrong(
                    "files",
                    format!("`{}` stands twice (upper and lower case are the same file on some systems)", file.path),
                );
            }
        }
        if let Some(path) = file_that_is_a_folder(&paths) {
            return wrong("files", format!("`{path}` is a file, and other files stand below it"));
        }
        if self.downtime.as_ms() == 0 || self.downtime > Elapsed::from_s(86_400) {
            return wrong("downtime", format!("{}: expected more than 0 and at most 1d", self.downtime));
        }
        if self.network != self.contact_deadline.is_some() {
            return wrong("contact_deadline", "goes with `network = true`, and only with it".to_owned());
        }
        if self.needs.len() > WORDS_MAX || self.offers.len() > WORDS_MAX || self.probes.len() > WORDS_MAX {
            return wrong("needs, offers, probes", format!("at most {WORDS_MAX} of each"));
        }
        let commands = self.probes.iter().filter_map(Probe::command).chain(self.activation.required_command());
        for command in commands {
            let bounded = command.len() <= WORDS_MAX && command.iter().all(|w| w.len() <= 1_024 && !w.contains('\0'));
            if command.is_empty() || !bounded {
                return wrong("command", format!("expected 1 to {WORDS_MAX} words of at most 1024 bytes"));
            }
        }
        if let Some(problem) = self.probes.iter().find_map(Probe::problem) {
            return wrong("probes", problem);
        }
        if let Some(problem) = number::problem(&self.numbers) {
            return wrong("numbers", problem);
        }
        if let (Activation::Agent {}, Some(problem)) = (&self.activation, problem_of_an_agent(&self.files)) {
            return wrong("files", problem);
        }
        let says = |probe: &Probe| matches!(probe, Probe::Notify { .. } | Probe::Number { .. });
        // Only such a payload ends with its agent, and so says again at each start of the agent what the one before it heard.
        if !self.activation.is_of_the_agent() && (self.probes.iter().any(says) || !self.numbers.is_empty()) {
            return wrong(
                "probes",
                "`notify` and numbers go with a payload that the agent runs: supervise or signal".to_owned(),
            );
        }
        Ok(())
    }

    /// How often the payload has to say that it lives, where it has to.
    pub fn watchdog(&self) -> Option<Elapsed> {
        let of = |probe: &Probe| if let Probe::Notify { watchdog } = probe { *watchdog } else { None };
        self.probes.iter().filter_map(of).min()
    }

    /// All bytes of all files together.
    pub fn size_bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }

    /// The name of the TUF target that holds this manifest: `package/version.json`.
    pub fn target_path(package: &PackageName, version: &Version) -> String {
        format!("{package}/{version}.json")
    }
}

/// What keeps these files from being a release of the agent.
fn problem_of_an_agent(files: &[FileEntry]) -> Option<String> {
    if !files.iter().any(|file| file.path.as_str() == AGENT_PROGRAM && file.executable) {
        return Some(format!("a release of the agent has an executable file `{AGENT_PROGRAM}`"));
    }
    let named = |file: &&FileEntry| file.path.as_str().rsplit('/').next() == Some(GUARD_PROGRAM);
    let guard = files.iter().find(named)?;
    Some(format!("`{}`: the guard returns a bad agent, and is never replaced together with it", guard.path.as_str()))
}

/// A path below which other paths stand: it would have to be a file and a folder at once.
fn file_that_is_a_folder(paths: &BTreeSet<String>) -> Option<&str> {
    let folders = |path: &str| path.match_indices('/').map(|(at, _)| at).collect::<Vec<_>>();
    let above = paths.iter().flat_map(|path| folders(path).into_iter().filter_map(|at| path.get(..at)));
    above.filter(|folder| paths.contains(*folder)).min()
}

impl Activation {
    /// Whether the agent runs the payload itself.
    fn is_of_the_agent(&self) -> bool {
        match self {
            Activation::Supervise { .. } | Activation::Signal { .. } => true,
            Activation::Restart { .. } | Activation::Hook { .. } | Activation::Agent {} => false,
        }
    }

    fn required_command(&self) -> Option<&Vec<String>> {
        match self {
            Activation::Supervise { command } if command.is_empty() => None,
            Activation::Supervise { command } | Activation::Restart { command } | Activation::Hook { command } => {
                Some(command)
            }
            Activation::Signal { .. } | Activation::Agent {} => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> serde_json::Value {
        serde_json::json!({
            "package": "sensor-content", "version": "1.0.0",
            "files": [{"path": "templates.json", "sha256": Digest::of(b"x").to_string(), "size": 1}],
            "activation": {"kind": "supervise"}, "downtime": "3s",
        })
    }

    fn parse(value: &serde_json::Value) -> Result<Manifest, ManifestError> {
        Manifest::parse(value.to_string().as_bytes())
    }

    #[test]
    fn a_small_manifest_is_enough() {
        assert!(parse(&manifest()).is_ok());
    }

    #[test]
    fn an_agent_is_a_program_that_may_run_and_never_comes_with_its_guard() {
        let with = |files: &[(&str, bool)]| {
            let mut value = manifest();
            let entry = |(path, executable): &(&str, bool)| serde_json::json!({"path": path, "sha256": Digest::of(b"x").to_string(), "size": 1, "executable": executable});
            value["files"] = files.iter().map(entry).collect();
            value["activation"] = serde_json::json!({"kind": "agent"});
            parse(&value).map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(with(&[("tidegate-agent", true), ("notes.txt", false)]), Ok(()));
        assert!(with(&[("tidegate-agent", false)]).unwrap_err().contains("an executable file `tidegate-agent`"));
        assert!(with(&[("bin/tidegate-agent", true)]).is_err());
        for guard in ["tidegate-guard", "sbin/tidegate-guard"] {
            assert!(with(&[("tidegate-agent", true), (guard, true)]).unwrap_err().contains("never replaced together"));
        }
    }

    #[test]
    fn what_a_payload_says_of_itself_needs_a_bound_that_can_be_kept() {
        let with = |probe: serde_json::Value| {
            let mut value = manifest();
            value["probes"] = serde_json::json!([probe]);
            parse(&value)
        };
        let number = |bounds: serde_json::Value| {
            let mut probe = serde_json::json!({"kind": "number", "name": "queue", "fresh": "10s"});
            probe.as_object_mut().unwrap().extend(bounds.as_object().unwrap().clone());
            with(probe)
        };
        assert!(with(serde_json::json!({"kind": "notify"})).is_ok());
        assert!(with(serde_json::json!({"kind": "notify", "watchdog": "10s"})).is_ok());
        assert!(with(serde_json::json!({"kind": "notify", "watchdog": "0s"})).is_err());
        assert!(number(serde_json::json!({"at_most": 5})).is_ok());
        assert!(number(serde_json::json!({"at_least": -5, "at_most": 5})).is_ok());
        for bounds in [serde_json::json!({}), serde_json::json!({"at_least": 6, "at_most": 5})] {
            assert!(matches!(number(bounds), Err(ManifestError::Field { field: "probes", .. })));
        }
        let mut service = manifest();
        service["activation"] = serde_json::json!({"kind": "restart", "command": ["systemctl", "restart", "x"]});
        assert!(parse(&service).is_ok());
        service["probes"] = serde_json::json!([{"kind": "notify"}]);
        assert!(matches!(parse(&service), Err(ManifestError::Field { field: "probes", .. })));
    }

    #[test]
    fn unknown_fields_are_refused_except_under_ext() {
        let mut value = manifest();
        value["ext"] = serde_json::json!({"later": 1});
        assert!(parse(&value).is_ok());
        value["later"] = serde_json::json!(1);
        assert!(matches!(parse(&value), Err(ManifestError::Shape(_))));
    }

    #[test]
    fn paths_that_leave_the_slot_are_refused() {
        for path in ["../x", "/x", "a/../b", "a//b", "", "a\\b", ".x", "con.", "a\0b", "C:/x"] {
            let mut value = manifest();
            value["files"][0]["path"] = serde_json::json!(path);
            assert!(parse(&value).is_err(), "{path:?}");
        }
    }

    #[test]
    fn a_file_that_would_have_to_be_a_folder_too_is_refused() {
        for (file, below) in [("a", "a/b"), ("a/b", "A/B/c/d")] {
            let mut value = manifest();
            let mut twin = value["files"][0].clone();
            value["files"][0]["path"] = serde_json::json!(file);
            twin["path"] = serde_json::json!(below);
            value["files"].as_array_mut().unwrap().push(twin);
            assert!(matches!(parse(&value), Err(ManifestError::Field { field: "files", .. })), "{file} {below}");
        }
        let mut value = manifest();
        let mut sibling = value["files"][0].clone();
        sibling["path"] = serde_json::json!("templates.json.d/x");
        value["files"].as_array_mut().unwrap().push(sibling);
        assert!(parse(&value).is_ok());
    }

    #[test]
    fn two_files_that_one_system_would_confuse_are_refused() {
        let mut value = manifest();
        let mut twin = value["files"][0].clone();
        twin["path"] = serde_json::json!("Templates.json");
        value["files"].as_array_mut().unwrap().push(twin);
        assert!(matches!(parse(&value), Err(ManifestError::Field { field: "files", .. })));
    }
}
