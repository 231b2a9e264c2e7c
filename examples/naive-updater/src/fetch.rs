//! Fetches a version: the feed, then all its files into a folder beside the content, each checked against its digest.
//! It trusts the feed for everything else: whoever writes the feed decides what runs.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};
use ureq::Agent;

use crate::feed::{FEED_BYTES_MAX, FILE_BYTES_MAX, FILES_MAX, Feed};

/// An HTTP client that gives up after ten seconds.
pub(crate) fn client() -> Agent {
    let config = Agent::config_builder().timeout_global(Some(Duration::from_secs(10)));
    config.build().into()
}

/// Fetches and checks the feed.
pub(crate) fn feed(client: &Agent, url: &str) -> anyhow::Result<Feed> {
    let bytes = get(client, url, FEED_BYTES_MAX)?;
    let feed: Feed = serde_json::from_slice(&bytes).context("the feed does not parse")?;
    ensure!(feed.files.len() <= FILES_MAX, "the feed names more than {FILES_MAX} files");
    ensure!(feed.version.len() <= 200, "the feed's version is longer than 200 bytes");
    for file in &feed.files {
        ensure!(is_inside(&file.path), "the feed's path '{}' leads out of the content folder", file.path);
    }
    Ok(feed)
}

/// Fetches all files of a version into `dir`, which is made anew.
pub(crate) fn files(client: &Agent, feed: &Feed, dir: &Path) -> anyhow::Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot empty {}", dir.display()))?;
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    for file in &feed.files {
        let bytes = get(client, &file.url, FILE_BYTES_MAX)?;
        let digest = hex::encode(Sha256::digest(&bytes));
        ensure!(digest == file.sha256, "{} has the digest {digest}, not {}", file.url, file.sha256);
        let path = dir.join(&file.path);
        let parent = path.parent().map(PathBuf::from).unwrap_or_default();
        fs::create_dir_all(&parent).with_context(|| format!("cannot make {}", parent.display()))?;
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Whether a path from the feed stays inside the folder that it is joined to.
fn is_inside(path: &str) -> bool {
    let parts = Path::new(path).components();
    let plain = parts.clone().all(|part| matches!(part, Component::Normal(_)));
    plain && parts.count() > 0 && path.len() <= 200
}

fn get(client: &Agent, url: &str, bytes_max: u64) -> anyhow::Result<Vec<u8>> {
    let mut answer = client.get(url).call().with_context(|| format!("cannot fetch {url}"))?;
    let body = answer.body_mut().with_config().limit(bytes_max);
    body.read_to_vec().with_context(|| format!("cannot read {url}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::{self, FeedFile};

    #[test]
    fn paths_that_leave_the_folder_are_refused() {
        for bad in ["", "..", "../x", "/etc/passwd", "a/../../b", "."] {
            assert!(!is_inside(bad), "{bad}");
        }
        assert!(is_inside("templates.json") && is_inside("rules/a.json"));
    }

    #[test]
    fn a_file_with_another_digest_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let served = dir.path().join("served");
        fs::create_dir(&served).unwrap();
        fs::write(served.join("a"), "text").unwrap();
        let server = feed::serve(&served).unwrap();
        let feed = Feed {
            version: "1".to_owned(),
            files: vec![FeedFile {
                path: "a".to_owned(),
                url: format!("http://{}/a", server.addr),
                sha256: "0".repeat(64),
            }],
        };
        let error = files(&client(), &feed, &dir.path().join("incoming")).unwrap_err();
        assert!(error.to_string().contains("digest"), "{error}");
    }
}
