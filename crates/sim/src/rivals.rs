//! What others do: waves of a random order, opened by the clock or by reported success, stopped by reported errors or by a person
//! on the telephone. None of it is in the product.
//!
//! Each rule has settings that its users choose; all of a small grid are tried, and the best is what is shown.

use tidegate_domain::observation::Observation;
use tidegate_domain::rollout::block::Horizons;
use tidegate_domain::rollout::place::Seen;
use tidegate_domain::time::Elapsed;

use crate::chance::Stream;
use crate::population::Population;
use crate::scenario::Scenario;
use crate::spread::{Presence, Spread, Stand, Stepped, Told};

/// As many devices must be harmed before somebody calls the vendor.
const NOTICED_HARM: u32 = 10;

/// A rule that others use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Everything to everybody, until the vendor withdraws it: Channel File 291 as it was.
    EveryoneAtOnce,
    /// Groups by percentage; the next one opens when enough of the last reported success, and too many reported errors stop all: hawkBit's rule.
    PercentGroups,
    /// Waves with bake times of 1 hour and 12 hours, as AWS publishes for its own deployments; alarms count reported errors.
    TimedWaves,
    /// Rings that wait 0, 1, 5, 9 and 10 days: Autopatch's defaults.
    DeferralRings,
    /// Each release is taken when the next one is out.
    NMinus1,
}

impl Rule {
    /// Every rule, in the order of the tables.
    pub const ALL: [Rule; 5] =
        [Rule::EveryoneAtOnce, Rule::PercentGroups, Rule::TimedWaves, Rule::DeferralRings, Rule::NMinus1];

    /// Its name on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Rule::EveryoneAtOnce => "everyone-at-once",
            Rule::PercentGroups => "percent-groups",
            Rule::TimedWaves => "timed-waves",
            Rule::DeferralRings => "deferral-rings",
            Rule::NMinus1 => "n-minus-1",
        }
    }

    /// The settings that are tried.
    pub fn settings(self) -> Vec<Setting> {
        let over = |waves: &[&[f64]], next: &[Next], stops: &[Option<f64>]| {
            let mut all = Vec::new();
            for waves in waves {
                for next in next {
                    for stop_at in stops {
                        all.push(Setting { waves: waves.to_vec(), next: next.clone(), stop_at: *stop_at });
                    }
                }
            }
            all
        };
        let errors = [Some(0.001), Some(0.01), Some(0.05), Some(0.2)];
        match self {
            Rule::EveryoneAtOnce => over(&[&[1.0]], &[Next::After(Vec::new())], &[None]),
            Rule::PercentGroups => over(
                &[&[0.0001, 0.001, 0.01, 0.1, 1.0], &[0.001, 0.01, 0.1, 1.0], &[0.01, 0.1, 1.0], &[0.1, 1.0]],
                &[Next::Success(0.5), Next::Success(0.8), Next::Success(0.95)],
                &errors,
            ),
            Rule::TimedWaves => over(
                &[
                    &[0.0001, 0.001, 0.01, 0.03, 0.1, 0.25, 0.5, 1.0],
                    &[0.001, 0.02, 0.06, 0.15, 0.35, 0.7, 1.0],
                    &[0.01, 0.05, 0.2, 0.5, 1.0],
                ],
                &[
                    Next::After(vec![Elapsed::from_s(3_600)]),
                    Next::After(vec![Elapsed::from_s(3_600), Elapsed::from_s(43_200), Elapsed::from_s(3_600)]),
                ],
                &errors,
            ),
            Rule::DeferralRings => {
                let day = Elapsed::from_s(86_400);
                let waits = [1, 4, 4, 1].map(|days| day.times(days)).to_vec();
                over(&[&[0.0001, 0.01, 0.1, 0.5, 1.0], &[0.001, 0.01, 0.1, 0.9, 1.0]], &[Next::Days(waits)], &errors)
            }
            Rule::NMinus1 => {
                let later = [7, 14, 30].map(|days| Next::Days(vec![Elapsed::from_s(86_400).times(days)]));
                over(&[&[0.001, 1.0], &[0.01, 1.0]], &later, &errors)
            }
        }
    }
}

/// One choice of a rule's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// What share of the fleet is open in each wave, cumulative.
    waves: Vec<f64>,
    next: Next,
    /// The share of a wave's devices that may report an error before everything stops.
    stop_at: Option<f64>,
}

/// When the next wave opens.
#[derive(Debug, Clone, PartialEq)]
enum Next {
    /// After so long, the last one again and again.
    After(Vec<Elapsed>),
    /// After so many days; what bypasses deferral does not wait.
    Days(Vec<Elapsed>),
    /// When this share of the wave reported success.
    Success(f64),
}

impl Setting {
    /// In a few words, for tables.
    pub fn words(&self) -> String {
        let percent = |share: f64| format!("{}", (share * 1e6).round() / 1e4);
        let waves: Vec<String> = self.waves.iter().map(|share| percent(*share)).collect();
        let next = match &self.next {
            Next::After(bakes) if bakes.is_empty() => String::new(),
            Next::After(bakes) | Next::Days(bakes) => {
                let bakes: Vec<String> = bakes.iter().map(ToString::to_string).collect();
                format!(", wait {}", bakes.join(" "))
            }
            Next::Success(share) => format!(", next at {} % success", percent(*share)),
        };
        let stop = self.stop_at.map_or(String::new(), |share| format!(", stop at {} % errors", percent(share)));
        format!("{} %{next}{stop}", waves.join("/"))
    }
}

