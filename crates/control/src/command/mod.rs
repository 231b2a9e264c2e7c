//! What may be asked of the server, and whether it may be done now. A command and the state in, entries and an answer out.
//!
//! All rules about what is accepted stand here, none in handlers. Nothing here stores, sends or draws anything at random.

mod approving;
mod cases;
mod confined;
mod enrolment;
mod holding;
mod people;
mod planning;
mod publishing;
mod restoring;
mod resuming;
mod retiring;
mod rollouts;
mod stopping;
mod testimony;

pub use approving::draft_approval;
pub use confined::may_move;
pub use holding::{HELD_DEVICES_MAX, HOLDS_MAX, WINDOWS_MAX};
pub use planning::{Planned, foresee, plan_step};
pub use publishing::{Delegation, SNAPSHOT_LIFE, TIMESTAMP_LIFE, delegations, unpublished};
pub use restoring::after_restore;
pub use rollouts::{Draft, DraftRequest, draft};
pub use stopping::{PersonsHalt, accept_halt};
pub use testimony::report_keys;

use tidegate_domain::case::Act;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{DeviceId, IncidentId, OperatorName, PackageName, RolloutId};
use tidegate_domain::time::WallTime;
use tidegate_trust::keys::{PublicKey, SignatureBytes};
use tidegate_trust::records::{Approval, EnvelopeRecord, GoRequest, KeyList, Order, PolicyRecord, Report};
use tidegate_trust::signed::Unverified;

use crate::contract::NewEntry;
use crate::decision::{Decision, OperatorRole};
use crate::hold::Hold;
use crate::state::{Operator, State};

/// Something that somebody asks of the server.
#[derive(Debug, Clone)]
pub enum Command {
    /// The fleet that `trust init` made, at the first start. Repeating it changes nothing.
    Found(Box<Founding>),
    /// A new TUF root.
    PutRoot(Vec<u8>),
    /// New top-level targets.
    PutTargets(Vec<u8>),
    /// A package's role with new releases, and the manifests of those that are new, by digest.
    PutPackage {
        /// The package.
        package: PackageName,
        /// The TUF file.
        bytes: Vec<u8>,
        /// Manifests of new releases.
        manifests: Vec<(Digest, Vec<u8>)>,
    },
    /// Makes snapshot and timestamp anew where half their life is over.
    RefreshMetadata,
    /// A new key list.
    PutKeyList(Unverified<KeyList>),
    /// A new envelope.
    PutEnvelope(Unverified<EnvelopeRecord>),
    /// A one-time login code, by its hash.
    IssueLogin {
        /// SHA-256 of the code.
        code: Digest,
        /// When it ends.
        expires_at_ms: WallTime,
    },
    /// A code for a token, both by their hashes.
    Login {
        /// SHA-256 of the code.
        code: Digest,
        /// SHA-256 of the token.
        token: Digest,
    },
    /// Makes an operator or gives a known one a new token.
    PutOperator {
        /// Who.
        operator: OperatorName,
        /// Role, token and packages.
        made: Operator,
    },
    /// Artifacts were deleted.
    Collected {
        /// Who said so.
        by: OperatorName,
        /// How many.
        artifacts: u64,
        /// How much room they took.
        bytes: u64,
    },
    /// Signs a browser in, all by their hashes.
    SignIn {
        /// SHA-256 of the new session.
        session: Digest,
        /// SHA-256 of the operator's token.
        token: Digest,
        /// When it ends.
        expires_at_ms: WallTime,
    },
    /// Signs a browser out.
    SignOut {
        /// SHA-256 of the session.
        session: Digest,
    },
    /// Removes an operator.
    RemoveOperator(OperatorName),
    /// Applies a policy.
    ApplyPolicy(Unverified<PolicyRecord>),
    /// Starts a rollout from a draft.
    Start {
        /// The signed order.
        order: Box<Unverified<Order>>,
        /// The draft that it must equal.
        draft: Box<Draft>,
    },
    /// Stops the opening for a while.
    Pause {
        /// The rollout.
        rollout: RolloutId,
        /// Who.
        by: OperatorName,
        /// In their words.
        reason: String,
    },
    /// Lets a paused rollout go on.
    Resume {
        /// The rollout.
        rollout: RolloutId,
        /// Who.
        by: OperatorName,
        /// In their words.
        reason: String,
    },
    /// Lets the next ring of a rollout open once the one before it has passed.
    Approve {
        /// The rollout.
        rollout: RolloutId,
        /// What an approver signed.
        approval: Box<Unverified<Approval>>,
        /// Who brings it.
        by: OperatorName,
        /// In their words.
        reason: String,
    },
    /// Stops a rollout for good.
    Halt {
        /// The rollout.
        rollout: RolloutId,
        /// Who says so, and why.
        halt: PersonsHalt,
    },
    /// Holds devices back for a while.
    Hold(Box<Hold>),
    /// Ends a hold before its time.
    LiftHold {
        /// Its number.
        number: u32,
        /// Who.
        by: OperatorName,
        /// In their words.
        reason: String,
    },
    /// Opens an incident that no halt did.
    OpenIncident {
        /// Who.
        by: OperatorName,
        /// In a few words.
        title: String,
        /// The package that it is about.
        package: Option<PackageName>,
        /// When it was noticed.
        noticed_at_ms: WallTime,
    },
    /// Does something about an incident.
    WorkOn {
        /// Which.
        incident: IncidentId,
        /// Who.
        by: OperatorName,
        /// What.
        act: Act,
    },
    /// Takes a device out of the fleet.
    Retire {
        /// The device.
        device: DeviceId,
        /// Who.
        by: OperatorName,
        /// In their words.
        reason: String,
    },
    /// A device joins. `bearer` is the hash of the token that it will be given.
    Enrol {
        /// What it sent.
        request: Box<tidegate_trust::records::EnrolmentPair>,
        /// SHA-256 of its bearer token.
        bearer: Digest,
    },
    /// A staged device asks to take a release.
    Take {
        /// Who asks, as authenticated.
        device: DeviceId,
        /// The signed request.
        request: Unverified<GoRequest>,
    },
    /// A device's reports.
    Hear {
        /// Who says it, as authenticated.
        device: DeviceId,
        /// The signed reports, in the order of their numbers.
        reports: Vec<Unverified<Report>>,
    },
}

