//! Load over kept-alive connections to loopback, and a bare route to hold a server against.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::any;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const CONNECTIONS: usize = 64;

/// Requests answered in a second, each connection going through the requests again and again.
pub(crate) fn load(base: &str, requests: &[Vec<u8>], time: Duration) -> f64 {
    let begun = Instant::now();
    let next = AtomicUsize::new(0);
    let answered = drive(base, requests, || {
        (begun.elapsed() < time).then(|| next.fetch_add(1, Ordering::Relaxed) % requests.len())
    });
    answered as f64 / begun.elapsed().as_secs_f64()
}

/// Requests answered in a second, each sent once.
pub(crate) fn load_once(base: &str, requests: &[Vec<u8>]) -> f64 {
    let begun = Instant::now();
    let next = AtomicUsize::new(0);
    let answered =
        drive(base, requests, || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|next| *next < requests.len()));
    answered as f64 / begun.elapsed().as_secs_f64()
}

fn drive(base: &str, requests: &[Vec<u8>], next: impl Fn() -> Option<usize>) -> usize {
    let address = base.strip_prefix("http://").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let one = async || {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut buffer, mut answered) = (Vec::with_capacity(1 << 16), 0);
        while let Some(next) = next() {
            stream.write_all(&requests[next]).await.unwrap();
            buffer.clear();
            while length_of(&buffer).is_none_or(|length| buffer.len() < length) {
                assert!(stream.read_buf(&mut buffer).await.unwrap() > 0, "the server hung up");
            }
            assert_good(&buffer);
            answered += 1;
        }
        answered
    };
    let all = futures_util::future::join_all((0..CONNECTIONS).map(|_| one()));
    runtime.block_on(all).into_iter().sum()
}

/// One request on a connection of its own; the whole answer.
pub(crate) fn once(base: &str, request: &[u8]) -> Vec<u8> {
    let mut stream = std::net::TcpStream::connect(base.strip_prefix("http://").unwrap()).unwrap();
    stream.write_all(request).unwrap();
    let (mut answer, mut chunk) = (Vec::new(), [0; 1 << 16]);
    while length_of(&answer).is_none_or(|length| answer.len() < length) {
        let read = stream.read(&mut chunk).unwrap();
        assert!(read > 0, "the server hung up");
        answer.extend_from_slice(&chunk[..read]);
    }
    assert_good(&answer);
    answer
}

fn assert_good(answer: &[u8]) {
    assert!(answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(answer));
}

fn head_of(answer: &[u8]) -> Option<usize> {
    answer.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// Head and body of an answer, once its head is whole.
fn length_of(answer: &[u8]) -> Option<usize> {
    let head = head_of(answer)?;
    let text = std::str::from_utf8(&answer[..head]).unwrap().to_ascii_lowercase();
    let (_, length) = text.split_once("content-length: ")?;
    Some(head + length.split_once("\r\n")?.0.parse::<usize>().unwrap())
}

/// A server that answers every request with the same bytes, on one thread: what the HTTP stack itself can do.
pub(crate) struct BareRoute {
    pub(crate) base: String,
    _runtime: tokio::runtime::Runtime,
}

impl BareRoute {
    /// Answers with the body of this answer, after reading the request's body.
    pub(crate) fn answering(answer: &[u8]) -> BareRoute {
        let body: Arc<[u8]> = answer[head_of(answer).unwrap()..].into();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("bare")
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let answer = move |_: bytes::Bytes| async move { ([("content-type", "application/json")], body.to_vec()) };
        let routes = Router::new().fallback(any(answer));
        runtime.spawn(async move { axum::serve(listener, routes).await });
        BareRoute { base, _runtime: runtime }
    }
}
