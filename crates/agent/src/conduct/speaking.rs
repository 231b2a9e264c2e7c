//! What the main loop says to the server, and when: reports, check-ins, and how long it waits where nobody answers.

use std::time::{Duration, Instant};

use tidegate_domain::ids::PackageName;
use tidegate_domain::observation::Observation;
use tidegate_domain::time::WallTime;
use tidegate_trust::records::Report;
use tidegate_wire::device::CheckIn;

use super::Conductor;
use crate::clock;
use crate::layout::Unsent;
use crate::outbox::CROWDED;
use crate::package::Package;
use crate::sign::sign;
use crate::talk::Ask;

/// The longest wait between tries while the server does not answer, unless check-ins are rarer anyway.
const TRY_AGAIN_MAX: Duration = Duration::from_secs(30);
/// The most bytes of a report's detail.
const DETAIL_BYTES_MAX: usize = 300;

impl Conductor {
    pub(super) fn report(&mut self, package: &PackageName, report: Unsent, again: bool) {
        let Unsent { order, observation, detail, age_ms } = report;
        let crowded = observation == Observation::Healthy && self.outbox.len() >= CROWDED;
        if crowded || (again && self.outbox.holds(package, order, &observation)) {
            return;
        }
        let status = self.packages.get(package).map(Package::status);
        let numbers = match observation {
            Observation::Healthy | Observation::Proven { .. } => self.packages.get(package).map(Package::numbers),
            _ => None,
        };
        let body = Report {
            fleet: self.fleet,
            device: self.device.clone(),
            seq: self.outbox.next_number(),
            package: package.clone(),
            order,
            observation,
            detail: cut(detail),
            numbers: numbers.unwrap_or_default(),
            age_ms,
            current: status.as_ref().and_then(|status| status.current),
            fallback: status.as_ref().and_then(|status| status.fallback),
            at_ms: clock::now(WallTime::default()),
            ext: Default::default(),
        };
        match body.observation {
            // Asked for at every check-in while much depends on it.
            Observation::Healthy => tracing::debug!(%package, seq = body.seq, "report: healthy"),
            _ => tracing::info!(%package, seq = body.seq, "report: {}", body.observation.word()),
        }
        match sign(&body, &*self.key) {
            Ok(report) => {
                self.outbox.keep(report);
                self.report_at = Instant::now();
            }
            Err(error) => tracing::error!("a report could not be signed: {error}"),
        }
    }

    pub(super) fn speak(&mut self, now: Instant) {
        if self.credentials.is_none() {
            return;
        }
        if !self.reporting && self.outbox.len() > 0 && self.report_at <= now {
            self.reporting = true;
            self.ask(Ask::Report(self.outbox.first()));
        }
        if !self.checking_in && self.check_in_at <= now {
            self.checking_in = true;
            let packages = self.packages.values().map(Package::status).collect();
            self.ask(Ask::CheckIn(CheckIn { packages, store_epoch: self.store_epoch.clone(), run: self.run }));
        }
    }

    pub(super) fn ask(&self, ask: Ask) {
        if self.asks.send(ask).is_err() {
            tracing::error!("the network thread is gone; payloads go on being supervised");
        }
    }

    /// How long to wait before the server is tried again: longer each time.
    pub(super) fn again(&mut self) -> Duration {
        self.unanswered = self.unanswered.saturating_add(1);
        let first = self.check_in.min(Duration::from_secs(1));
        let longer = first.saturating_mul(2_u32.saturating_pow(self.unanswered.min(16)));
        jittered(longer.min(TRY_AGAIN_MAX.max(self.check_in)))
    }
}

/// A number that no other start has, small enough for every reader of JSON. Without randomness there is none.
pub(super) fn drawn() -> Option<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).ok()?;
    Some(u64::from_le_bytes(bytes) >> 11)
}

/// Between four fifths and six fifths of it, so that a fleet does not speak all at once.
pub(super) fn jittered(duration: Duration) -> Duration {
    let mut byte = [128_u8];
    // Without randomness there is no jitter, and that is all.
    let _ = getrandom::fill(&mut byte);
    let [byte] = byte;
    duration.saturating_mul(320 + u32::from(byte) * 160 / 255) / 400
}

fn cut(mut detail: String) -> String {
    let mut end = DETAIL_BYTES_MAX.min(detail.len());
    while !detail.is_char_boundary(end) {
        end -= 1;
    }
    detail.truncate(end);
    detail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_a_fifth() {
        for _ in 0..1_000 {
            let waited = jittered(Duration::from_secs(10));
            assert!((Duration::from_secs(8)..=Duration::from_secs(12)).contains(&waited), "{waited:?}");
        }
    }

    #[test]
    fn a_long_detail_is_cut_at_a_letter() {
        assert_eq!(cut("é".repeat(200)).len(), DETAIL_BYTES_MAX);
        assert_eq!(cut("short".to_owned()), "short");
    }
}
