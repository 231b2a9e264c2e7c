//! Looks whether a payload is well: one round runs all probes of a manifest, each within its timeout. Never changes anything.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tidegate_domain::release::Probe;
use tidegate_domain::time::Elapsed;

use crate::said::Said;
use crate::{durable, os};

/// The most bytes of an HTTP answer that are looked at.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// How often a running command is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How much of what a command says on its error output is passed on, and how long that is waited for once it ended.
const WORDS_BYTES_MAX: usize = 160;
const WORDS_WITHIN: Duration = Duration::from_millis(200);

/// What a health file must say at least.
#[derive(Deserialize)]
struct Health {
    ready: bool,
}

/// Runs the probes in turn and gives the first that fails. `said` is what the payload has said of itself in this run.
pub(crate) fn round(probes: &[Probe], slot: &Path, run_dir: &Path, said: &Said) -> Result<(), String> {
    for probe in probes {
        match probe {
            Probe::HealthFile { path, fresh } => health_file(&run_dir.join(path.as_str()), *fresh, said),
            Probe::Exec { command, timeout } => {
                let words = crate::guard::filled_in(command, slot, run_dir);
                exec(&words, slot, run_dir, duration(*timeout))
            }
            Probe::Http { port, path, status, contains, timeout } => {
                http(*port, path, *status, contains.as_deref(), duration(*timeout))
            }
            Probe::Tcp { port, timeout } => connect(*port, duration(*timeout)).map(|_| ()),
            Probe::Notify { watchdog } => said.is_ready(*watchdog, Instant::now()),
            Probe::Number { name, at_least, at_most, fresh } => {
                said.keeps(name, *at_least, *at_most, *fresh, Instant::now())
            }
        }?;
    }
    Ok(())
}

/// Removes the health files that an earlier run left: they say nothing of this one.
pub(crate) fn forget_health(probes: &[Probe], run_dir: &Path) {
    for probe in probes {
        if let Probe::HealthFile { path, .. } = probe {
            // One that is not there is what is wanted; one that stays goes stale.
            let _ = fs::remove_file(run_dir.join(path.as_str()));
        }
    }
}

fn health_file(path: &Path, fresh: Elapsed, said: &Said) -> Result<(), String> {
    let shown = path.display();
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    let modified = modified.map_err(|e| format!("health file {shown}: {e}"))?;
    if !path.is_file() {
        // A pipe would be waited for, a device read without end.
        return Err(format!("health file {shown} is no file"));
    }
    let age = said.file_age(path, modified, Instant::now());
    if age > duration(fresh) {
        return Err(format!("health file {shown} is {} ms old, at most {fresh} is fresh", age.as_millis()));
    }
    let health: Option<Health> = durable::read_json(path).map_err(|e| e.to_string())?;
    match health {
        Some(Health { ready: true }) => Ok(()),
        _ => Err(format!("health file {shown} does not say that it is ready")),
    }
}

fn exec(words: &[String], slot: &Path, run_dir: &Path, timeout: Duration) -> Result<(), String> {
    run(words, slot, run_dir, timeout, Output::Kept).map_err(|problem| format!("probe command: {problem}"))
}

/// Runs a command that changes something to its end, at most for `timeout`. What it says and what it leaves behind goes on.
pub(crate) fn run_command(words: &[String], slot: &Path, run_dir: &Path, timeout: Duration) -> Result<(), String> {
    run(words, slot, run_dir, timeout, Output::PassedOn)
}

/// What becomes of a command's output.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    /// It goes where the agent's own goes.
    PassedOn,
    /// A little of it is kept for whoever looks why the command failed. Nothing that it leaves behind lives on.
    Kept,
}

fn run(words: &[String], slot: &Path, run_dir: &Path, timeout: Duration, output: Output) -> Result<(), String> {
    let Some((program, rest)) = words.split_first() else { return Err("no command".to_owned()) };
    let mut command = Command::new(program);
    command.args(rest).env("TIDEGATE_SLOT", slot).env(crate::layout::RUN_VARIABLE, run_dir).stdin(Stdio::null());
    if output == Output::Kept {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
    }
    // The service manager hears the agent, and nobody whom it asks.
    command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
    os::own_group(&mut command);
    let mut child = command.spawn().map_err(|e| format!("cannot run {program}: {e}"))?;
    let words = last_words(child.stderr.take());
    let started = Instant::now();
    loop {
        let seen = child.try_wait();
        if output == Output::Kept && !matches!(seen, Ok(None)) {
            os::kill(child.id());
        }
        match seen {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => {
                let words = words.recv_timeout(WORDS_WITHIN).unwrap_or_default();
                return Err(format!("{program}: {}{words}", os::ending(status)));
            }
            Ok(None) if started.elapsed() < timeout => thread::sleep(LOOK.min(timeout)),
            Ok(None) => {
                os::kill(child.id());
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{program}: not done after {} ms", timeout.as_millis()));
            }
            Err(e) => return Err(format!("{program}: {e}")),
        }
    }
}

/// What a command says on its error output: the beginning of it for people, the rest read and forgotten, so that it never waits.
fn last_words(stderr: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let Some(mut stderr) = stderr else { return };
        let (mut kept, mut chunk) = (Vec::new(), [0; 8192]);
        while let Ok(read @ 1..) = stderr.read(&mut chunk) {
            let room = WORDS_BYTES_MAX.saturating_sub(kept.len());
            kept.extend_from_slice(chunk.get(..read.min(room)).unwrap_or_default());
        }
        let text = String::from_utf8_lossy(&kept).split_whitespace().collect::<Vec<_>>().join(" ");
        // Nobody waits for it where the command did well, or left children that go on.
        let _ = sender.send(if text.is_empty() { text } else { format!(": {text}") });
    });
    receiver
}

