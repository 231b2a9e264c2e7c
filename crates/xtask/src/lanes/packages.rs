//! The packages lane: Debian packages that tests of other lanes use.
//! As root on Debian it installs what is missing; anywhere else it names it, with the tests that will be skipped.
//! It does nothing, and asks no network, when all are there already.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::lane_result::Outcome;

/// A package that some tests need.
#[derive(Debug)]
struct Need {
    /// Debian's names for it, the preferred one first.
    packages: &'static [&'static str],
    /// Files of which one is there when the package is installed.
    found_by: &'static [&'static str],
    /// What is skipped without it.
    used_by: &'static str,
}

const NEEDS: &[Need] = &[
    Need {
        packages: &["nginx-light", "nginx"],
        found_by: &["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"],
        used_by: "the tests with nginx as the payload",
    },
    Need {
        packages: &["softhsm2"],
        found_by: &[
            "/usr/lib/softhsm/libsofthsm2.so",
            "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
            "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
            "/usr/lib64/pkcs11/libsofthsm2.so",
        ],
        used_by: "the tests of PKCS#11 keys",
    },
    Need {
        packages: &["systemd"],
        found_by: &["/usr/bin/systemd-analyze", "/bin/systemd-analyze"],
        used_by: "the tests of the systemd units",
    },
    Need {
        packages: &["chromium"],
        found_by: &["/usr/bin/chromium"],
        used_by: "the tests of the console in a browser",
    },
    Need {
        packages: &["chromium-driver"],
        found_by: &["/usr/bin/chromedriver"],
        used_by: "the tests of the console in a browser",
    },
    Need {
        packages: &["python3-venv"],
        found_by: &["/usr/lib/python3/dist-packages/ensurepip", "/usr/share/doc/python3-venv"],
        used_by: "axe-core, schemathesis and oidc-provider-mock, which the lane python-tools fetches",
    },
    Need {
        packages: &["debootstrap"],
        found_by: &["/usr/sbin/debootstrap"],
        used_by: "the packages in a fresh Debian",
    },
    Need {
        packages: &["musl-tools"],
        found_by: &["/usr/bin/musl-gcc", "/usr/local/bin/musl-gcc"],
        used_by: "the static build of the agent",
    },
    Need {
        packages: &["yara"],
        found_by: &["/usr/bin/yara"],
        used_by: "the test with a scanner's rules as the content",
    },
    Need { packages: &["tinyproxy"], found_by: &["/usr/bin/tinyproxy"], used_by: "the test of proxies on the way out" },
    Need {
        packages: &["faketime"],
        found_by: &[
            "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
            "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
        ],
        used_by: "the tests of clocks that step",
    },
];

/// Finds what is missing and installs it where that is possible.
pub(super) fn run() -> anyhow::Result<Outcome> {
    let missing = missing(Path::new("/"));
    if missing.is_empty() {
        return Ok(Outcome::Passed { note: "all there".to_owned() });
    }
    if !Path::new("/etc/debian_version").exists() {
        return Ok(skipped(&missing, "this is not Debian"));
    }
    if !is_root()? {
        return Ok(skipped(&missing, "not root"));
    }
    println!("    installing {}", names(&missing, 0).join(" "));
    if !apt_get(&["update"])? {
        return Ok(skipped(&missing, "apt-get update failed"));
    }
    let installed = install(&names(&missing, 0))? || install(&names(&missing, 1))?;
    Ok(if installed {
        Outcome::Passed { note: format!("installed {}", names(&missing, 0).join(", ")) }
    } else {
        skipped(&missing, "apt-get install failed")
    })
}

fn missing(root: &Path) -> Vec<&'static Need> {
    let there = |file: &&str| root.join(file.trim_start_matches('/')).exists();
    NEEDS.iter().filter(|need| !need.found_by.iter().any(there)).collect()
}

/// Debian's names: each need's name at this place of its list, or its last one.
fn names(needs: &[&Need], place: usize) -> Vec<&'static str> {
    let name = |need: &&Need| need.packages.get(place).or(need.packages.last()).copied();
    needs.iter().filter_map(name).collect()
}

fn skipped(missing: &[&Need], why: &str) -> Outcome {
    let used_by: Vec<&str> = missing.iter().map(|need| need.used_by).collect();
    Outcome::Skipped {
        reason: format!("{} missing ({why}); skipped with it: {}", names(missing, 0).join(", "), used_by.join(", ")),
        install: format!("sudo apt-get install --no-install-recommends {}", names(missing, 0).join(" ")),
    }
}

fn install(names: &[&str]) -> anyhow::Result<bool> {
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(names);
    apt_get(&arguments)
}

/// Runs apt-get, waiting up to two minutes for another one to finish. The tests start what they need
/// themselves, so services that a package brings are asked not to start.
fn apt_get(arguments: &[&str]) -> anyhow::Result<bool> {
    let status = Command::new("apt-get")
        .args(["-q", "-o", "DPkg::Lock::Timeout=120"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1")
        .env("SYSTEMD_OFFLINE", "1")
        .stdin(Stdio::null())
        .status()
        .context("cannot start apt-get")?;
    Ok(status.success())
}

pub(super) fn is_root() -> anyhow::Result<bool> {
    let answer = Command::new("id").arg("-u").output().context("cannot start id")?;
    Ok(String::from_utf8_lossy(&answer.stdout).trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_command_that_installs_it() {
        let empty = tempfile::tempdir().unwrap();
        let missing = missing(empty.path());
        let Outcome::Skipped { reason, install } = skipped(&missing, "not root") else {
            panic!("a missing package must be a skip");
        };
        assert!(reason.contains("nginx-light") && reason.contains("PKCS#11"), "{reason}");
        assert!(install.contains(" nginx-light softhsm2 systemd chromium "), "{install}");
    }

    #[test]
    fn nothing_is_missing_where_the_files_are() {
        let root = tempfile::tempdir().unwrap();
        for need in NEEDS {
            let file = root.path().join(need.found_by[0].trim_start_matches('/'));
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
        }
        assert!(missing(root.path()).is_empty());
    }

    #[test]
    fn the_second_choice_falls_back_to_the_only_name() {
        let all: Vec<&Need> = NEEDS.iter().collect();
        assert_eq!(names(&all, 1).get(..3), Some(&["nginx", "softhsm2", "systemd"][..]));
    }
}
