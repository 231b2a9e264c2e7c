//! What the main loop makes of the network thread's news: events for the packages, times for the next questions.

use std::collections::BTreeMap;
use std::time::Instant;

use tidegate_domain::device::Event;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{ContractName, PackageName};

use super::speaking::jittered;
use super::{CHECK_IN_MAX, CHECK_IN_MIN, Conductor};
use crate::package::Package;
use crate::talk::{Ask, Heard, News};

impl Conductor {
    pub(super) fn hear(&mut self, heard: Heard, now: Instant) {
        match heard {
            Heard::Joined(credentials) => {
                self.credentials = Some(credentials);
                (self.check_in_at, self.report_at) = (now, now);
            }
            Heard::CheckedIn(news) => self.take_news(*news, now),
            Heard::CheckInFailed => {
                self.checking_in = false;
                self.check_in_at = now + self.again();
            }
            Heard::Accepted(accepted) => {
                let name = accepted.package.clone();
                self.with(&name, |package| package.accepted(*accepted));
            }
            Heard::Refused { package, order, refusal } => {
                self.with(&package, |package| package.offer_refused(order, refusal.reason, refusal.detail));
            }
            Heard::NotConsidered(package) => self.with(&package, Package::weigh_later),
            Heard::GoGiven { package, order } => self.go_answered(&package, order, |_| Event::GoGiven),
            Heard::NoGo { package, order, refusal } => self.go_answered(&package, order, |package| {
                package.weigh_later();
                match refusal {
                    Some(refusal) => Event::Refused { order, reason: refusal.reason, detail: refusal.detail },
                    None => Event::GoDenied,
                }
            }),
            Heard::GoUnanswered(package) => self.with(&package, Package::ask_go_later),
            Heard::ReturnOrdered { package, order } => {
                self.with(&package, |package| package.event(&Event::RevertOrdered { order }));
            }
            Heard::Acknowledged(seq) => {
                self.contact.heard(now);
                (self.reporting, self.unanswered, self.report_at) = (false, 0, now);
                self.outbox.acknowledged(seq);
                if self.outbox.len() == 0 {
                    self.packages.values_mut().for_each(|package| package.all_said(now));
                }
            }
            Heard::ReportFailed => {
                self.reporting = false;
                self.report_at = now + self.again();
            }
        }
    }

    pub(super) fn go_answered(&mut self, name: &PackageName, order: Digest, event: impl FnOnce(&mut Package) -> Event) {
        // An answer to an order that was halted or refused meanwhile is for nobody.
        self.with(name, |package| {
            if package.waits_for_go(order) {
                let event = event(package);
                package.event(&event);
            }
        });
    }

    pub(super) fn take_news(&mut self, news: News, now: Instant) {
        self.contact.heard(now);
        (self.checking_in, self.unanswered) = (false, 0);
        self.check_in = news.check_in.clamp(CHECK_IN_MIN, CHECK_IN_MAX);
        self.check_in_at = now + jittered(self.check_in);
        if self.store_epoch.as_ref().is_some_and(|held| *held != news.store_epoch)
            && let Some(last) = self.outbox.last()
        {
            self.ask(Ask::Report(vec![last.clone()]));
        }
        self.store_epoch = Some(news.store_epoch);
        for package in self.packages.values_mut() {
            for order in &news.halts {
                package.event(&Event::Halted { order: *order });
            }
        }
        for (name, order, release) in news.fleet_proven {
            self.with(&name, |package| package.event(&Event::FleetProven { order, release }));
        }
        for rollout in news.reverts {
            self.ask(Ask::ConsiderReturn(rollout));
        }
        for name in &news.health_wanted {
            self.with(name, Package::say_health);
        }
        let offers = self.contracts();
        for notice in news.offers {
            let weigh = self.packages.get_mut(&notice.package);
            if weigh.is_some_and(|package| package.begin_weighing(&notice.rollout, now)) {
                self.ask(Ask::Consider { notice, offers: offers.clone() });
            }
        }
    }

    /// The contracts that the device offers: its own, what it runs on (`linux-x86_64`), and those of every fallback.
    pub(super) fn contracts(&self) -> BTreeMap<ContractName, u64> {
        let mut all = self.offers.clone();
        if let Ok(platform) = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH).parse() {
            all.entry(platform).or_insert(1);
        }
        for manifest in self.packages.values().filter_map(Package::fallback_manifest) {
            for (name, level) in manifest.offers {
                let held = all.entry(name).or_default();
                *held = (*held).max(level);
            }
        }
        all
    }
}
