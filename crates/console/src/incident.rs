//! An incident as it is worked: how far it has come, who does what, what happened when, what is to be done, who is hit and who needs
//! hands. Whatever can be done here is a form, and works without scripts.

mod customer;
mod forms;
mod hands;
mod timeline;

use maud::{Markup, html};
use tidegate_domain::attributes::AttributeValue;
use tidegate_domain::case::{Case, Role, Stage};
use tidegate_domain::ids::{DeviceId, IncidentId, RolloutId, Version};
use tidegate_domain::incident::Restoration;
use tidegate_domain::time::WallTime;

use crate::drawing::{Course, Edges, Lines, chart};
use crate::frame::{self, Live, Part, Viewer};
use crate::instants::instant;
use crate::phrases::{count, facts, label, of_many};
use crate::written::Written;

pub use customer::page as customer_page;
pub use hands::{page as hands_page, sheet as hands_sheet};

/// The most devices that the page of an incident or of a customer names.
const DEVICES_MAX: usize = 50;

/// An incident.
#[derive(Debug, Clone)]
pub struct IncidentPage {
    /// The incident.
    pub incident: IncidentId,
    /// What people did about it.
    pub case: Case,
    /// Where a halt opened it: the halt.
    pub halt: Option<HaltPart>,
    /// The customers that are hit.
    pub customers: Vec<Customer>,
    /// The devices that took the release: those that need hands first, then those that are not well.
    pub devices: Vec<HitDevice>,
    /// What happened by itself, in the order of time.
    pub events: Vec<(WallTime, String)>,
    /// The clock.
    pub now_ms: WallTime,
    /// Operators, by name; some of them.
    pub operators: Vec<String>,
    /// The last form, where it was not done.
    pub problem: Option<Written>,
}

/// The halt behind an incident.
#[derive(Debug, Clone)]
pub struct HaltPart {
    /// The rollout.
    pub rollout: RolloutId,
    /// What it brought.
    pub version: Version,
    /// The parts that were halted alone, in words; none where all was.
    pub parts: Vec<String>,
    /// Why, in words.
    pub reasons: Vec<String>,
    /// What the evidence points at, in words, the strongest first.
    pub suspects: Vec<String>,
    /// How many devices.
    pub devices: Restoration,
    /// When each device that is well became so, in the order of time.
    pub well_at_ms: Vec<WallTime>,
}

/// A customer in an incident. Units: devices.
#[derive(Debug, Clone)]
pub struct Customer {
    /// Its name; none for devices that say none.
    pub name: Option<AttributeValue>,
    /// Took the release.
    pub exposed: u32,
    /// Well again.
    pub restored: u32,
    /// Somebody must come.
    pub need_hands: u32,
    /// What was asked for it and is not done.
    pub waiting: u32,
    /// Whom to speak to.
    pub contact: Option<String>,
}

/// A device that took a halted release.
#[derive(Debug, Clone)]
pub struct HitDevice {
    /// The device.
    pub device: DeviceId,
    /// Whose it is.
    pub customer: Option<AttributeValue>,
    /// Where it stands, in a word.
    pub state: String,
    /// When it took the release.
    pub taken_at_ms: WallTime,
    /// Since when it is well.
    pub well_at_ms: Option<WallTime>,
    /// In its own words; may be empty.
    pub words: String,
    /// What to do there, where it needs hands.
    pub instruction: Option<String>,
    /// Where and what it is, where it needs hands: its attributes but the customer.
    pub attributes: Vec<(String, String)>,
}

impl IncidentPage {
    pub(crate) fn path(&self) -> String {
        format!("/console/incidents/{}", self.incident)
    }
}

/// The page.
pub fn page(view: &IncidentPage, viewer: Viewer<'_>) -> String {
    let events = format!("{}/events", view.path());
    let title = format!("{}: {}", view.incident, view.case.title);
    let body = html! {
        (forms::names(view))
        div data-part="" { (changing(view, viewer.name)) }
    };
    // A form that was not done stays as it was written.
    let live = if view.problem.is_some() { Live::No } else { Live::Worked(&events) };
    frame::page(&title, Part::Incidents, viewer, live, &body)
}

