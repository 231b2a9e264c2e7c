//! Policies and orders: what a person signs.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{DeviceId, PackageName, RolloutId, StratumName, Version};
use tidegate_domain::policy::Policy;
use tidegate_domain::policy_check::{self, FleetEstimate};
use tidegate_domain::release::Manifest;
use tidegate_domain::rollout::fact::Fact;
use tidegate_domain::rollout::planner::{Moment, plan};
use tidegate_domain::rollout::{Phase, Rollout};
use tidegate_domain::roster::{Place, leaf, merkle, rosters};
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_trust::keys::Scope;
use tidegate_trust::records::{Order, PolicyRecord, RosterRoot};
use tidegate_trust::signed::Unverified;

use super::planning::{unproven_elsewhere, unproven_everywhere_max};
use super::resuming::{approvals_min, resumption};
use super::{Answer, Refusal, Staged, Why, done, fleet_of, keys_of, not_signed, nothing};
use crate::decision::Decision;
use crate::state::{Course, Release, State};

/// What a draft is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftRequest {
    /// The package.
    pub package: PackageName,
    /// The version.
    pub version: Version,
    /// The policy: SHA-256 of its text.
    pub policy: Digest,
    /// 32 fresh random bytes: nobody could know them when the release was signed.
    pub rank_seed: Digest,
    /// How often devices check in that no rollout concerns: a place must be open for longer, or it lapses unheard of.
    pub idle_check_in: Elapsed,
    /// That it goes on after a halt of the same files, without the words of these devices.
    pub resume: Option<BTreeSet<DeviceId>>,
}

/// An order without signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What a person signs.
    pub order: Order,
    /// Enrolled devices that are left out.
    pub absent: Vec<DeviceId>,
    /// Devices that are in.
    pub devices: usize,
    /// Places that open before any proof.
    pub first_window: u32,
    /// Approvers who must sign beside the order key.
    pub approvals: u32,
}

/// Makes an order to sign. `eligible` says whether a device was heard of recently enough and runs the package.
///
/// # Errors
/// When release or policy are unknown, the policy lies outside the envelope, the release was halted, or nobody is eligible.
pub fn draft(
    state: &State,
    now: WallTime,
    request: DraftRequest,
    eligible: &dyn Fn(&DeviceId, &Policy) -> bool,
) -> Result<Draft, Refusal> {
    let DraftRequest { package, version, policy: policy_digest, rank_seed, idle_check_in, resume } = request;
    let release = state.release(&package, &version).ok_or_else(|| {
        Refusal::new(
            Why::Unknown,
            "unknown_release",
            format!("there is no release {package} {version}: publish it first"),
        )
    })?;
    let applied = state.policies().get(&policy_digest).ok_or_else(|| {
        Refusal::new(Why::Unknown, "unknown_policy", format!("there is no policy {policy_digest}: apply it first"))
    })?;
    let policy = &applied.policy;
    may_start(state, &package, policy)?;
    let resumes = resumption(state, release, policy, resume, now)?;
    if policy.pace.take_within < idle_check_in.times(2) {
        let detail = format!(
            "policy field `pace.take_within` is {}: places would lapse before their devices hear of them, since idle ones check in \
             every {idle_check_in}; at least {} would do, or a server that lets them check in more often",
            policy.pace.take_within,
            idle_check_in.times(2)
        );
        return Err(Refusal::new(Why::Conflict, "cannot_pass", detail));
    }
    let is_out = |device: &DeviceId| resumes.as_ref().is_some_and(|resumes| resumes.without.contains(device));
    let eligible = |device: &DeviceId| eligible(device, policy) && !is_out(device);
    let absent: Vec<DeviceId> = state.devices().keys().filter(|device| !eligible(device)).cloned().collect();
    let candidates = state.candidates(policy, eligible);
    let devices = candidates.len();
    if devices == 0 {
        let detail = "no device is eligible: none is enrolled, selected by the policy, heard of recently and running the package";
        return Err(Refusal::new(Why::Conflict, "no_devices", detail));
    }
    let rosters = rosters(policy, &rank_seed, candidates);
    can_pass(state, release, policy, &rosters)?;
    let order_seq = next_order_seq(state, &package);
    let order = Order {
        fleet: fleet_of(state)?,
        rollout: RolloutId::of(&package, order_seq),
        release: release.release,
        package,
        version,
        policy: policy_digest,
        order_seq,
        rank_seed,
        rings: policy.rings.iter().map(|ring| ring.name.clone()).collect(),
        rosters: rosters.iter().map(|(stratum, places)| roster_root(stratum.clone(), places)).collect(),
        issued_at_ms: now,
        expires_at_ms: now.after(policy.pace.order_life),
        resumes,
        ext: Default::default(),
    };
    let first_window = first_window(state, &order, &absent, now)?;
    let approvals = order.resumes.as_ref().map_or(0, |_| approvals_min(state));
    Ok(Draft { order, absent, devices, first_window, approvals })
}

