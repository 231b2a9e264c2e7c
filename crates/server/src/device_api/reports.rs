//! `POST /reports`

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::response::Response;
use tidegate_control::command::{Answer, Command};
use tidegate_wire::device::{REPORTS_MAX, Reports, ReportsAnswer};

use super::caller::Caller;
use crate::app::App;
use crate::body::Json;
use crate::problem::Refused;

/// Signed reports, at most 64, in the order of their numbers.
#[utoipa::path(post, path = "/reports", tag = "device", request_body = Reports,
    responses((status = OK, body = ReportsAnswer)))]
pub(crate) async fn reports(
    State(app): State<Arc<App>>,
    caller: Caller,
    Json(sent): Json<Reports>,
) -> Result<Response, Refused> {
    if sent.reports.len() > REPORTS_MAX {
        let detail = format!("field `reports` has {} entries, at most {REPORTS_MAX}", sent.reports.len());
        return Err(Refused::invalid("too_many_reports", detail));
    }
    let heard = sent.reports.len() as u64;
    let command = Command::Hear { device: caller.device.clone(), reports: sent.reports };
    let Answer::Heard(acknowledged_seq) = app.desk.ask(command).await? else {
        return Err(Refused::internal("the reports were not acknowledged"));
    };
    app.metrics.reports.fetch_add(heard, Ordering::Relaxed);
    caller.answer(&ReportsAnswer { acknowledged_seq })
}
