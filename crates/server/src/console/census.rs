//! Counting the fleet for its page, apart from requests: a part of the devices at a time, so that nobody waits for the state meanwhile, and
//! only when somebody looks.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_console::fleet::Census;
use tidegate_control::state::{Device, State as Known};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{DeviceId, PackageName, PolicyName, Version};
use tidegate_domain::policy::Policy;
use tidegate_domain::time::{Elapsed, WallTime};

use super::sorry::Sorry;
use crate::app::App;
use crate::clock::now;

/// Devices that are counted while the state is held.
const PART: usize = 5_000;
/// How long a page waits for counts that are being made.
const PATIENCE: Duration = Duration::from_millis(60);
/// Values of one attribute that are counted apart.
const VALUES_MAX: usize = 1_000;
/// Policies whose strata are counted.
const POLICIES_MAX: usize = 4;

/// The counts, made anew where they are old. None while they are made for the first time and that takes long.
pub(super) async fn census(app: &Arc<App>) -> Option<Arc<Census>> {
    if app.counted.begins() {
        let app = app.clone();
        let counting = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            app.counted.ends(count(&app).ok(), begun.elapsed());
        });
        // Whoever looks gives it a moment; it goes on all the same.
        let _ = tokio::time::timeout(PATIENCE, counting).await;
    }
    app.counted.last()
}

#[derive(Default)]
struct Tally {
    devices: u64,
    retired: u64,
    health: BTreeMap<&'static str, u64>,
    heard: [u64; 4],
    rings: BTreeMap<String, u64>,
    releases: BTreeMap<PackageName, BTreeMap<Option<Digest>, u64>>,
    attributes: BTreeMap<String, BTreeMap<String, u64>>,
    /// By policy, those that apply to the next order.
    strata: BTreeMap<PolicyName, BTreeMap<String, u64>>,
}

const HEARD: [(&str, Elapsed); 3] = [
    ("within ten minutes", Elapsed::from_s(600)),
    ("within an hour", Elapsed::from_s(3_600)),
    ("within a day", Elapsed::from_s(86_400)),
];

fn count(app: &App) -> Result<Census, Sorry> {
    let mut tally = Tally::default();
    let policies = current_policies(&*super::state(app)?);
    let mut after: Option<DeviceId> = None;
    loop {
        let state = super::state(app)?;
        let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let at = now();
        let mut last = None;
        for (id, device) in state.devices().range((from, Bound::Unbounded)).take(PART) {
            tally.add(app, id, device, at);
            tally.add_strata(&policies, device);
            last = Some(id);
        }
        let Some(last) = last else { return Ok(tally.finish(&state, at)) };
        after = Some(last.clone());
    }
}

impl Tally {
    fn add(&mut self, app: &App, id: &DeviceId, device: &Device, at: WallTime) {
        if device.retired.is_some() {
            self.retired += 1;
            return;
        }
        self.devices += 1;
        *self.health.entry(health(device)).or_default() += 1;
        let silent_for = at.since(heard_at(app, id, device));
        let class = HEARD.iter().position(|(_, within)| silent_for <= *within).unwrap_or(HEARD.len());
        if let Some(count) = self.heard.get_mut(class) {
            *count += 1;
        }
        let ring = device.enrolment.ring.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
        *self.rings.entry(ring).or_default() += 1;
        for (package, said) in &device.said {
            if !self.releases.contains_key(package) {
                self.releases.insert(package.clone(), BTreeMap::new());
            }
            if let Some(releases) = self.releases.get_mut(package) {
                *releases.entry(said.current).or_default() += 1;
            }
        }
        for (name, value) in device.enrolment.attributes.iter() {
            if !self.attributes.contains_key(name.as_str()) {
                self.attributes.insert(name.to_string(), BTreeMap::new());
            }
            let Some(values) = self.attributes.get_mut(name.as_str()) else { continue };
            let apart = values.len() < VALUES_MAX;
            match values.get_mut(value.as_str()) {
                Some(count) => *count += 1,
                None => {
                    let value = if apart { value.to_string() } else { "(others)".to_owned() };
                    *values.entry(value).or_default() += 1;
                }
            }
        }
    }