fn connect(port: u16, timeout: Duration) -> Result<TcpStream, String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, timeout).map_err(|e| format!("port {port}: {e}"))
}

fn http(port: u16, path: &str, status: u16, contains: Option<&str>, timeout: Duration) -> Result<(), String> {
    if !path.starts_with('/') || path.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return Err(format!("probe path {path:?} is none"));
    }
    let started = Instant::now();
    let broken = |e: std::io::Error| format!("port {port}: {e}");
    let mut stream = connect(port, timeout)?;
    // HTTP/1.0: the answer comes in one piece and the connection ends with it.
    let request = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: tidegate-probe\r\n\r\n");
    stream.set_write_timeout(Some(timeout)).map_err(broken)?;
    stream.write_all(request.as_bytes()).map_err(broken)?;
    let mut answer = Vec::new();
    let mut chunk = [0; 8192];
    while (answer.len() as u64) < ANSWER_BYTES_MAX {
        let left = timeout.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Err(format!("port {port}: no answer after {} ms", timeout.as_millis()));
        }
        stream.set_read_timeout(Some(left)).map_err(broken)?;
        let read = stream.read(&mut chunk).map_err(broken)?;
        if read == 0 {
            break;
        }
        answer.extend_from_slice(chunk.get(..read).unwrap_or_default());
    }
    let answer = String::from_utf8_lossy(&answer);
    let found = answer.split(' ').nth(1).and_then(|word| word.parse::<u16>().ok());
    if found != Some(status) {
        return Err(format!("port {port}{path}: status {found:?}, expected {status}"));
    }
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    match contains {
        Some(text) if !body.contains(text) => Err(format!("port {port}{path}: the body lacks {text:?}")),
        _ => Ok(()),
    }
}

fn duration(elapsed: Elapsed) -> Duration {
    Duration::from_millis(elapsed.as_ms())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::time::SystemTime;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_health_file_counts_while_it_is_fresh_and_says_that_it_is_ready() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("health.json");
        let fresh = Elapsed::from_s(60);
        let (said, fresh_look) = (Said::default(), Said::default());
        let health_file = |path: &Path, fresh| super::health_file(path, fresh, &said);
        assert!(health_file(&path, fresh).is_err());
        fs::write(&path, r#"{"ready": true, "version": "1", "events": 4}"#).unwrap();
        assert_eq!(health_file(&path, fresh), Ok(()));
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(SystemTime::now() - Duration::from_secs(90))
            .unwrap();
        assert!(super::health_file(&path, fresh, &fresh_look).unwrap_err().contains("old"));
        fs::write(&path, r#"{"ready": false}"#).unwrap();
        assert!(health_file(&path, fresh).is_err());
    }

    #[test]
    fn a_command_that_hangs_is_ended_after_its_timeout() {
        let dir = Path::new("/");
        let started = Instant::now();
        assert!(run_command(&words("sleep 30"), dir, dir, Duration::from_millis(50)).unwrap_err().contains("not done"));
        assert!(started.elapsed() < Duration::from_secs(10));
        assert_eq!(run_command(&words("true"), dir, dir, Duration::from_secs(5)), Ok(()));
        assert!(run_command(&words("false"), dir, dir, Duration::from_secs(5)).is_err());
        assert!(run_command(&[], dir, dir, Duration::from_secs(5)).is_err());
    }

    #[test]
    fn a_probe_that_says_much_is_heard_a_little_and_one_that_leaves_children_waits_for_none() {
        let dir = Path::new("/");
        let probe = |script: &str| {
            let words = ["sh", "-c", script].map(str::to_owned);
            let started = Instant::now();
            let result = exec(&words, dir, dir, Duration::from_secs(5));
            assert!(started.elapsed() < Duration::from_secs(4), "{script}");
            result
        };
        let refused = probe("echo cannot find the page >&2; head -c 50000000 /dev/zero >&2; exit 3").unwrap_err();
        assert!(refused.starts_with("probe command: sh: exit code 3: cannot find the page"), "{refused}");
        assert!(refused.len() < 300, "{}", refused.len());
        assert_eq!(probe("head -c 50000000 /dev/zero"), Ok(()));
        assert_eq!(probe("sleep 600 & exit 0"), Ok(()));
        let file = dir.join("dev/zero");
        assert!(
            health_file(&file, Elapsed::from_s(9_000_000_000), &Said::default()).unwrap_err().contains("is no file")
        );
    }

    #[test]
    fn http_wants_the_status_and_the_text_and_no_silence() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = thread::spawn(move || {
            for _ in 0..3 {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 512];
                let _ = stream.read(&mut request).unwrap();
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
            }
            listener
        });
        let second = Duration::from_secs(5);
        assert_eq!(http(port, "/", 200, Some("ell"), second), Ok(()));
        assert!(http(port, "/", 200, Some("bye"), second).is_err());
        assert!(http(port, "/", 204, None, second).is_err());
        let listener = serving.join().unwrap();
        let silent = http(port, "/", 200, None, Duration::from_millis(50));
        assert!(silent.is_err(), "accepted by the queue, but never answered");
        drop(listener);
        assert!(http(port, "/\r\nX: y", 200, None, second).unwrap_err().contains("is none"));
    }
}
