//! The fleet: how many devices by ring, attribute, release and health, and a search by selector or by name.

use maud::{Markup, html};
use tidegate_domain::attributes::Attributes;
use tidegate_domain::ids::{DeviceId, PackageName, PolicyName, RingName};
use tidegate_domain::time::WallTime;

use crate::drawing::share_bar;
use crate::frame::{self, Live, Part, Viewer};
use crate::instants::instant;
use crate::phrases::{count, label, nothing_yet, of_many};

/// The most lines of one breakdown.
const LINES_MAX: usize = 12;

/// The fleet as counted a short while ago, and the devices that were searched for.
#[derive(Debug, Clone, Default)]
pub struct FleetPage {
    /// The counts; none while they are counted for the first time.
    pub census: Option<Census>,
    /// What was searched for, as it was written; may be empty.
    pub wanted: String,
    /// What it is narrowed to besides, as pairs of a query: `ring`, `health`, `package` and `release`.
    pub narrowed: Vec<(&'static str, String)>,
    /// Why that is no search, where it is none.
    pub problem: Option<String>,
    /// What was found.
    pub found: Vec<DeviceLine>,
    /// Where to go on, where there is more to look through.
    pub after: Option<DeviceId>,
    /// Devices that were looked through for this page.
    pub looked_through: u64,
}

/// How many devices there are of each sort.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// When they were counted.
    pub at_ms: WallTime,
    /// Enrolled and not retired.
    pub devices: u64,
    /// Retired.
    pub retired: u64,
    /// By health, in words: `well`, `failed`, `needs hands`, `said nothing yet`.
    pub health: Vec<(String, u64)>,
    /// By when they were last heard of, in words.
    pub heard: Vec<(String, u64)>,
    /// By stratum, for each policy that the next orders can be under.
    pub strata: Vec<(PolicyName, Vec<(String, u64)>)>,
    /// By ring label.
    pub rings: Vec<(String, u64)>,
    /// By release, for each package, the most frequent first.
    pub releases: Vec<(PackageName, Vec<(String, u64)>)>,
    /// By value, for each attribute, the most frequent first.
    pub attributes: Vec<(String, Vec<(String, u64)>)>,
}

/// A device in a list.
#[derive(Debug, Clone)]
pub struct DeviceLine {
    /// The device.
    pub device: DeviceId,
    /// Its ring label.
    pub ring: Option<RingName>,
    /// Its attributes.
    pub attributes: Attributes,
    /// Its health, in a word.
    pub health: &'static str,
    /// What it runs: packages with their releases.
    pub runs: Vec<(PackageName, String)>,
    /// When it was last heard of.
    pub heard_at_ms: WallTime,
}

impl FleetPage {
    fn is_all(&self) -> bool {
        self.wanted.is_empty() && self.narrowed.is_empty()
    }

    /// The link to this search.
    fn link(&self) -> String {
        let narrowed = self.narrowed.iter().map(|(name, value)| format!("&{name}={}", percent(value)));
        narrowed.fold(format!("/console/fleet?select={}", percent(&self.wanted)), |link, part| link + &part)
    }
}

/// The page.
pub fn page(view: &FleetPage, viewer: Viewer<'_>) -> String {
    let body = html! {
        h1 { "Fleet" }
        (search(view))
        @if view.is_all() { (counted(view.census.as_ref())) }
        (found(view))
    };
    frame::page("Fleet", Part::Fleet, viewer, Live::No, &body)
}

fn search(view: &FleetPage) -> Markup {
    html! {
        form.search method="get" action="/console/fleet" role="search" {
            label for="select" { "Devices" }
            input id="select" name="select" value=(view.wanted) maxlength="4096" spellcheck="false" autocapitalize="none"
                placeholder="os == \"linux\" && site in [\"ams\", \"fra\"], or the beginning of a name"
                aria-describedby=[view.problem.as_ref().map(|_| "select-problem")] aria-invalid=[view.problem.as_ref().map(|_| "true")];
            @for (name, value) in &view.narrowed { input type="hidden" name=(name) value=(value); }
            button type="submit" { "Search" }
        }
        @if !view.narrowed.is_empty() {
            p { "Only where " @for (at, (name, value)) in view.narrowed.iter().enumerate() { @if at > 0 { ", " } (name) " is " strong { (value.replace('_', " ")) } } ". " a href="/console/fleet" { "All devices" } }
        }
        @if let Some(problem) = &view.problem { pre.problem tabindex="0" id="select-problem" role="alert" { (problem) } }
    }
}

