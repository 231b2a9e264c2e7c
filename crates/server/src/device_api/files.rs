//! Metadata, what root signs, and artifacts with ranges.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt as _;
use object_store::{GetOptions, GetRange, ObjectStore as _, ObjectStoreExt as _, path::Path as ObjectPath};
use tidegate_domain::digest::Digest;
use tidegate_wire::device::TrustBundle;

use crate::app::App;
use crate::problem::Refused;

/// `GET /metadata/{name}`
pub(crate) async fn metadata(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Response, Refused> {
    let file = app.desk.state().metadata(&name).map(str::to_owned);
    let file = file.ok_or_else(|| Refused::unknown("metadata", name.chars().take(100).collect::<String>()))?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], file).into_response())
}

/// `GET /trust`
pub(crate) async fn trust(State(app): State<Arc<App>>) -> Result<axum::Json<TrustBundle>, Refused> {
    let state = app.desk.state();
    let (Some((key_list, _)), Some((envelope, _, _))) = (state.key_list(), state.envelope()) else {
        return Err(Refused::unavailable("no_fleet", "this server has no fleet yet"));
    };
    Ok(axum::Json(TrustBundle { key_list: key_list.clone(), envelope: envelope.clone() }))
}

/// `GET /artifacts/{sha256}`: bytes named by their digest; one range of `Range` is honoured, and `If-Range` is always right.
pub(crate) async fn artifact(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let path = object_path(&name)?;
    let unknown = || Refused::unknown("artifact", name.chars().take(80).collect::<String>());
    let size = match app.artifacts.head(&path).await {
        Ok(meta) => meta.size,
        Err(object_store::Error::NotFound { .. }) => return Err(unknown()),
        Err(error) => return Err(Refused::unavailable("artifact_store", error.to_string())),
    };
    let range = match headers.get(header::RANGE).and_then(|value| value.to_str().ok()) {
        Some(text) => wanted_range(text, size)?,
        None => None,
    };
    let options = GetOptions { range: range.clone().map(GetRange::Bounded), ..GetOptions::default() };
    let got = app.artifacts.get_opts(&path, options).await;
    let got = got.map_err(|error| Refused::unavailable("artifact_store", error.to_string()))?;
    let length = range.as_ref().map_or(size, |range| range.end - range.start);
    app.metrics.artifact_bytes.fetch_add(length, Ordering::Relaxed);
    let body = Body::from_stream(got.into_stream().map_err(std::io::Error::other));
    let mut response =
        (if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK }, body).into_response();
    let head = response.headers_mut();
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    head.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    head.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{name}\"")) {
        head.insert(header::ETAG, etag);
    }
    if let Some(range) = range
        && let Ok(value) = HeaderValue::from_str(&format!("bytes {}-{}/{size}", range.start, range.end - 1))
    {
        head.insert(header::CONTENT_RANGE, value);
    }
    Ok(response)
}

/// Where an artifact stands in the artifact store: `ab/abcdef…`, by the digits of its digest.
pub(crate) fn object_path(name: &str) -> Result<ObjectPath, Refused> {
    let digest: Digest = format!("sha256:{name}").parse().map_err(|_| {
        Refused::invalid("artifact_name", "the artifact's name: expected 64 lower-case hexadecimal digits")
    })?;
    let hex = digest.hex();
    let (folder, _) = hex.split_at(2);
    Ok(ObjectPath::from(format!("{folder}/{hex}")))
}

/// The one range of a `Range` header; none where it is not of a sort that must be honoured (RFC 9110 section 14.2).
fn wanted_range(text: &str, size: u64) -> Result<Option<Range<u64>>, Refused> {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|spec| spec.split_once('-')) else {
        return Ok(None);
    };
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Ok(first), Err(_)) if last.is_empty() => first..size,
        (Err(_), Ok(suffix)) if first.is_empty() => size.saturating_sub(suffix)..size,
        _ => return Ok(None),
    };
    if range.start >= range.end {
        let detail = format!("range {text}: the artifact has {size} bytes");
        return Err(Refused::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", detail));
    }
    Ok(Some(range))
}