/// Refuses an order that no release could carry through: nobody in it is evidence, or the policy could not pass one of its
/// rings on these devices whatever they report.
fn can_pass(
    state: &State,
    release: &Release,
    policy: &Policy,
    rosters: &BTreeMap<StratumName, Vec<Place>>,
) -> Result<(), Refusal> {
    let is_evidence = |place: &&Place| state.enrolled_before(&place.device, release.published_at_ms);
    let evidence: BTreeMap<StratumName, Vec<Place>> = rosters
        .iter()
        .map(|(stratum, places)| (stratum.clone(), places.iter().filter(is_evidence).cloned().collect()))
        .collect();
    if evidence.values().all(Vec::is_empty) {
        let Manifest { package, version, .. } = &release.manifest;
        let detail = format!(
            "all eligible devices were enrolled after {package} {version} was published, and none of them can be evidence \
             for it: publish the next version now that they are enrolled"
        );
        return Err(Refusal::new(Why::Conflict, "no_evidence", detail));
    }
    let estimate = FleetEstimate::of_rosters(policy, &evidence, release.manifest.downtime);
    let check = policy_check::check(policy, None, &estimate);
    match check.problems.iter().filter(|problem| problem.is_final()).map(ToString::to_string).collect::<Vec<_>>() {
        problems if problems.is_empty() => Ok(()),
        problems => {
            let detail = format!("policy {} cannot pass on these devices: {}", policy.name, problems.join("; "));
            Err(Refusal::new(Why::Conflict, "cannot_pass", detail))
        }
    }
}

/// What the planner would open first, if the rollout started now.
fn first_window(state: &State, order: &Order, absent: &[DeviceId], now: WallTime) -> Result<u32, Refusal> {
    let draft = Unverified::draft(order).map_err(|e| not_signed(&e))?;
    let started = state.at_its_start(order, draft.digest(), absent, now);
    let rollout = started.map_err(|e| Refusal::new(Why::Conflict, "cannot_start", e))?;
    if let Some(scope) = rollout.without_room() {
        let detail = format!(
            "{scope}: the devices that are left out fill its first window, so that nobody there could prove anything: leave out fewer, or \
             order under a policy with a wider one"
        );
        return Err(Refusal::new(Why::Conflict, "cannot_pass", detail));
    }
    let moment = Moment {
        now,
        well_in_tick: &|_, _| false,
        present: &|_| false,
        shut: &|_| false,
        serving_since: now,
        joiners: Vec::new(),
        unproven_elsewhere: unproven_elsewhere(state, &order.rollout),
        unproven_everywhere_max: unproven_everywhere_max(state),
    };
    let opened = plan(&rollout, &moment).next.into_iter().find_map(|fact| match fact {
        Fact::PermitIssued { counts, .. } => Some(counts.iter().map(|row| row.count).sum()),
        _ => None,
    });
    Ok(opened.unwrap_or(0))
}

pub(super) fn roster_root<'a>(
    stratum: tidegate_domain::ids::StratumName,
    places: impl IntoIterator<Item = &'a Place>,
) -> RosterRoot {
    let leaves: Vec<Digest> = places.into_iter().map(Place::leaf).collect();
    RosterRoot { stratum, size: u32::try_from(leaves.len()).unwrap_or(u32::MAX), root: merkle::root(&leaves) }
}

/// Whether the places of a rollout at its start are those that its order commits to.
fn has_rosters_of(rollout: &Rollout, order: &Order) -> bool {
    let root = |row: &tidegate_domain::rollout::Row| {
        let stratum = rollout.stratum(row.stratum)?;
        let place = |place: &tidegate_domain::rollout::place::PlaceState| leaf(&place.device, stratum, place.ring);
        let leaves: Vec<Digest> = row.places.iter().map(place).collect();
        Some((stratum.clone(), merkle::root(&leaves)))
    };
    let roots: Option<Vec<_>> = rollout.rows().iter().map(root).collect();
    roots.is_some_and(|roots| roots.into_iter().eq(order.rosters.iter().map(|held| (held.stratum.clone(), held.root))))
}

fn next_order_seq(state: &State, package: &PackageName) -> u64 {
    let next = state.order_seqs(Some(package)).max().unwrap_or(0) + 1;
    state.restored().map_or(next, |restored| next.max(restored.order_seq_min))
}

