//! The network thread: joins, checks in, weighs offers, asks for the go, hands over reports. One question at a time.
//!
//! It owns what the device holds for true and passes on only what was verified. It never touches a package's state.

mod message;

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tidegate_domain::device::Trial;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{ContractName, PackageName, RolloutId};
use tidegate_domain::observation::RefusalReason;
use tidegate_domain::release::MANIFEST_BYTES_MAX;
use tidegate_keyring::SoftwareKey;
use tidegate_trust::records::{Enrolment, GoRequest, Order, PermitKind};
use tidegate_wire::device::{CheckIn, CheckInAnswer, Offer, OfferNotice, Reports};

use crate::durable::DiskError;
use crate::enrol::{self, Identity};
use crate::layout::Home;
use crate::server::{Credentials, Server, ServerError, fresh_nonce};
use crate::sign::sign;
use crate::trust_store::{TrustError, TrustStore};
use crate::verdict::{self, Accepted, Refusal};

pub(crate) use message::{Ask, Heard, News};

/// While a device cannot join: after how long it tries again, at first and at most.
const JOIN_AGAIN: Duration = Duration::from_millis(500);
const JOIN_AGAIN_MAX: Duration = Duration::from_secs(300);

/// Everything that the thread owns.
pub(crate) struct Talker {
    pub(crate) home: Home,
    pub(crate) server: Server,
    pub(crate) identity: Identity,
    pub(crate) trust: Option<TrustStore>,
    pub(crate) key: Arc<SoftwareKey>,
    pub(crate) packages: Vec<PackageName>,
}

enum Weighed {
    Accepted(Box<Accepted>),
    Refused { order: Digest, refusal: Refusal },
}

/// Why weighing an offer came to nothing.
#[derive(Debug, thiserror::Error)]
enum NotWeighed {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("{0}")]
    Held(String),
}

impl Talker {
    /// Runs until nobody asks any more.
    pub(crate) fn run(mut self, asks: &Receiver<Ask>, tell: impl Fn(Heard)) {
        let mut credentials = self.identity.credentials(&self.home);
        if self.trust.as_ref().is_none_or(|trust| trust.root_signed().is_none()) || self.identity.enrolment().is_none()
        {
            credentials = None;
        }
        if let Some(credentials) = &credentials {
            tell(Heard::Joined(credentials.clone()));
        }
        loop {
            let Some(who) = credentials.clone() else {
                match self.join_until(asks, &tell) {
                    Some(joined) => credentials = Some(joined),
                    None => return,
                }
                continue;
            };
            let Ok(ask) = asks.recv() else { return };
            if !self.answer(&who, ask, &tell) {
                tracing::warn!(
                    "the server does not know this device's token any more; enrolling again with the same record"
                );
                credentials = None;
            }
        }
    }

    /// Tries to join until it works; none when nobody asks any more.
    fn join_until(&mut self, asks: &Receiver<Ask>, tell: &impl Fn(Heard)) -> Option<Credentials> {
        let mut again = JOIN_AGAIN;
        loop {
            match self.identity.join(&self.home, &self.server, &mut self.trust, &self.packages, &self.key) {
                Ok(credentials) => {
                    tracing::info!(device = %credentials.device, "enrolled");
                    tell(Heard::Joined(credentials.clone()));
                    return Some(credentials);
                }
                Err(error) if enrol::is_final(&error) => {
                    tracing::error!("cannot enrol: {error}");
                    again = JOIN_AGAIN_MAX.min(again.saturating_mul(4));
                }
                Err(error) => tracing::warn!("cannot enrol yet: {error}"),
            }
            // Whoever asks meanwhile gets no answer, as with a server that is down.
            loop {
                match asks.recv_timeout(again) {
                    Ok(ask) => unanswered(ask, tell),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return None,
                }
            }
            again = JOIN_AGAIN_MAX.min(again.saturating_mul(2));
        }
    }

