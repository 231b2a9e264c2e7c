//! The main loop: owns the packages and the outbox, hears from the network thread, probes and downloads, and never waits for any.
//! What is believed was verified elsewhere; what is decided is decided by the device machine.

mod hear;
mod speaking;

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
use tidegate_domain::time::{Elapsed, WallTime};
use tidegate_keyring::{SoftwareKey, device_key};
use tidegate_trust::signed::Fleet;

use crate::config::Config;
use crate::contact::Contact;
use crate::download::{self, NotFetched};
use crate::enrol::Identity;
use crate::invariant::Invariants;
use crate::layout::Home;
use crate::os::{self, ServiceState};
use crate::outbox::Outbox;
use crate::own::{self, Own};
use crate::package::{Errand, Package};
use crate::payload::Setup;
use crate::server::{Credentials, Server};
use crate::talk::{Ask, Heard, Talker};
use crate::trust_store::TrustStore;
use crate::{clock, durable, probe};

use speaking::drawn;

/// How often a device checks in before a server said how often.
const CHECK_IN: Duration = Duration::from_secs(60);
const CHECK_IN_MIN: Duration = Duration::from_millis(100);
const CHECK_IN_MAX: Duration = Duration::from_secs(86_400);
/// Time is counted in steps of at least this.
const TICK: Duration = Duration::from_millis(100);
/// How often the owner's invariants are looked at.
const INVARIANTS_EVERY: Duration = Duration::from_millis(500);

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
    /// A number of this start.
    run: Option<u64>,
    /// How often the service manager is told that this agent lives, and when next.
    alive_every: Option<Duration>,
    alive_at: Instant,
}

/// Runs until it is told to stop.
pub(crate) fn run(mut config: Config, guard: Vec<OsString>) -> anyhow::Result<()> {
    let home = Home::new(std::path::absolute(&config.data).context("--data")?);
    let own = Own::from_environment(&home)?;
    if let Some(own) = &own {
        config.packages.entry(own.package.clone()).or_default();
    }
    durable::make_dir(home.dir())?;
    let _held = home.hold()?;
    let key = Arc::new(device_key::load_or_create(&home.device_key())?);
    let attributes = config.attributes.clone();
    let identity = Identity::load(&home, config.token.as_deref(), config.device.clone(), attributes, &key)?;
    let endpoints = if config.endpoints.is_empty() { &identity.endpoints } else { &config.endpoints };
    let server = Server::new(endpoints, config.ca.as_deref(), &config.proxy)?;
    let (messages, inbox) = mpsc::channel();
    stop_on_signal(&messages)?;
    let packages = open_packages(&config, &home, &identity, (guard, own), &messages)?;
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
        run: drawn(),
        // Often enough that one late look is no sign of death.
        alive_every: os::managers_patience().map(|patience| patience / 3),
        alive_at: now,
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
    (guard, own): (Vec<OsString>, Option<Own>),
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
            own: own.clone().filter(|own| own.package == *name),
            observed: config.observed.as_ref().map(|observed| observed.get(name).cloned().unwrap_or_default()),
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
        os::tell_manager(ServiceState::Ready);
        loop {
            self.look(Instant::now());
            if self.packages.values().any(Package::is_leaving) {
                tracing::info!("ending, to be started as another release of the agent");
                return self.shut_down();
            }
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
        os::tell_manager(ServiceState::Stopping);
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
        let alive = self.alive_every.unwrap_or(Duration::MAX);
        packages.unwrap_or(Duration::from_secs(1)).min(check_in).min(alive).max(Duration::from_millis(2))
    }

    /// Lets time pass for every package, runs probes and errands, and speaks to the server where that is due.
    fn look(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.last_tick);
        let passed = if since >= TICK { since } else { Duration::ZERO };
        if !passed.is_zero() {
            self.last_tick = now;
        }
        let passed = Elapsed::from_ms(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX));
        if let Some(every) = self.alive_every.filter(|_| self.alive_at <= now) {
            os::tell_manager(ServiceState::Alive);
            self.alive_at = now + every;
        }
        let in_contact = self.contact.holds(now, self.check_in);
        for (name, package) in &mut self.packages {
            package.tick(now, passed, in_contact);
            if let Some(round) = package.begin_round(now) {
                let (name, messages) = (name.clone(), self.messages.clone());
                thread::spawn(move || {
                    let result = probe::round(&round.probes, &round.slot, &round.run_dir, &round.said);
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
                Errand::AskGo(_) if self.has_to_wait(&name) => self.with(&name, Package::ask_go_later),
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

    fn has_to_wait(&self, name: &PackageName) -> bool {
        let is_own = self.packages.get(name).is_some_and(Package::is_own);
        let others = self.packages.iter().filter(|(other, _)| *other != name);
        own::has_to_wait(is_own, others.map(|(_, other)| (other.is_on_trial(), other.is_own())))
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
}