    fn add_strata(&mut self, policies: &[Policy], device: &Device) {
        let attributes = &device.enrolment.attributes;
        let meant = policies.iter().filter(|policy| device.retired.is_none() && policy.select.matches(attributes));
        for policy in meant {
            let strata = self.strata.entry(policy.name.clone()).or_default();
            *strata.entry(policy.stratum_of(attributes).to_string()).or_default() += 1;
        }
    }

    fn finish(self, state: &Known, at_ms: WallTime) -> Census {
        let heard = HEARD.iter().map(|(words, _)| *words).chain(["longer ago"]).zip(self.heard);
        let of_package = |(package, releases): (PackageName, BTreeMap<Option<Digest>, u64>)| {
            let lines = releases.into_iter().map(|(release, count)| (release_name(state, &package, release), count));
            let lines = most_first(lines.collect());
            (package, lines)
        };
        Census {
            at_ms,
            devices: self.devices,
            retired: self.retired,
            health: most_first(self.health.into_iter().map(|(word, count)| (word.replace('_', " "), count)).collect()),
            heard: heard.map(|(words, count)| (words.to_owned(), count)).collect(),
            strata: self
                .strata
                .into_iter()
                .map(|(policy, strata)| (policy, most_first(strata.into_iter().collect())))
                .collect(),
            rings: most_first(self.rings.into_iter().collect()),
            releases: self.releases.into_iter().map(of_package).collect(),
            attributes: self
                .attributes
                .into_iter()
                .map(|(name, values)| (name, most_first(values.into_iter().collect())))
                .collect(),
        }
    }
}

/// The policies that the next orders can be under: of each name the one that was applied last; those with strata.
fn current_policies(state: &Known) -> Vec<Policy> {
    let mut applied: Vec<_> = state.policies().values().collect();
    applied.sort_by_key(|one| Reverse(one.applied_at_ms));
    let mut current: Vec<Policy> = Vec::new();
    for one in applied {
        if !current.iter().any(|known| known.name == one.policy.name) {
            current.push(one.policy.clone());
        }
    }
    current.retain(|policy| !policy.strata.by.is_empty());
    current.truncate(POLICIES_MAX);
    current
}

/// What a release is called in a list: its version, or the beginning of its digest.
pub(super) fn release_name(state: &Known, package: &PackageName, release: Option<Digest>) -> String {
    let Some(release) = release else { return "none".to_owned() };
    let digits = || release.to_string().chars().skip("sha256:".len()).take(12).collect();
    version_of(state, package, &release).map_or_else(digits, |version| version.to_string())
}

fn most_first(mut lines: Vec<(String, u64)>) -> Vec<(String, u64)> {
    lines.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    lines
}

/// When a device was last heard of, kept or not.
pub(super) fn heard_at(app: &App, id: &DeviceId, device: &Device) -> WallTime {
    app.presence.seen_at(id).map_or(device.heard_at_ms, |seen| seen.max(device.heard_at_ms))
}

/// The version of a release.
pub(super) fn version_of(state: &Known, package: &PackageName, release: &Digest) -> Option<Version> {
    let known = state.releases().get(package)?.iter().find(|known| known.release == *release)?;
    Some(known.manifest.version.clone())
}

/// A device's health in a word: the worst that it last said of a package.
pub(super) fn health(device: &Device) -> &'static str {
    let said = |words: &[&str]| device.said.values().any(|said| words.contains(&said.word.as_str()));
    if device.said.is_empty() {
        "said_nothing_yet"
    } else if said(&["needs_hands"]) {
        "needs_hands"
    } else if said(&["failed", "crashed", "contact_lost_both"]) {
        "failed"
    } else {
        "well"
    }
}
