//! Blame over twenty rollouts at once: whom it accuses, measured on seeded histories.
//!
//! In each history twenty releases spread through fleets of six strata of 800 devices; none to three of them are bad, half of those in one stratum alone. All
//! devices fail and fall silent a little anyway, treated or not: what other releases do to them, sites that go out, age. Everything was
//! chosen on seeds below two million; the figures come from seeds from there on.

use tidegate_domain::rollout::Rollout;
use tidegate_domain::rollout::accusing::accuse;
use tidegate_domain::rollout::scope::ScopeName;
use tidegate_domain::time::Elapsed;

use crate::dice::Dice;
use crate::fleet::Nature;
use crate::six_strata;

const NAMES: [&str; 6] = ["linux/ams", "linux/fra", "mac/ams", "mac/fra", "windows/ams", "windows/fra"];

/// What is wrong with a release: nothing, or a share of everybody or of one stratum that it breaks.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Truth {
    Sound,
    Everybody(f64),
    Stratum(usize, f64),
}

fn release(truth: Truth, seed: u64) -> Rollout {
    let mut dice = Dice::new(seed);
    let drift = |dice: &mut Dice| 0.002 + dice.below(8) as f64 / 1_000.0;
    let crash = match truth {
        Truth::Sound => Vec::new(),
        Truth::Everybody(share) => vec![("*", share)],
        Truth::Stratum(stratum, share) => vec![(NAMES[stratum], share)],
    };
    let nature =
        Nature { crash, base_failures: drift(&mut dice), base_silence: 0.01 + drift(&mut dice), ..Nature::good() };
    let mut fleet = six_strata::fleet("", 4_800, nature, seed);
    fleet.run_until_over(Elapsed::from_s(60));
    // What was taken before a halt is still heard out.
    fleet.run_for(Elapsed::from_s(15));
    fleet.rollout
}

/// Of the accused: right ones, and all. Of the guilty: accused ones, and all.
#[derive(Default, Debug)]
struct Score {
    right: u32,
    accused: u32,
    found: u32,
    guilty: u32,
}

impl Score {
    fn precision(&self) -> f64 {
        f64::from(self.right) / f64::from(self.accused.max(1))
    }

    fn told(&self) -> String {
        format!("precision {:.3}, recall {:.3}, {self:?}", self.precision(), self.recall())
    }

    fn recall(&self) -> f64 {
        f64::from(self.found) / f64::from(self.guilty.max(1))
    }
}

/// Scores of releases, and of releases with the part of the fleet that is named.
fn measure(histories: u64, from: u64) -> (Score, Score) {
    let (mut of_release, mut of_part) = (Score::default(), Score::default());
    for history in 0..histories {
        let mut dice = Dice::new(from + history);
        let bad = dice.below(4) as usize;
        let truths: Vec<Truth> = (0..20)
            .map(|number| {
                let share = [0.1, 0.3, 1.0][dice.below(3) as usize];
                match dice.chance(0.5) {
                    _ if number >= bad => Truth::Sound,
                    true => Truth::Everybody(share),
                    false => Truth::Stratum(dice.below(6) as usize, share.max(0.3)),
                }
            })
            .collect();
        let rollouts: Vec<Rollout> =
            truths.iter().zip(0..).map(|(truth, n)| release(*truth, (from + history) * 64 + n)).collect();
        let each: Vec<&Rollout> = rollouts.iter().collect();
        // All have the same name in these fleets; they are told apart by where they stand.
        let blamed: Vec<Option<ScopeName>> = told_apart(&each);
        for (truth, blamed) in truths.iter().zip(&blamed) {
            let guilty = *truth != Truth::Sound;
            of_release.guilty += u32::from(guilty);
            of_part.guilty += u32::from(guilty);
            let Some(scope) = blamed else { continue };
            of_release.accused += 1;
            of_part.accused += 1;
            of_release.right += u32::from(guilty);
            of_release.found += u32::from(guilty);
            let right = match truth {
                Truth::Sound => false,
                Truth::Everybody(_) => *scope == ScopeName::All,
                Truth::Stratum(stratum, _) => scope.to_string() == format!("stratum {}", NAMES[*stratum]),
            };
            of_part.right += u32::from(right);
            of_part.found += u32::from(right);
        }
    }
    (of_release, of_part)
}

/// For each rollout the scope that is named, where it is blamed.
fn told_apart(rollouts: &[&Rollout]) -> Vec<Option<ScopeName>> {
    let renamed: Vec<Rollout> = rollouts.iter().zip(1..).map(|(rollout, n)| named(rollout, n)).collect();
    let accused = accuse(&renamed);
    renamed
        .iter()
        .map(|rollout| {
            let of_it = accused.iter().filter(|one| one.rollout == rollout.identity().rollout && one.named);
            of_it.map(|one| one.scope.clone()).next()
        })
        .collect()
}

/// The same rollout under another number.
fn named(rollout: &Rollout, number: u64) -> Rollout {
    let mut value = serde_json::to_value(rollout).unwrap();
    value["identity"]["rollout"] = format!("sensor.{number}").into();
    serde_json::from_value(value).unwrap()
}

fn the_guilty_are_found(histories: u64) {
    let (of_release, of_part) = measure(histories, 2_000_000);
    println!("figure: blame of releases, {histories} histories: {}", of_release.told());
    println!("figure: blame of releases with the part of the fleet: {}", of_part.told());
    assert!(of_release.precision() >= 0.9 && of_release.recall() >= 0.9, "{of_release:?}");
}

#[test]
fn the_guilty_of_twenty_rollouts_are_found_and_the_innocent_left_alone() {
    the_guilty_are_found(3);
}

#[test]
#[ignore = "deep: run by cargo xtask test --deep"]
fn deep_blame_over_forty_histories() {
    the_guilty_are_found(40);
}
