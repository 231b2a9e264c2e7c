//! Names in paths and fields in queries: parsed, or refused with a problem document that says what would be right.

use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::Refused;

/// The one name in a route's path.
#[derive(Debug)]
pub(crate) struct Named<T>(pub(crate) T);

/// The fields of a query.
#[derive(Debug)]
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: FromStr<Err: Display>, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Named<T>, Refused> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Refused::invalid("name_malformed", format!("path: {}", rejection.body_text())))?;
        let name = text.parse().map_err(|e: T::Err| Refused::invalid("name_malformed", format!("path: {e}")))?;
        Ok(Named(name))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Asked<T>, Refused> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        let Query(fields) = query
            .map_err(|rejection| Refused::invalid("query_malformed", format!("query: {}", rejection.body_text())))?;
        Ok(Asked(fields))
    }
}