/// What `trust init` made for a server.
#[derive(Debug, Clone)]
pub struct Founding {
    /// TUF root version 1.
    pub root: Vec<u8>,
    /// TUF targets version 1.
    pub targets: Vec<u8>,
    /// The key list.
    pub key_list: Unverified<KeyList>,
    /// The envelope.
    pub envelope: Unverified<EnvelopeRecord>,
}

/// What is answered once the entries are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Done.
    Done,
    /// This operator has logged in.
    LoggedIn(OperatorName, OperatorRole),
    /// This rollout started.
    Started(RolloutId),
    /// Devices are held under this number.
    Held(u32),
    /// This incident is open.
    Opened(IncidentId),
    /// The device may take the release, for this rollout.
    Go(RolloutId),
    /// Every report up to this number is kept.
    Heard(u64),
}

/// A command that may be done.
#[derive(Debug, Clone)]
#[must_use]
pub struct Staged {
    /// What must be durable before the answer is given. Empty: nothing changes.
    pub entries: Vec<NewEntry>,
    /// The answer.
    pub answer: Answer,
}

/// What sort of refusal: decides the HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The input is wrong in itself.
    Invalid,
    /// Not signed, or not by somebody who may.
    NotAllowed,
    /// There is no such thing.
    Unknown,
    /// It does not fit what stands.
    Conflict,
    /// Not now; asking again later may help.
    Unavailable,
}

/// A command that is not done, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// What sort.
    pub why: Why,
    /// The stable word.
    pub kind: &'static str,
    /// What, where, what would be right.
    pub detail: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(why: Why, kind: &'static str, detail: impl ToString) -> Refusal {
        Refusal { why, kind, detail: detail.to_string() }
    }
}

/// The keys that the server itself may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnlineKey {
    /// Permits, addenda, go, halts, fleet-proven.
    Gate,
    /// TUF snapshot.
    Snapshot,
    /// TUF timestamp.
    Timestamp,
}

/// Signs with the server's own keys. The keyring implements it; this crate never sees a key.
pub trait OnlineSigner {
    /// The public half of a key.
    fn public_key(&self, key: OnlineKey) -> PublicKey;

    /// Signs bytes.
    ///
    /// # Errors
    /// When the key cannot be used now, for example because its token is gone.
    fn sign(&self, key: OnlineKey, bytes: &[u8]) -> Result<SignatureBytes, Refusal>;
}

