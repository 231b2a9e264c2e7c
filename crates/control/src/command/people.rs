//! Operators: logging in by a one-time code, making and removing them.

use std::collections::BTreeSet;

use tidegate_domain::digest::Digest;
use tidegate_domain::ids::OperatorName;
use tidegate_domain::time::WallTime;

use super::{Answer, Refusal, Staged, Why, done, nothing};
use crate::decision::{Decision, OperatorRole};
use crate::state::{Operator, State};

/// The most packages that an operator is confined to.
const OPERATOR_PACKAGES_MAX: usize = 200;

pub(super) fn login(state: &State, now: WallTime, code: Digest, token: Digest) -> Result<Staged, Refusal> {
    if !state.login_is_good(&code, now) {
        let detail = "the login code is unknown, used or past its life: `tidegate up` prints a new one at each start";
        return Err(Refusal::new(Why::NotAllowed, "login_code", detail));
    }
    let operator: OperatorName =
        "admin".parse().map_err(|e| Refusal::new(Why::Invalid, "operator_name", format!("{e}")))?;
    let decision = Decision::Operator {
        operator: operator.clone(),
        role: OperatorRole::Admin,
        token,
        code: Some(code),
        packages: BTreeSet::new(),
    };
    done(now, vec![decision], Answer::LoggedIn(operator, OperatorRole::Admin))
}

pub(super) fn sign_in(
    state: &State,
    now: WallTime,
    session: Digest,
    token: Digest,
    expires_at_ms: WallTime,
) -> Result<Staged, Refusal> {
    let unknown = || Refusal::new(Why::NotAllowed, "not_authenticated", "the token is unknown or was revoked");
    let (operator, _) = state.operator_of(&token).ok_or_else(unknown)?;
    let operator = operator.clone();
    done(now, vec![Decision::SignedIn { session, operator, token, expires_at_ms }], Answer::Done)
}

pub(super) fn sign_out(state: &State, now: WallTime, session: Digest) -> Result<Staged, Refusal> {
    match state.signed_in(&session, now) {
        Some((operator, _)) => {
            done(now, vec![Decision::SignedOut { session, operator: operator.clone() }], Answer::Done)
        }
        None => nothing(Answer::Done),
    }
}

pub(super) fn put_operator(
    state: &State,
    now: WallTime,
    operator: OperatorName,
    made: Operator,
) -> Result<Staged, Refusal> {
    let Operator { role, token, packages } = made;
    if packages.len() > OPERATOR_PACKAGES_MAX {
        let detail =
            format!("field `packages` names {}: at most {OPERATOR_PACKAGES_MAX}, or none for all", packages.len());
        return Err(Refusal::new(Why::Invalid, "packages", detail));
    }
    if state.operators().len() >= 10_000 {
        return Err(Refusal::new(Why::Conflict, "too_many_operators", "there are 10000 operators: remove some first"));
    }
    done(now, vec![Decision::Operator { operator, role, token, code: None, packages }], Answer::Done)
}

pub(super) fn remove_operator(state: &State, now: WallTime, operator: OperatorName) -> Result<Staged, Refusal> {
    if !state.operators().contains_key(&operator) {
        return Err(Refusal::new(Why::Unknown, "unknown_operator", format!("there is no operator {operator}")));
    }
    done(now, vec![Decision::OperatorRemoved { operator }], Answer::Done)
}
