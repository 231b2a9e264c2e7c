//! `GET /metrics`: counters and gauges for Prometheus, made when asked.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tidegate_control::state::State as Known;
use tidegate_domain::case::Stage;

use crate::app::App;
use crate::metrics::Metrics;
use crate::problem::Refused;

const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PHASES: [&str; 4] = ["running", "paused", "halted", "completed"];

/// `GET /metrics`
pub(crate) async fn scrape(State(app): State<Arc<App>>) -> Result<Response, Refused> {
    let mut registry = Registry::with_prefix("tidegate");
    count_all(&mut registry, &app.metrics);
    gauge(&mut registry, "ready", "1 while this server holds the lease and may write", u64::from(app.desk.is_ready()));
    gauge(&mut registry, "halts_pending", "Halts that are not in the log yet", app.halts.pending().len() as u64);
    for (name, help, value) in [
        ("conduct_turns", "Turns of the conduct loop", app.desk.turns()),
        ("operator_calls", "Times that a rollout asked for a person", app.desk.calls()),
    ] {
        let counter = Counter::<u64>::default();
        counter.inc_by(value);
        registry.register(name, help, counter);
    }
    if let Ok(state) = app.desk.state() {
        gauge_all(&mut registry, &state);
    }
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|e| Refused::internal(e.to_string()))?;
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response())
}

fn count_all(registry: &mut Registry, metrics: &Metrics) {
    let all = [
        ("check_ins", "Check-ins answered", &metrics.check_ins),
        ("takes", "Go requests answered with a go", &metrics.takes),
        ("takes_refused", "Go requests refused", &metrics.takes_refused),
        ("reports", "Reports received", &metrics.reports),
        ("enrolments", "Enrolments answered", &metrics.enrolments),
        ("webhooks", "Lines of the account that a webhook's receiver has", &metrics.webhooks),
        ("webhooks_refused", "Attempts to deliver one that failed", &metrics.webhooks_refused),
        ("artifact_bytes", "Bytes of artifacts sent", &metrics.artifact_bytes),
    ];
    for (name, help, value) in all {
        let counter = Counter::<u64>::default();
        counter.inc_by(value.load(Ordering::Relaxed));
        registry.register(name, help, counter);
    }
    let answers = Family::<Vec<(String, String)>, Counter>::default();
    for (class, value) in (1..).zip(metrics.answers()) {
        let label = vec![("class".to_owned(), format!("{class}xx"))];
        answers.get_or_create(&label).inc_by(value);
    }
    registry.register("answers", "Answers by class of status", answers);
}

fn gauge_all(registry: &mut Registry, state: &Known) {
    gauge(registry, "store_seq", "Number of the last record", state.last().as_u64());
    gauge(registry, "devices", "Enrolled devices", state.devices().len() as u64);
    let open = state.cases().values().filter(|case| case.stage() < Stage::Restored).count();
    gauge(registry, "incidents_open", "Incidents that are not restored", open as u64);
    let live = state.rollouts().values().filter_map(|course| course.rollout.scopes().all());
    let unproven: u64 = live.map(|scope| u64::from(scope.unproven())).sum();
    gauge(registry, "unproven", "Places opened, not lapsed and not proven, in all rollouts", unproven);
    let rollouts = Family::<Vec<(String, String)>, Gauge>::default();
    for phase in PHASES {
        let in_phase = state.rollouts().values().filter(|course| course.rollout.phase().word() == phase).count();
        let label = vec![("phase".to_owned(), phase.to_owned())];
        rollouts.get_or_create(&label).set(i64::try_from(in_phase).unwrap_or(i64::MAX));
    }
    registry.register("rollouts", "Rollouts by phase", rollouts);
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    registry.register(name, help, gauge);
}
