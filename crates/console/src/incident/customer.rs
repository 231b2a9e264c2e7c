//! A customer in an incident: its devices, its queue, how far it is restored, whom to speak to.

use maud::html;
use tidegate_domain::attributes::AttributeValue;
use tidegate_domain::case::Stage;
use tidegate_domain::time::WallTime;

use super::hands::query;
use super::{HitDevice, IncidentPage, device_table, forms, restoration, timeline};
use crate::frame::{self, Live, Part, Viewer};
use crate::phrases::{count, facts};

/// The page; none where nothing is known of such a customer here.
pub fn page(view: &IncidentPage, customer: &AttributeValue, viewer: Viewer<'_>) -> Option<String> {
    let known = view.customers.iter().find(|one| one.name.as_ref() == Some(customer))?;
    let devices: Vec<HitDevice> =
        view.devices.iter().filter(|one| one.customer.as_ref() == Some(customer)).cloned().collect();
    let mut wells: Vec<WallTime> = devices.iter().filter_map(|one| one.well_at_ms).collect();
    wells.sort();
    let opened = view.case.reached(Stage::Detected).map_or(view.now_ms, |reached| reached.at_ms);
    let last = view.case.reached(Stage::Restored).map_or(view.now_ms, |reached| reached.at_ms);
    let label = format!("{} of {} devices are well", known.restored, known.exposed);
    let title = format!("{customer} in {}", view.incident);
    let body = html! {
        p { a href=(view.path()) { (view.incident) } }
        (forms::names(view))
        h1 { (customer) }
        section aria-labelledby="standing" {
            h2 id="standing" { "Standing" }
            (facts(&[
                ("well", Some(html! { (count(u64::from(known.restored))) " of " (count(u64::from(known.exposed))) })),
                ("need hands", Some(html! {
                    span class=(if known.need_hands > 0 { "harmed" } else { "" }) { (known.need_hands) }
                    @if known.need_hands > 0 { ": " a href=(format!("{}/hands{}", view.path(), query(Some(customer)))) { "with what to do there" } }
                })),
                ("contact", Some(html! { (known.contact.as_deref().unwrap_or("not known yet")) })),
            ]))
            @if known.exposed > 0 {
                figure.wide {
                    (restoration(&label, &wells, known.exposed, (opened, last)))
                    figcaption { "Well over the time since the opening." }
                }
            }
        }
        (timeline::tasks(view, |task| task.customer.as_ref() == Some(customer), "The queue", &forms::task_for(view, customer)))
        section aria-labelledby="devices" { h2 id="devices" { "Devices" } (device_table(&devices)) }
    };
    Some(frame::page(&title, Part::Incidents, viewer, Live::No, &body))
}
