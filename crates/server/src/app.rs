//! What every handler may use.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use object_store::ObjectStore;
use tidegate_control::command::{Command, Draft, PersonsHalt};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::RolloutId;
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_store::SqliteStore;
use tidegate_wire::device::TrustBundle;
use tokio::sync::watch;

use crate::clock::now;
use crate::conductor::Desk;
use crate::counted::Counted;
use crate::halts::Halts;
use crate::keys::ServerKeys;
use crate::metrics::Metrics;
use crate::presence::Presence;
use crate::problem::Refused;
use crate::sessions::Sessions;
use crate::workshop::Shops;

/// How long a draft of an order can be signed.
pub(crate) const DRAFT_LIFE: Elapsed = Elapsed::from_s(600);
/// The same where approvers sign too: people who have to be asked.
const RESUMING_DRAFT_LIFE: Elapsed = Elapsed::from_s(86_400);
const DRAFTS_MAX: usize = 64;
/// How long a halt waits for its entry in the log before it answers without.
const HALT_PATIENCE: Duration = Duration::from_secs(1);

/// The server, as its handlers see it.
pub struct App {
    /// Commands in, state out.
    pub desk: Desk,
    /// Who checked in.
    pub presence: Arc<Presence>,
    /// Halts that need nothing.
    pub halts: Halts,
    /// Artifacts by digest.
    pub artifacts: Arc<dyn ObjectStore>,
    /// The server's keys.
    pub keys: Arc<ServerKeys>,
    /// The name of the store's history.
    pub store_epoch: String,
    /// The log, to be read only.
    pub log: SqliteStore,
    /// Counters.
    pub metrics: Metrics,
    /// How often idle devices check in.
    pub idle_check_in: Elapsed,
    /// The most bytes of an artifact.
    pub artifact_bytes_max: u64,
    /// How long a request may take.
    pub request_timeout: Elapsed,
    /// What pages have worked out.
    pub(crate) shops: Shops,
    /// The fleet, as it was counted last.
    pub(crate) counted: Counted,
    /// Browsers that are signed in.
    pub(crate) sessions: Sessions,
    /// Whether the server is stopping.
    pub(crate) stopped: watch::Receiver<bool>,
    process: String,
    requests: AtomicU64,
    drafts: Mutex<HashMap<Digest, (Draft, WallTime)>>,
}

/// What an app is made of.
pub(crate) struct Parts {
    pub(crate) desk: Desk,
    pub(crate) presence: Arc<Presence>,
    pub(crate) halts: Halts,
    pub(crate) artifacts: Arc<dyn ObjectStore>,
    pub(crate) keys: Arc<ServerKeys>,
    pub(crate) store_epoch: String,
    pub(crate) log: SqliteStore,
    pub(crate) idle_check_in: Elapsed,
    pub(crate) artifact_bytes_max: u64,
    pub(crate) request_timeout: Elapsed,
    pub(crate) sessions: Sessions,
    pub(crate) stopped: watch::Receiver<bool>,
    /// A word drawn anew by each process, for the ids of its requests.
    pub(crate) process: String,
}

impl App {
    pub(crate) fn new(parts: Parts) -> App {
        App {
            desk: parts.desk,
            presence: parts.presence,
            halts: parts.halts,
            artifacts: parts.artifacts,
            keys: parts.keys,
            store_epoch: parts.store_epoch,
            log: parts.log,
            metrics: Metrics::default(),
            idle_check_in: parts.idle_check_in,
            artifact_bytes_max: parts.artifact_bytes_max,
            request_timeout: parts.request_timeout,
            shops: Shops::default(),
            counted: Counted::default(),
            sessions: parts.sessions,
            stopped: parts.stopped,
            process: parts.process,
            requests: AtomicU64::new(0),
            drafts: Mutex::default(),
        }
    }

    /// A new id for a request.
    pub(crate) fn request_id(&self) -> String {
        format!("{}-{}", self.process, self.requests.fetch_add(1, Ordering::Relaxed))
    }

    /// Key list and envelope.
    ///
    /// # Errors
    /// Before the server has a fleet.
    pub fn trust_bundle(&self) -> Result<TrustBundle, Refused> {
        let state = self.desk.state()?;
        let (Some((key_list, _)), Some((envelope, _, _))) = (state.key_list(), state.envelope()) else {
            return Err(Refused::unavailable("no_fleet", "this server has no fleet yet"));
        };
        Ok(TrustBundle { key_list: key_list.clone(), envelope: envelope.clone() })
    }

    /// Keeps a draft until it is signed or too old. The oldest gives way when there are many.
    pub fn keep_draft(&self, digest: Digest, draft: Draft) {
        let mut drafts = self.drafts.lock().unwrap_or_else(PoisonError::into_inner);
        drafts.retain(|_, (draft, made)| now().since(*made) < life_of(draft));
        if drafts.len() >= DRAFTS_MAX
            && let Some(oldest) = drafts.iter().min_by_key(|(_, (_, made))| *made).map(|(digest, _)| *digest)
        {
            drafts.remove(&oldest);
        }
        drafts.insert(digest, (draft, now()));
    }

    /// The draft of an order, while it can be signed.
    pub fn draft(&self, digest: &Digest) -> Option<Draft> {
        let drafts = self.drafts.lock().unwrap_or_else(PoisonError::into_inner);
        drafts.get(digest).filter(|(draft, made)| now().since(*made) < life_of(draft)).map(|(draft, _)| draft.clone())
    }

    /// Halts a rollout: in the halt file and in memory at once, in the log as soon as that can be written.
    ///
    /// Returns whether the log has it already.
    ///
    /// # Errors
    /// When neither halt file nor log can be written; the halt then stands in this process only.
    pub async fn halt(&self, rollout: &RolloutId, halt: PersonsHalt) -> anyhow::Result<bool> {
        let in_file = self.halts.halt(rollout, halt.clone());
        let patience = HALT_PATIENCE.min(Duration::from_millis(self.request_timeout.as_ms() / 2));
        let command = Command::Halt { rollout: rollout.clone(), halt };
        let in_log = tokio::time::timeout(patience, self.desk.ask(command)).await;
        match in_log {
            Ok(Ok(_)) => {
                self.halts.settled(rollout);
                Ok(true)
            }
            Ok(Err(_)) | Err(_) => in_file.map(|()| false),
        }
    }

    /// Brings halts that stand only in the halt file into the log. Called again and again.
    pub async fn settle_halts(&self) {
        for (rollout, halt) in self.halts.pending() {
            match self.desk.ask(Command::Halt { rollout: rollout.clone(), halt }).await {
                Ok(_) => self.halts.settled(&rollout),
                // A rollout that the log does not know, or that is over, has nothing left to halt.
                Err(refusal) if refusal.kind == "unknown_rollout" => self.halts.settled(&rollout),
                Err(refusal) => tracing::warn!(%rollout, %refusal, "a halt is not in the log yet"),
            }
        }
    }
}

fn life_of(draft: &Draft) -> Elapsed {
    if draft.order.resumes.is_some() { RESUMING_DRAFT_LIFE } else { DRAFT_LIFE }
}
