//! A rollout as it runs: its rings, its windows, what the gate says, and the devices that are in trouble.

use maud::{Markup, html};
use tidegate_domain::evidence::odds::Odds;
use tidegate_domain::ids::{DeviceId, IncidentId, PackageName, PolicyName, RingName, RolloutId, Version};
use tidegate_domain::rollout::report::{RingReport, StepReport, WindowReport};
use tidegate_domain::time::WallTime;

use crate::drawing::{Course, Edges, Lines, Part, bar, chart, ring};
use crate::frame::{self, Live, Part as Of, Viewer};
use crate::instants::instant;
use crate::phrases::{count, label, of_many};

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
    /// How it went so far, in the order of time.
    pub points: Vec<CoursePoint>,
    /// The gate's reasons and the holds that keep devices back, in words.
    pub reasons: Vec<String>,
    /// What the halt left behind.
    pub incident: Option<IncidentLine>,
    /// Whether devices that are well are ordered back after a halt.
    pub all_return: bool,
    /// The ring that needs somebody's approval.
    pub approval_wanted: Option<RingName>,
    /// Whether somebody is called: it goes no further alone.
    pub calls: bool,
    /// Devices that failed, fell silent, came back or need hands; some of them.
    pub troubled: Vec<TroubledDevice>,
    /// How many there are.
    pub troubled_count: usize,
}

/// How a rollout stood at an instant. Units: places.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CoursePoint {
    /// When.
    pub at_ms: WallTime,
    /// Given a go.
    pub taken: u32,
    /// Proven.
    pub proven: u32,
    /// Failed or silent.
    pub harmed: u32,
    /// ln of the evidence against the release.
    pub ln_evidence: f64,
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
    /// Of the harmed, well again.
    pub healed: u32,
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
    let body = html! {
        div data-part="" { (changing(view)) }
    };
    frame::page(&title, Of::Rollouts, viewer, Live::Watched(&events), &body)
}

/// The part that changes.
pub fn part(view: &RolloutPage) -> String {
    changing(view).into_string()
}

