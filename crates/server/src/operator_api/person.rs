//! Who asks, and whether their role is enough. Never waits for the conduct loop: a halt must get through while it is stuck.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use tidegate_control::command::may_move;
use tidegate_control::decision::OperatorRole;
use tidegate_control::state::Operator;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{OperatorName, PackageName};

use crate::app::App;
use crate::problem::Refused;

/// The least role that a route asks for.
pub(crate) trait Least {
    const ROLE: OperatorRole;
}

/// An authenticated operator whose role is at least `R`.
#[derive(Debug)]
pub(crate) struct Person<R> {
    pub(crate) name: OperatorName,
    /// The hash of the token that it came with.
    pub(crate) token: Digest,
    operator: Operator,
    least: PhantomData<R>,
}

macro_rules! least {
    ($($name:ident)*) => {$(
        /// See [`OperatorRole`].
        #[derive(Debug)]
        pub(crate) struct $name;

        impl Least for $name {
            const ROLE: OperatorRole = OperatorRole::$name;
        }
    )*};
}
least!(Viewer Publisher Approver Admin);

impl<R: Least> FromRequestParts<Arc<App>> for Person<R> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Person<R>, Refused> {
        let token = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = token
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or_else(|| Refused::unauthorised("header `authorization`: expected `Bearer TOKEN`"))?;
        let token = Digest::of(token.as_bytes());
        let (name, operator) = app
            .desk
            .operator_of(&token)
            .ok_or_else(|| Refused::unauthorised("the token is unknown or was revoked: log in again"))?;
        if operator.role < R::ROLE {
            let detail = format!("operator {name} has role {:?}, this needs {:?}", operator.role, R::ROLE);
            return Err(Refused::new(StatusCode::FORBIDDEN, "role_too_low", detail));
        }
        Ok(Person { name, token, operator, least: PhantomData })
    }
}

impl<R> Person<R> {
    /// Whether the operator may publish and order this package.
    ///
    /// # Errors
    /// When the operator is confined to others.
    pub(crate) fn may_move(&self, package: &PackageName) -> Result<(), Refused> {
        Ok(may_move(&self.name, &self.operator, Some(package))?)
    }
}
