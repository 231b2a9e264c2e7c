//! What an offer does to a package before the device takes anything: weighed, refused, fetched, asked for.

use std::time::Instant;

use tidegate_domain::device::{Event, State};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::RolloutId;
use tidegate_domain::observation::RefusalReason;
use tidegate_domain::release::Activation;

use super::{GO_AGAIN_MAX, Package, WEIGH_AGAIN, WEIGH_AGAIN_MAX};
use crate::download;
use crate::verdict::Accepted;

impl Package {
    /// Whether an offer should be weighed now. If so, it is being weighed from here on.
    pub(crate) fn begin_weighing(&mut self, rollout: &RolloutId, now: Instant) -> bool {
        let free = matches!(self.machine.state, State::Idle {} | State::Proven { .. } | State::Reverted { .. });
        let done = self.machine.state.trial().is_some_and(|trial| trial.rollout == *rollout);
        let due = free && !done && !self.weighing && self.weigh_at <= now;
        self.weighing |= due;
        due
    }

    /// The offer passed.
    pub(crate) fn accepted(&mut self, accepted: Accepted) {
        self.weighing = false;
        let order = accepted.trial.order;
        if self.payload.observed().is_some() {
            let detail = format!("every check passed; would have taken {}", accepted.trial.version);
            return self.offer_refused(order, RefusalReason::Observes, detail);
        }
        let of_an_agent = matches!(accepted.manifest.activation, Activation::Agent {});
        if of_an_agent != self.is_own() {
            let detail = if of_an_agent {
                "a release of an agent, and this agent does not follow the package as its own (`tidegate-guard agent` starts one that does)"
            } else {
                "the package is this agent itself, and the release is none: expected activation = { kind = \"agent\" }"
            };
            return self.offer_refused(order, RefusalReason::Manifest, detail.to_owned());
        }
        let release = accepted.trial.release;
        let wanted: Vec<Digest> = self.dir.pointers().named().chain([release]).collect();
        self.dir.delete_slots_except(&wanted);
        let kept = self.dir.make().and_then(|()| self.dir.keep_manifest(release, &accepted.manifest_bytes));
        match kept {
            Ok(()) => self.event(&Event::Offered(Box::new(accepted.trial))),
            Err(error) => {
                let reason = error.refusal().unwrap_or(RefusalReason::ReadOnly);
                self.offer_refused(order, reason, error.to_string());
            }
        }
    }

    /// The offer, or its files, were refused: said, and weighed again later.
    pub(crate) fn offer_refused(&mut self, order: Digest, reason: RefusalReason, detail: String) {
        tracing::warn!(package = %self.name, "refused: {}: {detail}", reason.word());
        self.weigh_later();
        self.event(&Event::Refused { order, reason, detail });
    }

    /// Nothing came of it: weighed again later.
    pub(crate) fn weigh_later(&mut self) {
        self.weighing = false;
        self.weigh_at = Instant::now() + self.weigh_again;
        self.weigh_again = self.weigh_again.saturating_mul(2).min(WEIGH_AGAIN_MAX);
    }

    /// The download ended.
    pub(crate) fn fetched(&mut self, order: Digest, result: Result<(), download::NotFetched>) {
        let current = matches!(&self.machine.state, State::Fetching { trial } if trial.order == order);
        if !current {
            return;
        }
        self.download = None;
        match result {
            Ok(()) => {
                (self.weigh_again, self.refused) = (WEIGH_AGAIN, None);
                self.event(&Event::Fetched);
            }
            Err(download::NotFetched::Refused(refusal)) => self.offer_refused(order, refusal.reason, refusal.detail),
            Err(download::NotFetched::Stopped) => {}
        }
    }

    /// Whether the device holds an order in hand and waits for its go.
    pub(crate) fn waits_for_go(&self, order: Digest) -> bool {
        matches!(&self.machine.state, State::Staged { trial } if trial.order == order)
    }

    /// The question for the go got no answer.
    pub(crate) fn ask_go_later(&mut self) {
        if matches!(self.machine.state, State::Staged { .. }) {
            self.go_at = Some(Instant::now() + self.go_again);
            self.go_again = self.go_again.saturating_mul(2).min(GO_AGAIN_MAX);
        }
    }
}