    /// Answers one question. False where the server does not know the device's token.
    fn answer(&mut self, who: &Credentials, ask: Ask, tell: &impl Fn(Heard)) -> bool {
        let problem = match ask {
            Ask::CheckIn(body) => match self.check_in(who, &body) {
                Ok(news) => return told(tell, Heard::CheckedIn(Box::new(news))),
                Err(error) => (error, Heard::CheckInFailed),
            },
            Ask::Consider { notice, offers } => match self.consider(who, &notice, &offers) {
                Ok(Weighed::Accepted(accepted)) => return told(tell, Heard::Accepted(accepted)),
                Ok(Weighed::Refused { order, refusal }) => {
                    return told(tell, Heard::Refused { package: notice.package, order, refusal });
                }
                Err(error) => (error, Heard::NotConsidered(notice.package)),
            },
            Ask::ConsiderReturn(rollout) => match self.consider_return(who, &rollout) {
                Ok((package, order)) => return told(tell, Heard::ReturnOrdered { package, order }),
                Err(error) => {
                    tracing::warn!(%rollout, "an ordered return is not followed: {error}");
                    return true;
                }
            },
            Ask::Go { package, trial } => {
                let order = trial.order;
                match self.ask_go(who, &trial) {
                    Ok(Ok(())) => return told(tell, Heard::GoGiven { package, order }),
                    Ok(Err(refusal)) => return told(tell, Heard::NoGo { package, order, refusal: Some(refusal) }),
                    Err(NotWeighed::Server(ServerError::Problem { status, kind, detail }))
                        if (400..500).contains(&status) && ![401, 408, 429].contains(&status) =>
                    {
                        tracing::info!(%package, "no go: {kind}: {detail}");
                        return told(tell, Heard::NoGo { package, order, refusal: None });
                    }
                    Err(error) => (error, Heard::GoUnanswered(package)),
                }
            }
            Ask::Report(reports) => match self.server.reports(who, &Reports { reports }) {
                Ok(answer) => return told(tell, Heard::Acknowledged(answer.acknowledged_seq)),
                Err(error) => (error.into(), Heard::ReportFailed),
            },
        };
        let (error, heard) = problem;
        tracing::debug!("no answer: {error}");
        tell(heard);
        !matches!(error, NotWeighed::Server(ServerError::Problem { status: 401, .. }))
    }

    fn check_in(&mut self, who: &Credentials, body: &CheckIn) -> Result<News, NotWeighed> {
        let answer = self.server.check_in(who, body)?;
        self.catch_up(&answer);
        let trust = self.trust.as_mut().ok_or_else(|| NotWeighed::Held("no root is pinned".to_owned()))?;
        let now = enrol::now(trust);
        let mut news = News {
            check_in: Duration::from_millis(answer.check_in_ms),
            store_epoch: answer.store_epoch,
            offers: answer.offers,
            health_wanted: answer.health_wanted,
            halts: Vec::new(),
            fleet_proven: Vec::new(),
            reverts: answer.reverts,
        };
        let Some(signed) = trust.root_signed() else { return Ok(news) };
        let keys = signed.key_list.body();
        for halt in answer.halts {
            match verdict::judge_halt(halt, keys, now) {
                Ok(order) => news.halts.push(order),
                Err(refusal) => tracing::warn!("a halt is not heeded: {refusal}"),
            }
        }
        for record in answer.fleet_proven {
            match verdict::judge_fleet_proven(record, keys, now) {
                Ok(body) => news.fleet_proven.push((body.package, body.order, body.release)),
                Err(refusal) => tracing::warn!("a fleet-proven record is not used: {refusal}"),
            }
        }
        let halts = news.halts.clone();
        let noted = trust.note(|seen| {
            for order in halts {
                seen.note_halt(order);
            }
        });
        if let Err(error) = noted {
            tracing::warn!("{error}");
        }
        Ok(news)
    }

    /// Fetches a newer key list and envelope, where there are some. Older ones go on counting where that fails.
    fn catch_up(&mut self, answer: &CheckInAnswer) {
        let Some(trust) = self.trust.as_mut() else { return };
        let held = trust.root_signed();
        let behind = held.is_none_or(|held| {
            held.key_list.body().version < answer.key_list_version
                || held.envelope_record.body().version < answer.envelope_version
        });
        if !behind {
            return;
        }
        let now = enrol::now(trust);
        if let Err(error) = trust.refresh(&self.server, now) {
            tracing::warn!("metadata: {error}");
        }
        if let Err(error) = trust.fetch_root_signed(&self.server) {
            tracing::warn!("key list and envelope: {error}");
        }
    }

