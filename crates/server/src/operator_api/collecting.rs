//! `/artifacts/collect`: deletes artifacts that nothing needs any more.
//!
//! Kept are the newest releases of each package, those published lately, those that a device runs or returns to, and those of rollouts
//! that go on. What a publisher is just uploading is younger than a day, and stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::State;
use futures_util::TryStreamExt as _;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use tidegate_control::command::Command;
use tidegate_control::state::{Release, State as Known};
use tidegate_domain::digest::Digest;
use tidegate_domain::rollout::Phase;
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_wire::operator::{CollectRequest, CollectView};

use super::person::{Admin, Person};
use crate::app::App;
use crate::body::Json;
use crate::clock::now;
use crate::device_api::files::object_path;
use crate::problem::Refused;

/// An upload is younger than this until its release is published.
const UPLOADED_WITHIN: Duration = Duration::from_secs(86_400);

/// Deletes artifacts that nothing needs any more, and says what. The records of the releases stay.
#[utoipa::path(post, path = "/artifacts/collect", tag = "artifacts", request_body = CollectRequest,
    responses((status = OK, body = CollectView)))]
pub(crate) async fn collect(
    State(app): State<Arc<App>>,
    person: Person<Admin>,
    Json(request): Json<CollectRequest>,
) -> Result<axum::Json<CollectView>, Refused> {
    if request.keep_releases == 0 {
        return Err(Refused::invalid("keep_releases", "field `keep_releases` is 0: expected at least 1"));
    }
    let wanted = Wanted::of(&app, &request)?;
    let mut view = CollectView { releases: Vec::new(), artifacts: 0, bytes: 0, kept: 0 };
    let mut gone = BTreeSet::new();
    let mut listed = app.artifacts.list(None);
    while let Some(found) = listed.try_next().await.map_err(|e| Refused::artifact_store(&e))? {
        let age = SystemTime::now().duration_since(found.last_modified.into()).unwrap_or_default();
        if is_upload(&found.location) || wanted.files.contains(&found.location) || age < UPLOADED_WITHIN {
            view.kept += 1;
            continue;
        }
        if !request.dry_run {
            app.artifacts.delete(&found.location).await.map_err(|e| Refused::artifact_store(&e))?;
        }
        (view.artifacts, view.bytes) = (view.artifacts + 1, view.bytes.saturating_add(found.size));
        gone.insert(found.location);
    }
    let loses = |files: &BTreeSet<ObjectPath>| files.iter().any(|file| gone.contains(file));
    view.releases = wanted.others.into_iter().filter(|(_, files)| loses(files)).map(|(name, _)| name).collect();
    if !request.dry_run && view.artifacts > 0 {
        let (artifacts, bytes) = (view.artifacts, view.bytes);
        app.desk.ask(Command::Collected { by: person.name, artifacts, bytes }).await?;
    }
    Ok(axum::Json(view))
}

/// What is being uploaded has no name yet.
fn is_upload(path: &ObjectPath) -> bool {
    path.parts().next().is_some_and(|part| part.as_ref() == "upload")
}

/// What is needed, and which releases are not.
struct Wanted {
    files: BTreeSet<ObjectPath>,
    others: BTreeMap<String, BTreeSet<ObjectPath>>,
}

impl Wanted {
    fn of(app: &App, request: &CollectRequest) -> Result<Wanted, Refused> {
        let state = app.desk.state()?;
        let used = used(app, &state);
        let newest = usize::try_from(request.keep_releases).unwrap_or(usize::MAX);
        let since = |release: &Release, at: WallTime| at.since(release.published_at_ms);
        let (at, lately) = (now(), Elapsed::from_ms(request.keep_ms));
        let mut wanted = Wanted { files: BTreeSet::new(), others: BTreeMap::new() };
        for releases in state.releases().values() {
            let older = releases.len().saturating_sub(newest);
            for (number, release) in releases.iter().enumerate() {
                if number >= older || since(release, at) <= lately || used.contains(&release.release) {
                    wanted.files.extend(files_of(release));
                } else {
                    let name = format!("{} {}", release.manifest.package, release.manifest.version);
                    wanted.others.insert(name, files_of(release).collect());
                }
            }
        }
        Ok(wanted)
    }
}

/// Releases that a device runs or would return to, as far as anybody said, and those of rollouts that go on.
fn used(app: &App, state: &Known) -> BTreeSet<Digest> {
    let mut used = BTreeSet::new();
    for (id, device) in state.devices() {
        used.extend(device.said.values().flat_map(|said| [said.current, said.fallback]).flatten());
        let seen = app.presence.seen(id).map(|seen| seen.packages).unwrap_or_default();
        used.extend(seen.into_iter().flat_map(|status| [status.current, status.fallback]).flatten());
    }
    let goes_on = |phase: &Phase| matches!(phase, Phase::Running | Phase::Paused { .. });
    let open = state.rollouts().values().filter(|course| goes_on(course.rollout.phase()));
    used.extend(open.map(|course| course.order_body.release));
    used
}

fn files_of(release: &Release) -> impl Iterator<Item = ObjectPath> + '_ {
    let files = release.manifest.files.iter().map(|file| file.sha256);
    files.chain([release.release]).map(|digest| object_path(&digest))
}
