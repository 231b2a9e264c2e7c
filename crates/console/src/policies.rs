//! Policies: those that were applied, what one would do on this fleet as drawings and figures, and an editor that checks while somebody
//! writes. Applying needs an order key, which is not here.

use maud::{Markup, PreEscaped, html};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{PolicyName, StratumName};
use tidegate_domain::policy::{Policy, Ring};
use tidegate_domain::policy_check::PolicyCheck;
use tidegate_domain::rollout::reason::Signal;
use tidegate_domain::time::WallTime;

use crate::drawing::{Course, Edges, Lines, chart, share_bar};
use crate::frame::{self, Live, Part, Viewer};
use crate::instants::instant;
use crate::phrases::{count, facts, lasted, nothing_yet, of_many, short};

/// Rounds of proofs that are drawn.
const ROUNDS_MAX: usize = 24;

/// An applied policy in the list.
#[derive(Debug, Clone)]
pub struct PolicyLine {
    /// Its name.
    pub name: PolicyName,
    /// Its digest.
    pub digest: Digest,
    /// When it was applied.
    pub applied_at_ms: WallTime,
    /// Whether it is the newest of its name.
    pub current: bool,
}

/// A policy's text, held against this fleet.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The text.
    pub text: String,
    /// What it comes to.
    pub outcome: Outcome,
}

/// What a policy's text comes to.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It is no policy, and why.
    Wrong(String),
    /// It is one.
    Right {
        /// The policy.
        policy: Box<Policy>,
        /// What it would do on this fleet; none while the fleet is being counted for it, or where nobody is enrolled.
        held: Option<Box<HeldAgainst>>,
    },
}

/// A policy held against this fleet.
#[derive(Debug, Clone)]
pub struct HeldAgainst {
    /// What it would do.
    pub check: PolicyCheck,
    /// Devices in each stratum, the largest first.
    pub strata: Vec<(StratumName, u32)>,
}

/// What became of a simulated fleet.
#[derive(Debug, Clone)]
pub struct Preview {
    /// Devices of it.
    pub devices: u32,
    /// What was changed so that the policy fits it, in words.
    pub changes: Vec<String>,
    /// How long a sound release took to 95 of 100 devices; none where it does not within the time simulated.
    pub whole_fleet_s: Option<f64>,
    /// The worst that happened, by what was wrong with the release.
    pub worst: Vec<Harm>,
    /// Whether it took too long, and ends before its end.
    pub cut_short: bool,
}

/// What a bad release did to a simulated fleet.
#[derive(Debug, Clone)]
pub struct Harm {
    /// What was wrong, in words.
    pub fault: String,
    /// Devices that were given it.
    pub exposed: u32,
    /// Devices that were struck.
    pub harmed: u32,
    /// Seconds until it was halted; none where it was not.
    pub halted_s: Option<f64>,
}

/// The page of all.
pub fn list(lines: &[PolicyLine], viewer: Viewer<'_>) -> String {
    let body = html! {
        h1 { "Policies" }
        @if lines.is_empty() {
            (nothing_yet("None is applied yet. Write one, check it here, and apply it where the order key is:", &["tidegate policy apply default.toml --key order"]))
        } @else {
            section { div.scroll tabindex="0" { table.stacked {
                thead { tr { th scope="col" { "policy" } th scope="col" { "digest" } th scope="col" { "applied" } th scope="col" { "standing" } } }
                tbody {
                    @for line in lines {
                        tr {
                            th scope="row" { a href=(format!("/console/policies/{}", line.digest)) { (line.name) } }
                            td { (short(&line.digest)) } td { (instant(line.applied_at_ms)) } td { @if line.current { "current" } @else { "replaced" } }
                        }
                    }
                }
            } } }
        }
        p { a href="/console/policies/editor" { "Write a policy" } }
    };
    frame::page("Policies", Part::Policies, viewer, Live::No, &body)
}

