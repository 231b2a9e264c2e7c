//! Whom the treated are held against: the same stratum, and each device once.

use crate::{ALPHA, Dice, RATE, counts, halts, process};

#[test]
fn controls_that_serve_again_and_again_halt_sound_releases() {
    // Some devices fail often and most never: what a group of controls did is much the same each time it is asked.
    const PRONE: f64 = 0.05;
    let prone = |dice: &mut Dice, devices: u32| -> u32 {
        (0..devices).map(|_| u32::from(dice.share() < PRONE && dice.share() < RATE / PRONE)).sum()
    };
    let (rule, shortcut) = halts(600, |dice| {
        let (mut fresh, mut again) = (process(), process());
        let (mut by_rule, mut by_shortcut) = (false, false);
        let same: Vec<bool> = (0..25).map(|_| dice.share() < PRONE).collect();
        for _ in 0..200 {
            let failed = prone(dice, 25);
            fresh.enter(counts(25, failed, 25, prone(dice, 25)));
            let reused = same.iter().filter(|is_prone| **is_prone && dice.share() < RATE / PRONE).count();
            again.enter(counts(25, failed, 25, reused as u32));
            by_rule |= fresh.ln_e() >= -ALPHA.ln();
            by_shortcut |= again.ln_e() >= -ALPHA.ln();
        }
        (by_rule, by_shortcut)
    });
    println!(
        "the same controls for every block: {shortcut} of sound releases halted (known: 0.083 to 1.00), fresh ones {rule}"
    );
    assert!(rule <= ALPHA && shortcut > 2.0 * ALPHA);
}

#[test]
fn treating_one_site_and_comparing_it_with_another_halts_sound_releases() {
    // Each site has a rate of its own, which has nothing to do with the release.
    let (rule, shortcut) = halts(1_000, |dice| {
        let (mut within, mut across) = (process(), process());
        let (mut by_rule, mut by_shortcut) = (false, false);
        let [here, there] = [0, 1].map(|_| if dice.share() < 0.3 { 0.04 } else { 0.005 });
        for _ in 0..40 {
            let failed = dice.failures(30, here);
            within.enter(counts(30, failed, 120, dice.failures(120, here)));
            across.enter(counts(30, failed, 120, dice.failures(120, there)));
            by_rule |= within.ln_e() >= -ALPHA.ln();
            by_shortcut |= across.ln_e() >= -ALPHA.ln();
        }
        (by_rule, by_shortcut)
    });
    println!("site by site: {shortcut} of sound releases halted (known: 0.122), within a site {rule}");
    assert!(rule <= ALPHA && shortcut > 2.0 * ALPHA);
}

#[test]
fn an_update_that_fails_a_little_by_itself_halts_without_a_margin() {
    let bare = || tidegate_domain::evidence::HaltProcess::new(tidegate_domain::evidence::Share::new(1e-9).unwrap());
    let (rule, shortcut) = halts(60, |dice| {
        let (mut with, mut without) = (process(), bare());
        let (mut by_rule, mut by_shortcut) = (false, false);
        for _ in 0..400 {
            // 3 in 10,000 fail by being updated at all; control almost never fails.
            let (failed, control_failed) = (dice.failures(1_000, 4e-4), dice.failures(4_000, 1e-4));
            with.enter(counts(1_000, failed, 4_000, control_failed));
            without.enter(counts(1_000, failed, 4_000, control_failed));
            by_rule |= with.ln_e() >= 1_000_f64.ln();
            by_shortcut |= without.ln_e() >= 1_000_f64.ln();
        }
        (by_rule, by_shortcut)
    });
    println!("without a margin: {shortcut} of sound releases halted (known: all), with one {rule}");
    assert!(rule == 0.0 && shortcut > 0.9);
}
