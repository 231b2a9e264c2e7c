//! Who is signed in with a browser. In memory: a restart signs everybody out. A session is good for what the operator's token is good
//! for, and ends with it; it never approves anything.

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
const SESSION_LIFE: Duration = Duration::from_secs(12 * 3_600);
const CODES_MAX: usize = 256;
const SESSIONS_MAX: usize = 1_024;
/// The most pages that are kept up to date at once.
const STREAMS_MAX: usize = 256;

/// Everybody who is signed in.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    /// Whether browsers reach this server by TLS only.
    secure: bool,
    held: Mutex<Held>,
    streams: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Held {
    /// By the hash of the code or of the session: the operator's token, by its hash, and the end.
    codes: HashMap<Digest, (Digest, Instant)>,
    sessions: HashMap<Digest, (Digest, Instant)>,
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
        let age = if session.is_some() { SESSION_LIFE.as_secs() } else { 0 };
        let value = session.unwrap_or_default();
        format!("{}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{secure}", self.cookie())
    }

    /// A new code for a link.
    pub(crate) fn code(&self, token: Digest) -> Result<String, Refused> {
        let code = random::token()?;
        let ends = Instant::now() + Duration::from_millis(CODE_LIFE.as_ms());
        keep(&mut self.held().codes, CODES_MAX, &code, (token, ends));
        Ok(code)
    }

    /// Spends a code. Gives the new session, and the token that it is good for; none where the code is unknown, spent or past its life.
    pub(crate) fn enter(&self, code: &str) -> Result<Option<(String, Digest)>, Refused> {
        let session = random::token()?;
        let mut held = self.held();
        let spent = held.codes.remove(&Digest::of(code.as_bytes()));
        let Some((token, _)) = spent.filter(|(_, ends)| Instant::now() < *ends) else { return Ok(None) };
        keep(&mut held.sessions, SESSIONS_MAX, &session, (token, Instant::now() + SESSION_LIFE));
        Ok(Some((session, token)))
    }

    /// The token that a session is good for, by its hash.
    pub(crate) fn token_of(&self, session: &str) -> Option<Digest> {
        let held = self.held();
        let (token, ends) = held.sessions.get(&Digest::of(session.as_bytes()))?;
        (Instant::now() < *ends).then_some(*token)
    }

    /// Ends a session.
    pub(crate) fn leave(&self, session: &str) {
        self.held().sessions.remove(&Digest::of(session.as_bytes()));
    }

    /// A place among the pages that are kept up to date; none where there are too many.
    pub(crate) fn stream(&self) -> Option<Stream> {
        if self.streams.fetch_add(1, Ordering::AcqRel) >= STREAMS_MAX {
            self.streams.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        Some(Stream(Arc::clone(&self.streams)))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps one more; what is over goes, and where there are too many the one that ends first.
fn keep(all: &mut HashMap<Digest, (Digest, Instant)>, most: usize, secret: &str, kept: (Digest, Instant)) {
    let now = Instant::now();
    all.retain(|_, (_, ends)| now < *ends);
    if all.len() >= most
        && let Some(first) = all.iter().min_by_key(|(_, (_, ends))| *ends).map(|(key, _)| *key)
    {
        all.remove(&first);
    }
    all.insert(Digest::of(secret.as_bytes()), kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_signs_in_once_and_a_session_ends_when_it_is_left() {
        let sessions = Sessions::new(true);
        let token = Digest::of(b"token");
        let code = sessions.code(token).unwrap();
        let (session, whose) = sessions.enter(&code).unwrap().unwrap();
        assert_eq!((whose, sessions.token_of(&session)), (token, Some(token)));
        assert!(sessions.enter(&code).unwrap().is_none(), "a code is spent");
        assert!(sessions.enter("made up").unwrap().is_none());
        assert_eq!(sessions.token_of(&code), None, "a code is no session");
        sessions.leave(&session);
        assert_eq!(sessions.token_of(&session), None);
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_goes_first() {
        let sessions = Sessions::new(false);
        let first = sessions.code(Digest::of(b"x")).unwrap();
        for _ in 0..CODES_MAX {
            sessions.code(Digest::of(b"x")).unwrap();
        }
        assert_eq!(sessions.held().codes.len(), CODES_MAX);
        assert!(sessions.enter(&first).unwrap().is_none());
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