/// The page of one.
pub fn page(line: &PolicyLine, checked: &Checked, viewer: Viewer<'_>) -> String {
    let body = html! {
        h1 { "Policy " (line.name) }
        p.about { code.long { (line.digest) } ", applied " (instant(line.applied_at_ms)) @if line.current { ", the current one of its name." } @else { ", replaced since." } }
        (outcome(&checked.outcome))
        section aria-labelledby="text" { h2 id="text" { "The text" } pre tabindex="0" { (checked.text) } }
        p { a href=(format!("/console/policies/editor?from={}", line.digest)) { "Write another one from it" } }
    };
    frame::page(&format!("Policy {}", line.name), Part::Policies, viewer, Live::No, &body)
}

/// The editor: a text, and what it comes to. `beginnings` are the names of policies that it can begin with.
pub fn editor(checked: &Checked, preview: Option<&Preview>, beginnings: &[&str], viewer: Viewer<'_>) -> String {
    let body = html! {
        h1 { "Write a policy" }
        p.about { "Begin with" @for name in beginnings { " " a.button href=(format!("/console/policies/editor?with={name}")) { (name.replace('-', " ")) } } }
        form.editor id="editor" method="post" action="/console/policies/editor" data-checked="/console/policies/check" {
            label for="text" { "The policy, as TOML" }
            textarea id="text" name="text" rows="28" maxlength="65536" spellcheck="false" autocapitalize="none" aria-describedby="checked" { (PreEscaped("\n")) (checked.text) }
            div.buttons {
                button type="submit" { "Check" }
                button type="submit" formaction="/console/policies/preview" { "Simulate" }
                button type="submit" formaction="/console/policies/file" { "Save as a file" }
            }
        }
        @if let Some(preview) = preview { (simulated(preview)) }
        div id="checked" aria-live="polite" { (outcome(&checked.outcome)) }
        section aria-labelledby="apply" {
            h2 id="apply" { "Apply it" }
            p { "A policy counts once an order key has signed it, where that key is. It changes no rollout that has started." }
            pre tabindex="0" { "tidegate policy check policy.toml --fleet\ntidegate policy apply policy.toml --key order" }
        }
    };
    frame::page("Write a policy", Part::Policies, viewer, Live::No, &body)
}

/// While a simulation runs.
pub fn waiting(viewer: Viewer<'_>) -> String {
    let body = html! { h1 { "Write a policy" } p role="status" { "A fleet is being simulated. This page looks again by itself." } };
    frame::page("Simulating", Part::Policies, viewer, Live::Soon, &body)
}

/// What a text comes to, alone.
pub fn checked(checked: &Checked) -> String {
    outcome(&checked.outcome).into_string()
}

fn outcome(outcome: &Outcome) -> Markup {
    match outcome {
        Outcome::Wrong(problem) => html! { pre.problem tabindex="0" role="alert" { (problem) } },
        Outcome::Right { policy, held } => html! {
            @if let Some(held) = held { (problems(&held.check)) }
            section aria-labelledby="drawn" {
                h2 id="drawn" { "How it opens" }
                (stages(policy, held.as_deref().map(|held| &held.check)))
                p.about { (window(policy)) }
            }
            @match held {
                Some(held) => { (foretold(&held.check)) (strata(&held.strata)) },
                None => p { "The fleet is being counted for it, or nobody is enrolled yet: look again in a moment." },
            }
        },
    }
}

fn problems(check: &PolicyCheck) -> Markup {
    html! {
        @if !check.problems.is_empty() {
            div.problem role="alert" { p { "It should not be used on this fleet:" } ul { @for problem in &check.problems { li { (problem) } } } }
        }
    }
}

fn window(policy: &Policy) -> String {
    let w = &policy.window;
    format!(
        "Before any proof {} may be open: at most {} of one attribute's value and {} of one stratum. Each proof opens {} more. A device is proven when it \
         was healthy for {} and {}.",
        of_many(u64::from(w.initial_all), "device", "devices"),
        w.initial_value,
        w.initial_stratum,
        w.growth,
        policy.prove.duration,
        of_many(u64::from(policy.prove.restarts), "restart", "restarts"),
    )
}

