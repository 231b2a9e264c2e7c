//! The installed lane: the Debian packages in a fresh Debian of their own. Installed, one release through packaged server and agent,
//! upgraded, removed, purged. Needs root on Debian and a mirror; the fresh Debian is kept below `target/` between runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

use crate::debs;
use crate::lane_result::Outcome;

const SCRIPT: &str = include_str!("installed.sh");
/// The steps of [`SCRIPT`], in order.
const STEPS: &[&str] = &["install", "serve", "release", "upgrade", "remove", "purge"];
/// The packages are made twice, under these versions.
const VERSIONS: [(&str, &str); 2] = [("first", "0.1.0-1"), ("second", "0.1.1-1")];
/// Bounds for a fleet of one device.
const ENVELOPE: &str = "name = \"danger-installed\"\nprove_min = \"2s\"\nsoak_min = \"1s\"\nrings_required = []\n\
                        unproven_share_max = 1.0\n";
const POLICY: &str = "name = \"installed\"\nrings = [{ name = \"lab\", lab = true, soak = \"1s\" }, { name = \"rest\", soak = \"1s\" }]\n\
                      window = { unproven_share_max = 1.0 }\nprove = { for = \"2s\" }\npace = { check_in = \"500ms\" }\n";

/// Runs the lane.
pub(super) fn run(root: &Path) -> anyhow::Result<Outcome> {
    if let Some((reason, install)) = missing()? {
        let reason = format!("{reason}; skipped: the packages in a fresh Debian");
        return Ok(Outcome::Skipped { reason, install });
    }
    let folder = root.join("target/installed");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let base = match base(&folder) {
        Ok(base) => base,
        // No mirror, or none that answers: nothing is known of the packages then, for or against them.
        Err(error) => {
            let reason =
                format!("no minimal Debian could be made ({error:#}); skipped: the packages in a fresh Debian");
            return Ok(Outcome::Skipped { reason, install: "a Debian mirror that answers".to_owned() });
        }
    };
    let fresh = Fresh::unpack(&base, &folder.join("root"))?;
    for (name, version) in VERSIONS {
        let to = fresh.0.join("debs").join(name);
        fs::create_dir_all(&to)?;
        for package in debs::build(root, Some(version), debs::Programs::OfTests)? {
            let file = package.file_name().context("a package without a name")?;
            fs::copy(&package, to.join(file)).with_context(|| package.display().to_string())?;
        }
    }
    for (name, text) in [("envelope.toml", ENVELOPE), ("policy.toml", POLICY), ("installed.sh", SCRIPT)] {
        fs::write(fresh.0.join(name), text)?;
    }
    for step in STEPS {
        let mut command = Command::new("chroot");
        command.arg(&fresh.0).args(["/bin/sh", "/installed.sh", step]).env_clear();
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
        let status = command.stdin(Stdio::null()).status().context("cannot start chroot")?;
        if !status.success() {
            return Ok(Outcome::Failed { note: format!("step `{step}`: {status}") });
        }
    }
    Ok(Outcome::Passed { note: STEPS.join(", ") })
}

/// What keeps the lane from running here, and the command that mends it.
fn missing() -> anyhow::Result<Option<(String, String)>> {
    if !Path::new("/etc/debian_version").exists() {
        return Ok(Some(("this is not Debian".to_owned(), "run it on Debian".to_owned())));
    }
    if !super::packages::is_root()? {
        return Ok(Some(("not root".to_owned(), "sudo cargo xtask test --lane installed".to_owned())));
    }
    if !Path::new("/usr/sbin/debootstrap").exists() {
        let install = "apt-get install --no-install-recommends debootstrap";
        return Ok(Some(("debootstrap is missing".to_owned(), install.to_owned())));
    }
    Ok(None)
}

/// A minimal Debian as a tar file, made where there is none yet.
fn base(folder: &Path) -> anyhow::Result<PathBuf> {
    let (mirror, suite) = (mirror()?, suite()?);
    let base = folder.join(format!("{suite}.tar"));
    if base.exists() {
        return Ok(base);
    }
    println!("    making a minimal Debian ({suite}), two to three minutes");
    let made = folder.join("base");
    let _ = fs::remove_dir_all(&made);
    let mut command = Command::new("debootstrap");
    command.args(["--variant=minbase", "--include=adduser", &suite]).arg(&made).arg(mirror);
    let output = command.stdin(Stdio::null()).output().context("cannot start debootstrap")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let last: Vec<&str> = said.lines().rev().take(3).collect();
    ensure!(output.status.success(), "debootstrap: {}", last.join("; "));
    let part = base.with_extension("part");
    run_all("tar", &["--create", "--file", text(&part)?, "--directory", text(&made)?, "."])?;
    fs::rename(&part, &base)?;
    fs::remove_dir_all(&made)?;
    Ok(base)
}

/// The mirror that this machine's own apt asks.
fn mirror() -> anyhow::Result<String> {
    let lists = ["/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources"];
    let words = lists.iter().filter_map(|list| fs::read_to_string(list).ok());
    let words: Vec<String> =
        words.flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect();
    let is_one = |word: &&String| word.starts_with("http") && word.trim_end_matches('/').ends_with("/debian");
    words
        .iter()
        .find(is_one)
        .cloned()
        .context("no mirror among this machine's apt sources whose address ends in /debian")
}

fn suite() -> anyhow::Result<String> {
    let release = fs::read_to_string("/etc/os-release").context("/etc/os-release")?;
    let name = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.map(str::to_owned).context("/etc/os-release: no VERSION_CODENAME")
}

/// An unpacked Debian with its /proc; both go when it is dropped.
struct Fresh(PathBuf);

impl Fresh {
    fn unpack(base: &Path, to: &Path) -> anyhow::Result<Fresh> {
        // What a run that was killed has left.
        drop(Fresh(to.to_owned()));
        fs::create_dir_all(to)?;
        let fresh = Fresh(to.to_owned());
        run_all("tar", &["--extract", "--file", text(base)?, "--directory", text(to)?])?;
        run_all("mount", &["-t", "proc", "proc", text(&to.join("proc"))?])?;
        Ok(fresh)
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let proc = self.0.join("proc");
        if proc.join("self").exists() {
            let _ = Command::new("umount").arg(&proc).status();
        }
        // Never through a mount into this machine's own.
        if !proc.join("self").exists() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

fn run_all(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new(program).args(arguments).status().with_context(|| format!("cannot start {program}"))?;
    if !status.success() {
        bail!("{program} {}: {status}", arguments.join(" "));
    }
    Ok(())
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{}: not UTF-8", path.display()))
}
