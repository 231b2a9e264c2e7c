//! A small server of the device API for tests: std sockets, one request a connection, everything it says set from outside.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_domain::digest::Digest;
use tidegate_trust::records::{FleetProven, GoRequest, Halt, Report};
use tidegate_trust::signed::Unverified;
use tidegate_wire::authenticity::AnswerKey;
use tidegate_wire::device::{EnrolRequest, Reports};

use crate::fleet::{DEVICE, Fleet, PACKAGE, Parts, public, signed};

const TOKEN: &str = "bearer-token-of-the-test";

/// What the server knows and says.
pub(crate) struct World {
    pub(crate) fleet: Fleet,
    pub(crate) offer: Option<Parts>,
    pub(crate) halts: Vec<Unverified<Halt>>,
    pub(crate) fleet_proven: Vec<Unverified<FleetProven>>,
    pub(crate) reverts: Vec<String>,
    /// Cut the next artifact answers after so many bytes.
    pub(crate) cut_after: Option<usize>,
    /// Ranges that were asked for.
    pub(crate) ranges: Vec<String>,
    /// How long a batch of reports is on its way.
    pub(crate) reports_take: Duration,
    /// No go is given yet.
    pub(crate) goes_wait: bool,
    /// Answer check-ins without a good proof.
    pub(crate) forge: bool,
    pub(crate) enrolments: u32,
    pub(crate) goes: u32,
    pub(crate) check_ins: u32,
    /// What the last check-in said.
    pub(crate) said: Option<Value>,
    pub(crate) reports: BTreeMap<u64, Report>,
    pub(crate) taken: bool,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    world: Arc<(Mutex<World>, Condvar)>,
    up: Arc<AtomicBool>,
}

impl Server {
    pub(crate) fn start(fleet: Fleet) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let world = World {
            fleet,
            offer: None,
            halts: Vec::new(),
            fleet_proven: Vec::new(),
            reverts: Vec::new(),
            cut_after: None,
            ranges: Vec::new(),
            reports_take: Duration::ZERO,
            goes_wait: false,
            forge: false,
            enrolments: 0,
            goes: 0,
            check_ins: 0,
            said: None,
            reports: BTreeMap::new(),
            taken: false,
        };
        let server = Server {
            address: listener.local_addr().unwrap(),
            world: Arc::new((Mutex::new(world), Condvar::new())),
            up: Arc::new(AtomicBool::new(true)),
        };
        let (world, up) = (Arc::clone(&server.world), Arc::clone(&server.up));
        thread::spawn(move || {
            for stream in listener.incoming() {
                // Down: the connection is closed without a word.
                let (Ok(stream), true) = (stream, up.load(Ordering::SeqCst)) else { continue };
                let world = Arc::clone(&world);
                thread::spawn(move || {
                    let _ = serve(stream, &world);
                });
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn set_up(&self, up: bool) {
        self.up.store(up, Ordering::SeqCst);
    }

    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let result = act(&mut self.world.0.lock().unwrap());
        self.world.1.notify_all();
        result
    }

    /// Waits until something holds; every request is looked at.
    pub(crate) fn wait_for<T>(&self, what: &str, mut look: impl FnMut(&mut World) -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut world = self.world.0.lock().unwrap();
        loop {
            if let Some(found) = look(&mut world) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let words: Vec<_> = world.reports.values().map(|r| (r.observation.word(), r.detail.clone())).collect();
            assert!(!left.is_zero(), "waited in vain for: {what}; reports: {words:?}");
            world = self.world.1.wait_timeout(world, left).unwrap().0;
        }
    }

    /// Waits for a report with this word.
    pub(crate) fn wait_for_report(&self, word: &str) -> Report {
        self.wait_for(word, |world| world.reports.values().find(|r| r.observation.word() == word).cloned())
    }
}

struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

fn read_request(stream: &mut TcpStream) -> std::io::Result<Request> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&chunk[..read]);
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let (method, path) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let header = |line: &str| line.split_once(": ").map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned()));
    let headers: BTreeMap<String, String> = lines.filter_map(header).collect();
    let length: usize = headers.get("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
    let mut body = bytes[end..].to_vec();
    while body.len() < length {
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        body.extend_from_slice(&chunk[..read]);
    }
    Ok(Request { method, path, headers, body })
}

fn serve(mut stream: TcpStream, world: &Arc<(Mutex<World>, Condvar)>) -> std::io::Result<()> {
    let request = read_request(&mut stream)?;
    if request.path.ends_with("/reports") {
        let takes = world.0.lock().unwrap().reports_take;
        std::thread::sleep(takes);
    }
    let mut world_now = world.0.lock().unwrap();
    if let Some(name) = request.path.strip_prefix("/device/v1/artifacts/") {
        let answered = artifact(&mut stream, &mut world_now, name, &request);
        world.1.notify_all();
        return answered;
    }
    let (status, body, proven) = answer(&mut world_now, &request);
    let forge = world_now.forge;
    drop(world_now);
    world.1.notify_all();
    let nonce = request.headers.get("tidegate-nonce").cloned().unwrap_or_default();
    let key = AnswerKey::of_token(if forge { "another token" } else { TOKEN });
    let proof = if proven { format!("Tidegate-Answer: {}\r\n", key.answer_mac(&nonce, &body)) } else { String::new() };
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{proof}Connection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}

