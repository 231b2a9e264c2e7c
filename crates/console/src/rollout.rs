//! A rollout as it runs: its rings, its windows, what the gate says, and the devices that are in trouble.

use maud::{Markup, html};
use tidegate_domain::ids::{DeviceId, IncidentId, PackageName, PolicyName, RolloutId, Version};
use tidegate_domain::rollout::report::{RingReport, StepReport, WindowReport};
use tidegate_domain::time::WallTime;

use crate::drawing::{Part, bar, ring};
use crate::frame::{self, Viewer};
use crate::instants::instant;

/// The most windows that are drawn; the fullest first.
const WINDOWS_MAX: usize = 24;

/// A rollout.
#[derive(Debug, Clone)]
pub struct RolloutPage {
    /// The rollout.
    pub rollout: RolloutId,
    /// The package.
    pub package: PackageName,
    /// The version.
    pub version: Version,
    /// The policy's name.
    pub policy: PolicyName,
    /// When the order was accepted.
    pub started_at_ms: WallTime,
    /// When it halted or completed.
    pub ended_at_ms: Option<WallTime>,
    /// Whether a halt stands that the log does not have yet.
    pub halt_stands: bool,
    /// Whether P4 is in force, in words.
    pub p4: String,
    /// Rings, windows, verdict.
    pub report: StepReport,
    /// The gate's reasons and the holds that keep devices back, in words.
    pub reasons: Vec<String>,
    /// What the halt left behind.
    pub incident: Option<IncidentLine>,
    /// Devices that failed, fell silent, came back or need hands; some of them.
    pub troubled: Vec<TroubledDevice>,
    /// How many there are.
    pub troubled_count: usize,
}

/// An incident in one line. Units: devices.
#[derive(Debug, Clone)]
pub struct IncidentLine {
    /// The incident.
    pub incident: IncidentId,
    /// `open` or `restored`.
    pub state: String,
    /// Took the release.
    pub exposed: u32,
    /// Failed or fell silent.
    pub harmed: u32,
    /// Well again.
    pub restored: u32,
    /// Of these, back without hands.
    pub back_without_hands: u32,
    /// Neither release nor fallback runs.
    pub need_hands: u32,
}

/// A device in trouble.
#[derive(Debug, Clone)]
pub struct TroubledDevice {
    /// The device.
    pub device: DeviceId,
    /// When it took the release.
    pub taken_at_ms: WallTime,
    /// `failed`, `silent`, `returned` or `needs_hands`.
    pub state: String,
    /// What it said itself; may be empty.
    pub words: String,
}

/// The whole page.
pub fn page(view: &RolloutPage, viewer: Viewer<'_>) -> String {
    let title = format!("{} {}: {}", view.package, view.version, phase(view));
    let events = format!("/console/rollouts/{}/events", view.rollout);
    frame::page(&title, Some(viewer), Some(&events), &changing(view)).into_string()
}

/// The part that changes.
pub fn part(view: &RolloutPage) -> String {
    changing(view).into_string()
}