/// How many places are open at most with each round of proofs, where every device proves it, until all are.
fn opened(initial: u32, growth: u32, devices: u64) -> Vec<u64> {
    let (initial, growth) = (u64::from(initial.max(1)), u64::from(growth));
    let mut all = vec![initial.min(devices)];
    while let Some(last) = all.last().copied().filter(|last| *last < devices && all.len() < ROUNDS_MAX) {
        all.push(initial.saturating_add(last.saturating_mul(growth.saturating_add(1))).min(devices));
    }
    all
}

/// The window of all devices as steps, in logarithms: it opens by proofs.
fn steps(policy: &Policy, check: Option<&PolicyCheck>) -> Markup {
    // What a fleet of no known size would see, where nobody is enrolled.
    let devices = check.map_or(10_000, |check| u64::from(check.devices));
    let initial = check.map_or(policy.window.initial_all, |check| check.first_window);
    let all = opened(initial, policy.window.growth, devices);
    let (rounds, top) = (all.len() as f64, (devices.max(2) as f64).ln());
    let mut points = Vec::new();
    for (round, open) in all.iter().enumerate() {
        let high = (*open as f64).max(1.0).ln() / top;
        points.extend([(round as f64 / rounds, high), ((round + 1) as f64 / rounds, high)]);
    }
    let said: Vec<String> = all.iter().map(|open| count(*open)).collect();
    let edges = Edges {
        top: count(devices),
        bottom: "1",
        begins: html! { "first window" },
        ends: html! { "after " (of_many(all.len() as u64 - 1, "round", "rounds")) " of proofs" },
    };
    html! {
        figure.wide {
            (chart("The window, round by round", &[Course { class: "underway", points }], &Lines::default(), &edges))
            figcaption { "At most so many have it with each round of proofs, the rings aside: " (said.join(", ")) ". Heights are logarithms." }
        }
    }
}

/// The rings as circles, one beside the other, as large as they are many, and below them the window as steps.
fn stages(policy: &Policy, check: Option<&PolicyCheck>) -> Markup {
    let places = |ring: &Ring| check.and_then(|check| check.rings.iter().find(|one| one.name == ring.name));
    let most = policy.rings.iter().filter_map(places).map(|ring| ring.places).max().unwrap_or(1).max(1);
    html! {
        div.rings {
            @for ring in &policy.rings {
                @let known = places(ring);
                @let size = known.map_or(0.5, |known| (f64::from(known.places.max(1)).ln() / f64::from(most.max(2)).ln()).clamp(0.15, 1.0));
                figure {
                    svg.ring viewBox="0 0 42 42" role="img" aria-label=(format!("Ring {}", ring.name)) {
                        circle.empty cx="21" cy="21" r=(format!("{:.2}", size * 18.0)) {}
                        @if let Some(known) = known { text x="21" y="21" dy=".35em" { (count(u64::from(known.places))) } }
                    }
                    figcaption {
                        strong { (ring.name) } @if ring.lab { " (lab)" }
                        br; "soaks " (ring.soak)
                        @if let Some(role) = ring.approve { br; "opens by an " (role) }
                        @if let Some(known) = known { br; (of_many(u64::from(known.windows), "window", "windows")) }
                    }
                }
            }
        }
        (steps(policy, check))
    }
}

fn foretold(check: &PolicyCheck) -> Markup {
    let events = |events: Option<u32>| events.map_or_else(|| "no number of".to_owned(), |events| events.to_string());
    let stops = |signal: Signal| {
        html! {
            ul { @for stop in check.stops.iter().filter(|stop| stop.signal == signal) { li { (stop.ring) ": " (stop.by) ", " (stop.exposed) " exposed" } } }
        }
    };
    html! {
        section aria-labelledby="foretold" {
            h2 id="foretold" { "How it would go on this fleet" }
            (facts(&[
                ("devices", Some(html! { (count(u64::from(check.devices))) })),
                ("first window", Some(html! { (check.first_window) " before any proof" })),
                ("halts at", Some(html! {
                    (events(check.failures_to_halt)) " failures or " (events(check.silent_to_halt)) " silent devices by evidence, "
                    (check.failures_to_wedge) " failures that fill a window"
                })),
                ("if all fail", Some(stops(Signal::Hard))),
                ("if all fall silent", Some(stops(Signal::Silent))),
                ("whole fleet", Some(html! { "in " (check.time_to_whole_fleet) ", where the release is good" })),
            ]))
        }
    }
}

