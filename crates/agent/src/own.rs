//! The agent as a package like any other: how it knows that it is one's payload, and what it keeps to return to.
//!
//! The guard starts it (`tidegate-guard agent`) and says for which package and from which release. To take another release it ends in
//! order; whoever started the guard starts it again, and the guard decides once more.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::Context;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::PackageName;
use tidegate_domain::release::{AGENT_PROGRAM, Activation, FileEntry, Manifest};
use tidegate_domain::time::Elapsed;

use crate::download;
use crate::layout::{Home, PackageDir};

/// Names the package's folder to the agent that is its payload.
pub(crate) const DIR_VARIABLE: &str = "TIDEGATE_OWN_DIR";
/// Names the release that the guard started; absent where it started the packaged program.
pub(crate) const RELEASE_VARIABLE: &str = "TIDEGATE_OWN_RELEASE";

/// How long an agent may be away at a start; whoever starts it again may wait some seconds before.
const DOWNTIME: Elapsed = Elapsed::from_s(60);

/// What this process is to its own package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) package: PackageName,
    /// The release that this process is; none for the program that came with the system.
    pub(crate) release: Option<Digest>,
}

impl Own {
    /// What the guard said; none where no guard started this agent.
    ///
    /// # Errors
    /// When it said what cannot be: a folder that is no package of this data folder.
    pub(crate) fn from_environment(home: &Home) -> anyhow::Result<Option<Own>> {
        Own::of(env::var_os(DIR_VARIABLE), env::var_os(RELEASE_VARIABLE), home)
    }

    fn of(dir: Option<OsString>, release: Option<OsString>, home: &Home) -> anyhow::Result<Option<Own>> {
        let Some(dir) = dir.map(PathBuf::from) else { return Ok(None) };
        let package: Option<PackageName> =
            dir.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        let package = package.filter(|package| home.package(package).dir() == dir);
        let expected = home.dir().join("packages").join(AGENT_PROGRAM);
        let package = package.with_context(|| {
            format!(
                "the guard was given --package-dir {}, but --data is {}: expected for example {}",
                dir.display(),
                home.dir().display(),
                expected.display()
            )
        })?;
        let release = release.map(|release| {
            let digest = release.to_str().and_then(|text| text.parse().ok());
            digest.with_context(|| format!("{RELEASE_VARIABLE}={}: expected sha256:HEX", release.display()))
        });
        Ok(Some(Own { package, release: release.transpose()? }))
    }
}

/// Makes a release of the program that runs and lets it be current and fallback: what an agent returns to that came with the system.
pub(crate) fn keep_program(package: &PackageName, dir: &PackageDir) -> Result<(), String> {
    let program = env::current_exe().map_err(|e| format!("cannot tell which program this is: {e}"))?;
    let from = dir.dir().join("packaged");
    let release = copy(&program, package, &from).and_then(|()| download::take_from_folder(&from, dir));
    // What is left of it only takes room.
    let _ = fs::remove_dir_all(&from);
    let (release, _) = release?;
    dir.advance(release).and_then(|()| dir.point_current(Some(release), "current-pointer")).map_err(|e| e.to_string())
}

/// Lays the program and a manifest for it into a folder, as a factory does.
fn copy(program: &Path, package: &PackageName, to: &Path) -> Result<(), String> {
    let at = |path: &Path, e: std::io::Error| format!("cannot copy {} to {}: {e}", program.display(), path.display());
    fs::create_dir_all(to).map_err(|e| at(to, e))?;
    let copied = to.join(AGENT_PROGRAM);
    let bytes = fs::read(program).map_err(|e| at(&copied, e))?;
    fs::write(&copied, &bytes).map_err(|e| at(&copied, e))?;
    let file = FileEntry {
        path: AGENT_PROGRAM.parse().map_err(|e| format!("{AGENT_PROGRAM}: {e}"))?,
        sha256: Digest::of(&bytes),
        size: bytes.len() as u64,
        executable: true,
    };
    let manifest = Manifest {
        package: package.clone(),
        version: env!("CARGO_PKG_VERSION").parse().map_err(|e| format!("the agent's version: {e}"))?,
        files: vec![file],
        needs: Default::default(),
        offers: Default::default(),
        activation: Activation::Agent {},
        probes: Vec::new(),
        numbers: Vec::new(),
        downtime: DOWNTIME,
        network: false,
        contact_deadline: None,
        ext: Default::default(),
    };
    let manifest = serde_json::to_vec(&manifest).map_err(|e| format!("the manifest: {e}"))?;
    let path = to.join("manifest.json");
    fs::write(&path, manifest).map_err(|e| at(&path, e))
}

/// Whether a package waits with asking for its go: an agent on trial is alone on trial. What else failed meanwhile could be its fault, and
/// ending it would end the others' proofs. Of each other package: whether it is on trial, and whether it is the agent.
pub(crate) fn has_to_wait(is_agent: bool, mut others: impl Iterator<Item = (bool, bool)>) -> bool {
    others.any(|(on_trial, other_is_agent)| on_trial && (is_agent || other_is_agent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_says_which_package_the_agent_is_and_no_other_folder_counts() {
        let home = Home::new("/var/lib/tidegate-agent");
        let of =
            |dir: Option<&str>, release: Option<&str>| Own::of(dir.map(Into::into), release.map(Into::into), &home);
        let here = "/var/lib/tidegate-agent/packages/tidegate-agent";
        assert_eq!(of(None, Some("x")).unwrap(), None, "started by hand");
        let package: PackageName = "tidegate-agent".parse().unwrap();
        assert_eq!(of(Some(here), None).unwrap(), Some(Own { package: package.clone(), release: None }));
        let release = Digest::of(b"agent");
        let own = of(Some(here), Some(&release.to_string())).unwrap();
        assert_eq!(own, Some(Own { package, release: Some(release) }));
        for (dir, release) in [("/var/lib/other/packages/tidegate-agent", None), ("/", None), (here, Some("abc"))] {
            let error = of(Some(dir), release).unwrap_err().to_string();
            assert!(error.contains("expected"), "{error}");
        }
    }

    #[test]
    fn an_agent_on_trial_is_alone_on_trial() {
        let waits = |is_agent, others: &[(bool, bool)]| has_to_wait(is_agent, others.iter().copied());
        let (trial, still) = (true, false);
        assert!(waits(true, &[(still, false), (trial, false)]), "the agent waits for others");
        assert!(waits(false, &[(still, false), (trial, true)]), "others wait for the agent");
        assert!(!waits(false, &[(trial, false), (still, true)]), "others do not wait for each other");
        assert!(!waits(true, &[(still, false)]) && !waits(true, &[]));
    }
}