fn changing(view: &RolloutPage) -> Markup {
    let report = &view.report;
    let goes_on = matches!(phase(view), "running" | "paused");
    html! {
        h1 { (view.package) " " (view.version) " " (label(phase(view))) @if view.calls { " " (label("waits for a person")) } }
        p.about {
            (view.rollout) " under policy " (view.policy) ", started " (instant(view.started_at_ms))
            @if let Some(ended) = view.ended_at_ms { ", ended " (instant(ended)) }
            ". " a.p4 href="/console/trust" { "P4 " (view.p4) }
        }
        @if let Some(incident) = &view.incident { (incident_line(view, incident)) }
        (closing(view))
        section aria-labelledby="gate" {
            h2 id="gate" { "The gate" }
            @if view.reasons.is_empty() { p { "Nothing stands against going on." } }
            @else { ul { @for reason in &view.reasons { li { (reason) } } } }
            @for closed in &report.closed {
                p.closed { "Halted alone: " (closed.scope) " (" (closed.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")) ")" }
            }
            p.evidence {
                "Evidence against the release, the lab's own test aside: "
                @if report.ln_evidence > 0.0 { "chance alone brings as much " (Odds(report.ln_evidence)) " times" } @else { "none" }
                "; it halts at " (Odds(report.ln_halt)) "."
            }
        }
        section aria-labelledby="rings" {
            h2 id="rings" { "Rings" }
            div.rings { @for one in &report.rings { (drawn(one, goes_on && report.ring.as_ref() == Some(&one.name))) } }
            p.legend {
                span.proven { "proven" } " " span.underway { "on trial" } " " span.failed { "failed" } " " span.silent { "silent" } " " span.empty { "not opened" }
            }
        }
        (courses(view))
        (windows(&report.windows))
        (troubled(view))
        (opening(view))
        p { a href=(format!("/console/rollouts/{}/what-if", view.rollout)) { "What if it had been ordered under another policy" } }
    }
}

/// What anybody may do who looks: close. Each says what it does before it does it.
fn closing(view: &RolloutPage) -> Markup {
    let path = |act: &str| format!("/console/rollouts/{}/{act}", view.rollout);
    let taken: u32 = view.report.rings.iter().map(|ring| ring.taken).sum();
    let reason =
        html! { label { "Why (for the log)" input name="reason" value="from the console" required maxlength="500"; } };
    html! {
        @if matches!(phase(view), "running" | "paused") {
            section aria-labelledby="closing" {
                h2 id="closing" { "Close it" }
                div.forms {
                    form.act.halt method="post" action=(path("halt")) {
                        p {
                            "Halting ends this rollout for good: no further device takes it, an incident opens, and the same files are not ordered again until approvers sign for it. "
                            (count(u64::from(taken))) @if taken == 1 { " device has" } @else { " devices have" } " taken it; those that are ill return by themselves, "
                            @if view.all_return { "and the others are ordered back." } @else { "the others keep it." }
                        }
                        (reason)
                        button.danger type="submit" { "Halt" }
                    }
                    @if phase(view) == "running" {
                        form.act method="post" action=(path("pause")) {
                            p { "Pausing opens no further places until somebody resumes it. Places that are open now may still be taken." }
                            (reason)
                            button type="submit" { "Pause" }
                        }
                    }
                }
            }
        }
    }
}

/// What opens, and how. Nothing here opens anything.
fn opening(view: &RolloutPage) -> Markup {
    html! {
        @if matches!(phase(view), "running" | "paused") {
            section aria-labelledby="opening" {
                h2 id="opening" { "Open it further" }
                p { "Opening is never one step, and never done by being signed in. It is done where the person's token or key is:" }
                @if phase(view) == "paused" { pre tabindex="0" { "tidegate rollout resume " (view.rollout) " --reason \"...\"" } }
                @if let Some(ring) = &view.approval_wanted {
                    p {
                        "Ring " (ring) @if view.calls { " waits for" } @else { " will need" } " an approval, signed by an approver's own key and never by the one that ordered: by a command, or "
                        a href=(format!("/console/rollouts/{}/approve", view.rollout)) { "with the key that a browser holds" } "."
                    }
                    pre tabindex="0" { "tidegate rollout approve " (view.rollout) " --ring " (ring) " --key approver-1 --reason \"...\"" }
                }
                p { "A rollout keeps the policy that its order pins. To go faster, halt it and order the release again under a policy with shorter proofs, which keeps the windows:" }
                pre tabindex="0" { "tidegate rollout start " (view.package) " " (view.version) " --policy NAME@DIGEST --key order --resume" }
            }
        }
    }
}

fn phase(view: &RolloutPage) -> &str {
    if view.halt_stands { "halted" } else { &view.report.phase }
}

fn incident_line(view: &RolloutPage, incident: &IncidentLine) -> Markup {
    let unhurt = incident.exposed.saturating_sub(incident.harmed);
    html! {
        div class=(format!("incident {}", incident.state)) role="alert" {
            p {
                strong { "Incident " a href=(format!("/console/incidents/{}", incident.incident)) { (incident.incident) } " is " (incident.state) "." } " "
                (incident.exposed) " took the release, " (incident.harmed) " harmed: " (incident.healed) " of these well again ("
                (incident.back_without_hands) " without hands), " (incident.need_hands) " need hands."
            }
            p {
                "What now: work on the incident. "
                @if unhurt > 0 {
                    (of_many(u64::from(unhurt), "device was", "devices were")) " not hurt and "
                    @if view.all_return { "are ordered back." } @else { "keep what was halted until another release comes." }
                }
                " The same files go on only by an order that approvers sign too:"
            }
            pre tabindex="0" { "tidegate rollout start " (view.package) " " (view.version) " --policy NAME@DIGEST --key order --resume" }
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

/// Exposure, proofs and harm over the time since the start, and the evidence beside what it must reach to halt.
fn courses(view: &RolloutPage) -> Markup {
    let (Some(first), Some(last)) = (view.points.first(), view.points.last()) else { return html! {} };
    let (from, until) = (view.started_at_ms.min(first.at_ms), view.report.at_ms.max(last.at_ms));
    let until = view.ended_at_ms.map_or(until, |ended| ended.max(last.at_ms));
    let whole = until.since(from).as_ms().max(1) as f64;
    let along = |point: &CoursePoint| point.at_ms.since(from).as_ms() as f64 / whole;
    // Steps: each value holds until the next.
    let line = |high: &dyn Fn(&CoursePoint) -> f64| {
        let mut points: Vec<(f64, f64)> = vec![(0.0, 0.0)];
        for point in &view.points {
            points.push((along(point), points.last().map_or(0.0, |last| last.1)));
            points.push((along(point), high(point)));
        }
        points.push((1.0, points.last().map_or(0.0, |last| last.1)));
        points
    };
    let most = f64::from(view.points.iter().map(|point| point.taken).max().unwrap_or(1).max(1));
    let share = |of: fn(&CoursePoint) -> u32| line(&|point: &CoursePoint| f64::from(of(point)) / most);
    let top = view.report.ln_halt.max(1e-9) * 1.25;
    let evidence = line(&|point: &CoursePoint| point.ln_evidence.max(0.0) / top);
    let exposed = [
        Course { class: "underway", points: share(|point| point.taken) },
        Course { class: "proven", points: share(|point| point.proven) },
        Course { class: "failed", points: share(|point| point.harmed) },
    ];
    let said = format!("{} took it, {} proved it, {} were harmed", last.taken, last.proven, last.harmed);
    let weighed = format!(
        "Chance brings the evidence {} times; it halts at {}",
        Odds(last.ln_evidence),
        Odds(view.report.ln_halt)
    );
    let halt = view.ended_at_ms.filter(|_| view.halt_stands || view.report.phase == "halted");
    let halt = halt.map(|at| at.since(from).as_ms() as f64 / whole);
    let edges = |top: String, bottom: &'static str| Edges { top, bottom, begins: instant(from), ends: instant(until) };
    html! {
        section aria-labelledby="course" {
            h2 id="course" { "The course" }
            figure.wide {
                (chart(&said, &exposed, &Lines { bound: None, halt }, &edges(count(u64::from(most as u32)), "0")))
                figcaption.legend {
                    span.underway { "took it" } " " span.proven { "proved it" } " " span.failed { "harmed" }
                    @if halt.is_some() { " " span.halt { "halted" } }
                }
            }
            figure.wide {
                (chart(&weighed, &[Course { class: "failed", points: evidence }], &Lines { bound: Some(0.8), halt }, &edges("far beyond".to_owned(), "chance alone")))
                figcaption { "Evidence against the release, the lab's own test aside. It halts at the dashed line: " (Odds(view.report.ln_halt)) " by chance." }
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
            h2 id="windows" { "Windows, as they are now" }
            div.scroll tabindex="0" { table {
                thead { tr { th scope="col" { "scope" } th scope="col" { "unproven" } th scope="col" { "at most" } th scope="col" { "used" } } }
                tbody {
                    @for window in shown.iter().take(WINDOWS_MAX) {
                        tr {
                            th scope="row" { (window.scope) } td { (window.unproven) } td { (window.bound) }
                            td.drawn { (bar(window.unproven, window.bound)) }
                        }
                    }
                }
            } }
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
                div.scroll tabindex="0" { table.stacked {
                    thead { tr { th scope="col" { "device" } th scope="col" { "state" } th scope="col" { "took it" } th scope="col" { "in its own words" } } }
                    tbody {
                        @for one in &view.troubled {
                            tr {
                                th scope="row" { a href=(format!("/console/devices/{}", one.device)) { (one.device) } } td class=(one.state) { (one.state.replace('_', " ")) }
                                td { (instant(one.taken_at_ms)) } td.words { (one.words) }
                            }
                        }
                    }
                } }
                @if view.troubled_count > view.troubled.len() {
                    p { "and " (view.troubled_count - view.troubled.len()) " more; " code { "tidegate incident show" } " lists all" }
                }
            }
        }
    }
}
