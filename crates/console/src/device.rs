//! A device: what it is, what runs on it, what it took and how that went, and what it said itself.

use maud::{Markup, html};
use tidegate_domain::attributes::Attributes;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{DeviceId, OperatorName, PackageName, RingName, RolloutId, Version};
use tidegate_domain::time::WallTime;

use crate::frame::{self, Live, Part, Viewer};
use crate::instants::instant;
use crate::phrases::{facts, label, short};

/// A device.
#[derive(Debug, Clone)]
pub struct DevicePage {
    /// The device.
    pub device: DeviceId,
    /// Its ring label.
    pub ring: Option<RingName>,
    /// Its attributes.
    pub attributes: Attributes,
    /// Its health, in a word.
    pub health: &'static str,
    /// When it joined.
    pub enrolled_at_ms: WallTime,
    /// When it last checked in, as far as this server knows.
    pub seen_at_ms: Option<WallTime>,
    /// When it last said something that was kept.
    pub heard_at_ms: WallTime,
    /// Once it left the fleet: when, who said so, why.
    pub retired: Option<(WallTime, OperatorName, String)>,
    /// Holds that keep it from releases now: number and reason.
    pub holds: Vec<(u32, String)>,
    /// What runs on it.
    pub packages: Vec<Running>,
    /// Its part in rollouts, the latest first.
    pub attempts: Vec<Attempt>,
    /// What it reported, the latest first.
    pub reports: Vec<Reported>,
}

/// A package on a device.
#[derive(Debug, Clone)]
pub struct Running {
    /// The package.
    pub package: PackageName,
    /// The release that runs, with its version where it is known.
    pub current: Option<(Digest, Option<Version>)>,
    /// The release that it would return to.
    pub fallback: Option<(Digest, Option<Version>)>,
    /// Where the device stands with it.
    pub state: String,
    /// Whether it is well.
    pub healthy: bool,
    /// The last trouble: what, in its own words, when.
    pub trouble: Option<(String, String, WallTime)>,
}

/// A rollout that a device had a part in.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The rollout.
    pub rollout: RolloutId,
    /// What it brought.
    pub version: Version,
    /// The device's ring there.
    pub ring: RingName,
    /// Its stratum there.
    pub stratum: String,
    /// When it took the release; none where it did not.
    pub taken_at_ms: Option<WallTime>,
    /// How that went, in a word.
    pub state: String,
}

/// Something that a device reported.
#[derive(Debug, Clone)]
pub struct Reported {
    /// When it was recorded.
    pub at_ms: WallTime,
    /// Its number.
    pub seq: u64,
    /// The package.
    pub package: PackageName,
    /// What, in words.
    pub what: String,
    /// In the device's own words; may be empty.
    pub detail: String,
}

/// The page.
pub fn page(view: &DevicePage, viewer: Viewer<'_>) -> String {
    let body = html! {
        h1 { (view.device) " " (label(view.health)) }
        (standing(view))
        (running(&view.packages))
        (attempts(&view.attempts))
        (reports(&view.reports))
    };
    frame::page(view.device.as_str(), Part::Fleet, viewer, Live::No, &body)
}

fn standing(view: &DevicePage) -> Markup {
    let ring = view.ring.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
    let attributes =
        html! { @for (name, value) in view.attributes.iter() { span.attribute { (name) "=" (value) } " " } };
    let retired = view.retired.as_ref().map(|(at, by, why)| html! { (instant(*at)) " by " (by) ": " (why) });
    let holds = (!view.holds.is_empty()).then(|| {
        html! { @for (number, why) in &view.holds { "hold " (number) ": " (why) br; } }
    });
    html! {
        section aria-labelledby="standing" {
            h2 id="standing" { "Standing" }
            (facts(&[
                ("ring label", Some(html! { (ring) })),
                ("attributes", view.attributes.iter().next().map(|_| attributes)),
                ("enrolled", Some(instant(view.enrolled_at_ms))),
                ("last check-in", view.seen_at_ms.map(instant)),
                ("last kept word", Some(instant(view.heard_at_ms))),
                ("retired", retired),
                ("held", holds),
            ]))
        }
    }
}

