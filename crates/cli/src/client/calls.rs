//! What is asked of the operator API, one method a route. How it is sent stands beside it.

use std::io::Read;

use tidegate_domain::attributes::AttributeValue;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{DeviceId, IncidentId, OperatorName, PackageName, RolloutId};
use tidegate_domain::time::WallTime;
use tidegate_trust::records::KeyList;
use tidegate_trust::signed::Unverified;
use tidegate_wire::device::TrustBundle;
use tidegate_wire::operator::{
    AccountPart, AccusationView, ActRequest, ApprovalRequest, CollectRequest, CollectView, ConcludedView, ConsoleCode,
    DeviceView, DraftAnswer, DraftRequest, HaltAnswer, HaltTarget, HoldRequest, HoldView, IncidentView, LoginRequest,
    OpenIncidentRequest, OperatorRequest, OperatorView, PackageView, PolicyRequest, PolicyView, ReasonRequest,
    RolloutView, SignedHaltRequest, StartRequest, StatusView, TokenAnswer,
};
use ureq::SendBody;
use ureq::http::{Method, header};

use super::{Client, ClientError, JSON, Result, percent, read_all};

/// Which lines of the account are wanted: all without any of these.
#[derive(Debug, Default)]
pub(crate) struct AccountWanted<'a> {
    /// Who did it.
    pub(crate) who: Option<&'a str>,
    /// The act's word.
    pub(crate) what: Option<&'a str>,
    /// About what.
    pub(crate) about: Option<&'a str>,
    /// Not before this.
    pub(crate) since: Option<WallTime>,
}

impl Client {
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

    /// Puts the next key list in force.
    pub(crate) fn put_key_list(&self, list: &Unverified<KeyList>) -> Result<()> {
        self.run_json(&Method::PUT, "/trust/key-list", list).map(drop)
    }

    /// Who may use this API.
    pub(crate) fn operators(&self) -> Result<Vec<OperatorView>> {
        self.get("/operators")
    }

    /// Makes an operator.
    pub(crate) fn add_operator(&self, request: &OperatorRequest) -> Result<TokenAnswer> {
        self.ask(Method::POST, "/operators", Some(request))
    }

    /// A link that signs a browser in.
    pub(crate) fn console_code(&self) -> Result<ConsoleCode> {
        self.ask(Method::POST, "/console-codes", None::<&()>)
    }

    /// Deletes artifacts that nothing needs, or says which they are.
    pub(crate) fn collect(&self, request: &CollectRequest) -> Result<CollectView> {
        self.ask(Method::POST, "/artifacts/collect", Some(request))
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

    /// All concluded rollouts.
    pub(crate) fn concluded(&self) -> Result<Vec<ConcludedView>> {
        self.get("/concluded")
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

    /// Takes a device out of the fleet.
    pub(crate) fn retire(&self, device: &DeviceId, reason: &ReasonRequest) -> Result<DeviceView> {
        self.ask(Method::POST, &format!("/devices/{device}/retire"), Some(reason))
    }

    /// Holds devices back.
    pub(crate) fn hold(&self, request: &HoldRequest) -> Result<HoldView> {
        self.ask(Method::POST, "/holds", Some(request))
    }

    /// All holds.
    pub(crate) fn holds(&self) -> Result<Vec<HoldView>> {
        self.get("/holds")
    }

    /// Ends a hold.
    pub(crate) fn lift_hold(&self, hold: u32, reason: &ReasonRequest) -> Result<()> {
        self.tell(&format!("/holds/{hold}/lift"), reason)
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

    /// Opens an incident.
    pub(crate) fn open_incident(&self, request: &OpenIncidentRequest) -> Result<IncidentView> {
        self.ask(Method::POST, "/incidents", Some(request))
    }

    /// Does something about an incident.
    pub(crate) fn act(&self, incident: &IncidentId, act: &ActRequest) -> Result<IncidentView> {
        self.ask(Method::POST, &format!("/incidents/{incident}/acts"), Some(act))
    }

    /// The devices that need hands, as comma-separated values.
    pub(crate) fn hands(&self, incident: &IncidentId, customer: Option<&AttributeValue>) -> Result<String> {
        let of = customer.map_or_else(String::new, |customer| format!("?customer={}", percent(customer.as_str())));
        self.text(&format!("/incidents/{incident}/hands{of}"))
    }

    /// A part of the account: who did what, when, to what.
    pub(crate) fn account(&self, after: u64, wanted: &AccountWanted<'_>) -> Result<AccountPart> {
        let mut path = format!("/log?after={after}");
        for (name, value) in [("who", wanted.who), ("what", wanted.what), ("about", wanted.about)] {
            if let Some(value) = value {
                path.push_str(&format!("&{name}={}", percent(value)));
            }
        }
        if let Some(since) = wanted.since {
            path.push_str(&format!("&since_ms={}", since.as_ms()));
        }
        self.get(&path)
    }
}
