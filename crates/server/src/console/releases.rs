//! The pages of releases.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Html;
use tidegate_console::releases::{self as pages, Brought, PackageLines, PermitLine, ReleaseLine, ReleasePage, Signer};
use tidegate_control::command::delegations;
use tidegate_control::state::{Course, State as Known};
use tidegate_control::trusted;
use tidegate_domain::ids::{PackageName, Version};

use super::signing_in::SignedIn;
use super::sorry::Sorry;
use crate::app::App;
use crate::clock::now;

/// The most releases that the list shows of one package, and the most rollouts that a release's page names.
const RELEASES_MAX: usize = 20;
const ROLLOUTS_MAX: usize = 10;

/// All packages.
pub(super) async fn list(State(app): State<Arc<App>>, who: SignedIn) -> Result<Html<String>, Sorry> {
    let state = super::state(&app)?;
    let packages = delegations(&state).unwrap_or_default().into_iter().map(|one| {
        let all = state.releases().get(&one.package).map(Vec::as_slice).unwrap_or_default();
        let line = |known: &tidegate_control::state::Release| ReleaseLine {
            version: known.manifest.version.clone(),
            release: known.release,
            published_at_ms: known.published_at_ms,
            halted_by: known.halted_by.clone(),
        };
        PackageLines {
            threshold: one.threshold,
            publishers: one.publishers as usize,
            releases: all.iter().rev().take(RELEASES_MAX).map(line).collect(),
            more: all.len().saturating_sub(RELEASES_MAX),
            package: one.package,
        }
    });
    Ok(Html(pages::list(&packages.collect::<Vec<_>>(), who.viewer())))
}

/// A release.
pub(super) async fn one(
    State(app): State<Arc<App>>,
    who: SignedIn,
    Path((package, version)): Path<(String, String)>,
) -> Result<Html<String>, Sorry> {
    let unknown = || Sorry::Unknown("release");
    let package: PackageName = package.parse().map_err(|_| unknown())?;
    let version: Version = version.parse().map_err(|_| unknown())?;
    let state = super::state(&app)?;
    let all = state.releases().get(&package).ok_or_else(unknown)?;
    let at = all.iter().position(|known| known.manifest.version == version).ok_or_else(unknown)?;
    let known = all.get(at).ok_or_else(unknown)?;
    let before = at.checked_sub(1).and_then(|before| all.get(before)).map(|before| before.manifest.clone());
    let signers = trusted::signers(&state, &package);
    let view = ReleasePage {
        release: known.release,
        manifest: known.manifest.clone(),
        published_at_ms: known.published_at_ms,
        halted_by: known.halted_by.clone(),
        before,
        threshold: signers.as_ref().map_or(0, |signers| signers.threshold),
        role: signers.as_ref().map(|signers| (signers.version, Some(signers.expires_at_ms))),
        signers: signers.map(|signers| signers.keys.into_iter().map(signer).collect()).unwrap_or_default(),
        rollouts: rollouts(&state, &package, &version),
    };
    Ok(Html(pages::page(&view, who.viewer())))
}

fn signer(publisher: trusted::Publisher) -> Signer {
    let listed = publisher.listed_at_ms.map(|since| (since, now().since(since)));
    Signer { key: publisher.key, signed: publisher.signed, listed }
}

fn rollouts(state: &Known, package: &PackageName, version: &Version) -> Vec<Brought> {
    let is_it = |course: &&Course| course.order_body.package == *package && course.order_body.version == *version;
    let mut courses: Vec<&Course> = state.rollouts().values().filter(is_it).collect();
    courses.sort_by_key(|course| std::cmp::Reverse(course.order_body.order_seq));
    let permits = |course: &Course| {
        let bodies = course.permits.iter().filter_map(|permit| permit.danger_unchecked_body().ok());
        let line = |permit: tidegate_trust::records::Permit| PermitLine {
            step: permit.step,
            issued_at_ms: permit.issued_at_ms,
            places: permit.counts.iter().map(|count| u64::from(count.count)).sum(),
        };
        bodies.map(line).collect()
    };
    courses
        .into_iter()
        .take(ROLLOUTS_MAX)
        .map(|course| Brought {
            rollout: course.order_body.rollout.clone(),
            phase: course.rollout.phase().word().to_owned(),
            permits: permits(course),
        })
        .collect()
}
