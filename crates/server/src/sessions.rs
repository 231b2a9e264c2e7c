//! What signing in with a browser needs beside the records: codes of links that are good once, kept in memory for minutes; the cookie; and how
//! many open pages are kept up to date. Who is signed in is recorded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidegate_domain::digest::Digest;
use tidegate_domain::ids::OperatorName;
use tidegate_domain::time::Elapsed;

use crate::oidc::Provider;
use crate::problem::Refused;
use crate::random;

/// How long a link's code is good.
pub(crate) const CODE_LIFE: Elapsed = Elapsed::from_s(300);
/// How long a browser stays signed in.
pub(crate) const SESSION_LIFE: Elapsed = Elapsed::from_s(12 * 3_600);
/// How long somebody may take to sign in.
const JOURNEY_LIFE: Elapsed = Elapsed::from_s(600);
const CODES_MAX: usize = 256;
/// The most pages that are kept up to date at once, and of one operator.
const STREAMS_MAX: usize = 256;
const STREAMS_OF_ONE_MAX: usize = 16;

/// Codes, cookies, open pages.
#[derive(Default)]
pub(crate) struct Sessions {
    /// Whether browsers reach this server by TLS only.
    secure: bool,
    /// By the hash of the code: the operator's token, by its hash, and the end.
    codes: Mutex<HashMap<Digest, (Digest, Instant)>>,
    /// Who else says who somebody is.
    pub(crate) provider: Option<Arc<Provider>>,
    streams: Streams,
}

/// By operator: how many pages are kept up to date.
type Streams = Arc<Mutex<HashMap<OperatorName, usize>>>;

/// A page that is kept up to date, until it is dropped.
#[derive(Debug)]
pub(crate) struct Stream {
    all: Streams,
    who: OperatorName,
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = all.get_mut(&self.who) {
            *open -= 1;
        }
        all.retain(|_, open| *open > 0);
    }
}

impl Sessions {
    pub(crate) fn new(secure: bool, provider: Option<Provider>) -> Sessions {
        Sessions { secure, provider: provider.map(Arc::new), ..Sessions::default() }
    }

    /// The cookie's name. Under TLS one that no other host and no plain page can set.
    pub(crate) fn cookie(&self) -> &'static str {
        if self.secure { "__Host-tidegate" } else { "tidegate" }
    }

    /// What a browser is told to keep; nothing ends it.
    pub(crate) fn set_cookie(&self, session: Option<&str>) -> String {
        self.kept(self.cookie(), session, "Strict", SESSION_LIFE)
    }

    /// The name of the cookie that a browser keeps while it is with the provider.
    pub(crate) fn journey_cookie(&self) -> &'static str {
        if self.secure { "__Host-tidegate-oidc" } else { "tidegate-oidc" }
    }

    /// What a browser is told to keep while it is with the provider. It comes back from another site, so the cookie comes along from there.
    pub(crate) fn set_journey_cookie(&self, kept: Option<&str>) -> String {
        self.kept(self.journey_cookie(), kept, "Lax", JOURNEY_LIFE)
    }

    /// The name of the cookie for the page that somebody asked for who is not signed in yet.
    pub(crate) fn page_cookie(&self) -> &'static str {
        if self.secure { "__Host-tidegate-page" } else { "tidegate-page" }
    }

    /// What a browser is told to keep until somebody is signed in: the page that it asked for.
    pub(crate) fn set_page_cookie(&self, page: Option<&str>) -> String {
        self.kept(self.page_cookie(), page, "Lax", JOURNEY_LIFE)
    }

    fn kept(&self, name: &str, value: Option<&str>, same_site: &str, life: Elapsed) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        let age = if value.is_some() { life.as_ms() / 1_000 } else { 0 };
        let value = value.unwrap_or_default();
        format!("{name}={value}; Path=/; HttpOnly; SameSite={same_site}; Max-Age={age}{secure}")
    }

    /// A new code for a link. What is over goes, and where there are too many the one that ends first.
    pub(crate) fn code(&self, token: Digest) -> Result<String, Refused> {
        let (code, now) = (random::token()?, Instant::now());
        let mut codes = self.codes();
        codes.retain(|_, (_, ends)| now < *ends);
        if codes.len() >= CODES_MAX
            && let Some(first) = codes.iter().min_by_key(|(_, (_, ends))| *ends).map(|(code, _)| *code)
        {
            codes.remove(&first);
        }
        codes.insert(Digest::of(code.as_bytes()), (token, now + Duration::from_millis(CODE_LIFE.as_ms())));
        Ok(code)
    }

    /// Spends a code: the token that it stands for, by its hash; none where it is unknown, spent or past its life.
    pub(crate) fn spend(&self, code: &str) -> Option<Digest> {
        let spent = self.codes().remove(&Digest::of(code.as_bytes()));
        spent.filter(|(_, ends)| Instant::now() < *ends).map(|(token, _)| token)
    }

    /// The token that a code stands for, by its hash. Looking spends nothing.
    pub(crate) fn look(&self, code: &str) -> Option<Digest> {
        let codes = self.codes();
        codes.get(&Digest::of(code.as_bytes())).filter(|(_, ends)| Instant::now() < *ends).map(|(token, _)| *token)
    }

    /// A place among the pages that are kept up to date; none where there are too many, or too many of the same operator.
    pub(crate) fn stream(&self, who: &OperatorName) -> Option<Stream> {
        let mut all = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if all.values().sum::<usize>() >= STREAMS_MAX || all.get(who).is_some_and(|open| *open >= STREAMS_OF_ONE_MAX) {
            return None;
        }
        *all.entry(who.clone()).or_default() += 1;
        Some(Stream { all: Arc::clone(&self.streams), who: who.clone() })
    }

    fn codes(&self) -> MutexGuard<'_, HashMap<Digest, (Digest, Instant)>> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_spent_once() {
        let sessions = Sessions::new(true, None);
        let token = Digest::of(b"token");
        let code = sessions.code(token).unwrap();
        assert_eq!(sessions.spend(&code), Some(token));
        assert_eq!(sessions.spend(&code), None, "a code is spent");
        assert_eq!(sessions.spend("made up"), None);
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_goes_first() {
        let sessions = Sessions::new(false, None);
        let first = sessions.code(Digest::of(b"x")).unwrap();
        for _ in 0..CODES_MAX {
            sessions.code(Digest::of(b"x")).unwrap();
        }
        assert_eq!(sessions.codes().len(), CODES_MAX);
        assert_eq!(sessions.spend(&first), None);
        let one: OperatorName = "one".parse().unwrap();
        let mut streams: Vec<_> = (0..STREAMS_OF_ONE_MAX).map(|_| sessions.stream(&one).unwrap()).collect();
        assert!(sessions.stream(&one).is_none(), "one takes no more than its own");
        for n in STREAMS_OF_ONE_MAX..STREAMS_MAX {
            streams.push(sessions.stream(&format!("other-{n}").parse().unwrap()).unwrap());
        }
        assert!(sessions.stream(&"another".parse().unwrap()).is_none());
        drop(streams);
        assert!(sessions.stream(&one).is_some());
    }

    #[test]
    fn the_cookie_is_for_this_host_and_for_no_script() {
        let cookie = Sessions::new(true, None).set_cookie(Some("s"));
        assert_eq!(cookie, "__Host-tidegate=s; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200; Secure");
        assert!(Sessions::new(false, None).set_cookie(None).contains("Max-Age=0"));
    }
}