fn changing(view: &RolloutPage) -> Markup {
    let report = &view.report;
    let goes_on = matches!(phase(view), "running" | "paused");
    html! {
        h1 { (view.package) " " (view.version) " " span class=(format!("phase {}", phase(view))) { (phase(view)) } }
        p.about {
            (view.rollout) " under policy " (view.policy) ", started " (instant(view.started_at_ms))
            @if let Some(ended) = view.ended_at_ms { ", ended " (instant(ended)) }
            ". " span.p4 { "P4 " (view.p4) }
        }
        @if let Some(incident) = &view.incident { (incident_line(incident)) }
        section aria-labelledby="gate" {
            h2 id="gate" { "The gate" }
            @if view.reasons.is_empty() { p { "Nothing stands against going on." } }
            @else { ul { @for reason in &view.reasons { li { (reason) } } } }
            @for closed in &report.closed {
                p.closed { "Halted alone: " (closed.scope) " (" (closed.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")) ")" }
            }
            p.evidence {
                "Evidence against the release: e" sup { (format!("{:.2}", report.ln_evidence)) }
                " of e" sup { (format!("{:.2}", report.ln_halt)) } ", at which it halts."
            }
        }
        section aria-labelledby="rings" {
            h2 id="rings" { "Rings" }
            div.rings { @for one in &report.rings { (drawn(one, goes_on && report.ring.as_ref() == Some(&one.name))) } }
            p.legend {
                span.proven { "proven" } " " span.underway { "on trial" } " " span.failed { "failed" } " " span.silent { "silent" } " " span.empty { "not opened" }
            }
        }
        (windows(&report.windows))
        (troubled(view))
    }
}

fn phase(view: &RolloutPage) -> &str {
    if view.halt_stands { "halted" } else { &view.report.phase }
}

fn incident_line(incident: &IncidentLine) -> Markup {
    html! {
        p class=(format!("incident {}", incident.state)) role="alert" {
            strong { "Incident " (incident.incident) " is " (incident.state) "." } " "
            (incident.exposed) " took the release, " (incident.harmed) " harmed, " (incident.restored) " well again ("
            (incident.back_without_hands) " without hands), " (incident.need_hands) " need hands."
        }
    }
}

fn drawn(one: &RingReport, open: bool) -> Markup {
    let harmed = one.failed.saturating_add(one.silent);
    let underway = one.opened.saturating_sub(one.proven).saturating_sub(harmed);
    let parts = [
        Part { count: one.proven, what: "proven", class: "proven" },
        Part { count: underway, what: "on trial", class: "underway" },
        Part { count: one.failed, what: "failed", class: "failed" },
        Part { count: one.silent, what: "silent", class: "silent" },
    ];
    html! {
        figure class=(if open { "open" } else { "" }) {
            (ring(one.name.as_str(), &parts, one.places))
            figcaption {
                strong { (one.name) } @if open { " (open)" }
                br; (one.proven) " of " (one.places) " proven, " (underway) " on trial"
                @if harmed > 0 { br; span.harmed { (one.failed) " failed, " (one.silent) " silent" } }
            }
        }
    }
}

fn windows(all: &[WindowReport]) -> Markup {
    let mut shown: Vec<&WindowReport> = all.iter().collect();
    // The fullest first: compared as fractions, without dividing.
    shown.sort_by_key(|window| {
        let filled = u64::from(window.unproven) * 1_000_000 / u64::from(window.bound.max(1));
        (std::cmp::Reverse(filled), window.scope.to_string())
    });
    html! {
        section aria-labelledby="windows" {
            h2 id="windows" { "Windows" }
            table {
                thead { tr { th scope="col" { "scope" } th scope="col" { "unproven" } th scope="col" { "at most" } th scope="col" { "used" } } }
                tbody {
                    @for window in shown.iter().take(WINDOWS_MAX) {
                        tr {
                            th scope="row" { (window.scope) } td { (window.unproven) } td { (window.bound) }
                            td.drawn { (bar(window.unproven, window.bound)) }
                        }
                    }
                }
            }
            @if shown.len() > WINDOWS_MAX { p { "and " (shown.len() - WINDOWS_MAX) " more, less full" } }
        }
    }
}

fn troubled(view: &RolloutPage) -> Markup {
    html! {
        section aria-labelledby="trouble" {
            h2 id="trouble" { "Devices in trouble" }
            @if view.troubled.is_empty() { p { "None." } }
            @else {
                table {
                    thead { tr { th scope="col" { "device" } th scope="col" { "state" } th scope="col" { "took it" } th scope="col" { "in its own words" } } }
                    tbody {
                        @for one in &view.troubled {
                            tr {
                                th scope="row" { (one.device) } td class=(one.state) { (one.state.replace('_', " ")) }
                                td { (instant(one.taken_at_ms)) } td.words { (one.words) }
                            }
                        }
                    }
                }
                @if view.troubled_count > view.troubled.len() {
                    p { "and " (view.troubled_count - view.troubled.len()) " more; " code { "tidegate incident show" } " lists all" }
                }
            }
        }
    }
}