    /// The protocol's steps 1 to 9.
    fn consider(
        &mut self,
        who: &Credentials,
        notice: &OfferNotice,
        offers: &BTreeMap<ContractName, u64>,
    ) -> Result<Weighed, NotWeighed> {
        let offer = self.server.offer(who, &notice.rollout)?;
        let order = offer.order.digest();
        let refused = |refusal| Ok(Weighed::Refused { order, refusal });
        let enrolment = self.identity.enrolment().ok_or_else(nothing_held)?;
        let Talker { trust: Some(trust), server, .. } = self else { return Err(nothing_held()) };
        // 1. TUF refresh. (2. is done by `catch_up`.)
        let now = enrol::now(trust);
        match trust.refresh(server, now) {
            Ok(()) => {}
            Err(TrustError::Refused(refusal)) => return refused(refusal),
            Err(TrustError::Server(error)) => return Err(error.into()),
            Err(TrustError::Disk(error)) => return refused(by_storage(&error)),
            Err(error) => return Err(NotWeighed::Held(error.to_string())),
        }
        let held = enrol::held(trust, &enrolment).ok_or_else(nothing_held)?;
        // 3. to 8.
        let opened = match verdict::judge_offer(offer, PermitKind::Open, &held, now) {
            Ok(opened) => opened,
            Err(refusal) => return refused(refusal),
        };
        let body: &Order = opened.order.body();
        if body.package != notice.package {
            let detail = format!("offered for `{}`, ordered for `{}`", notice.package, body.package);
            return refused(Refusal { reason: RefusalReason::Signature, detail });
        }
        // 9. Manifest.
        let length = match verdict::judge_target(&opened, trust.target(&body.package, &body.version, now)) {
            Ok(length) => length,
            Err(refusal) => return refused(refusal),
        };
        let manifest = read_manifest(server, who, body.release, length)?;
        match verdict::judge_manifest(&opened, manifest, offers) {
            Ok(accepted) => {
                let noted = trust.note(|seen| {
                    let Trial { order, release, .. } = accepted.trial;
                    seen.note_order(&accepted.package, accepted.order_seq, (order, release));
                });
                match noted {
                    Ok(()) => Ok(Weighed::Accepted(Box::new(accepted))),
                    Err(error) => refused(by_storage(&error)),
                }
            }
            Err(refusal) => refused(refusal),
        }
    }

    /// The same checks for an ordered return, without metadata and files: gives package and order.
    fn consider_return(&mut self, who: &Credentials, rollout: &RolloutId) -> Result<(PackageName, Digest), NotWeighed> {
        let offer: Offer = self.server.offer(who, rollout)?;
        let (trust, enrolment) = self.held()?;
        let held = enrol::held(trust, &enrolment).ok_or_else(nothing_held)?;
        let opened = verdict::judge_offer(offer, PermitKind::Revert, &held, enrol::now(trust));
        let opened = opened.map_err(|refusal| NotWeighed::Held(refusal.to_string()))?;
        Ok((opened.order.body().package.clone(), opened.order.digest()))
    }

    /// Step 11. The inner error: what came is no go.
    fn ask_go(&mut self, who: &Credentials, trial: &Trial) -> Result<Result<(), Refusal>, NotWeighed> {
        let nonce = fresh_nonce()?;
        let (trust, enrolment) = self.held()?;
        let body = GoRequest {
            fleet: trust.fleet(),
            device: enrolment.device.clone(),
            order: trial.order,
            permit: trial.permit,
            nonce,
            ext: Default::default(),
        };
        let request = sign(&body, &*self.key).map_err(|e| NotWeighed::Held(e.to_string()))?;
        let go = self.server.go(who, &request)?;
        let held = enrol::held(trust, &enrolment).ok_or_else(nothing_held)?;
        Ok(verdict::judge_go(go, trial, nonce, &held, enrol::now(trust)))
    }

    fn held(&self) -> Result<(&TrustStore, Enrolment), NotWeighed> {
        let enrolment = self.identity.enrolment().ok_or_else(nothing_held)?;
        Ok((self.trust.as_ref().ok_or_else(nothing_held)?, enrolment))
    }
}

fn told(tell: &impl Fn(Heard), heard: Heard) -> bool {
    tell(heard);
    true
}

/// Storage that cannot keep what an offer needs is a refusal like any other.
fn by_storage(error: &DiskError) -> Refusal {
    Refusal { reason: error.refusal().unwrap_or(RefusalReason::ReadOnly), detail: error.to_string() }
}

fn nothing_held() -> NotWeighed {
    NotWeighed::Held("the device is not enrolled yet".to_owned())
}

fn unanswered(ask: Ask, tell: &impl Fn(Heard)) {
    match ask {
        Ask::CheckIn(_) => tell(Heard::CheckInFailed),
        Ask::Consider { notice, .. } => tell(Heard::NotConsidered(notice.package)),
        Ask::Go { package, .. } => tell(Heard::GoUnanswered(package)),
        Ask::Report(_) => tell(Heard::ReportFailed),
        Ask::ConsiderReturn(_) => {}
    }
}

/// The manifest's bytes, at most as many as the signed metadata says. Their digest is judged by `judge_manifest`.
fn read_manifest(server: &Server, who: &Credentials, release: Digest, length: u64) -> Result<Vec<u8>, NotWeighed> {
    let bytes_max = length.min(MANIFEST_BYTES_MAX as u64);
    let download = server.artifact(who, release, 0)?;
    let mut bytes = Vec::new();
    let read = download.reader.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|e| ServerError::Malformed(e.to_string()))?;
    Ok(bytes)
}
