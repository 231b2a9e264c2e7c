//! The device API as a client: which endpoint, which headers, how much is read, whether an answer is authentic.
//!
//! Plain HTTP is refused beyond loopback, redirects are never followed, and every body has an upper bound. What an answer says is
//! judged elsewhere.

mod way;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{DeviceId, RolloutId};
use tidegate_trust::records::{Go, GoRequest};
use tidegate_trust::signed::Unverified;
use tidegate_wire::authenticity::{ANSWER_HEADER, AnswerKey, DEVICE_HEADER, NONCE_HEADER};
use tidegate_wire::device::{
    CheckIn, CheckInAnswer, EnrolAnswer, EnrolRequest, Offer, Reports, ReportsAnswer, TrustBundle,
};
use tidegate_wire::problem::Problem;

pub(crate) use way::ProxySettings;
use way::{Way, WayError};

/// The most bytes of an answer of the API.
const ANSWER_BYTES_MAX: u64 = 8 << 20;
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(20);
/// A download that brings nothing for so long is cut and begun again where it stood.
const STALL: Duration = Duration::from_secs(30);

/// Why there is no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// Nobody answered, or the connection broke.
    #[error("no answer from {endpoint}: {reason}")]
    Unreachable {
        /// Whom the device asked.
        endpoint: String,
        /// What went wrong.
        reason: String,
    },
    /// The server says no.
    #[error("the server answered {status} ({kind}): {detail}")]
    Problem {
        /// The HTTP status.
        status: u16,
        /// The problem's stable word, or nothing.
        kind: String,
        /// What it says.
        detail: String,
    },
    /// The answer does not carry the proof that it comes from the device's server.
    #[error("an answer from {0} without a good `Tidegate-Answer`: it is not used")]
    NotAuthentic(String),
    /// The answer is too long or not of the right shape.
    #[error("an answer that cannot be read: {0}")]
    Malformed(String),
}

/// How a device proves who it is, once it enrolled.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) device: DeviceId,
    pub(crate) token: String,
}

/// The server, over any of its endpoints.
#[derive(Clone)]
pub(crate) struct Server {
    http: ureq::Agent,
    downloads: ureq::Agent,
    endpoints: Arc<Vec<String>>,
    preferred: Arc<AtomicUsize>,
}

/// Bytes of an artifact on their way.
pub(crate) struct Download {
    /// The first byte's place in the artifact.
    pub(crate) offset: u64,
    /// How long the whole artifact is, where the server says so.
    pub(crate) size: Option<u64>,
    /// The bytes.
    pub(crate) reader: Box<dyn Read + Send>,
}

impl Server {
    /// Checks the endpoints, reads the certificates to trust, and finds the way there.
    pub(crate) fn new(endpoints: &[String], roots: Option<&Path>, proxy: &ProxySettings) -> Result<Server, WayError> {
        let way = Way::to(endpoints, roots, proxy)?;
        let config = |answer: Option<Duration>| {
            let builder = ureq::Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .proxy(way.proxy.clone())
                .tls_config(way.tls.clone())
                .user_agent(concat!("tidegate-agent/", env!("CARGO_PKG_VERSION")))
                .timeout_connect(Some(CONNECT))
                .timeout_recv_response(Some(ANSWER));
            match answer {
                Some(all) => builder.timeout_global(Some(all)),
                None => builder.timeout_per_read(Some(STALL)),
            }
            .build()
        };
        Ok(Server {
            http: config(Some(ANSWER)).new_agent(),
            downloads: config(None).new_agent(),
            endpoints: Arc::new(way.endpoints),
            preferred: Arc::new(AtomicUsize::new(0)),
        })
    }

