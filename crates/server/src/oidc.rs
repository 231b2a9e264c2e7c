//! Signing in by an OpenID Connect provider: a file on the server's host names the provider, and who of its people is which operator here.
//!
//! The code flow with PKCE. What binds the way back to the browser that set out (state, nonce, verifier) is kept by that browser in a cookie, so
//! that nothing here grows with people who set out and never come back. Only signatures that anybody can check are taken, never one by a shared
//! secret. Who comes back gets a session as by a link: it shows and closes, and approves nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreIdTokenClaims, CoreJwsSigningAlgorithm as Algorithm, CoreProviderMetadata,
    CoreTokenResponse,
};
use openidconnect::{
    AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, TokenResponse as _,
};
use serde::Deserialize;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::OperatorName;
use tokio::sync::Semaphore;
use ureq::Agent;

use crate::outbound;
use crate::problem::Refused;
use crate::random;

/// The path that a provider sends people back to.
pub(crate) const BACK_PATH: &str = "/console/oidc/back";
const PEOPLE_MAX: usize = 10_000;
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// How long what the provider says of itself is taken for true.
const KNOWN_FOR: Duration = Duration::from_secs(60);
/// How many ask the provider at once, and how long others wait for their turn.
const ASKING_MAX: usize = 4;
const PATIENCE: Duration = Duration::from_secs(10);
/// The most characters of a code that a provider sends back.
const CODE_CHARS_MAX: usize = 4_096;
const SIGNATURES: [Algorithm; 9] = [
    Algorithm::RsaSsaPkcs1V15Sha256,
    Algorithm::RsaSsaPkcs1V15Sha384,
    Algorithm::RsaSsaPkcs1V15Sha512,
    Algorithm::RsaSsaPssSha256,
    Algorithm::RsaSsaPssSha384,
    Algorithm::RsaSsaPssSha512,
    Algorithm::EcdsaP256Sha256,
    Algorithm::EcdsaP384Sha384,
    Algorithm::EdDsa,
];

/// Which of the provider's words says who somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Claim {
    /// The provider's own name for the person, never given to another.
    Sub,
    /// An address, where the provider says that it verified it.
    Email,
    /// A name that the provider lets nobody choose.
    PreferredUsername,
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// What the button says.
    name: Option<String>,
    issuer: String,
    client_id: String,
    /// A file with the secret; none for a public client.
    client_secret_file: Option<PathBuf>,
    claim: Claim,
    /// Certificates (PEM) that the provider may show.
    ca_file: Option<PathBuf>,
    /// By the claim's value: which operator that is.
    operators: BTreeMap<String, OperatorName>,
}

/// A provider.
pub(crate) struct Provider {
    /// What people call it.
    pub(crate) name: String,
    issuer: IssuerUrl,
    client_id: ClientId,
    secret: Option<ClientSecret>,
    claim: Claim,
    operators: BTreeMap<String, OperatorName>,
    /// Where it sends people back to.
    back: RedirectUrl,
    agent: Agent,
    known: Mutex<Option<(CoreProviderMetadata, Instant)>>,
    asking: Semaphore,
}

/// A browser that sets out.
#[derive(Debug)]
pub(crate) struct SettingOut {
    /// Where to.
    pub(crate) url: String,
    /// What it keeps meanwhile.
    pub(crate) kept: String,
}

/// Why nobody is signed in.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// What came back does not fit what this browser set out with.
    Astray,
    /// Whoever the provider says that it is has no operator here.
    Nobody(String),
    /// The provider cannot be asked now, or says what it should not. The log has more.
    Provider,
    /// This server's fault.
    Failed(Refused),
}

type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// The provider that a file names. `base` is where browsers get to this server.
///
/// # Errors
/// Names the file and what would be right.
pub(crate) fn read(path: &Path, base: &str) -> anyhow::Result<Provider> {
    let context = || format!("oidc {}", path.display());
    let text = std::fs::read_to_string(path).with_context(context)?;
    let file: File = toml::from_str(&text).with_context(context)?;
    Provider::new(file, base).with_context(context)
}

