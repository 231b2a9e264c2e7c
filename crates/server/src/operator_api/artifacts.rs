//! `/artifacts`: bytes, named by their digest.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use object_store::path::Path as ObjectPath;
use object_store::{MultipartUpload, ObjectStoreExt as _, PutPayload};
use sha2::{Digest as _, Sha256};
use tidegate_domain::digest::Digest;

use super::person::{Person, Publisher};
use crate::app::App;
use crate::asked::Named;
use crate::device_api::files::{ArtifactName, object_path};
use crate::problem::Refused;
use crate::{drill, random};

/// How much of an upload is held in memory at once.
const PART_BYTES: usize = 5 << 20;

/// Whether an artifact is here. The answer has its length.
#[utoipa::path(head, path = "/artifacts/{sha256}", tag = "artifacts", params(("sha256" = String, Path)),
    responses((status = OK)))]
pub(crate) async fn head(
    State(app): State<Arc<App>>,
    _person: Person<Publisher>,
    Named(ArtifactName(digest)): Named<ArtifactName>,
) -> Result<Response, Refused> {
    let size = size_of(&app, &digest).await?.ok_or_else(|| Refused::unknown("artifact", digest.hex()))?;
    let mut response = Body::empty().into_response();
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    Ok(response)
}

/// Uploads an artifact. It gets its name only when its bytes have that digest. Uploading it again changes nothing.
#[utoipa::path(put, path = "/artifacts/{sha256}", tag = "artifacts", params(("sha256" = String, Path)),
    request_body(content = inline(crate::openapi::Bytes), content_type = "application/octet-stream"),
    responses((status = CREATED, description = "it is new"), (status = OK, description = "it was here already")))]
pub(crate) async fn put(
    State(app): State<Arc<App>>,
    _person: Person<Publisher>,
    Named(ArtifactName(digest)): Named<ArtifactName>,
    request: Request,
) -> Result<StatusCode, Refused> {
    let known = size_of(&app, &digest).await?.is_some();
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.and_then(|text| text.parse::<u64>().ok()).is_some_and(|size| size > app.artifact_bytes_max) {
        return Err(too_large(&app));
    }
    if known {
        let found = receive(&app, request.into_body(), None).await?;
        return if found == digest { Ok(StatusCode::OK) } else { Err(wrong_digest(&digest, &found)) };
    }
    let temporary = ObjectPath::from(format!("upload/{}", random::token()?));
    let mut upload = app.artifacts.put_multipart(&temporary).await.map_err(|e| Refused::artifact_store(&e))?;
    let found = match receive(&app, request.into_body(), Some(upload.as_mut())).await {
        Ok(found) => found,
        Err(refused) => {
            // What stays behind in spite of this is swept at the next start.
            let _ = upload.abort().await;
            return Err(refused);
        }
    };
    if found != digest {
        let _ = upload.abort().await;
        return Err(wrong_digest(&digest, &found));
    }
    upload.complete().await.map_err(|e| Refused::artifact_store(&e))?;
    drill::reach(drill::Point::BeforeArtifactNamed);
    app.artifacts.rename(&temporary, &object_path(&digest)).await.map_err(|e| Refused::artifact_store(&e))?;
    Ok(StatusCode::CREATED)
}

async fn size_of(app: &App, digest: &Digest) -> Result<Option<u64>, Refused> {
    match app.artifacts.head(&object_path(digest)).await {
        Ok(meta) => Ok(Some(meta.size)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(Refused::artifact_store(&error)),
    }
}

/// Reads a body to its end and hashes it. It is kept where there is an upload for it; one that is not needed must still be what its name
/// says: otherwise the sender would believe what is not so.
async fn receive(app: &App, body: Body, mut upload: Option<&mut dyn MultipartUpload>) -> Result<Digest, Refused> {
    let mut hasher = Sha256::new();
    let mut received = 0_u64;
    let mut part = Vec::new();
    let mut body = body.into_data_stream();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|e| Refused::invalid("body_unreadable", format!("body: {e}")))?;
        received = received.saturating_add(chunk.len() as u64);
        if received > app.artifact_bytes_max {
            return Err(too_large(app));
        }
        hasher.update(&chunk);
        let Some(upload) = &mut upload else { continue };
        part.extend_from_slice(&chunk);
        if part.len() >= PART_BYTES {
            put_part(&mut **upload, std::mem::take(&mut part)).await?;
        }
    }
    if let Some(upload) = upload {
        put_part(upload, part).await?;
    }
    Ok(Digest::from_bytes(hasher.finalize().into()))
}

async fn put_part(upload: &mut dyn MultipartUpload, part: Vec<u8>) -> Result<(), Refused> {
    upload.put_part(PutPayload::from(part)).await.map_err(|e| Refused::artifact_store(&e))
}

fn too_large(app: &App) -> Refused {
    let detail = format!("body: an artifact has at most {} bytes", app.artifact_bytes_max);
    Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

fn wrong_digest(expected: &Digest, found: &Digest) -> Refused {
    let detail = format!("the body's digest is {found}, the name says {expected}");
    Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "wrong_digest", detail)
}