    /// A TUF metadata file; none where there is no such file. A longer one is an error.
    pub(crate) fn metadata(&self, name: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, ServerError> {
        let request = |url: String| self.http.get(url).call();
        let mut response = self.ask(&format!("/device/v1/metadata/{name}"), request)?;
        if response.status().as_u16() == 404 {
            return Ok(None);
        }
        let body = read_body(&mut response, bytes_max)?;
        good(response.status().as_u16(), &body)?;
        Ok(Some(body))
    }

    /// Key list and envelope, as root signed them.
    pub(crate) fn trust(&self) -> Result<TrustBundle, ServerError> {
        let mut response = self.ask("/device/v1/trust", |url| self.http.get(url).call())?;
        let body = read_body(&mut response, ANSWER_BYTES_MAX)?;
        good(response.status().as_u16(), &body)?;
        parse(&body)
    }

    /// Joins, or joins again with the same record.
    pub(crate) fn enrol(&self, request: &EnrolRequest) -> Result<EnrolAnswer, ServerError> {
        let body = to_json(request)?;
        let send = |url: String| self.http.post(url).header("content-type", "application/json").send(&body[..]);
        let mut response = self.ask("/device/v1/enrol", send)?;
        let body = read_body(&mut response, ANSWER_BYTES_MAX)?;
        good(response.status().as_u16(), &body)?;
        parse(&body)
    }

    /// Says that the device is there.
    pub(crate) fn check_in(&self, who: &Credentials, body: &CheckIn) -> Result<CheckInAnswer, ServerError> {
        self.post(who, "/device/v1/check-in", body)
    }

    /// What a device needs in order to decide.
    pub(crate) fn offer(&self, who: &Credentials, rollout: &RolloutId) -> Result<Offer, ServerError> {
        let nonce = fresh_nonce()?.hex();
        let request = |url: String| who.sign_get(self.http.get(url), &nonce).call();
        let mut response = self.ask(&format!("/device/v1/offers/{rollout}"), request)?;
        self.authentic(who, &nonce, &mut response)
    }

    /// Asks to take the release.
    pub(crate) fn go(&self, who: &Credentials, body: &Unverified<GoRequest>) -> Result<Unverified<Go>, ServerError> {
        self.post(who, "/device/v1/go", body)
    }

    /// Hands over reports.
    pub(crate) fn reports(&self, who: &Credentials, body: &Reports) -> Result<ReportsAnswer, ServerError> {
        self.post(who, "/device/v1/reports", body)
    }

    /// An artifact from `offset` on. The server may begin at 0 all the same; the answer says where.
    pub(crate) fn artifact(&self, who: &Credentials, sha256: Digest, offset: u64) -> Result<Download, ServerError> {
        let path = format!("/device/v1/artifacts/{}", sha256.hex());
        let etag = format!("\"{}\"", sha256.hex());
        let request = |url: String| {
            let request = self.downloads.get(url).header("authorization", format!("Bearer {}", who.token));
            let request = request.header(DEVICE_HEADER, who.device.as_str());
            if offset == 0 {
                return request.call();
            }
            request.header("range", format!("bytes={offset}-")).header("if-range", &etag).call()
        };
        let mut response = self.ask(&path, request)?;
        match response.status().as_u16() {
            200 => Ok(Download {
                offset: 0,
                size: length(&response),
                reader: Box::new(response.into_body().into_reader()),
            }),
            206 if starts_at(&response, offset) => {
                let size = length(&response).map(|rest| rest.saturating_add(offset));
                Ok(Download { offset, size, reader: Box::new(response.into_body().into_reader()) })
            }
            206 => Err(ServerError::Malformed("another range than the one that was asked for".to_owned())),
            status => {
                let body = read_body(&mut response, ANSWER_BYTES_MAX)?;
                good(status, &body)?;
                Err(ServerError::Malformed(format!("status {status} for an artifact")))
            }
        }
    }

    fn post<B: Serialize, A: DeserializeOwned>(
        &self,
        who: &Credentials,
        path: &str,
        body: &B,
    ) -> Result<A, ServerError> {
        let (body, nonce) = (to_json(body)?, fresh_nonce()?.hex());
        let send = |url: String| {
            let request = self.http.post(url).header("content-type", "application/json");
            let request = request.header("authorization", format!("Bearer {}", who.token));
            request.header(DEVICE_HEADER, who.device.as_str()).header(NONCE_HEADER, &nonce).send(&body[..])
        };
        let mut response = self.ask(path, send)?;
        self.authentic(who, &nonce, &mut response)
    }

    /// Asks the endpoint that answered last, and the others in turn where it does not answer.
    fn ask<F>(&self, path: &str, send: F) -> Result<ureq::http::Response<ureq::Body>, ServerError>
    where
        F: Fn(String) -> Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut last = None;
        for i in 0..self.endpoints.len() {
            let index = (first + i) % self.endpoints.len();
            let Some(endpoint) = self.endpoints.get(index) else { break };
            match send(format!("{endpoint}{path}")) {
                Ok(response) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok(response);
                }
                Err(error) => {
                    last = Some(ServerError::Unreachable { endpoint: endpoint.clone(), reason: error.to_string() });
                }
            }
        }
        Err(last.unwrap_or_else(|| ServerError::Malformed("no endpoint".to_owned())))
    }

    /// Reads an answer and believes it only if its proof is good. A problem is passed on without one: it only closes.
    fn authentic<A: DeserializeOwned>(
        &self,
        who: &Credentials,
        nonce: &str,
        response: &mut ureq::http::Response<ureq::Body>,
    ) -> Result<A, ServerError> {
        let proof = response.headers().get(ANSWER_HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = read_body(response, ANSWER_BYTES_MAX)?;
        good(response.status().as_u16(), &body)?;
        let key = AnswerKey::of_token(&who.token);
        if !key.accepts(nonce, &body, proof.as_deref().unwrap_or_default()) {
            let index = self.preferred.load(Ordering::Relaxed);
            return Err(ServerError::NotAuthentic(self.endpoints.get(index).cloned().unwrap_or_default()));
        }
        parse(&body)
    }
}

