//! The operator API of a server, called one request at a time. Problem documents become errors of one line.
//! Never follows a redirect (which could carry the token away) and never speaks plain HTTP beyond this host.

mod address;
mod error;

use std::io::Read;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{DeviceId, IncidentId, OperatorName, PackageName, RolloutId};
use tidegate_wire::device::TrustBundle;
use tidegate_wire::operator::{
    AccusationView, ApprovalRequest, DeviceView, DraftAnswer, DraftRequest, HaltAnswer, HaltTarget, IncidentView,
    LoginRequest, OperatorRequest, OperatorView, PackageView, PolicyRequest, PolicyView, ReasonRequest, RolloutView,
    SignedHaltRequest, StartRequest, StatusView, TokenAnswer,
};
use tidegate_wire::problem::Problem;
use ureq::http::{Method, Request, Response, StatusCode, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, AsSendBody, Body, SendBody};

pub(crate) use address::check_address;
use address::root_certs;
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

    /// Exchanges a one-time code for a token.
    pub(crate) fn login(&self, code: &str) -> Result<TokenAnswer> {
        self.ask(Method::POST, "/login", Some(&LoginRequest { code: code.to_owned() }))
    }

    /// What the server is.
    pub(crate) fn status(&self) -> Result<StatusView> {
        self.get("/status")
    }

    /// Key list and envelope, as root signed them.
    pub(crate) fn trust(&self) -> Result<TrustBundle> {
        self.get("/trust")
    }

    /// Who may use this API.
    pub(crate) fn operators(&self) -> Result<Vec<OperatorView>> {
        self.get("/operators")
    }

    /// Makes an operator.
    pub(crate) fn add_operator(&self, request: &OperatorRequest) -> Result<TokenAnswer> {
        self.ask(Method::POST, "/operators", Some(request))
    }

    /// Removes an operator.
    pub(crate) fn remove_operator(&self, name: &OperatorName) -> Result<()> {
        self.run(Method::DELETE, &format!("/operators/{name}"), ()).map(drop)
    }

    /// A TUF metadata file; none where the repository has no such file. Reads one byte beyond `bytes_max` at most.
    pub(crate) fn metadata(&self, name: &str, bytes_max: u64) -> Result<Option<Vec<u8>>> {
        let path = format!("/metadata/{name}");
        match self.run(Method::GET, &path, ()) {
            Ok(mut answer) => {
                // One more than allowed, so that whoever verifies it sees that it is too long.
                let mut bytes = Vec::new();
                let reader = answer.body_mut().as_reader().take(bytes_max.saturating_add(1));
                read_all(reader, &mut bytes).map_err(|e| self.cut_off(&Method::GET, &path, &e))?;
                Ok(Some(bytes))
            }
            Err(ClientError::Refused { problem, .. }) if problem.status == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Publishes top-level targets.
    pub(crate) fn put_targets(&self, bytes: &[u8]) -> Result<()> {
        self.put_bytes("/metadata/targets", JSON, bytes)
    }

    /// Publishes a package's role.
    pub(crate) fn put_package(&self, package: &PackageName, bytes: &[u8]) -> Result<()> {
        self.put_bytes(&format!("/metadata/packages/{package}"), JSON, bytes)
    }

    /// Whether the server has an artifact.
    pub(crate) fn has_artifact(&self, sha256: &Digest) -> Result<bool> {
        match self.run(Method::HEAD, &format!("/artifacts/{}", sha256.hex()), ()) {
            Ok(_) => Ok(true),
            Err(ClientError::Refused { problem, .. }) if problem.status == 404 => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Uploads an artifact of `size` bytes.
    pub(crate) fn put_artifact(&self, sha256: &Digest, size: u64, content: &mut dyn Read) -> Result<()> {
        let path = format!("/artifacts/{}", sha256.hex());
        let request = self
            .request(&Method::PUT, &path)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_LENGTH, size);
        self.send(&Method::PUT, &path, request, SendBody::from_reader(content)).map(drop)
    }

    /// A package and its releases.
    pub(crate) fn package(&self, package: &PackageName) -> Result<PackageView> {
        self.get(&format!("/packages/{package}"))
    }

    /// All packages.
    pub(crate) fn packages(&self) -> Result<Vec<PackageView>> {
        self.get("/packages")
    }

    /// All policies that were applied.
    pub(crate) fn policies(&self) -> Result<Vec<PolicyView>> {
        self.get("/policies")
    }

    /// A policy with its text.
    pub(crate) fn policy(&self, digest: &Digest) -> Result<PolicyView> {
        self.get(&format!("/policies/{digest}"))
    }

    /// Applies a policy.
    pub(crate) fn apply_policy(&self, request: &PolicyRequest) -> Result<()> {
        self.tell("/policies", request)
    }

    /// Asks for an order to sign.
    pub(crate) fn draft(&self, request: &DraftRequest) -> Result<DraftAnswer> {
        self.ask(Method::POST, "/rollouts/draft", Some(request))
    }

    /// Starts a rollout.
    pub(crate) fn start(&self, request: &StartRequest) -> Result<()> {
        self.tell("/rollouts", request)
    }

    /// All rollouts.
    pub(crate) fn rollouts(&self) -> Result<Vec<RolloutView>> {
        self.get("/rollouts")
    }

    /// A rollout.
    pub(crate) fn rollout(&self, rollout: &RolloutId) -> Result<RolloutView> {
        self.get(&format!("/rollouts/{rollout}"))
    }

    /// Pauses a rollout.
    pub(crate) fn pause(&self, rollout: &RolloutId, reason: &ReasonRequest) -> Result<()> {
        self.tell(&format!("/rollouts/{rollout}/pause"), reason)
    }

    /// Resumes a rollout.
    pub(crate) fn resume(&self, rollout: &RolloutId, reason: &ReasonRequest) -> Result<()> {
        self.tell(&format!("/rollouts/{rollout}/resume"), reason)
    }

    /// Lets the next ring of a rollout open.
    pub(crate) fn approve(&self, rollout: &RolloutId, approval: &ApprovalRequest) -> Result<()> {
        self.tell(&format!("/rollouts/{rollout}/approve"), approval)
    }

    /// Halts a rollout.
    pub(crate) fn halt(&self, rollout: &RolloutId, reason: &ReasonRequest) -> Result<()> {
        self.tell(&format!("/rollouts/{rollout}/halt"), reason)
    }

    /// What a signed halt of a rollout must name. Needs no login.
    pub(crate) fn halt_target(&self, rollout: &RolloutId) -> Result<HaltTarget> {
        self.get(&format!("/halts/{rollout}"))
    }

    /// Halts by a signed record. Needs no login.
    pub(crate) fn signed_halt(&self, request: &SignedHaltRequest) -> Result<HaltAnswer> {
        self.ask(Method::POST, "/halts", Some(request))
    }

    /// The devices that a selector means; all without one.
    pub(crate) fn devices(&self, select: Option<&str>) -> Result<Vec<DeviceView>> {
        self.get(&select.map_or_else(|| "/devices".to_owned(), |text| format!("/devices?select={}", percent(text))))
    }

    /// A device.
    pub(crate) fn device(&self, device: &DeviceId) -> Result<DeviceView> {
        self.get(&format!("/devices/{device}"))
    }

    /// Whom the evidence blames.
    pub(crate) fn blame(&self) -> Result<Vec<AccusationView>> {
        self.get("/blame")
    }

    /// All incidents.
    pub(crate) fn incidents(&self) -> Result<Vec<IncidentView>> {
        self.get("/incidents")
    }

    /// An incident with its devices.
    pub(crate) fn incident(&self, incident: &IncidentId) -> Result<IncidentView> {
        self.get(&format!("/incidents/{incident}"))
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
