//! Fetches a release's files into `slots/<digest>.part`, hashing while they stream, and renames the folder when all are right.
//! A cut connection goes on where it stood; a wrong file never gets a place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tidegate_domain::digest::Digest;
use tidegate_domain::observation::RefusalReason;
use tidegate_domain::release::{FileEntry, Manifest};

use crate::durable::{self, DiskError};
use crate::layout::PackageDir;
use crate::server::{Credentials, Server, ServerError};
use crate::verdict::Refusal;
use crate::{drill, os};

const CHUNK_BYTES: usize = 64 * 1024;
const AGAIN: Duration = Duration::from_millis(250);
const AGAIN_MAX: Duration = Duration::from_secs(30);
/// How often a waiting download looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// Stops a download from outside.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

/// Why there is no slot.
#[derive(Debug)]
pub(crate) enum NotFetched {
    /// It is not wanted any more.
    Stopped,
    /// The files or the storage are at fault.
    Refused(Refusal),
}

enum FileError {
    Disk(DiskError),
    Server(ServerError),
    /// Asking again would bring the same.
    Refused(Refusal),
}

impl Stop {
    /// Makes the download end soon.
    pub(crate) fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Fetches all files of a release. Goes on through broken connections until it is stopped.
pub(crate) fn fetch(
    server: &Server,
    who: &Credentials,
    dir: &PackageDir,
    release: Digest,
    manifest: &Manifest,
    stop: &Stop,
) -> Result<(), NotFetched> {
    let (slot, part) = (dir.slot(release), dir.part(release));
    if slot.is_dir() && manifest.files.iter().all(|file| is_right(&slot.join(file.path.as_str()), file)) {
        return Ok(());
    }
    let mut again = AGAIN;
    for file in &manifest.files {
        let path = part.join(file.path.as_str());
        loop {
            if stop.is_stopped() {
                return Err(NotFetched::Stopped);
            }
            let before = length(&path);
            match fetch_file(server, who, file, &path, stop) {
                Ok(()) => break,
                Err(FileError::Server(error)) => {
                    tracing::debug!(file = %file.path, "download: {error}");
                    again = if length(&path) > before { AGAIN } else { AGAIN_MAX.min(again.saturating_mul(2)) };
                    wait(again, stop);
                }
                Err(FileError::Disk(error)) => return Err(refused_by_storage(&part, &error)),
                Err(FileError::Refused(refusal)) => {
                    let _ = fs::remove_dir_all(&part);
                    return Err(NotFetched::Refused(refusal));
                }
            }
        }
    }
    place(&part, &slot, manifest).map_err(|error| refused_by_storage(&part, &error))
}

/// A full disk is given back what the download took; it begins again when the offer does.
fn refused_by_storage(part: &Path, error: &DiskError) -> NotFetched {
    let reason = error.refusal().unwrap_or(RefusalReason::ReadOnly);
    let _ = fs::remove_dir_all(part);
    NotFetched::Refused(Refusal { reason, detail: error.to_string() })
}

fn fetch_file(server: &Server, who: &Credentials, file: &FileEntry, path: &Path, stop: &Stop) -> Result<(), FileError> {
    if let Some(folder) = path.parent() {
        durable::make_dir(folder).map_err(FileError::Disk)?;
    }
    let (mut hasher, mut held) = hash_held(path, file.size).map_err(|e| disk("read", path, e))?;
    if held < file.size || !path.exists() {
        let mut download = server.artifact(who, file.sha256, held).map_err(|error| unanswered(file, error))?;
        if let Some(size) = download.size.filter(|size| *size != file.size) {
            return Err(wrong(format!(
                "`{}` has {size} bytes at the server, and {} by the manifest",
                file.path, file.size
            )));
        }
        if download.offset != held {
            (hasher, held) = (Sha256::new(), 0);
        }
        let mut options = OpenOptions::new();
        let opened = options.create(true).append(held > 0).write(true).truncate(held == 0).open(path);
        let mut out = opened.map_err(|e| disk("write", path, e))?;
        let mut chunk = vec![0; CHUNK_BYTES];
        while held < file.size && !stop.is_stopped() {
            let read = download.reader.read(&mut chunk).map_err(|e| FileError::Server(broken(&e)))?;
            let bytes = chunk.get(..read).unwrap_or_default();
            if bytes.is_empty() {
                return Err(FileError::Server(broken(&io::Error::from(io::ErrorKind::UnexpectedEof))));
            }
            held = held.saturating_add(read as u64);
            if held > file.size {
                return Err(wrong(format!("`{}` is longer than {} bytes", file.path, file.size)));
            }
            hasher.update(bytes);
            out.write_all(bytes).map_err(|e| disk("write", path, e))?;
            drill::reached("file-half-written");
        }
        if stop.is_stopped() {
            return Ok(());
        }
        out.sync_all().map_err(|e| disk("write", path, e))?;
    }
    if Digest::from_bytes(hasher.finalize().into()) != file.sha256 {
        return Err(wrong(format!("`{}` is not the file that the manifest names", file.path)));
    }
    let out = File::open(path).map_err(|e| disk("open", path, e))?;
    os::set_executable(&out, file.executable).map_err(|e| disk("mark as executable", path, e))?;
    drill::reached("file-complete");
    Ok(())
}

fn wrong(detail: String) -> FileError {
    FileError::Refused(Refusal { reason: RefusalReason::WrongDigest, detail })
}

/// A file that is not there will not be there soon; everything else may pass.
fn unanswered(file: &FileEntry, error: ServerError) -> FileError {
    match error {
        ServerError::Problem { status: 404, .. } => {
            let detail = format!("the server does not have `{}` ({})", file.path, file.sha256.short());
            FileError::Refused(Refusal { reason: RefusalReason::MissingFile, detail })
        }
        error => FileError::Server(error),
    }
}

/// The hash over what is there already, and how much that is. More than the file may have is thrown away.
fn hash_held(path: &Path, size: u64) -> io::Result<(Sha256, u64)> {
    let mut hasher = Sha256::new();
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((hasher, 0)),
        Err(error) => return Err(error),
    };
    if file.metadata()?.len() > size {
        fs::remove_file(path)?;
        return Ok((hasher, 0));
    }
    let held = io::copy(&mut file, &mut hasher)?;
    Ok((hasher, held))
}

