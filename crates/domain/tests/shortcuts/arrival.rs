//! When an outcome may enter: failures are known within seconds, health only after the proof. A gate that looks at what has arrived
//! sees bad luck in every release.

use crate::{ALPHA, RATE, counts, halts, process};

const TREATED: u32 = 50;
const CONTROL: u32 = 200;

#[test]
fn outcomes_that_enter_as_they_arrive_halt_sound_releases() {
    let (rule, shortcut) = halts(1_000, |dice| {
        let (mut held, mut arriving) = (process(), process());
        let (mut by_rule, mut by_shortcut) = (false, false);
        for _ in 0..40 {
            let (failed, control_failed) = (dice.failures(TREATED, RATE), dice.failures(CONTROL, RATE));
            held.enter(counts(TREATED, failed, CONTROL, control_failed));
            by_rule |= held.ln_e() >= -ALPHA.ln();
            // Controls answer at every check-in, so all of theirs is known when the treated's failures come; their health comes last.
            arriving.enter(counts(failed, failed, CONTROL, control_failed));
            by_shortcut |= arriving.ln_e() >= -ALPHA.ln();
            arriving.enter(counts(TREATED - failed, 0, CONTROL, control_failed));
        }
        (by_rule, by_shortcut)
    });
    println!("entered on arrival: {shortcut} of sound releases halted (known: 0.95), at the band's end {rule}");
    assert!(rule <= ALPHA && shortcut > 4.0 * ALPHA);
}

#[test]
fn blocks_that_close_by_what_was_heard_so_far_halt_sound_releases() {
    let (rule, shortcut) = halts(1_000, |dice| {
        let (mut held, mut early) = (process(), process());
        let (mut by_rule, mut by_shortcut) = (false, false);
        for _ in 0..40 {
            let (failed, control_failed) = (dice.failures(TREATED, RATE), dice.failures(CONTROL, RATE));
            held.enter(counts(TREATED, failed, CONTROL, control_failed));
            // Closed when a tenth of the healthy were heard of, and all of the failed.
            let heard = failed + dice.failures(TREATED - failed, 0.1);
            early.enter(counts(heard, failed, CONTROL, control_failed));
            by_rule |= held.ln_e() >= -ALPHA.ln();
            by_shortcut |= early.ln_e() >= -ALPHA.ln();
        }
        (by_rule, by_shortcut)
    });
    println!("closed by what was heard: {shortcut} of sound releases halted (known: 1.00), by the horizon {rule}");
    assert!(rule <= ALPHA && shortcut > 0.8);
}

#[test]
fn a_test_for_a_fixed_number_that_is_looked_at_after_every_block_halts_sound_releases() {
    let (rule, shortcut) = halts(1_000, |dice| {
        let mut held = process();
        let (mut by_rule, mut by_shortcut) = (false, false);
        let mut sums = [0.0; 4];
        for _ in 0..200 {
            let (failed, control_failed) = (dice.failures(TREATED, RATE), dice.failures(CONTROL, RATE));
            held.enter(counts(TREATED, failed, CONTROL, control_failed));
            by_rule |= held.ln_e() >= -ALPHA.ln();
            for (sum, more) in sums.iter_mut().zip([TREATED, failed, CONTROL, control_failed]) {
                *sum += f64::from(more);
            }
            let [n, y, m, x] = sums;
            let pooled = (y + x) / (n + m);
            let error = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
            // One-sided at 1 in 20, as if this were the only look.
            by_shortcut |= error > 0.0 && (y / n - x / m) / error > 1.645;
        }
        (by_rule, by_shortcut)
    });
    println!("z test at every block: {shortcut} of sound releases halted, anytime-valid {rule}");
    assert!(rule <= ALPHA && shortcut > 3.0 * ALPHA);
}