impl Credentials {
    fn sign_get<B>(&self, request: ureq::RequestBuilder<B>, nonce: &str) -> ureq::RequestBuilder<B> {
        let request = request.header("authorization", format!("Bearer {}", self.token));
        request.header(DEVICE_HEADER, self.device.as_str()).header(NONCE_HEADER, nonce)
    }
}

/// 32 fresh random bytes.
pub(crate) fn fresh_nonce() -> Result<Digest, ServerError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| ServerError::Malformed(format!("no randomness for a nonce: {e}")))?;
    Ok(Digest::from_bytes(bytes))
}

fn starts_at(response: &ureq::http::Response<ureq::Body>, offset: u64) -> bool {
    let range = response.headers().get("content-range").and_then(|value| value.to_str().ok());
    range.and_then(|text| text.strip_prefix("bytes ")).is_some_and(|text| text.starts_with(&format!("{offset}-")))
}

/// The length of the body, where it is said.
fn length(response: &ureq::http::Response<ureq::Body>) -> Option<u64> {
    response.headers().get("content-length")?.to_str().ok()?.parse().ok()
}

fn read_body(response: &mut ureq::http::Response<ureq::Body>, bytes_max: u64) -> Result<Vec<u8>, ServerError> {
    let read = response.body_mut().with_config().limit(bytes_max.saturating_add(1)).read_to_vec();
    let body = read.map_err(|e| ServerError::Malformed(e.to_string()))?;
    if body.len() as u64 > bytes_max {
        return Err(ServerError::Malformed(format!("longer than {bytes_max} bytes")));
    }
    Ok(body)
}

fn good(status: u16, body: &[u8]) -> Result<(), ServerError> {
    if (200..300).contains(&status) {
        return Ok(());
    }
    let problem: Option<Problem> = serde_json::from_slice(body).ok();
    let (kind, detail) = problem.map_or_else(Default::default, |p| (p.kind, p.detail.chars().take(300).collect()));
    Err(ServerError::Problem { status, kind, detail })
}

fn parse<A: DeserializeOwned>(body: &[u8]) -> Result<A, ServerError> {
    serde_json::from_slice(body).map_err(|e| ServerError::Malformed(e.to_string()))
}

fn to_json<B: Serialize>(body: &B) -> Result<Vec<u8>, ServerError> {
    serde_json::to_vec(body).map_err(|e| ServerError::Malformed(e.to_string()))
}