/// Flushes the folders and gives the slot its name.
fn place(part: &Path, slot: &Path, manifest: &Manifest) -> Result<(), DiskError> {
    let mut folders: Vec<PathBuf> = vec![part.to_owned()];
    for file in &manifest.files {
        let path = part.join(file.path.as_str());
        folders.extend(path.ancestors().skip(1).take_while(|a| *a != part).map(Path::to_owned));
    }
    folders.sort();
    folders.dedup();
    for folder in folders.iter().rev() {
        os::sync_dir(folder).map_err(|e| DiskError::new("flush", folder, e))?;
    }
    if slot.exists() {
        // A slot with wrong files in it: whoever damaged it, it is not what it is named.
        fs::remove_dir_all(slot).map_err(|e| DiskError::new("remove", slot, e))?;
    }
    fs::rename(part, slot).map_err(|e| DiskError::new("rename", part, e))?;
    if let Some(slots) = slot.parent() {
        os::sync_dir(slots).map_err(|e| DiskError::new("flush", slots, e))?;
    }
    drill::reached("slot-complete");
    Ok(())
}

/// Takes a release from a folder with `manifest.json` and its files, as a device has it from the factory. Gives its digest.
pub(crate) fn take_from_folder(from: &Path, dir: &PackageDir) -> Result<(Digest, Manifest), String> {
    let manifest_path = from.join("manifest.json");
    let bytes = durable::read(&manifest_path).map_err(|e| e.to_string())?;
    let bytes = bytes.ok_or_else(|| format!("there is no {}", manifest_path.display()))?;
    let release = Digest::of(&bytes);
    let manifest = Manifest::parse(&bytes).map_err(|e| e.to_string())?;
    let (slot, part) = (dir.slot(release), dir.part(release));
    for file in &manifest.files {
        let (source, target) = (from.join(file.path.as_str()), part.join(file.path.as_str()));
        if !is_right(&source, file) {
            return Err(format!("{} is not the file that the manifest names", source.display()));
        }
        if let Some(folder) = target.parent() {
            durable::make_dir(folder).map_err(|e| e.to_string())?;
        }
        fs::copy(&source, &target).map_err(|e| format!("cannot copy {}: {e}", source.display()))?;
        let copied = File::open(&target).and_then(|copy| {
            os::set_executable(&copy, file.executable)?;
            copy.sync_all()
        });
        copied.map_err(|e| format!("cannot write {}: {e}", target.display()))?;
    }
    place(&part, &slot, &manifest).map_err(|e| e.to_string())?;
    dir.keep_manifest(release, &bytes).map_err(|e| e.to_string())?;
    Ok((release, manifest))
}

fn is_right(path: &Path, file: &FileEntry) -> bool {
    let hashed = hash_whole(path);
    hashed.is_ok_and(|(digest, size)| digest == file.sha256 && size == file.size)
}

fn hash_whole(path: &Path) -> io::Result<(Digest, u64)> {
    let (mut hasher, mut file) = (Sha256::new(), File::open(path)?);
    let size = io::copy(&mut file, &mut hasher)?;
    Ok((Digest::from_bytes(hasher.finalize().into()), size))
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn wait(time: Duration, stop: &Stop) {
    let mut left = time;
    while !left.is_zero() && !stop.is_stopped() {
        let step = left.min(LOOK);
        thread::sleep(step);
        left = left.saturating_sub(step);
    }
}

fn disk(doing: &'static str, path: &Path, error: io::Error) -> FileError {
    FileError::Disk(DiskError::new(doing, path, error))
}

fn broken(error: &io::Error) -> ServerError {
    ServerError::Malformed(format!("the connection broke: {error}"))
}