fn release(known: Option<&(Digest, Option<Version>)>) -> Markup {
    match known {
        Some((digest, Some(version))) => html! { (version) " " (short(digest)) },
        Some((digest, None)) => short(digest),
        None => html! { "-" },
    }
}

fn running(packages: &[Running]) -> Markup {
    html! {
        section aria-labelledby="packages" {
            h2 id="packages" { "What runs" }
            @if packages.is_empty() { p { "It has said of no package that it runs." } }
            @else {
                div.scroll tabindex="0" { table.stacked {
                    thead { tr {
                        th scope="col" { "package" } th scope="col" { "state" } th scope="col" { "current" }
                        th scope="col" { "fallback" } th scope="col" { "last trouble, in its own words" }
                    } }
                    tbody {
                        @for one in packages {
                            tr {
                                th scope="row" { (one.package) }
                                td { (one.state.replace('_', " ")) @if !one.healthy && one.current.is_some() { " " (label("not well")) } }
                                td { span.narrow { "runs " } (release(one.current.as_ref())) }
                                td { span.narrow { "returns to " } (release(one.fallback.as_ref())) }
                                td.words { @if let Some((what, words, at)) = &one.trouble { (what) @if !words.is_empty() { ": " (words) } " (" (instant(*at)) ")" } }
                            }
                        }
                    }
                } }
            }
        }
    }
}

fn attempts(all: &[Attempt]) -> Markup {
    html! {
        section aria-labelledby="attempts" {
            h2 id="attempts" { "Rollouts" }
            @if all.is_empty() { p { "It had no part in a rollout yet." } }
            @else {
                div.scroll tabindex="0" { table.stacked {
                    thead { tr {
                        th scope="col" { "rollout" } th scope="col" { "version" } th scope="col" { "ring" }
                        th scope="col" { "stratum" } th scope="col" { "took it" } th scope="col" { "how it went" }
                    } }
                    tbody {
                        @for one in all {
                            tr {
                                th scope="row" { a href=(format!("/console/rollouts/{}", one.rollout)) { (one.rollout) } }
                                td { (one.version) } td { (one.ring) } td { (one.stratum) }
                                td { @match one.taken_at_ms { Some(at) => { span.narrow { "took it " } (instant(at)) }, None => "-" } }
                                td { (label(&one.state)) }
                            }
                        }
                    }
                } }
            }
        }
    }
}

/// Whether two reports differ in nothing but when they came: a device that sleeps and wakes says the same for months.
fn says_the_same(a: &Reported, b: &Reported) -> bool {
    (&a.package, &a.what, &a.detail) == (&b.package, &b.what, &b.detail)
}

fn reports(all: &[Reported]) -> Markup {
    html! {
        section aria-labelledby="reports" {
            h2 id="reports" { "What it reported" }
            @if all.is_empty() { p { "Nothing is kept." } }
            @else {
                div.scroll tabindex="0" { table.stacked {
                    thead { tr { th scope="col" { "number" } th scope="col" { "recorded" } th scope="col" { "package" } th scope="col" { "what" } th scope="col" { "in its own words" } } }
                    tbody {
                        @for run in all.chunk_by(says_the_same) {
                            @if let (Some(last), Some(first)) = (run.first(), run.last()) {
                                tr {
                                    th scope="row" { @if first.seq == last.seq { (last.seq) } @else { (first.seq) " to " (last.seq) } }
                                    td { (instant(last.at_ms)) @if run.len() > 1 { br; (run.len()) " times since " (instant(first.at_ms)) } }
                                    td { (last.package) } td { (last.what) } td.words { (last.detail) }
                                }
                            }
                        }
                    }
                } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_that_say_the_same_one_after_the_other_are_one_line() {
        let report = |seq: u64, what: &str| Reported {
            at_ms: WallTime::from_ms(seq * 1_000),
            seq,
            package: "p".parse().unwrap(),
            what: what.to_owned(),
            detail: String::new(),
        };
        let all = [report(5, "healthy"), report(4, "healthy"), report(3, "crashed"), report(2, "healthy")];
        let shown = reports(&all).into_string();
        assert!(shown.contains(">4 to 5<") && shown.contains("2 times since"), "{shown}");
        assert!(shown.contains(">3<") && shown.contains(">2<"), "{shown}");
        assert_eq!(shown.matches("<tr>").count(), 4, "{shown}");
    }
}
