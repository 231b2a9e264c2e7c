//! Somebody else's HTTP server, as small as it can be: what it is asked, and what a closure answers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    headers: Vec<String>,
    pub(crate) body: String,
}

impl Asked {
    /// A header's value; empty without it.
    pub(crate) fn header(&self, name: &str) -> String {
        let of = |line: &String| {
            line.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.to_owned())
        };
        self.headers.iter().find_map(of).unwrap_or_default()
    }
}

/// Listens on a free port of this host for as long as the test runs; gives the address.
pub(crate) fn begin(mut answer: impl FnMut(&Asked) -> (u16, String) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut headers = Vec::new();
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
                    break;
                }
                headers.push(line.trim().to_owned());
            }
            let path = headers.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
            let mut asked = Asked { path, headers, body: String::new() };
            let mut body = vec![0; asked.header("content-length").parse().unwrap_or(0)];
            stream.read_exact(&mut body).unwrap();
            asked.body = String::from_utf8(body).unwrap();
            let (status, text) = answer(&asked);
            let head =
                format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}", text.len());
            // Whoever asked may have gone.
            let _ = stream.get_mut().write_all(format!("{head}\r\nConnection: close\r\n\r\n{text}").as_bytes());
        }
    });
    base
}
