//! `/metadata`: TUF files. Uploads are held against what stands; nothing half-right is taken.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use object_store::ObjectStoreExt as _;
use tidegate_control::command::{Command, unpublished};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::PackageName;
use tidegate_domain::release::{MANIFEST_BYTES_MAX, Manifest};

use super::person::{Admin, Person, Publisher, Viewer};
use crate::app::App;
use crate::asked::Named;
use crate::body::Raw;
use crate::device_api::files::{metadata_file, object_path};
use crate::problem::Refused;

/// The most releases that one upload may add.
const NEW_RELEASES_MAX: usize = 64;

/// A TUF metadata file by its name, such as `1.root.json`.
#[utoipa::path(get, path = "/metadata/{name}", tag = "metadata", params(("name" = String, Path)),
    responses((status = OK, body = Object, content_type = "application/json")))]
pub(crate) async fn metadata(
    State(app): State<Arc<App>>,
    _person: Person<Viewer>,
    Named(name): Named<String>,
) -> Result<Response, Refused> {
    metadata_file(&app, &name)
}

/// A new root, signed by the thresholds of the root before it and of its own.
#[utoipa::path(put, path = "/metadata/root", tag = "metadata", request_body = Object, responses((status = NO_CONTENT)))]
pub(crate) async fn put_root(
    State(app): State<Arc<App>>,
    _person: Person<Admin>,
    Raw(bytes): Raw,
) -> Result<StatusCode, Refused> {
    app.desk.ask(Command::PutRoot(bytes.to_vec())).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// New top-level targets: the packages and who publishes them.
#[utoipa::path(put, path = "/metadata/targets", tag = "metadata", request_body = Object,
    responses((status = NO_CONTENT)))]
pub(crate) async fn put_targets(
    State(app): State<Arc<App>>,
    _person: Person<Admin>,
    Raw(bytes): Raw,
) -> Result<StatusCode, Refused> {
    app.desk.ask(Command::PutTargets(bytes.to_vec())).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A package's role with the threshold of its publishers' signatures: publishes its new releases.
/// Their manifests and files must have been uploaded as artifacts before.
#[utoipa::path(put, path = "/metadata/packages/{package}", tag = "metadata", params(("package" = String, Path)),
    request_body = Object, responses((status = NO_CONTENT)))]
pub(crate) async fn put_package(
    State(app): State<Arc<App>>,
    person: Person<Publisher>,
    Named(package): Named<PackageName>,
    Raw(bytes): Raw,
) -> Result<StatusCode, Refused> {
    person.may_move(&package)?;
    let new = unpublished(&*app.desk.state()?, &package, &bytes)?;
    if new.len() > NEW_RELEASES_MAX {
        let detail = format!("the role adds {} releases, at most {NEW_RELEASES_MAX} at once", new.len());
        return Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "too_many_releases", detail));
    }
    let mut manifests = Vec::with_capacity(new.len());
    for digest in new {
        // A manifest that is missing or no manifest is refused where the role's signatures are checked.
        let Some(bytes) = small_artifact(&app, &digest).await? else { continue };
        if let Ok(manifest) = Manifest::parse(&bytes) {
            require_files(&app, &manifest).await?;
        }
        manifests.push((digest, bytes));
    }
    app.desk.ask(Command::PutPackage { package, bytes: bytes.to_vec(), manifests }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn small_artifact(app: &App, digest: &Digest) -> Result<Option<Vec<u8>>, Refused> {
    let path = object_path(digest);
    let size = match app.artifacts.head(&path).await {
        Ok(meta) => meta.size,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(Refused::artifact_store(&error)),
    };
    if size > MANIFEST_BYTES_MAX as u64 {
        let detail = format!("manifest {digest} has {size} bytes, at most {MANIFEST_BYTES_MAX}");
        return Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, "manifest", detail));
    }
    let got = app.artifacts.get(&path).await.map_err(|e| Refused::artifact_store(&e))?;
    let bytes = got.bytes().await.map_err(|e| Refused::artifact_store(&e))?;
    Ok(Some(bytes.to_vec()))
}

/// A release whose files cannot be fetched must not be published.
pub(super) async fn require_files(app: &App, manifest: &Manifest) -> Result<(), Refused> {
    for file in &manifest.files {
        let wrong = |problem: String| {
            let detail = format!("release {} {}, file {}: {problem}", manifest.package, manifest.version, file.path);
            Refused::new(StatusCode::CONFLICT, "artifact_missing", detail)
        };
        match app.artifacts.head(&object_path(&file.sha256)).await {
            Ok(meta) if meta.size == file.size => {}
            Ok(meta) => return Err(wrong(format!("the artifact has {} bytes, not {}", meta.size, file.size))),
            Err(object_store::Error::NotFound { .. }) => {
                return Err(wrong(format!("upload artifact {} first", file.sha256)));
            }
            Err(error) => return Err(Refused::artifact_store(&error)),
        }
    }
    Ok(())
}
