//! How many tests become one: e-values that share controls are averaged, and the same bytes keep the same process.

use tidegate_domain::evidence::ln_weighted_sum;

use crate::{ALPHA, RATE, counts, halts, process};

#[test]
fn e_values_of_strata_that_share_controls_halt_sound_releases_when_they_are_multiplied() {
    const STRATA: usize = 40;
    let (rule, shortcut) = halts(400, |dice| {
        let mut processes: Vec<_> = (0..STRATA).map(|_| process()).collect();
        let (mut by_rule, mut by_shortcut) = (false, false);
        for _ in 0..10 {
            // One group of controls for all: its luck is everybody's.
            let control_failed = dice.failures(20, RATE);
            for process in &mut processes {
                process.enter(counts(200, dice.failures(200, RATE), 20, control_failed));
            }
            let each: Vec<f64> = processes.iter().map(|process| process.ln_e()).collect();
            by_rule |= ln_weighted_sum(each.iter().map(|ln_e| (1.0 / STRATA as f64, *ln_e))) >= -ALPHA.ln();
            by_shortcut |= each.iter().sum::<f64>() >= -ALPHA.ln();
        }
        (by_rule, by_shortcut)
    });
    println!("multiplied over 40 strata: {shortcut} of sound releases halted (known: 0.61), averaged {rule}");
    assert!(rule <= ALPHA && shortcut > 2.0 * ALPHA);
}

#[test]
fn a_release_that_starts_anew_at_every_try_is_halted_by_its_tries() {
    const TRIES: usize = 60;
    let (rule, shortcut) = halts(400, |dice| {
        let mut same = process();
        let (mut by_rule, mut by_shortcut) = (false, false);
        for _ in 0..TRIES {
            let mut anew = process();
            for _ in 0..10 {
                let block = counts(30, dice.failures(30, RATE), 120, dice.failures(120, RATE));
                same.enter(block);
                anew.enter(block);
                by_rule |= same.ln_e() >= -ALPHA.ln();
                by_shortcut |= anew.ln_e() >= -ALPHA.ln();
            }
        }
        (by_rule, by_shortcut)
    });
    println!("a fresh process at each of {TRIES} tries: {shortcut} of sound releases halted, one that goes on {rule}");
    assert!(rule <= ALPHA && shortcut > 2.0 * ALPHA);
}
