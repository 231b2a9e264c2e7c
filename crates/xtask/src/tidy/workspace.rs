//! Loads what the rules look at: every crate's manifest and every Rust file, masked, with test code told apart.
//! It follows no links and reads nothing outside `crates/` and `examples/`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::source::{self, Production};

/// The workspace's crates, by folder.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// Every crate under `crates/` and `examples/`.
    pub(crate) crates: Vec<CrateSource>,
}

/// One crate.
#[derive(Debug)]
pub(crate) struct CrateSource {
    /// Its folder's name.
    pub(crate) folder: String,
    /// Its package's name.
    pub(crate) package: String,
    /// Whether it stands under `examples/`.
    pub(crate) is_example: bool,
    /// Its `Cargo.toml`, from the workspace's root.
    pub(crate) manifest_path: PathBuf,
    /// The text of that file.
    pub(crate) manifest: String,
    /// Its Rust files, by path.
    pub(crate) files: Vec<SourceFile>,
}

/// One Rust file.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// From the workspace's root.
    pub(crate) path: PathBuf,
    /// From the crate's folder.
    pub(crate) in_crate: PathBuf,
    /// As it is on disk.
    pub(crate) text: String,
    /// With comments and literals blanked.
    pub(crate) masked: String,
    /// With test items blanked too; empty for a file that is all test.
    pub(crate) production: Production,
    /// Whether the whole file is test code.
    pub(crate) is_test: bool,
}

impl Workspace {
    /// Reads the workspace at `root`.
    ///
    /// # Errors
    /// When a folder, manifest or source file cannot be read, or a manifest does not parse.
    pub(crate) fn load(root: &Path) -> anyhow::Result<Self> {
        let mut crates = Vec::new();
        for group in ["crates", "examples"] {
            for dir in entries(&root.join(group))? {
                if dir.join("Cargo.toml").is_file() {
                    crates.push(CrateSource::load(root, &dir, group == "examples")?);
                }
            }
        }
        Ok(Self { crates })
    }
}

impl CrateSource {
    fn load(root: &Path, dir: &Path, is_example: bool) -> anyhow::Result<Self> {
        let manifest_path = dir.join("Cargo.toml");
        let manifest = read(&manifest_path)?;
        let parsed: toml::Table =
            manifest.parse().with_context(|| format!("{} does not parse", manifest_path.display()))?;
        let package = parsed.get("package").and_then(|table| table.get("name"));
        let package = package.and_then(toml::Value::as_str).unwrap_or_default().to_owned();
        let mut paths = Vec::new();
        rust_files(dir, &mut paths)?;
        let loaded: anyhow::Result<Vec<SourceFile>> =
            paths.iter().map(|path| SourceFile::load(root, dir, path)).collect();
        let mut files = loaded?;
        mark_test_files(&mut files);
        Ok(Self {
            folder: dir.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            package,
            is_example,
            manifest_path: manifest_path.strip_prefix(root).unwrap_or(&manifest_path).to_path_buf(),
            manifest,
            files,
        })
    }

    /// The files that ship.
    pub(crate) fn production_files(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter().filter(|file| !file.is_test)
    }
}

impl SourceFile {
    fn load(root: &Path, dir: &Path, path: &Path) -> anyhow::Result<Self> {
        let in_crate = path.strip_prefix(dir).unwrap_or(path).to_path_buf();
        Ok(Self::new(path.strip_prefix(root).unwrap_or(path).to_path_buf(), in_crate, read(path)?))
    }

    /// A file with this text.
    pub(crate) fn new(path: PathBuf, in_crate: PathBuf, text: String) -> Self {
        let masked = source::mask(&text);
        let production = source::production(&masked);
        let is_test = in_crate.starts_with("tests") || in_crate.starts_with("benches");
        Self { path, in_crate, text, masked, production, is_test }
    }

    /// The modules that lead to this file inside `src`: `src/gate/soak.rs` is `gate`, `soak`; a crate root has none.
    pub(crate) fn module_path(&self) -> Vec<String> {
        let inside = self.in_crate.strip_prefix("src").unwrap_or(&self.in_crate).with_extension("");
        let mut names: Vec<String> =
            inside.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
        if names.last().is_some_and(|last| last == "mod") || names == ["lib"] || names == ["main"] {
            names.pop();
        }
        names
    }
}

/// Marks files that are reached only by `#[cfg(test)] mod name;`, and what lies below them.
fn mark_test_files(files: &mut [SourceFile]) {
    let mut test_paths = BTreeSet::new();
    for file in files.iter() {
        for (_, name) in &file.production.test_modules {
            let mut modules = file.module_path();
            modules.push(name.clone());
            test_paths.insert(modules);
        }
    }
    for file in files.iter_mut().filter(|file| file.in_crate.starts_with("src")) {
        let modules = file.module_path();
        if test_paths.iter().any(|path| modules.starts_with(path)) {
            file.is_test = true;
        }
    }
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for path in entries(dir)? {
        if path.is_dir() && !path.is_symlink() {
            rust_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// What is in a folder, by name; nothing when there is no such folder.
fn entries(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let read = fs::read_dir(dir).with_context(|| format!("cannot read the folder {}", dir.display()))?;
    let paths: Result<Vec<PathBuf>, _> = read.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.with_context(|| format!("cannot read the folder {}", dir.display()))?;
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
pub(super) mod testing {
    //! Small crates written in a test.

    use super::*;

    /// A crate `crates/<folder>` with these files, given as path in the crate and text.
    pub(crate) fn krate(folder: &str, manifest: &str, files: &[(&str, &str)]) -> CrateSource {
        let dir = Path::new("crates").join(folder);
        let file =
            |(path, text): &(&str, &str)| SourceFile::new(dir.join(path), PathBuf::from(path), (*text).to_owned());
        let mut files: Vec<SourceFile> = files.iter().map(file).collect();
        mark_test_files(&mut files);
        CrateSource {
            folder: folder.to_owned(),
            package: format!("tidegate-{folder}"),
            is_example: false,
            manifest_path: dir.join("Cargo.toml"),
            manifest: manifest.to_owned(),
            files,
        }
    }

    /// A workspace of one crate.
    pub(crate) fn one(folder: &str, files: &[(&str, &str)]) -> Workspace {
        Workspace { crates: vec![krate(folder, "", files)] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_reached_only_by_test_modules_are_test_code() {
        let krate = testing::krate(
            "domain",
            "",
            &[
                ("src/lib.rs", "mod gate;"),
                ("src/gate.rs", "#[cfg(test)]\nmod scenarios;\n"),
                ("src/gate/scenarios.rs", ""),
                ("src/gate/scenarios/one.rs", ""),
                ("src/scenarios.rs", ""),
                ("tests/all.rs", ""),
            ],
        );
        let test: Vec<bool> = krate.files.iter().map(|file| file.is_test).collect();
        assert_eq!(test, [false, false, true, true, false, true]);
    }

    #[test]
    fn module_paths_follow_folders() {
        let path = |text: &str| SourceFile::new(PathBuf::new(), PathBuf::from(text), String::new()).module_path();
        assert_eq!(path("src/lib.rs"), Vec::<String>::new());
        assert_eq!(path("src/gate/mod.rs"), ["gate"]);
        assert_eq!(path("src/gate/soak.rs"), ["gate", "soak"]);
    }
}
