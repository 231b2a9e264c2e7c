//! How the device joins: the token file, the checks of `docs/protocol.md` "When it enrols", the record, the bearer token.
//! The same record is sent again after a lost answer or a restored server; a second one is never made.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tidegate_domain::attributes::Attributes;
use tidegate_domain::ids::{DeviceId, PackageName};
use tidegate_domain::time::WallTime;
use tidegate_keyring::{Signer, SoftwareKey, TokenKey};
use tidegate_trust::keys::Scope;
use tidegate_trust::records::{Enrolment, EnrolmentToken};
use tidegate_trust::signed::{Fleet, RecordError, Unverified};
use tidegate_wire::device::EnrolRequest;

use crate::durable::{self, DiskError};
use crate::layout::{FORMAT, Home};
use crate::server::{Credentials, Server, ServerError};
use crate::sign::{SigningError, public_key, sign, sign_also};
use crate::trust_store::{TrustError, TrustStore};
use crate::{clock, verdict};

/// What a token file holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenFile {
    token: Unverified<EnrolmentToken>,
    secret_key: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnrolmentFile {
    format: u32,
    request: EnrolRequest,
}

/// Why the device cannot join, or not yet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnrolError {
    /// There is neither an enrolment nor a token.
    #[error("this device is not enrolled: give --token FILE once")]
    NoToken,
    /// The token file.
    #[error("token file {path}: {problem}")]
    TokenFile {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// The token is not signed by a key that may sign it.
    #[error("the token is refused: {0}")]
    Token(#[from] RecordError),
    /// The token is past its life.
    #[error("the token is past its life")]
    Expired,
    /// An attribute that the token does not allow.
    #[error("attribute {name}={value}: the token does not allow it")]
    Attribute {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// Trust could not be established.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The server did not answer, or says no.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The storage refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The device's key did not sign.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

/// Who the device is, and how it becomes that.
pub(crate) struct Identity {
    pub(crate) device: DeviceId,
    pub(crate) fleet: Fleet,
    pub(crate) endpoints: Vec<String>,
    /// What the token says of ring and attributes, before anybody verified it: for the payload's environment only.
    pub(crate) token: EnrolmentToken,
    standing: Standing,
}

enum Standing {
    /// The record is made; it may have been sent.
    Recorded(Box<EnrolRequest>),
    /// Only the token is there.
    Invited { token: Box<Unverified<EnrolmentToken>>, secret: Box<TokenKey>, attributes: Attributes },
}

impl Identity {
    /// Reads the enrolment, or the token file where the device did not enrol yet.
    pub(crate) fn load(
        home: &Home,
        token_file: Option<&Path>,
        device: Option<DeviceId>,
        attributes: Attributes,
        key: &SoftwareKey,
    ) -> Result<Identity, EnrolError> {
        if let Some(file) = durable::read_json::<EnrolmentFile>(&home.enrolment())? {
            let token = file.request.token.danger_unchecked_body()?;
            let own = file.request.enrolment.danger_unchecked_body()?;
            let (fleet, endpoints) = (token.fleet, token.endpoints.clone());
            let standing = Standing::Recorded(Box::new(file.request));
            return Ok(Identity { device: own.device, fleet, endpoints, token, standing });
        }
        let (token, secret, body) = read_token(token_file.ok_or(EnrolError::NoToken)?)?;
        let named = device.or_else(|| format!("device-{}", &key.key_id().get(..12)?).parse().ok());
        let device = named.ok_or(EnrolError::NoToken)?;
        let (fleet, endpoints) = (body.fleet, body.endpoints.clone());
        let standing = Standing::Invited { token: Box::new(token), secret: Box::new(secret), attributes };
        Ok(Identity { device, fleet, endpoints, token: body, standing })
    }

    /// The enrolment record, once it is made.
    pub(crate) fn enrolment(&self) -> Option<Enrolment> {
        match &self.standing {
            Standing::Recorded(request) => request.enrolment.danger_unchecked_body().ok(),
            Standing::Invited { .. } => None,
        }
    }

    /// The bearer token that was kept.
    pub(crate) fn credentials(&self, home: &Home) -> Option<Credentials> {
        let bytes = durable::read(&home.token()).ok().flatten()?;
        let token = String::from_utf8(bytes).ok()?.trim_end().to_owned();
        (!token.is_empty()).then(|| Credentials { device: self.device.clone(), token })
    }

    /// Joins, or joins again with the same record: pins root, verifies key list, envelope and token, sends the record.
    pub(crate) fn join(
        &mut self,
        home: &Home,
        server: &Server,
        trust: &mut Option<TrustStore>,
        packages: &[PackageName],
        key: &SoftwareKey,
    ) -> Result<Credentials, EnrolError> {
        // (1) and (2): the digest of root version 1 is the token's fleet, and root 1 is signed by its own threshold.
        if trust.is_none() {
            *trust = Some(TrustStore::pin(home, self.fleet, packages, server)?);
        }
        let Some(store) = trust else { return Err(EnrolError::NoToken) };
        // Newer roots first: they say who signs the key list today. That nothing is published yet, or expired, is no reason not to join.
        match store.refresh(server, clock::now(store.witnessed())) {
            Ok(()) | Err(TrustError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
        // (3) key list and envelope.
        store.fetch_root_signed(server)?;
        // (4) the token.
        self.record(home, store, key)?;
        let Standing::Recorded(request) = &self.standing else { return Err(EnrolError::NoToken) };
        let answer = server.enrol(request)?;
        durable::write_private(&home.token(), answer.token.as_bytes(), "token-kept")?;
        Ok(Credentials { device: self.device.clone(), token: answer.token })
    }

    /// Verifies the token, makes the record, and keeps it before it is sent.
    fn record(&mut self, home: &Home, store: &TrustStore, key: &SoftwareKey) -> Result<(), EnrolError> {
        let Standing::Invited { token, secret, attributes } = &self.standing else { return Ok(()) };
        let now = clock::now(store.witnessed());
        let signed = store.root_signed().ok_or(EnrolError::NoToken)?;
        let verified = signed.key_list.body().verify((**token).clone(), &[Scope::Enrolment], now)?;
        let body = verified.body();
        if body.expires_at_ms <= now {
            return Err(EnrolError::Expired);
        }
        for (name, value) in attributes.iter() {
            if !body.attributes.get(name).is_some_and(|values| values.contains(value)) {
                return Err(EnrolError::Attribute { name: name.to_string(), value: value.to_string() });
            }
        }
        let enrolment = Enrolment {
            fleet: body.fleet,
            device: self.device.clone(),
            public_key: public_key(key)?,
            ring: body.ring.clone(),
            attributes: attributes.clone(),
            token: verified.digest(),
            enrolled_at_ms: now,
            ext: Default::default(),
        };
        let enrolment = sign_also(sign(&enrolment, &**secret)?, key)?;
        let request = EnrolRequest { token: (**token).clone(), enrolment };
        let file = EnrolmentFile { format: FORMAT, request };
        durable::write_private_json(&home.enrolment(), &file, "enrolment-kept")?;
        self.standing = Standing::Recorded(Box::new(file.request));
        Ok(())
    }
}

/// Who the device is by its enrolment record, and the token that it joined with; none before it made one.
pub(crate) fn held_identity(home: &Home) -> Result<Option<(DeviceId, EnrolmentToken)>, EnrolError> {
    let Some(file) = durable::read_json::<EnrolmentFile>(&home.enrolment())? else { return Ok(None) };
    let token = file.request.token.danger_unchecked_body()?;
    Ok(Some((file.request.enrolment.danger_unchecked_body()?.device, token)))
}

/// Reads a token file. Its signature cannot be checked before the fleet's root is held: the body is what it says, no more.
pub(crate) fn read_token(path: &Path) -> Result<(Unverified<EnrolmentToken>, TokenKey, EnrolmentToken), EnrolError> {
    let wrong = |problem: String| EnrolError::TokenFile { path: path.display().to_string(), problem };
    let bytes = durable::read(path)?.ok_or_else(|| wrong("there is no such file".to_owned()))?;
    let file: TokenFile = serde_json::from_slice(&bytes)
        .map_err(|e| wrong(format!("expected {{\"token\": RECORD, \"secret_key\": HEX}} (line {})", e.line())))?;
    let secret = TokenKey::from_hex(&file.secret_key.into()).map_err(|e| wrong(format!("`secret_key`: {e}")))?;
    let body = file.token.danger_unchecked_body()?;
    if body.public_key.as_bytes() != &secret.public_key() {
        return Err(wrong("`secret_key` is not the secret half of the token's key".to_owned()));
    }
    Ok((file.token, secret, body))
}

/// Whether joining failed for good: then only a person can help, and asking again soon is of no use.
pub(crate) fn is_final(error: &EnrolError) -> bool {
    match error {
        EnrolError::Server(ServerError::Problem { status, .. }) => (400..500).contains(status),
        EnrolError::Server(_) | EnrolError::Disk(_) => false,
        EnrolError::Trust(TrustError::Server(_) | TrustError::Disk(_)) => false,
        _ => true,
    }
}

/// What the device holds against an offer.
pub(crate) fn held<'a>(store: &'a TrustStore, enrolment: &'a Enrolment) -> Option<verdict::Held<'a>> {
    let root_signed = store.root_signed()?;
    Some(verdict::Held { fleet: store.fleet(), root_signed, enrolment, seen: store.seen() })
}

/// The instant by which a device judges: never before what root vouched for.
pub(crate) fn now(store: &TrustStore) -> WallTime {
    clock::now(store.witnessed())
}