fn artifact(stream: &mut TcpStream, world: &mut World, name: &str, request: &Request) -> std::io::Result<()> {
    let Some(bytes) = world.fleet.artifacts.get(name).cloned() else {
        return stream.write_all(b"HTTP/1.1 404 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let range = request.headers.get("range").cloned();
    let from = range.as_ref().and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()).unwrap_or(0);
    let head = match range {
        Some(range) => {
            world.ranges.push(range);
            format!("HTTP/1.1 206 X\r\nContent-Range: bytes {from}-{}/{}\r\n", bytes.len() - 1, bytes.len())
        }
        None => "HTTP/1.1 200 X\r\n".to_owned(),
    };
    let rest = &bytes[from..];
    write!(stream, "{head}Content-Length: {}\r\nConnection: close\r\n\r\n", rest.len())?;
    match world.cut_after {
        Some(most) if most < rest.len() => {
            world.cut_after = None;
            stream.write_all(&rest[..most])
        }
        _ => stream.write_all(rest),
    }
}

fn problem(status: u16, kind: &str) -> (u16, Vec<u8>, bool) {
    let body = json!({"type": "urn:tidegate:problem:x", "title": "x", "status": status, "detail": "x", "kind": kind});
    (status, body.to_string().into_bytes(), false)
}

fn answer(world: &mut World, request: &Request) -> (u16, Vec<u8>, bool) {
    let path = request.path.strip_prefix("/device/v1/").unwrap_or_default();
    if let Some(name) = path.strip_prefix("metadata/") {
        return match world.fleet.metadata.get(name) {
            Some(bytes) => (200, bytes.clone(), false),
            None => problem(404, "unknown"),
        };
    }
    if path == "trust" {
        return (200, serde_json::to_vec(&world.fleet.bundle()).unwrap(), false);
    }
    if path == "enrol" {
        return enrol(world, &request.body);
    }
    let authorized = request.headers.get("authorization").is_some_and(|v| *v == format!("Bearer {TOKEN}"));
    if !authorized || request.headers.get("tidegate-device").is_none_or(|v| v != DEVICE) {
        return problem(401, "unauthorized");
    }
    match (request.method.as_str(), path) {
        ("POST", "check-in") => {
            world.said = serde_json::from_slice(&request.body).ok();
            check_in(world)
        }
        ("POST", "go") => go(world, &request.body),
        ("POST", "reports") => reports(world, &request.body),
        ("GET", _) if path.starts_with("offers/") => match &world.offer {
            Some(parts) => (200, serde_json::to_vec(&parts.offer(&world.fleet)).unwrap(), true),
            None => problem(404, "unknown"),
        },
        _ => problem(404, "unknown"),
    }
}

fn enrol(world: &mut World, body: &[u8]) -> (u16, Vec<u8>, bool) {
    let request: EnrolRequest = serde_json::from_slice(body).unwrap();
    let enrolment = request.enrolment.danger_unchecked_body().unwrap();
    assert_eq!(enrolment.token, request.token.digest());
    let keys = [public(&world.fleet.token), enrolment.public_key];
    request.enrolment.verify(world.fleet.id, keys, 2).unwrap();
    world.enrolments += 1;
    (200, json!({"token": TOKEN, "check_in_ms": 200}).to_string().into_bytes(), false)
}

fn check_in(world: &mut World) -> (u16, Vec<u8>, bool) {
    world.check_ins += 1;
    let offers: Vec<Value> = world
        .offer
        .iter()
        .filter(|_| !world.taken)
        .map(|parts| {
            let permit = signed(&parts.permit, &[]).digest();
            json!({"rollout": parts.order.rollout, "package": PACKAGE, "permit": permit})
        })
        .collect();
    let body = json!({
        "check_in_ms": 200, "now_ms": crate::fleet::now(), "store_epoch": "e1", "offers": offers,
        "health_wanted": [], "halts": world.halts, "fleet_proven": world.fleet_proven, "reverts": world.reverts,
        "key_list_version": world.fleet.key_list.version, "envelope_version": world.fleet.envelope.version,
    });
    (200, body.to_string().into_bytes(), true)
}

fn go(world: &mut World, body: &[u8]) -> (u16, Vec<u8>, bool) {
    let request: GoRequest = Unverified::<GoRequest>::parse(body).unwrap().danger_unchecked_body().unwrap();
    if world.goes_wait {
        return problem(503, "timeout");
    }
    world.goes += 1;
    let halted = world.halts.iter().any(|h| h.danger_unchecked_body().unwrap().order == request.order);
    let offered = world.offer.as_ref().is_some_and(|parts| parts.order_digest() == request.order);
    if halted || !offered {
        return problem(409, "halted");
    }
    world.taken = true;
    let go = world.fleet.go(request.order, request.permit, request.nonce);
    (200, serde_json::to_vec(&go).unwrap(), true)
}

fn reports(world: &mut World, body: &[u8]) -> (u16, Vec<u8>, bool) {
    let batch: Reports = serde_json::from_slice(body).unwrap();
    for record in batch.reports {
        let report = record.danger_unchecked_body().unwrap();
        if let Some(held) = world.reports.get(&report.seq) {
            assert_eq!(*held, report, "one number, two reports");
        }
        world.reports.insert(report.seq, report);
    }
    let acknowledged = world.reports.keys().next_back().copied().unwrap_or(0);
    (200, json!({"acknowledged_seq": acknowledged}).to_string().into_bytes(), true)
}

/// The order of an offer, for reports.
pub(crate) fn order_of(world: &World) -> Option<Digest> {
    world.offer.as_ref().map(Parts::order_digest)
}