/// The part that changes.
pub fn part(view: &IncidentPage, viewer: Viewer<'_>) -> String {
    changing(view, viewer.name).into_string()
}

fn changing(view: &IncidentPage, me: &str) -> Markup {
    let case = &view.case;
    html! {
        h1 { (case.title) " " (label(case.stage().word())) }
        p.about {
            (view.incident)
            @if let Some(halt) = &view.halt { " of rollout " a href=(format!("/console/rollouts/{}", halt.rollout)) { (halt.rollout) } ", version " (halt.version) }
            @for role in Role::ALL { ". " (role.word()) ": " @match case.roles.get(&role) { Some(who) => strong { (who) }, None => "nobody" } }
        }
        (stages(case))
        (forms::reach(view, me))
        @if let Some(halt) = &view.halt { (the_halt(view, halt)) }
        (timeline::tasks(view, |_| true, "What is to be done", &html! { (forms::task(view, me)) (forms::lesson(view, me)) }))
        (timeline::timeline(view))
        (customers(view))
        @if !view.devices.is_empty() { (devices(view)) }
        (cause(view))
        (forms::explain(view))
    }
}

fn stages(case: &Case) -> Markup {
    html! {
        ol.stages aria-label="Stages" {
            @for stage in Stage::ALL {
                @let reached = case.reached(stage);
                li class=(if reached.is_some() { "reached" } else { "" }) aria-current=[(case.stage() == stage).then_some("step")] {
                    strong { (stage.word()) }
                    @if let Some(reached) = reached { br; (instant(reached.at_ms)) @if let Some(by) = &reached.by { " by " (by) } }
                }
            }
        }
    }
}

/// How many are well over the time since the opening, drawn: a line that climbs to the top when all are.
fn restoration(label: &str, wells: &[WallTime], exposed: u32, (from, until): (WallTime, WallTime)) -> Markup {
    let courses = [Course { class: "proven", points: well_over_time(wells, exposed, from, until) }];
    let edges = Edges { top: count(u64::from(exposed)), bottom: "0", begins: instant(from), ends: instant(until) };
    chart(label, &courses, &Lines::default(), &edges)
}

fn well_over_time(wells: &[WallTime], exposed: u32, from: WallTime, until: WallTime) -> Vec<(f64, f64)> {
    let whole = until.since(from).as_ms().max(1) as f64;
    let all = f64::from(exposed.max(1));
    let mut points = vec![(0.0, 0.0)];
    let step = wells.len().div_ceil(400).max(1);
    for (index, at) in wells.iter().enumerate() {
        if index % step == 0 || index + 1 == wells.len() {
            let (along, before) = (at.since(from).as_ms() as f64 / whole, points.last().map_or(0.0, |last| last.1));
            points.push((along, before));
            points.push((along, (index + 1) as f64 / all));
        }
    }
    points.push((1.0, points.last().map_or(0.0, |last| last.1)));
    points
}

fn the_halt(view: &IncidentPage, halt: &HaltPart) -> Markup {
    let counts = halt.devices;
    let opened = view.case.reached(Stage::Detected).map_or(view.now_ms, |reached| reached.at_ms);
    let last = view.case.reached(Stage::Restored).map_or(view.now_ms, |reached| reached.at_ms);
    let label = format!("{} of {} devices are well", counts.restored, counts.exposed);
    html! {
        section aria-labelledby="halt" {
            h2 id="halt" { "The halt" }
            (facts(&[
                ("halted", Some(html! { @if halt.parts.is_empty() { "all devices" } @else { (halt.parts.join("; ")) } })),
                ("why", Some(html! { ul { @for reason in &halt.reasons { li { (reason) } } } })),
                ("suspects", (!halt.suspects.is_empty()).then(|| html! { ul { @for one in &halt.suspects { li { (one) } } } })),
                ("took the release", Some(html! { (count(u64::from(counts.exposed))) })),
                ("harmed", Some(html! { (count(u64::from(counts.harmed))) ", " (count(u64::from(counts.healed))) " of these well again, " (count(u64::from(counts.back_without_hands))) " without hands" })),
                ("well now", Some(html! { (count(u64::from(counts.restored))) " of all that took it" })),
                ("need hands", Some(html! { span class=(if counts.needs_hands > 0 { "harmed" } else { "" }) { (count(u64::from(counts.needs_hands))) } })),
            ]))
            @if counts.exposed > 0 {
                figure.wide {
                    (restoration(&label, &halt.well_at_ms, counts.exposed, (opened, last)))
                    figcaption { "Well since the opening, those that were never ill included." }
                }
            }
        }
    }
}