/// A rule at work.
pub(crate) struct Rival {
    setting: Setting,
    withdrawn_after_ms: u64,
    bypasses: bool,
    order: Vec<u32>,
    place: Vec<u32>,
    stage: Vec<Stage>,
    opened: usize,
    wave: usize,
    wave_since_ms: u64,
    wave_taken: u32,
    wave_ok: u32,
    wave_failed: u32,
    noticed_ms: Option<u64>,
    over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Shut,
    Open,
    Taken,
    Ok,
    Failed,
}

impl Rival {
    pub(crate) fn new(setting: Setting, scenario: &Scenario, population: &Population) -> Rival {
        let mut order: Vec<u32> = (0..population.devices).collect();
        // Test devices come first wherever somebody has them.
        order
            .sort_by_cached_key(|device| (!population.is_lab(*device), population.seed.bits(Stream::Rank, *device, 0)));
        let mut place = vec![0; order.len()];
        for (index, device) in order.iter().enumerate() {
            if let Some(place) = place.get_mut(*device as usize) {
                *place = index as u32;
            }
        }
        Rival {
            setting,
            withdrawn_after_ms: scenario.record.withdrawn_after.as_ms(),
            bypasses: scenario.record.bypasses_deferral,
            stage: vec![Stage::Shut; order.len()],
            order,
            place,
            opened: 0,
            wave: 0,
            wave_since_ms: 0,
            wave_taken: 0,
            wave_ok: 0,
            wave_failed: 0,
            noticed_ms: None,
            over: false,
        }
    }

    fn is_in_wave(&self, device: u32) -> bool {
        let share = self.wave.checked_sub(2).and_then(|last| self.setting.waves.get(last)).copied().unwrap_or(0.0);
        let from = self.place_up_to(share);
        self.place.get(device as usize).is_some_and(|place| *place as usize >= from)
    }

    fn place_up_to(&self, share: f64) -> usize {
        ((share * self.order.len() as f64).ceil() as usize).min(self.order.len())
    }

    fn opens_next(&self, now_ms: u64) -> bool {
        let nth = |waits: &[Elapsed]| waits.get(self.wave - 1).or(waits.last()).map_or(0, |wait| wait.as_ms());
        match &self.setting.next {
            _ if self.wave == 0 => true,
            Next::Days(_) if self.bypasses => true,
            Next::After(waits) | Next::Days(waits) => now_ms >= self.wave_since_ms + nth(waits),
            Next::Success(share) => {
                let size = self.opened
                    - self.setting.waves.get(self.wave.wrapping_sub(2)).map_or(0, |last| self.place_up_to(*last));
                f64::from(self.wave_ok) >= share * size as f64
            }
        }
    }

    fn stops(&mut self, now_ms: u64, harmed: u32) -> Option<(&'static str, String)> {
        if harmed >= NOTICED_HARM {
            self.noticed_ms.get_or_insert(now_ms);
        }
        if self.noticed_ms.is_some_and(|since| now_ms >= since + self.withdrawn_after_ms) {
            return Some(("withdrawn", "withdrawn by its vendor".to_owned()));
        }
        let stop_at = self.setting.stop_at?;
        let least = f64::from(self.wave_taken).max(1.0);
        let share = f64::from(self.wave_failed) / least;
        let words = format!("{} of {} devices of the wave reported an error", self.wave_failed, self.wave_taken);
        (self.wave_failed > 0 && share >= stop_at).then_some(("errors", words))
    }
}

impl Spread for Rival {
    fn stand(&self, device: u32, _now_ms: u64) -> Stand {
        match self.stage.get(device as usize) {
            Some(Stage::Open) if !self.over => Stand::Open,
            Some(Stage::Taken | Stage::Ok | Stage::Failed) => {
                Stand::Taken { seen: Seen::default(), wanted: false, to_return: false }
            }
            Some(Stage::Shut | Stage::Open) | None => Stand::Shut,
        }
    }

    fn take(&mut self, device: u32, now_ms: u64) -> Told {
        let open = self.stand(device, now_ms) == Stand::Open;
        if open && let Some(stage) = self.stage.get_mut(device as usize) {
            *stage = Stage::Taken;
            self.wave_taken += u32::from(self.is_in_wave(device));
        }
        if open { Told::Go } else { Told::No }
    }

    fn hear(&mut self, device: u32, observation: &Observation, _age: Elapsed, _now_ms: u64) -> bool {
        let counts = self.is_in_wave(device);
        let Some(stage) = self.stage.get_mut(device as usize) else { return true };
        match (observation, *stage) {
            (Observation::Healthy, Stage::Taken) => {
                *stage = Stage::Ok;
                self.wave_ok += u32::from(counts);
            }
            (Observation::Failed { .. }, Stage::Taken | Stage::Ok) => {
                *stage = Stage::Failed;
                self.wave_failed += u32::from(counts);
            }
            _ => {}
        }
        true
    }

    fn step(&mut self, now_ms: u64, presence: &dyn Presence) -> Stepped {
        let mut stepped = Stepped::default();
        if let Some(why) = self.stops(now_ms, presence.harmed()) {
            self.over = true;
            stepped.halted = Some(vec![why]);
            return stepped;
        }
        while self.opens_next(now_ms)
            && let Some(share) = self.setting.waves.get(self.wave).copied()
        {
            let end = self.place_up_to(share);
            let opening = self.order.get(self.opened..end).unwrap_or_default();
            stepped.concerned.extend(opening);
            for device in opening {
                if let Some(stage) = self.stage.get_mut(*device as usize) {
                    *stage = Stage::Open;
                }
            }
            (self.opened, self.wave_since_ms) = (end.max(self.opened), now_ms);
            self.wave += 1;
            (self.wave_taken, self.wave_ok, self.wave_failed) = (0, 0, 0);
            if self.wave == self.setting.waves.len() {
                stepped.completed = true;
            }
        }
        stepped
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn horizons(&self) -> Option<Horizons> {
        None
    }

    fn held_back(&self) -> u32 {
        0
    }
}
