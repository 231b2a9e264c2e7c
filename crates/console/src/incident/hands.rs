//! The devices that need hands, with what to do at each: as a page, and as sheets to print and carry.

use maud::{Markup, html};
use tidegate_domain::attributes::AttributeValue;

use super::{HitDevice, IncidentPage, forms};
use crate::frame::{self, Live, Part, Viewer};
use crate::instants::instant;
use crate::phrases::of_many;

fn wanted<'a>(view: &'a IncidentPage, customer: Option<&AttributeValue>) -> Vec<&'a HitDevice> {
    let needs = view.devices.iter().filter(|one| one.state == "needs_hands");
    needs.filter(|one| customer.is_none() || one.customer.as_ref() == customer).collect()
}

pub(super) fn query(customer: Option<&AttributeValue>) -> String {
    // An attribute's value holds a plus at most that a query would read as a space.
    customer.map_or_else(String::new, |customer| format!("?customer={}", customer.as_str().replace('+', "%2B")))
}

/// The page.
pub fn page(view: &IncidentPage, customer: Option<&AttributeValue>, viewer: Viewer<'_>) -> String {
    let (devices, query) = (wanted(view, customer), query(customer));
    let body = html! {
        p { a href=(view.path()) { (view.incident) } }
        h1 { (of_many(devices.len() as u64, "device needs hands", "devices need hands")) @if let Some(customer) = customer { " at " (customer) } }
        p.about { "On these neither the release nor the fallback runs, as they said themselves." }
        p { a href=(format!("{}/hands.csv{query}", view.path())) { "As comma-separated values" } " · " a href=(format!("{}/sheet{query}", view.path())) { "As sheets to print" } }
        section { (table(&devices)) }
        section aria-labelledby="instructions" { h2 id="instructions" { "Instructions" } (forms::instruct(view)) }
    };
    frame::page("Devices that need hands", Part::Incidents, viewer, Live::No, &body)
}

fn table(devices: &[&HitDevice]) -> Markup {
    html! {
        @if devices.is_empty() { p { "None." } }
        @else {
            div.scroll tabindex="0" { table.stacked {
                thead { tr { th scope="col" { "device" } th scope="col" { "customer" } th scope="col" { "took it" } th scope="col" { "in its own words" } th scope="col" { "what to do" } } }
                tbody {
                    @for one in devices {
                        tr {
                            th scope="row" { a href=(format!("/console/devices/{}", one.device)) { (one.device) } }
                            td { @match &one.customer { Some(name) => (name), None => "-" } } td { (instant(one.taken_at_ms)) }
                            td.wrap.words { (one.words) } td.wrap.steps { (one.instruction.as_deref().unwrap_or("nothing is said yet")) }
                        }
                    }
                }
            } }
        }
    }
}

/// A sheet a device, to print.
pub fn sheet(view: &IncidentPage, customer: Option<&AttributeValue>) -> String {
    let devices = wanted(view, customer);
    let body = html! {
        @if devices.is_empty() { p { "No device needs hands." } }
        @for one in &devices {
            article.sheet {
                h1 { (one.device) }
                p { (view.incident) ": " (view.case.title) }
                dl.facts {
                    @if let Some(name) = &one.customer { dt { "customer" } dd { (name) @if let Some(contact) = view.case.contacts.get(name) { " (" (contact) ")" } } }
                    @for (name, value) in &one.attributes { dt { (name) } dd { (value) } }
                    dt { "took it" } dd { (instant(one.taken_at_ms)) }
                    dt { "it says" } dd { (one.words) }
                }
                h2 { "What to do" }
                p.steps { (one.instruction.as_deref().unwrap_or("Nothing is said yet: ask the commander.")) }
                p.done { "Done by ____________________ at ____________" }
            }
        }
    };
    frame::outside("Devices that need hands", &body)
}