fn strata(all: &[(StratumName, u32)]) -> Markup {
    let whole: u64 = all.iter().map(|(_, devices)| u64::from(*devices)).sum();
    html! {
        section aria-labelledby="strata" {
            h2 id="strata" { "Its strata on this fleet" }
            table {
                thead { tr { th scope="col" { "stratum" } th scope="col" { "devices" } th scope="col" { "share" } } }
                tbody { @for (name, devices) in all { tr { th scope="row" { (name) } td { (count(u64::from(*devices))) } td.drawn { (share_bar(u64::from(*devices), whole)) } } } }
            }
        }
    }
}

fn simulated(preview: &Preview) -> Markup {
    let minutes = |s: Option<f64>| s.map_or_else(|| "not within the time simulated".to_owned(), lasted);
    html! {
        section aria-labelledby="simulated" {
            h2 id="simulated" { "Simulated on " (of_many(u64::from(preview.devices), "device", "devices")) }
            @for change in &preview.changes { p.about { "Changed to fit the simulated fleet: " (change) } }
            @if preview.cut_short {
                p.notice { "This takes longer than a page may: it ends before its end, and a release may do worse than is shown. " code { "tidegate simulate --policy FILE" } " takes its time." }
            }
            @let most = preview.worst.iter().map(|one| one.harmed).max().unwrap_or(0);
            p {
                "A sound release reached 95 in 100 of the devices: " strong { (minutes(preview.whole_fleet_s)) } ". The most that a bad one harmed: "
                strong { (of_many(u64::from(most), "device", "devices")) } "."
            }
            div.scroll tabindex="0" { table {
                thead { tr { th scope="col" { "a release that" } th scope="col" { "given it" } th scope="col" { "struck" } th scope="col" { "halted after" } } }
                tbody {
                    @for harm in &preview.worst {
                        tr {
                            th scope="row" { (harm.fault) } td { (count(u64::from(harm.exposed))) } td.harmed { (count(u64::from(harm.harmed))) }
                            td { @match harm.halted_s { Some(_) => (minutes(harm.halted_s)), None => "not halted" } }
                        }
                    }
                }
            } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_domain::policy_check::{FleetEstimate, check};
    use tidegate_domain::time::Elapsed;

    const TEXT: &str = include_str!("../../../policies/default.toml");

    #[test]
    fn a_window_opens_by_proofs_until_everybody_is_in() {
        assert_eq!(opened(4, 2, 100), [4, 16, 52, 100]);
        assert_eq!(opened(4, 2, 3), [3]);
        assert_eq!(opened(4, 0, 1_000_000).len(), ROUNDS_MAX, "bounded");
    }

    #[test]
    fn a_policy_is_drawn_with_what_it_would_do_and_an_error_says_where() {
        let policy = Policy::parse(TEXT).unwrap();
        let labels = [("lab".parse().unwrap(), 20)].into();
        let estimate = FleetEstimate::evenly(&policy, 10_000, &labels, Elapsed::from_s(30));
        let strata = vec![("all".parse().unwrap(), 10_000)];
        let held = HeldAgainst { check: check(&policy, None, &estimate), strata };
        let right = Outcome::Right { policy: Box::new(policy), held: Some(Box::new(held)) };
        let shown = checked(&Checked { text: TEXT.to_owned(), outcome: right });
        assert!(shown.contains("(lab)") && shown.contains("before any proof") && shown.contains("10,000"), "{shown}");
        let wrong = Policy::parse("name = \"p\"\nrings = [{name = \"</pre><script>\", soak = \"1h\"}]").unwrap_err();
        let wrong = Checked { text: "</textarea><script>".to_owned(), outcome: Outcome::Wrong(wrong.to_string()) };
        let shown = editor(&wrong, None, &["default", "few-devices"], Viewer { name: "ada" });
        assert!(
            shown.contains("role=\"alert\"") && !shown.contains("<script>\"") && !shown.contains("</textarea><script>"),
            "{shown}"
        );
    }
}