/// Says what a command leads to, given what is known.
///
/// # Errors
/// When it may not be done; nothing is changed then.
pub fn stage(state: &State, keys: &dyn OnlineSigner, now: WallTime, command: Command) -> Result<Staged, Refusal> {
    match command {
        Command::Found(founding) => publishing::found(state, keys, now, *founding),
        Command::PutRoot(bytes) => publishing::put_root(state, keys, now, &bytes),
        Command::PutTargets(bytes) => publishing::put_targets(state, keys, now, &bytes),
        Command::PutPackage { package, bytes, manifests } => {
            publishing::put_package(state, keys, now, &package, &bytes, &manifests)
        }
        Command::RefreshMetadata => publishing::refresh(state, keys, now),
        Command::PutKeyList(record) => publishing::put_key_list(state, now, record),
        Command::PutEnvelope(record) => publishing::put_envelope(state, now, record),
        Command::IssueLogin { code, expires_at_ms } => {
            done(now, vec![Decision::LoginIssued { code, expires_at_ms }], Answer::Done)
        }
        Command::Login { code, token } => people::login(state, now, code, token),
        Command::PutOperator { operator, made } => people::put_operator(state, now, operator, made),
        Command::Collected { by, artifacts, bytes } => {
            done(now, vec![Decision::Collected { by, artifacts, bytes }], Answer::Done)
        }
        Command::SignIn { session, token, expires_at_ms } => people::sign_in(state, now, session, token, expires_at_ms),
        Command::SignOut { session } => people::sign_out(state, now, session),
        Command::RemoveOperator(operator) => people::remove_operator(state, now, operator),
        Command::ApplyPolicy(record) => rollouts::apply_policy(state, now, record),
        Command::Start { order, draft } => rollouts::start(state, now, *order, *draft),
        Command::Pause { rollout, by, reason } => stopping::pause(state, now, &rollout, by, &reason),
        Command::Resume { rollout, by, reason } => stopping::resume(state, now, &rollout, by, &reason),
        Command::Approve { rollout, approval, by, reason } => {
            approving::approve(state, now, &rollout, *approval, by, &reason)
        }
        Command::Halt { rollout, halt } => stopping::halt(state, keys, now, &rollout, halt),
        Command::Hold(hold) => holding::hold(state, now, *hold),
        Command::LiftHold { number, by, reason } => holding::lift(state, now, number, by, &reason),
        Command::OpenIncident { by, title, package, noticed_at_ms } => {
            cases::open(state, now, by, title, package, noticed_at_ms)
        }
        Command::WorkOn { incident, by, act } => cases::work_on(state, now, incident, by, act),
        Command::Retire { device, by, reason } => retiring::retire(state, now, &device, by, &reason),
        Command::Enrol { request, bearer } => enrolment::enrol(state, now, *request, bearer),
        Command::Take { device, request } => testimony::take(state, now, &device, request),
        Command::Hear { device, reports } => testimony::hear(state, now, &device, &reports),
    }
}

pub(crate) fn done(now: WallTime, decisions: Vec<Decision>, answer: Answer) -> Result<Staged, Refusal> {
    let entries: Result<Vec<NewEntry>, _> = decisions.iter().map(|decision| decision.to_entry(now)).collect();
    Ok(Staged { entries: entries.map_err(|e| Refusal::new(Why::Invalid, "not_json", e))?, answer })
}

pub(crate) fn nothing(answer: Answer) -> Result<Staged, Refusal> {
    Ok(Staged { entries: Vec::new(), answer })
}

pub(crate) fn fleet_of(state: &State) -> Result<Digest, Refusal> {
    state.fleet().ok_or_else(|| {
        Refusal::new(Why::Unavailable, "no_fleet", "this server has no fleet yet: start it with `--fleet DIR` once")
    })
}

pub(crate) fn keys_of(state: &State) -> Result<&KeyList, Refusal> {
    state.key_list().map(|(_, list)| list).ok_or_else(|| {
        Refusal::new(Why::Unavailable, "no_fleet", "this server has no key list yet: start it with `--fleet DIR` once")
    })
}

pub(crate) fn not_signed(error: &tidegate_trust::signed::RecordError) -> Refusal {
    let why = match error.kind() {
        "record_not_signed" | "record_of_another_fleet" => Why::NotAllowed,
        _ => Why::Invalid,
    };
    Refusal::new(why, error.kind(), error)
}
