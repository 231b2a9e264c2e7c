//! Browsers that are signed in, as hashes. A session is good for what its operator is, and ends with the operator or with the token that it was
//! made by; it never approves anything.

use serde::{Deserialize, Serialize};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::OperatorName;
use tidegate_domain::time::WallTime;

use super::{Operator, State};

/// The most browsers that one operator is signed in with at once; the one that ends first gives way.
const SESSIONS_MAX: usize = 20;

/// A browser that is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Who.
    pub operator: OperatorName,
    /// SHA-256 of the token that it was made by: another token ends it.
    pub token: Digest,
    /// When it ends.
    pub expires_at_ms: WallTime,
}

impl State {
    pub(super) fn sign_in(&mut self, session: Digest, made: Session, at: WallTime) {
        self.sessions.retain(|_, session| at < session.expires_at_ms);
        let of_the_same = self.sessions.iter().filter(|(_, one)| one.operator == made.operator);
        let mut of_the_same: Vec<(WallTime, Digest)> = of_the_same.map(|(id, one)| (one.expires_at_ms, *id)).collect();
        of_the_same.sort();
        let too_many = (of_the_same.len() + 1).saturating_sub(SESSIONS_MAX);
        for (_, id) in of_the_same.iter().take(too_many) {
            self.sessions.remove(id);
        }
        self.sessions.insert(session, made);
    }

    pub(super) fn sign_out(&mut self, session: &Digest) {
        self.sessions.remove(session);
    }

    /// Who is signed in with a session, by its hash.
    pub fn signed_in(&self, session: &Digest, now: WallTime) -> Option<(&OperatorName, &Operator)> {
        let session = self.sessions.get(session).filter(|session| now < session.expires_at_ms)?;
        let operator = self.operators.get_key_value(&session.operator);
        operator.filter(|(_, operator)| operator.token == session.token)
    }
}