fn customers(view: &IncidentPage) -> Markup {
    html! {
        section aria-labelledby="customers" {
            h2 id="customers" { "Customers" }
            @if view.customers.iter().any(|one| one.name.is_some()) {
                div.scroll tabindex="0" { table.stacked {
                    thead { tr {
                        th scope="col" { "customer" } th scope="col" { "well" } th scope="col" { "need hands" } th scope="col" { "waiting" } th scope="col" { "contact" }
                    } }
                    tbody {
                        @for one in &view.customers {
                            tr {
                                th scope="row" { @match &one.name { Some(name) => a href=(format!("{}/customers/{name}", view.path())) { (name) }, None => "of nobody" } }
                                td { (one.restored) " of " (one.exposed) " well" }
                                td class=(if one.need_hands > 0 { "harmed" } else { "" }) { (one.need_hands) " need hands" }
                                td { (one.waiting) " waiting" } td.wrap { (one.contact.as_deref().unwrap_or("-")) }
                            }
                        }
                    }
                } }
            } @else { p { "No device that took it says whose it is (attribute " code { "customer" } ")." } }
            (forms::contact(view))
        }
    }
}

fn devices(view: &IncidentPage) -> Markup {
    let hands = view.devices.iter().filter(|one| one.state == "needs_hands").count();
    html! {
        section aria-labelledby="devices" {
            h2 id="devices" { "Devices" }
            @if hands > 0 {
                p { strong.harmed { (of_many(hands as u64, "device needs hands", "devices need hands")) } ": "
                    a href=(format!("{}/hands", view.path())) { "with what to do there" } }
            }
            (forms::instruct(view))
            (device_table(&view.devices))
        }
    }
}

pub(crate) fn device_table(devices: &[HitDevice]) -> Markup {
    if devices.is_empty() {
        return html! { p { "None." } };
    }
    html! {
        div.scroll tabindex="0" { table.stacked {
            thead { tr {
                th scope="col" { "device" } th scope="col" { "customer" } th scope="col" { "state" } th scope="col" { "took it" }
                th scope="col" { "well since" } th scope="col" { "in its own words" }
            } }
            tbody {
                @for one in devices.iter().take(DEVICES_MAX) {
                    tr {
                        th scope="row" { a href=(format!("/console/devices/{}", one.device)) { (one.device) } }
                        td { @match &one.customer { Some(name) => (name), None => "-" } }
                        td class=(one.state) { (one.state.replace('_', " ")) } td { (instant(one.taken_at_ms)) }
                        td { @match one.well_at_ms { Some(at) => (instant(at)), None => "-" } } td.words { (one.words) }
                    }
                }
            }
        } }
        @if devices.len() > DEVICES_MAX { p { "and " (count((devices.len() - DEVICES_MAX) as u64)) " more; " code { "tidegate incident show" } " lists all" } }
    }
}

fn cause(view: &IncidentPage) -> Markup {
    html! {
        @if let Some(cause) = &view.case.cause {
            section aria-labelledby="cause" {
                h2 id="cause" { "Why it happened" }
                (facts(&[
                    ("what went wrong", Some(html! { (cause.mechanism) })),
                    ("what set it off", Some(html! { (cause.trigger) })),
                    ("why nothing stopped it", Some(html! { (cause.not_caught) })),
                    ("what made it no worse", Some(html! { (cause.contained_by) })),
                ]))
            }
        }
    }
}

#[cfg(test)]
mod tests;
