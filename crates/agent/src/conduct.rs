//! The main loop: owns the packages and the outbox, hears from the network thread, probes and downloads, and never waits for any.
//! What is believed was verified elsewhere; what is decided is decided by the device machine.

mod hear;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use tidegate_domain::device::Event;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{ContractName, DeviceId, PackageName};
use tidegate_domain::observation::Observation;
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_keyring::{SoftwareKey, device_key};
use tidegate_trust::records::Report;
use tidegate_trust::signed::Fleet;
use tidegate_wire::device::CheckIn;

use crate::config::Config;
use crate::contact::Contact;
use crate::download::{self, NotFetched};
use crate::enrol::Identity;
use crate::invariant::Invariants;
use crate::layout::{Home, Unsent};
use crate::outbox::{CROWDED, Outbox};
use crate::package::{Errand, Package};
use crate::payload::Setup;
use crate::server::{Credentials, Server};
use crate::sign::sign;
use crate::talk::{Ask, Heard, Talker};
use crate::trust_store::TrustStore;
use crate::{clock, durable, probe};

/// How often a device checks in before a server said how often.
const CHECK_IN: Duration = Duration::from_secs(60);
const CHECK_IN_MIN: Duration = Duration::from_millis(100);
const CHECK_IN_MAX: Duration = Duration::from_secs(86_400);
/// The longest wait between tries while the server does not answer, unless check-ins are rarer anyway.
const TRY_AGAIN_MAX: Duration = Duration::from_secs(30);
/// Time is counted in steps of at least this.
const TICK: Duration = Duration::from_millis(100);
/// How often the owner's invariants are looked at.
const INVARIANTS_EVERY: Duration = Duration::from_millis(500);
/// The most bytes of a report's detail.
const DETAIL_BYTES_MAX: usize = 300;

enum Message {
    Heard(Heard),
    Probed { package: PackageName, generation: u64, result: Result<(), String> },
    Fetched { package: PackageName, order: Digest, result: Result<(), NotFetched> },
    Wake,
    Stop,
}

struct Conductor {
    packages: BTreeMap<PackageName, Package>,
    offers: BTreeMap<ContractName, u64>,
    outbox: Outbox,
    key: Arc<SoftwareKey>,
    device: DeviceId,
    fleet: Fleet,
    server: Server,
    credentials: Option<Credentials>,
    waiting_downloads: Vec<(PackageName, Errand)>,
    asks: Sender<Ask>,
    messages: Sender<Message>,
    contact: Contact,
    check_in: Duration,
    check_in_at: Instant,
    checking_in: bool,
    unanswered: u32,
    reporting: bool,
    report_at: Instant,
    store_epoch: Option<String>,
    last_tick: Instant,
    invariants: Invariants,
    invariants_at: Instant,
}

/// Runs until it is told to stop.
pub(crate) fn run(config: Config, guard: Vec<OsString>) -> anyhow::Result<()> {
    let home = Home::new(std::path::absolute(&config.data).context("--data")?);
    durable::make_dir(home.dir())?;
    let _held = home.hold()?;
    let key = Arc::new(device_key::load_or_create(&home.device_key())?);
    let attributes = config.attributes.clone();
    let identity = Identity::load(&home, config.token.as_deref(), config.device.clone(), attributes, &key)?;
    let endpoints = if config.endpoints.is_empty() { &identity.endpoints } else { &config.endpoints };
    let server = Server::new(endpoints, config.ca.as_deref())?;
    let (messages, inbox) = mpsc::channel();
    stop_on_signal(&messages)?;
    let packages = open_packages(&config, &home, &identity, guard, &messages)?;
    let (asks, questions) = mpsc::channel();
    let now = Instant::now();
    let outbox = Outbox::open(home.outbox(), clock::now(WallTime::default()).as_ms());
    let invariants = Invariants::open(home.dir(), config.keep.clone(), config.unread.clone());
    let mut conductor = Conductor {
        packages,
        offers: config.offers.clone(),
        outbox,
        key: Arc::clone(&key),
        device: identity.device.clone(),
        fleet: identity.fleet,
        server: server.clone(),
        credentials: None,
        waiting_downloads: Vec::new(),
        asks,
        messages: messages.clone(),
        contact: Contact::none(),
        check_in: CHECK_IN,
        check_in_at: now,
        checking_in: false,
        unanswered: 0,
        reporting: false,
        report_at: now,
        store_epoch: None,
        last_tick: now,
        invariants,
        invariants_at: now,
    };
    let names: Vec<PackageName> = config.packages.keys().cloned().collect();
    let trust = TrustStore::open(&home, identity.fleet, &names)?;
    let talker = Talker { home, server, identity, trust, key, packages: names };
    thread::Builder::new().name("network".to_owned()).spawn(move || {
        // The receiver is gone when the agent stops: nobody needs the answer then.
        talker.run(&questions, |heard| drop(messages.send(Message::Heard(heard))));
    })?;
    conductor.conduct(&inbox);
    Ok(())
}

fn stop_on_signal(messages: &Sender<Message>) -> anyhow::Result<()> {
    let messages = messages.clone();
    ctrlc::set_handler(move || drop(messages.send(Message::Stop))).context("cannot listen for signals")
}

fn open_packages(
    config: &Config,
    home: &Home,
    identity: &Identity,
    guard: Vec<OsString>,
    messages: &Sender<Message>,
) -> anyhow::Result<BTreeMap<PackageName, Package>> {
    let mut packages = BTreeMap::new();
    for (name, words) in &config.packages {
        let messages = messages.clone();
        let setup = Setup {
            package: name.clone(),
            dir: home.package(name),
            words: words.clone(),
            ring: identity.token.ring.clone(),
            guard: guard.clone(),
            wake: Arc::new(move || drop(messages.send(Message::Wake))),
        };
        let initial = config.initial.get(name).map(std::path::PathBuf::as_path);
        let package = Package::open(setup, initial, Instant::now());
        let package = package.map_err(|problem| anyhow::anyhow!("package `{name}`: {problem}"))?;
        packages.insert(name.clone(), package);
    }
    Ok(packages)
}