fn may_start(state: &State, package: &PackageName, policy: &Policy) -> Result<(), Refusal> {
    let conflict = |kind, detail: String| Err(Refusal::new(Why::Conflict, kind, detail));
    if let Some((_, envelope, _)) = state.envelope()
        && let Err(outside) = envelope.admits(policy)
    {
        return conflict("outside_envelope", outside.to_string());
    }
    if let Some((incident, number, lesson)) = state.blocking_lessons(package).next() {
        let detail = format!(
            "lesson {number} of {incident} blocks releases of {package} until it is done ({}): tidegate incident done {incident} {number}",
            lesson.text
        );
        return conflict("lesson_open", detail);
    }
    let open = |course: &&Course| {
        course.order_body.package == *package && matches!(course.rollout.phase(), Phase::Running | Phase::Paused { .. })
    };
    match state.rollouts().values().find(open) {
        Some(course) => {
            let id = &course.order_body.rollout;
            conflict("rollout_open", format!("rollout {id} of this package is not over: wait for it or halt it"))
        }
        None => Ok(()),
    }
}

pub(super) fn apply_policy(state: &State, now: WallTime, record: Unverified<PolicyRecord>) -> Result<Staged, Refusal> {
    let verified = keys_of(state)?.verify(record, &[Scope::Order], now).map_err(|e| not_signed(&e))?;
    let body = verified.body();
    let policy = Policy::parse(&body.text).map_err(|e| Refusal::new(Why::Invalid, "policy_malformed", e))?;
    if policy.name != body.name {
        let detail = format!("field `name` is {}, the policy's text says {}", body.name, policy.name);
        return Err(Refusal::new(Why::Invalid, "policy_name", detail));
    }
    if let Some((_, envelope, _)) = state.envelope() {
        envelope.admits(&policy).map_err(|e| Refusal::new(Why::Conflict, "outside_envelope", e))?;
    }
    if state.policies().contains_key(&body.policy_digest()) {
        return nothing(Answer::Done);
    }
    let (_, record) = verified.into_parts();
    done(now, vec![Decision::Policy { record }], Answer::Done)
}

pub(super) fn start(state: &State, now: WallTime, order: Unverified<Order>, draft: Draft) -> Result<Staged, Refusal> {
    let verified = keys_of(state)?.verify_order(order, approvals_min(state), now).map_err(|e| not_signed(&e))?;
    let body = verified.body();
    if state.rollout_of_order(&verified.digest()).is_some() {
        return nothing(Answer::Started(body.rollout.clone()));
    }
    if *body != draft.order {
        let detail = "the signed order is not the draft that this server made: ask for a new draft and sign that";
        return Err(Refusal::new(Why::Conflict, "not_the_draft", detail));
    }
    let applied = state
        .policies()
        .get(&body.policy)
        .ok_or_else(|| Refusal::new(Why::Unknown, "unknown_policy", format!("there is no policy {}", body.policy)))?;
    may_start(state, &body.package, &applied.policy)?;
    let release = state
        .release(&body.package, &body.version)
        .ok_or_else(|| Refusal::new(Why::Unknown, "unknown_release", "the release is not there any more"))?;
    let without = body.resumes.as_ref().map(|resumes| resumes.without.clone());
    resumption(state, release, &applied.policy, without, now)?;
    if body.order_seq != next_order_seq(state, &body.package) {
        let detail = format!("order_seq {} is not the next one: ask for a new draft", body.order_seq);
        return Err(Refusal::new(Why::Conflict, "order_seq", detail));
    }
    // Whoever has enrolled since joins behind the others, if at all.
    let known: BTreeSet<&DeviceId> = draft.absent.iter().collect();
    let enrolled_since = state.devices().iter().filter(|(_, device)| device.enrolled_at_ms > body.issued_at_ms);
    let new: Vec<DeviceId> = enrolled_since.map(|(id, _)| id).filter(|id| !known.contains(id)).cloned().collect();
    let absent: Vec<DeviceId> = draft.absent.iter().cloned().chain(new).collect();
    let begun = state.at_its_start(body, verified.digest(), &absent, now);
    let begun = begun.map_err(|e| Refusal::new(Why::Conflict, "cannot_start", e))?;
    if !has_rosters_of(&begun, body) {
        let detail = "the fleet has changed since the draft was made, so that its rosters are not the fleet's: ask for a new draft";
        return Err(Refusal::new(Why::Conflict, "not_the_draft", detail));
    }
    let id = body.rollout.clone();
    let (_, order) = verified.into_parts();
    done(now, vec![Decision::Started { order, absent }], Answer::Started(id))
}
