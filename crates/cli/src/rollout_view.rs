//! A rollout for people: its rings, windows, and the gate's reasons.

use tidegate_domain::evidence::odds::Odds;
use tidegate_domain::ids::DeviceId;
use tidegate_domain::release::Worse;
use tidegate_domain::rollout::measuring::{LearntBound, MeanReport};
use tidegate_domain::rollout::report::StepReport;
use tidegate_wire::operator::RolloutView;

use crate::output::{facts, instant, instant_or_dash, table};

/// A rollout's places over all rings.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) places: u32,
    pub(crate) taken: u32,
    pub(crate) proven: u32,
    pub(crate) failed: u32,
    pub(crate) silent: u32,
}

impl Totals {
    pub(crate) fn of(report: &StepReport) -> Totals {
        report.rings.iter().fold(Totals::default(), |sum, ring| Totals {
            places: sum.places.saturating_add(ring.places),
            taken: sum.taken.saturating_add(ring.taken),
            proven: sum.proven.saturating_add(ring.proven),
            failed: sum.failed.saturating_add(ring.failed),
            silent: sum.silent.saturating_add(ring.silent),
        })
    }
}

/// Everything.
pub(crate) fn full(view: &RolloutView) -> String {
    let about = facts(&[
        ("rollout", format!("{} ({} {})", view.rollout, view.package, view.version)),
        ("release", view.release.to_string()),
        ("policy", format!("{}@{}", view.policy_name, view.policy)),
        ("order", view.order.to_string()),
        ("left out", left_out(&view.quarantined)),
        ("goes on from", view.goes_on_from.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)),
        ("started", instant(view.started_at_ms)),
        ("ended", instant_or_dash(view.ended_at_ms)),
        ("first window", view.first_window.to_string()),
        ("permit", format!("step {}", view.permit_step)),
        ("P4", view.p4.clone()),
    ]);
    format!("{about}{}", progress(view))
}

/// What changes while it runs.
pub(crate) fn progress(view: &RolloutView) -> String {
    let report = &view.report;
    let mut rings = table(&["ring", "places", "opened", "taken", "proven", "failed", "silent"]);
    for ring in &report.rings {
        let open = report.ring.as_ref() == Some(&ring.name);
        let name = if open { format!("> {}", ring.name) } else { format!("  {}", ring.name) };
        let counts = [ring.places, ring.opened, ring.taken, ring.proven, ring.failed, ring.silent];
        rings.add_row(std::iter::once(name).chain(counts.map(|count| count.to_string())));
    }
    let mut windows = table(&["window", "unproven", "at most"]);
    for window in &report.windows {
        windows.add_row([window.scope.to_string(), window.unproven.to_string(), window.bound.to_string()]);
    }
    let mut text = format!("{rings}\n{windows}\n");
    if !report.numbers.is_empty() {
        let mut numbers = table(&["number", "with the release", "without it", "bound learnt"]);
        for number in &report.numbers {
            let learnt = number.learnt.as_ref().map_or_else(|| "-".to_owned(), learnt);
            let means = [&number.treated, &number.control].map(|side| mean(side.as_ref()));
            numbers.add_row([number.name.to_string()].into_iter().chain(means).chain([learnt]));
        }
        text.push_str(&format!("{numbers}\n"));
    }
    text.push_str(&format!("phase     {}\n", report.phase));
    for reason in &view.reasons {
        text.push_str(&format!("gate      {reason}\n"));
    }
    let blamed: Vec<String> =
        report.suspects.iter().filter(|one| one.blamed).map(|one| one.scope.to_string()).collect();
    if !blamed.is_empty() {
        text.push_str(&format!("to blame  {}\n", blamed.join(", ")));
    }
    for closed in &report.closed {
        let reasons: Vec<String> = closed.reasons.iter().map(ToString::to_string).collect();
        text.push_str(&format!("halted    {} alone: {}\n", closed.scope, reasons.join("; ")));
    }
    text.push_str(&format!("evidence  {} by chance, it halts at {}\n", Odds(report.ln_evidence), Odds(report.ln_halt)));
    text
}

/// A mean with its interval, and of how many devices.
fn left_out(devices: &[DeviceId]) -> String {
    let names: Vec<&str> = devices.iter().map(DeviceId::as_str).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(", ") }
}

fn learnt(of: &LearntBound) -> String {
    let side = match of.worse {
        Worse::Above => "at most",
        Worse::Below => "at least",
    };
    format!("{side} {:.2}", of.bound)
}

fn mean(of: Option<&MeanReport>) -> String {
    let Some(MeanReport { devices, mean, interval }) = of else { return "-".to_owned() };
    let interval = interval.map_or_else(String::new, |(low, high)| format!(" ({low:.2} to {high:.2})"));
    format!("{mean:.2}{interval} of {devices}")
}

/// One line, for where nothing can be drawn over.
pub(crate) fn line(view: &RolloutView) -> String {
    let totals = Totals::of(&view.report);
    let ring = view.report.ring.as_ref().map_or("-", |ring| ring.as_str());
    format!(
        "{} {} {} ring={ring} step={} taken={} proven={}/{} failed={} silent={} {}",
        instant(view.report.at_ms),
        view.rollout,
        view.report.phase,
        view.permit_step,
        totals.taken,
        totals.proven,
        totals.places,
        totals.failed,
        totals.silent,
        view.reasons.join("; ")
    )
}
