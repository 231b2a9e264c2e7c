//! The operator API of a server, called one request at a time. Problem documents become errors of one line.
//! Never follows a redirect (which could carry the token away) and never speaks plain HTTP beyond this host.

mod address;
mod calls;
mod error;

use std::io::Read;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_wire::problem::Problem;
use ureq::http::{Method, Request, Response, StatusCode, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, AsSendBody, Body};

pub(crate) use address::check_address;
use address::root_certs;
pub(crate) use calls::AccountWanted;
pub(crate) use error::ClientError;

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const JSON: &str = "application/json";

type Result<T> = std::result::Result<T, ClientError>;

/// A server, and who we are there.
#[derive(Clone)]
pub(crate) struct Client {
    agent: Agent,
    base: String,
    token: Option<SecretString>,
}

impl Client {
    /// A client of the server at `server`, with an operator's token where there is one. `ca_pem` replaces the usual authorities.
    ///
    /// # Errors
    /// When the address or the certificates cannot be used.
    pub(crate) fn new(server: &str, token: Option<SecretString>, ca_pem: Option<&[u8]>) -> Result<Client> {
        let loopback = check_address(server)?;
        let roots = ca_pem.map(root_certs).transpose()?.unwrap_or(RootCerts::WebPki);
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .timeout_recv_body(Some(ANSWER_TIMEOUT))
            .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build());
        if loopback {
            config = config.proxy(None);
        }
        let base = server.trim_end_matches('/').to_owned();
        Ok(Client { agent: config.build().new_agent(), base, token })
    }

    /// The server's address.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.ask(Method::GET, path, None::<&()>)
    }

    /// Sends a request whose answer's body says nothing new.
    fn tell(&self, path: &str, body: &impl Serialize) -> Result<()> {
        self.run_json(&Method::POST, path, body).map(drop)
    }

    fn put_bytes(&self, path: &str, media_type: &str, bytes: &[u8]) -> Result<()> {
        let request = self.request(&Method::PUT, path).header(header::CONTENT_TYPE, media_type);
        self.send(&Method::PUT, path, request, bytes).map(drop)
    }

    fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> Result<T> {
        let mut answer = match body {
            Some(body) => self.run_json(&method, path, body)?,
            None => self.run(method.clone(), path, ())?,
        };
        let bytes = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let bytes = bytes.map_err(|e| self.unreachable(&e))?;
        serde_json::from_slice(&bytes).map_err(|e| ClientError::Answer {
            request: shown(&method, path),
            problem: format!("the server's answer is not understood by this version of tidegate: {e}"),
        })
    }

    fn text(&self, path: &str) -> Result<String> {
        let mut answer = self.run(Method::GET, path, ())?;
        answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().map_err(|e| self.unreachable(&e))
    }

    fn run_json(&self, method: &Method, path: &str, body: &impl Serialize) -> Result<Response<Body>> {
        let bytes = serde_json::to_vec(body)
            .map_err(|e| ClientError::Answer { request: shown(method, path), problem: e.to_string() })?;
        let request = self.request(method, path).header(header::CONTENT_TYPE, JSON);
        self.send(method, path, request, bytes)
    }

    fn run(&self, method: Method, path: &str, body: impl AsSendBody) -> Result<Response<Body>> {
        self.send(&method, path, self.request(&method, path), body)
    }

    fn request(&self, method: &Method, path: &str) -> ureq::http::request::Builder {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}/api/v1{path}", self.base))
            .header(header::ACCEPT, "application/json, application/problem+json");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
        }
        request
    }

    fn send(
        &self,
        method: &Method,
        path: &str,
        request: ureq::http::request::Builder,
        body: impl AsSendBody,
    ) -> Result<Response<Body>> {
        let answer = |problem: String| ClientError::Answer { request: shown(method, path), problem };
        let request = request.body(body).map_err(|e| answer(e.to_string()))?;
        let mut response = self.agent.run(request).map_err(|e| self.unreachable(&e))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let bytes = response.body_mut().with_config().limit(1 << 20).read_to_vec().unwrap_or_default();
        let problem = problem_of(response.status(), &bytes);
        Err(ClientError::Refused { request: shown(method, path), problem: Box::new(problem) })
    }

    fn unreachable(&self, error: &ureq::Error) -> ClientError {
        let mut problem = error.to_string();
        if problem.contains("CaUsedAsEndEntity") {
            problem.push_str(
                " (the server shows an authority's certificate; right is one that an authority signed for the server, \
                 or a self-signed one with CA:FALSE)",
            );
        }
        ClientError::Unreachable { base: self.base.clone(), problem }
    }

    fn cut_off(&self, method: &Method, path: &str, error: &std::io::Error) -> ClientError {
        ClientError::Unreachable { base: self.base.clone(), problem: format!("{}: {error}", shown(method, path)) }
    }
}

fn problem_of(status: StatusCode, bytes: &[u8]) -> Problem {
    serde_json::from_slice(bytes).unwrap_or_else(|_| {
        let detail = match status {
            StatusCode::UNAUTHORIZED => "the server does not know this token: run `tidegate login`".to_owned(),
            StatusCode::NOT_FOUND => "the server has nothing of that name".to_owned(),
            _ => format!("the server answered {status} without a reason that tidegate understands"),
        };
        Problem::new(status.as_u16(), "http", "HTTP error", detail)
    })
}

fn shown(method: &Method, path: &str) -> String {
    format!("{method} {path}")
}

fn read_all(mut reader: impl Read, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    reader.read_to_end(bytes).map(drop)
}

fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_survives_the_trip_through_a_query() {
        assert_eq!(percent("os == \"a\" && x"), "os%20%3D%3D%20%22a%22%20%26%26%20x");
    }
}
