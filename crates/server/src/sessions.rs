//! What signing in with a browser needs beside the records: codes of links that are good once, kept in memory for minutes; the cookie; and how
//! many open pages are kept up to date. Who is signed in is recorded.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidegate_domain::digest::Digest;
use tidegate_domain::time::Elapsed;

use crate::problem::Refused;
use crate::random;

/// How long a link's code is good.
pub(crate) const CODE_LIFE: Elapsed = Elapsed::from_s(300);
/// How long a browser stays signed in.
pub(crate) const SESSION_LIFE: Elapsed = Elapsed::from_s(12 * 3_600);
const CODES_MAX: usize = 256;
/// The most pages that are kept up to date at once.
const STREAMS_MAX: usize = 256;

/// Codes, cookies, open pages.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    /// Whether browsers reach this server by TLS only.
    secure: bool,
    /// By the hash of the code: the operator's token, by its hash, and the end.
    codes: Mutex<HashMap<Digest, (Digest, Instant)>>,
    streams: Arc<AtomicUsize>,
}

/// A page that is kept up to date, until it is dropped.
#[derive(Debug)]
pub(crate) struct Stream(Arc<AtomicUsize>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Sessions {
    pub(crate) fn new(secure: bool) -> Sessions {
        Sessions { secure, ..Sessions::default() }
    }

    /// The cookie's name. Under TLS one that no other host and no plain page can set.
    pub(crate) fn cookie(&self) -> &'static str {
        if self.secure { "__Host-tidegate" } else { "tidegate" }
    }

    /// What a browser is told to keep; nothing ends it.
    pub(crate) fn set_cookie(&self, session: Option<&str>) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        let age = if session.is_some() { SESSION_LIFE.as_ms() / 1_000 } else { 0 };
        let value = session.unwrap_or_default();
        format!("{}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{secure}", self.cookie())
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

    /// A place among the pages that are kept up to date; none where there are too many.
    pub(crate) fn stream(&self) -> Option<Stream> {
        if self.streams.fetch_add(1, Ordering::AcqRel) >= STREAMS_MAX {
            self.streams.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        Some(Stream(Arc::clone(&self.streams)))
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
        let sessions = Sessions::new(true);
        let token = Digest::of(b"token");
        let code = sessions.code(token).unwrap();
        assert_eq!(sessions.spend(&code), Some(token));
        assert_eq!(sessions.spend(&code), None, "a code is spent");
        assert_eq!(sessions.spend("made up"), None);
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_goes_first() {
        let sessions = Sessions::new(false);
        let first = sessions.code(Digest::of(b"x")).unwrap();
        for _ in 0..CODES_MAX {
            sessions.code(Digest::of(b"x")).unwrap();
        }
        assert_eq!(sessions.codes().len(), CODES_MAX);
        assert_eq!(sessions.spend(&first), None);
        let streams: Vec<_> = (0..STREAMS_MAX).map(|_| sessions.stream().unwrap()).collect();
        assert!(sessions.stream().is_none());
        drop(streams);
        assert!(sessions.stream().is_some());
    }

    #[test]
    fn the_cookie_is_for_this_host_and_for_no_script() {
        let cookie = Sessions::new(true).set_cookie(Some("s"));
        assert_eq!(cookie, "__Host-tidegate=s; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200; Secure");
        assert!(Sessions::new(false).set_cookie(None).contains("Max-Age=0"));
    }
}