fn counted(census: Option<&Census>) -> Markup {
    let Some(census) = census else { return html! { p { "The devices are being counted." } } };
    if census.devices == 0 && census.retired == 0 {
        return nothing_yet(
            "No device is enrolled yet. A token lets devices in; it is made where the enrolment key is:",
            &[
                "tidegate device token create --key enrolment --ring lab --endpoint URL --out lab.token",
                "tidegate agent install --token lab.token",
            ],
        );
    }
    let retired = if census.retired > 0 { format!(", {} retired", count(census.retired)) } else { String::new() };
    html! {
        p.about { strong { (of_many(census.devices, "device", "devices")) } (retired) ". Counted " (instant(census.at_ms)) "." }
        div.cards {
            (breakdown("Health", &census.health, census.devices, &|word| Some(format!("health={}", percent(&word.replace(' ', "_"))))))
            (breakdown("Last heard of", &census.heard, census.devices, &|_| None))
            (breakdown("Ring label", &census.rings, census.devices, &|ring| Some(format!("ring={}", percent(ring)))))
            @for (package, releases) in &census.releases {
                (breakdown(&format!("{package}: release"), releases, census.devices, &|release| Some(format!("package={package}&release={}", percent(release)))))
            }
            @for (policy, strata) in &census.strata { (breakdown(&format!("Strata of policy {policy}"), strata, census.devices, &|_| None)) }
            @for (attribute, values) in &census.attributes {
                (breakdown(&format!("Attribute {attribute}"), values, census.devices, &|value| (!value.starts_with('(')).then(|| format!("select={}", percent(&format!("{attribute} == \"{value}\""))))))
            }
        }
    }
}

/// `link` is the query of a search for the devices of a line.
fn breakdown(title: &str, lines: &[(String, u64)], whole: u64, link: &dyn Fn(&str) -> Option<String>) -> Markup {
    let more = lines.len().saturating_sub(LINES_MAX);
    let rest: u64 = lines.iter().skip(LINES_MAX).map(|(_, count)| count).sum();
    html! {
        section.card {
            h2 { (title) }
            table {
                thead.unseen { tr { th scope="col" { (title) } th scope="col" { "devices" } th scope="col" { "share" } } }
                tbody {
                    @for (name, number) in lines.iter().take(LINES_MAX) {
                        tr { th scope="row" { @match link(name) { Some(query) => a href=(format!("/console/fleet?{query}")) { (name) }, None => (name) } } td.number { (count(*number)) } td.drawn { (share_bar(*number, whole)) } }
                    }
                    @if more > 0 { tr { th scope="row" { (more) " more" } td.number { (count(rest)) } td.drawn { (share_bar(rest, whole)) } } }
                }
            }
        }
    }
}

fn found(view: &FleetPage) -> Markup {
    html! {
        @if !view.found.is_empty() {
            section aria-labelledby="devices" {
                h2 id="devices" { "Devices" }
                div.scroll tabindex="0" { table.stacked {
                    thead { tr {
                        th scope="col" { "device" } th scope="col" { "health" } th scope="col" { "runs" } th scope="col" { "ring" }
                        th scope="col" { "attributes" } th scope="col" { "last heard of" }
                    } }
                    tbody {
                        @for one in &view.found {
                            tr {
                                th scope="row" { a href=(format!("/console/devices/{}", one.device)) { (one.device) } }
                                td { (label(one.health)) }
                                td { @for (package, release) in &one.runs { (package) " " (release) br; } }
                                td { @match &one.ring { Some(ring) => (ring), None => "-" } }
                                td { @for (name, value) in one.attributes.iter() { span.attribute { (name) "=" (value) } " " } }
                                td { (instant(one.heard_at_ms)) }
                            }
                        }
                    }
                } }
            }
        } @else if !view.is_all() && view.problem.is_none() && view.after.is_none() {
            p { "No device is like that." }
        }
        @if let Some(after) = &view.after {
            p {
                @if view.is_all() { "The first " (count(view.looked_through)) "." } @else { (count(view.looked_through)) " devices were looked through." } " "
                a href=(format!("{}&after={after}", view.link())) { "Look further" }
            }
        }
    }
}

/// For a link's query: everything but letters and digits by its bytes.
fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_fleet_says_what_to_do_next_and_a_hostile_search_stays_text() {
        let view = FleetPage { census: Some(Census::default()), ..FleetPage::default() };
        let shown = page(&view, Viewer { name: "ada" });
        assert!(shown.contains("tidegate device token create"), "{shown}");
        let hostile = "\"><script>alert(1)</script>";
        let view = FleetPage {
            wanted: hostile.to_owned(),
            problem: Some(hostile.to_owned()),
            after: Some("a-1".parse().unwrap()),
            ..FleetPage::default()
        };
        let shown = page(&view, Viewer { name: hostile });
        assert!(!shown.contains("<script>alert"), "{shown}");
        assert!(shown.contains("select=%22%3E%3Cscript%3E"), "{shown}");
    }

    #[test]
    fn a_breakdown_is_bounded_and_adds_up() {
        let lines: Vec<(String, u64)> = (0..20).map(|n| (format!("v{n}"), 5)).collect();
        let shown = breakdown("os", &lines, 100, &|_| None).into_string();
        assert!(shown.contains("8 more") && shown.contains(">40<"), "{shown}");
    }
}
