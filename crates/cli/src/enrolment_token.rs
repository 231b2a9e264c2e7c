//! Makes enrolment tokens: the signed leave to enrol, and the key that travels with it to the devices.
//! Never shows the secret half, and never makes a token that lives longer than the key that signs it is looked after.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, bail};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use tidegate_domain::attributes::{ATTRIBUTES_MAX, AttributeValue};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{AttributeName, RingName, TokenId};
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_keyring::{Signer, TokenKey};
use tidegate_trust::keys::PublicKey;
use tidegate_trust::records::EnrolmentToken;
use tidegate_trust::signed::Unverified;

use crate::durable_file::{self, Readers};
use crate::signing::signed_record;

/// The longest life of a token.
const LIFE_MAX: Elapsed = Elapsed::from_s(366 * 86_400);
const ENDPOINTS_MAX: usize = 16;

/// What a token allows.
pub(crate) struct TokenPlan {
    /// The ring label of every device that enrols by it.
    pub(crate) ring: Option<RingName>,
    /// The values that a device may claim, by attribute.
    pub(crate) attributes: BTreeMap<AttributeName, BTreeSet<AttributeValue>>,
    /// The most devices.
    pub(crate) devices_max: u64,
    /// How long from now.
    pub(crate) life: Elapsed,
    /// Where devices find their server.
    pub(crate) endpoints: Vec<String>,
}

/// The file that goes to the devices. Holds a secret: mode 0600.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenFile {
    /// The token, as the enrolment key signed it.
    pub(crate) token: Unverified<EnrolmentToken>,
    /// The secret half of the token's own key: 64 hexadecimal digits.
    pub(crate) secret_key: String,
}

/// Makes a token, signed by an enrolment key.
///
/// # Errors
/// When the plan is out of bounds, or the key does not sign.
pub(crate) fn make_token(
    fleet: Digest,
    plan: &TokenPlan,
    enrolment_key: &dyn Signer,
    now: WallTime,
) -> Result<(EnrolmentToken, TokenFile)> {
    check(plan)?;
    let key = TokenKey::generate()?;
    let mut name = [0; 8];
    getrandom::fill(&mut name).map_err(|e| anyhow::anyhow!("no randomness from the operating system: {e}"))?;
    let body = EnrolmentToken {
        fleet,
        token: format!("t-{}", hex::encode(name)).parse::<TokenId>()?,
        public_key: PublicKey::from_bytes(key.public_key())?,
        ring: plan.ring.clone(),
        attributes: plan.attributes.clone(),
        devices_max: plan.devices_max,
        expires_at_ms: now.after(plan.life),
        endpoints: plan.endpoints.clone(),
        ext: Default::default(),
    };
    let token = signed_record(&body, &[enrolment_key])?;
    Ok((body, TokenFile { token, secret_key: key.secret_hex().expose_secret().to_owned() }))
}

/// Writes a token file: mode 0600, never over another.
///
/// # Errors
/// When it is there already or cannot be written.
pub(crate) fn write_token(path: &Path, file: &TokenFile) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(file)?;
    bytes.push(b'\n');
    durable_file::create(path, &bytes, Readers::Owner)
}

fn check(plan: &TokenPlan) -> Result<()> {
    if !(1..=100_000_000).contains(&plan.devices_max) {
        bail!("--devices {}: right is 1 to 100000000", plan.devices_max);
    }
    if plan.life.as_ms() < 1_000 || plan.life > LIFE_MAX {
        bail!("--expires {}: right is 1s to 366d", plan.life);
    }
    if plan.attributes.len() > ATTRIBUTES_MAX {
        bail!("--attr: {} attributes; right is at most {ATTRIBUTES_MAX}", plan.attributes.len());
    }
    if plan.endpoints.is_empty() || plan.endpoints.len() > ENDPOINTS_MAX {
        bail!("--endpoint: {} addresses; right is 1 to {ENDPOINTS_MAX}", plan.endpoints.len());
    }
    for endpoint in &plan.endpoints {
        crate::client::check_address(endpoint)?;
    }
    Ok(())
}