impl Conductor {
    fn conduct(&mut self, inbox: &Receiver<Message>) {
        let now = Instant::now();
        self.packages.values_mut().for_each(|package| package.resume(now));
        loop {
            self.look(Instant::now());
            let wait = self.wait(Instant::now());
            let mut message = match inbox.recv_timeout(wait) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            while let Some(next) = message {
                if matches!(next, Message::Stop) {
                    return self.shut_down();
                }
                self.receive(next);
                message = inbox.try_recv().ok();
            }
        }
    }

    fn shut_down(&mut self) {
        tracing::info!("stopping");
        self.run_errands();
        for package in self.packages.values_mut() {
            package.shut_down(Instant::now());
        }
    }

    /// How long nothing is due. Before the device has joined no check-in is.
    fn wait(&self, now: Instant) -> Duration {
        let packages = self.packages.values().map(|package| package.look_within(now)).min();
        let speaks = self.credentials.is_some() && !self.checking_in;
        let check_in = if speaks { self.check_in_at.saturating_duration_since(now) } else { Duration::MAX };
        packages.unwrap_or(Duration::from_secs(1)).min(check_in).max(Duration::from_millis(2))
    }

    /// Lets time pass for every package, runs probes and errands, and speaks to the server where that is due.
    fn look(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.last_tick);
        let passed = if since >= TICK { since } else { Duration::ZERO };
        if !passed.is_zero() {
            self.last_tick = now;
        }
        let passed = Elapsed::from_ms(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX));
        let in_contact = self.contact.holds(now, self.check_in);
        for (name, package) in &mut self.packages {
            package.tick(now, passed, in_contact);
            if let Some(round) = package.begin_round(now) {
                let (name, messages) = (name.clone(), self.messages.clone());
                thread::spawn(move || {
                    let probes = round.manifest.as_ref().map_or(&[][..], |manifest| &manifest.probes);
                    let result = probe::round(probes, &round.slot, &round.run_dir, &round.said);
                    drop(messages.send(Message::Probed { package: name, generation: round.generation, result }));
                });
            }
        }
        self.look_at_invariants(now);
        self.run_errands();
        self.speak(now);
    }

    /// What is broken counts against every release that is on trial here: which of them did it nobody can tell.
    fn look_at_invariants(&mut self, now: Instant) {
        if now < self.invariants_at {
            return;
        }
        self.invariants_at = now + INVARIANTS_EVERY;
        if let Some(detail) = self.invariants.look() {
            tracing::error!("an invariant is broken: {detail}");
            let event = Event::InvariantBroken { detail };
            self.packages.values_mut().for_each(|package| package.event(&event));
        }
    }

    fn run_errands(&mut self) {
        let mut errands = Vec::new();
        for (name, package) in &mut self.packages {
            errands.extend(package.take_errands().into_iter().map(|errand| (name.clone(), errand)));
        }
        if self.credentials.is_some() {
            errands.append(&mut self.waiting_downloads);
        }
        for (name, errand) in errands {
            match errand {
                Errand::Report { report, again } => self.report(&name, report, again),
                Errand::AskGo(trial) => self.ask(Ask::Go { package: name, trial }),
                Errand::Fetch { .. } if self.credentials.is_none() => self.waiting_downloads.push((name, errand)),
                Errand::Fetch { release, order, manifest, stop } => {
                    let Some(who) = self.credentials.clone() else { continue };
                    let Some(package) = self.packages.get(&name) else { continue };
                    let (server, dir, messages) = (self.server.clone(), package.dir().clone(), self.messages.clone());
                    thread::spawn(move || {
                        let result = download::fetch(&server, &who, &dir, release, &manifest, &stop);
                        drop(messages.send(Message::Fetched { package: name, order, result }));
                    });
                }
            }
        }
    }

    fn report(&mut self, package: &PackageName, report: Unsent, again: bool) {
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

    fn speak(&mut self, now: Instant) {
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
            self.ask(Ask::CheckIn(CheckIn { packages, store_epoch: self.store_epoch.clone() }));
        }
    }

    fn ask(&self, ask: Ask) {
        if self.asks.send(ask).is_err() {
            tracing::error!("the network thread is gone; payloads go on being supervised");
        }
    }

    fn receive(&mut self, message: Message) {
        let now = Instant::now();
        match message {
            Message::Heard(heard) => self.hear(heard, now),
            Message::Probed { package, generation, result } => {
                self.with(&package, |package| package.probed(generation, result, now));
            }
            Message::Fetched { package, order, result } => {
                self.with(&package, |package| package.fetched(order, result))
            }
            Message::Wake | Message::Stop => {}
        }
    }

    fn with(&mut self, name: &PackageName, act: impl FnOnce(&mut Package)) {
        if let Some(package) = self.packages.get_mut(name) {
            act(package);
        }
    }

    /// How long to wait before the server is tried again: longer each time.
    fn again(&mut self) -> Duration {
        self.unanswered = self.unanswered.saturating_add(1);
        let first = self.check_in.min(Duration::from_secs(1));
        let longer = first.saturating_mul(2_u32.saturating_pow(self.unanswered.min(16)));
        jittered(longer.min(TRY_AGAIN_MAX.max(self.check_in)))
    }
}

/// Between four fifths and six fifths of it, so that a fleet does not speak all at once.
fn jittered(duration: Duration) -> Duration {
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
