//! Metadata, what root signs, and artifacts with ranges.

use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt as _;
use object_store::{GetOptions, GetRange, ObjectStore as _, ObjectStoreExt as _, path::Path as ObjectPath};
use tidegate_domain::digest::Digest;
use tidegate_wire::device::TrustBundle;

use crate::app::App;
use crate::asked::Named;
use crate::problem::Refused;

/// The name of an artifact in a path: the 64 digits of its digest.
#[derive(Debug)]
pub(crate) struct ArtifactName(pub(crate) Digest);

impl FromStr for ArtifactName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<ArtifactName, &'static str> {
        let digest = format!("sha256:{text}").parse();
        digest.map(ArtifactName).map_err(|_| "an artifact's name is 64 lower-case hexadecimal digits")
    }
}

/// A TUF metadata file, such as `1.root.json` or `timestamp.json`.
#[utoipa::path(get, path = "/metadata/{name}", tag = "device", params(("name" = String, Path)),
    responses((status = OK, body = Object, content_type = "application/json")))]
pub(crate) async fn metadata(State(app): State<Arc<App>>, Named(name): Named<String>) -> Result<Response, Refused> {
    metadata_file(&app, &name)
}

/// A metadata file as an answer.
pub(crate) fn metadata_file(app: &App, name: &str) -> Result<Response, Refused> {
    let file = app.desk.state()?.metadata(name).map(str::to_owned);
    let file = file.ok_or_else(|| Refused::unknown("metadata", name.chars().take(100).collect::<String>()))?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], file).into_response())
}

/// Key list and envelope, as root signed them.
#[utoipa::path(get, path = "/trust", tag = "device", responses((status = OK, body = TrustBundle)))]
pub(crate) async fn trust(State(app): State<Arc<App>>) -> Result<axum::Json<TrustBundle>, Refused> {
    app.trust_bundle().map(axum::Json)
}

/// Bytes named by their digest; one range of `Range` is honoured, and `If-Range` is always right.
#[utoipa::path(get, path = "/artifacts/{sha256}", tag = "device",
    params(("sha256" = String, Path), ("range" = Option<String>, Header, description = "bytes=FIRST-LAST")),
    responses((status = OK, body = inline(crate::openapi::Bytes), content_type = "application/octet-stream"),
        (status = PARTIAL_CONTENT, body = inline(crate::openapi::Bytes), content_type = "application/octet-stream")))]
pub(crate) async fn artifact(
    State(app): State<Arc<App>>,
    Named(ArtifactName(digest)): Named<ArtifactName>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let (path, name) = (object_path(&digest), digest.hex());
    let size = match app.artifacts.head(&path).await {
        Ok(meta) => meta.size,
        Err(object_store::Error::NotFound { .. }) => return Err(Refused::unknown("artifact", name)),
        Err(error) => return Err(Refused::artifact_store(&error)),
    };
    let range = match headers.get(header::RANGE).and_then(|value| value.to_str().ok()) {
        Some(text) => wanted_range(text, size)?,
        None => None,
    };
    let options = GetOptions { range: range.clone().map(GetRange::Bounded), ..GetOptions::default() };
    let got = app.artifacts.get_opts(&path, options).await;
    let got = got.map_err(|error| Refused::artifact_store(&error))?;
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
pub(crate) fn object_path(digest: &Digest) -> ObjectPath {
    let hex = digest.hex();
    let (folder, _) = hex.split_at(2);
    ObjectPath::from(format!("{folder}/{hex}"))
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