impl Provider {
    fn new(file: File, base: &str) -> anyhow::Result<Provider> {
        let agent = outbound::agent(&file.issuer, file.ca_file.as_deref()).context("issuer")?;
        let issuer = IssuerUrl::new(file.issuer).context("issuer")?;
        ensure!(!file.client_id.is_empty(), "client_id: expected the name that the provider knows this server by");
        ensure!(!file.operators.is_empty(), "[operators] names nobody: nobody could sign in");
        ensure!(file.operators.len() <= PEOPLE_MAX, "[operators] names more than {PEOPLE_MAX}");
        let secret = file.client_secret_file.as_deref().map(read_secret).transpose()?;
        Ok(Provider {
            name: file.name.unwrap_or_else(|| issuer.url().host_str().unwrap_or("the provider").to_owned()),
            issuer,
            client_id: ClientId::new(file.client_id),
            secret,
            claim: file.claim,
            operators: file.operators,
            back: RedirectUrl::new(format!("{base}{BACK_PATH}")).context("where this server is reached")?,
            agent,
            known: Mutex::default(),
            asking: Semaphore::new(ASKING_MAX),
        })
    }

    /// Sends a browser to the provider.
    ///
    /// # Errors
    /// When the provider cannot be asked.
    pub(crate) async fn set_out(self: &Arc<Provider>) -> Result<SettingOut, Trouble> {
        let [state, nonce, verifier] = [random::token(), random::token(), random::token()];
        let (state, nonce, verifier) =
            (state.map_err(Trouble::Failed)?, nonce.map_err(Trouble::Failed)?, verifier.map_err(Trouble::Failed)?);
        let kept = format!("{state}.{nonce}.{verifier}");
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(verifier));
        let scope = match self.claim {
            Claim::Sub => None,
            Claim::Email => Some("email"),
            Claim::PreferredUsername => Some("profile"),
        };
        self.ask(move |provider| {
            let client = provider.client()?;
            let request = client.authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                || CsrfToken::new(state),
                || Nonce::new(nonce),
            );
            let scopes = scope.map(|scope| Scope::new(scope.to_owned()));
            let (url, _, _) = request.add_scopes(scopes).set_pkce_challenge(challenge).url();
            Ok(SettingOut { url: url.to_string(), kept })
        })
        .await
    }

    /// Who came back, with what the browser kept and what the provider sent along.
    ///
    /// # Errors
    /// Why nobody is signed in by that.
    pub(crate) async fn came_back(
        self: &Arc<Provider>,
        kept: &str,
        state: &str,
        code: String,
    ) -> Result<OperatorName, Trouble> {
        let parts: Vec<&str> = kept.split('.').collect();
        let &[ours, nonce, verifier] = parts.as_slice() else { return Err(Trouble::Astray) };
        let well_made = |part: &str| part.len() == 64 && part.bytes().all(|b| b.is_ascii_hexdigit());
        // Compared by their hashes, so that how long it takes says nothing.
        let same = Digest::of(ours.as_bytes()) == Digest::of(state.as_bytes());
        if ![ours, nonce, verifier].into_iter().all(well_made) || !same || code.len() > CODE_CHARS_MAX {
            return Err(Trouble::Astray);
        }
        let (nonce, verifier) = (Nonce::new(nonce.to_owned()), PkceCodeVerifier::new(verifier.to_owned()));
        let said = self.ask(move |provider| provider.exchange(code, verifier, &nonce)).await?;
        let operator = self.operators.get(&said).cloned();
        operator.ok_or_else(|| {
            Trouble::Nobody(format!(
                "{} says that you are {said:?}, and nobody of that name stands under [operators] in the file of --oidc.",
                self.name
            ))
        })
    }

    /// Whom the provider gives for a code: the value of the claim.
    fn exchange(&self, code: String, verifier: PkceCodeVerifier, nonce: &Nonce) -> anyhow::Result<String> {
        let client = self.client()?;
        let request = client.exchange_code(AuthorizationCode::new(code))?.set_pkce_verifier(verifier);
        let answer: CoreTokenResponse = request.request(&|request| self.send(request))?;
        let token = answer.id_token().context("the provider sent no id token")?;
        let verifier = client.id_token_verifier().set_allowed_algs(SIGNATURES);
        self.said(token.claims(&verifier, nonce)?)
    }

    fn said(&self, claims: &CoreIdTokenClaims) -> anyhow::Result<String> {
        Ok(match self.claim {
            Claim::Sub => claims.subject().to_string(),
            Claim::Email => {
                let email = claims.email().context("the id token has no `email`")?;
                ensure!(claims.email_verified() == Some(true), "the provider did not verify the address {email:?}");
                email.to_string()
            }
            Claim::PreferredUsername => {
                claims.preferred_username().context("the id token has no `preferred_username`")?.to_string()
            }
        })
    }

    fn client(&self) -> anyhow::Result<Client> {
        let client = CoreClient::from_provider_metadata(self.metadata()?, self.client_id.clone(), self.secret.clone());
        Ok(client.set_redirect_uri(self.back.clone()))
    }

    /// What the provider says of itself: where to send people, and its keys.
    fn metadata(&self) -> anyhow::Result<CoreProviderMetadata> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((metadata, at)) = known.as_ref()
            && at.elapsed() < KNOWN_FOR
        {
            return Ok(metadata.clone());
        }
        let metadata = CoreProviderMetadata::discover(&self.issuer, &|request| self.send(request))?;
        *known = Some((metadata.clone(), Instant::now()));
        Ok(metadata)
    }

    fn send(&self, request: HttpRequest) -> Result<HttpResponse, ureq::Error> {
        let (head, body) = self.agent.run(request)?.into_parts();
        let body = body.into_with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok(HttpResponse::from_parts(head, body))
    }

    /// Asks the provider beside the requests of others, a few at a time.
    async fn ask<T: Send + 'static>(
        self: &Arc<Provider>,
        question: impl FnOnce(&Provider) -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T, Trouble> {
        let turn = tokio::time::timeout(PATIENCE, self.asking.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(Trouble::Provider) };
        let provider = Arc::clone(self);
        let answer = tokio::task::spawn_blocking(move || question(&provider)).await;
        let answer = answer.unwrap_or_else(|e| Err(anyhow::anyhow!("{e}")));
        answer.map_err(|error| {
            tracing::warn!(provider = self.name, "nobody is signed in by the provider: {error:#}");
            Trouble::Provider
        })
    }
}

