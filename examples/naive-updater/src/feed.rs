//! The vendor's feed: its format, and a small file server for it on 127.0.0.1.
//! The server answers GET for files inside its folder and nothing else; requests, files and connections are bounded.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Bytes of a feed at most.
pub const FEED_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a file at most.
pub const FILE_BYTES_MAX: u64 = 64 << 20;
/// Files of a feed at most.
pub const FILES_MAX: usize = 256;
/// The feed's name on the server.
pub const FEED_NAME: &str = "feed.json";

/// Bytes of a request's head at most.
const HEAD_BYTES_MAX: u64 = 8 << 10;
/// Connections answered at once at most; more are closed unanswered.
const CONNECTIONS_MAX: usize = 128;
/// How long a connection may keep its thread waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a vendor offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feed {
    /// Any word; another one than before means that there is something new.
    pub version: String,
    /// All files of the version.
    pub files: Vec<FeedFile>,
}

/// One file of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedFile {
    /// Where it goes inside the content folder.
    pub path: String,
    /// Where it is fetched from.
    pub url: String,
    /// Its SHA-256, in lower-case hexadecimal.
    pub sha256: String,
}

/// A running file server; dropping it stops it.
#[derive(Debug)]
pub struct FeedServer {
    /// Where it listens, on 127.0.0.1.
    pub addr: SocketAddr,
    dir: PathBuf,
    stopping: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

/// Serves the files of `dir` on a free port of 127.0.0.1.
///
/// # Errors
/// When the folder cannot be found or no port be had.
pub fn serve(dir: &Path) -> io::Result<FeedServer> {
    let dir = dir.canonicalize()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let addr = listener.local_addr()?;
    let stopping = Arc::new(AtomicBool::new(false));
    let (served, stop) = (dir.clone(), Arc::clone(&stopping));
    let acceptor =
        std::thread::Builder::new().name("feed".to_owned()).spawn(move || accept(&listener, &served, &stop))?;
    Ok(FeedServer { addr, dir, stopping, acceptor: Some(acceptor) })
}

impl FeedServer {
    /// The feed's address, for `--feed`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/{FEED_NAME}", self.addr)
    }

    /// Puts a version's files, given as path and bytes, under the served folder and then the feed that names them.
    ///
    /// # Errors
    /// When a path or the version is not a plain name, or a file cannot be written.
    pub fn publish(&self, version: &str, files: &[(&str, &[u8])]) -> anyhow::Result<()> {
        let mut listed = Vec::new();
        for (path, bytes) in files {
            let name = format!("{version}/{path}");
            let target = inside(&self.dir, &name).with_context(|| format!("'{name}' is not a plain path"))?;
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
            }
            fs::write(&target, bytes).with_context(|| format!("cannot write {}", target.display()))?;
            listed.push(FeedFile {
                path: (*path).to_owned(),
                url: format!("http://{}/{name}", self.addr),
                sha256: hex::encode(Sha256::digest(bytes)),
            });
        }
        let feed = Feed { version: version.to_owned(), files: listed };
        let beside = self.dir.join("feed.json.new");
        fs::write(&beside, serde_json::to_vec(&feed)?).context("cannot write the feed")?;
        fs::rename(&beside, self.dir.join(FEED_NAME)).context("cannot replace the feed")
    }
}

impl Drop for FeedServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // The acceptor waits for a connection; this one lets it see that it is to stop.
        let woken = TcpStream::connect_timeout(&self.addr, PATIENCE).is_ok();
        if let Some(acceptor) = self.acceptor.take().filter(|_| woken) {
            // It returns nothing and cannot have anything to say.
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, dir: &Path, stop: &AtomicBool) {
    let dir: Arc<Path> = Arc::from(dir);
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        if open.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS_MAX {
            open.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let (dir, count) = (Arc::clone(&dir), Arc::clone(&open));
        let answering = std::thread::Builder::new().spawn(move || {
            // A client that went away has no answer to get.
            let _ = answer(&stream, &dir);
            count.fetch_sub(1, Ordering::SeqCst);
        });
        if answering.is_err() {
            open.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Answers the one request of a connection.
fn answer(stream: &TcpStream, dir: &Path) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let (status, body) = match request_path(stream)? {
        Some(path) => read_file(dir, &path),
        None => ("400 Bad Request", Vec::new()),
    };
    let mut stream = stream;
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    stream.write_all(&body)?;
    stream.flush()
}

/// The path of a GET request, after its whole head has been read; `None` for anything else.
fn request_path(stream: &TcpStream) -> io::Result<Option<String>> {
    let mut head = BufReader::new(stream.take(HEAD_BYTES_MAX));
    let mut first = String::new();
    head.read_line(&mut first)?;
    let mut line = String::new();
    loop {
        line.clear();
        if head.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if line == "\r\n" || line == "\n" {
            break;
        }
    }
    let mut words = first.split_whitespace();
    let path = words.next().filter(|method| *method == "GET").and_then(|_| words.next());
    Ok(path.and_then(|path| path.strip_prefix('/')).map(str::to_owned))
}

fn read_file(dir: &Path, path: &str) -> (&'static str, Vec<u8>) {
    const NOT_FOUND: (&str, Vec<u8>) = ("404 Not Found", Vec::new());
    let Some(file) = inside(dir, path).and_then(|path| fs::File::open(path).ok()) else {
        return NOT_FOUND;
    };
    let small = file.metadata().is_ok_and(|data| data.is_file() && data.len() <= FILE_BYTES_MAX);
    let mut body = Vec::new();
    if !small || file.take(FILE_BYTES_MAX).read_to_end(&mut body).is_err() {
        return NOT_FOUND;
    }
    ("200 OK", body)
}

/// The file that a plain relative path names inside `dir`.
fn inside(dir: &Path, path: &str) -> Option<PathBuf> {
    let mut parts = Path::new(path).components().peekable();
    parts.peek()?;
    parts.all(|part| matches!(part, Component::Normal(_))).then(|| dir.join(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(server: &FeedServer, request: &str) -> String {
        let mut stream = TcpStream::connect(server.addr).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn only_files_inside_the_folder_are_served_and_only_to_get() {
        let dir = tempfile::tempdir().unwrap();
        let served = dir.path().join("served");
        fs::create_dir(&served).unwrap();
        fs::write(served.join("a"), "text").unwrap();
        fs::write(dir.path().join("secret"), "text").unwrap();
        let server = serve(&served).unwrap();
        assert!(ask(&server, "GET /a HTTP/1.1\r\n\r\n").ends_with("\r\n\r\ntext"));
        for (request, status) in [
            ("GET /../secret HTTP/1.1\r\n\r\n", "404"),
            ("GET / HTTP/1.1\r\n\r\n", "404"),
            ("GET /none HTTP/1.1\r\n\r\n", "404"),
            ("POST /a HTTP/1.1\r\n\r\n", "400"),
            ("\r\n\r\n", "400"),
        ] {
            let answer = ask(&server, request);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request:?}: {answer}");
        }
    }

    #[test]
    fn a_published_version_is_named_with_its_digests() {
        let dir = tempfile::tempdir().unwrap();
        let server = serve(dir.path()).unwrap();
        server.publish("1.0.0", &[("templates.json", b"{}")]).unwrap();
        let feed = ask(&server, "GET /feed.json HTTP/1.1\r\n\r\n");
        assert!(feed.contains("/1.0.0/templates.json"), "{feed}");
        assert!(feed.contains("44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"), "{feed}");
        assert!(server.publish("..", &[("x", b"")]).is_err());
    }
}