fn read_secret(path: &Path) -> anyhow::Result<ClientSecret> {
    let text = std::fs::read_to_string(path).with_context(|| format!("client_secret_file {}", path.display()))?;
    ensure!(!text.trim().is_empty(), "client_secret_file {}: it is empty", path.display());
    Ok(ClientSecret::new(text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_used_says_what_would_be_right() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("oidc.toml");
        let good = "issuer = \"https://login.example\"\nclient_id = \"t\"\nclaim = \"sub\"\n";
        let people = "[operators]\n\"p-1\" = \"ada\"\n";
        for (text, part) in [
            (format!("{good}{people}"), ""),
            (good.to_owned(), "missing field `operators`"),
            (format!("{good}[operators]\n"), "names nobody"),
            (format!("{good}{people}\"p-2\" = \"no such name\"\n"), "no such name"),
            (format!("{}{people}", good.replace("https", "http")), "expected https://"),
            (format!("{}{people}", good.replace("sub", "family_name")), "unknown variant `family_name`"),
            (format!("{}{people}", good.replace("\"t\"", "\"\"")), "client_id"),
            (format!("client_secret_file = \"/nowhere\"\n{good}{people}"), "client_secret_file /nowhere"),
            (format!("ca_file = \"/nowhere\"\n{good}{people}"), "ca_file /nowhere"),
            (format!("more = 1\n{good}{people}"), "unknown field"),
        ] {
            std::fs::write(&path, &text).unwrap();
            let problem = read(&path, "https://gate.example").map(|_| ()).map_err(|error| format!("{error:#}"));
            assert!(problem.clone().err().unwrap_or_default().contains(part), "{text}: {problem:?}");
            assert_eq!(problem.is_ok(), part.is_empty(), "{text}: {problem:?}");
        }
    }
}
