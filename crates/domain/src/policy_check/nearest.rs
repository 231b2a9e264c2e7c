//! The nearest value that works: found by trying, never by a formula.

use crate::evidence::Share;
use crate::policy::GateRule;

/// Indices of [`Share::two_digit`].
const SHARES: u32 = 1_080;

/// A share of the gate's rule that can keep it from ever halting.
pub(super) struct Setting {
    /// The policy's field.
    pub(super) field: &'static str,
    pub(super) of: fn(&mut GateRule) -> &mut f64,
    /// Whether more of it makes a halt less likely.
    pub(super) dampens: bool,
}

/// A setting that is at fault, with the nearest value of it that works.
pub(super) struct Mended {
    pub(super) field: &'static str,
    pub(super) found: f64,
    pub(super) nearest: f64,
}

/// Which of the settings keep a rule from working that works with their defaults, and the nearest values with which it does, all
/// of them together. Nothing where the rule works, or where it is not the settings that keep it from working.
pub(super) fn mend(rule: &GateRule, settings: &[Setting], works: impl Fn(&GateRule) -> bool) -> Vec<Mended> {
    if works(rule) {
        return Vec::new();
    }
    let (mut rule, mut default) = (rule.clone(), GateRule::default());
    let found: Vec<f64> = settings.iter().map(|setting| *(setting.of)(&mut rule)).collect();
    for (setting, found) in settings.iter().zip(&found) {
        let default = *(setting.of)(&mut default);
        let worse = if setting.dampens { *found > default } else { *found < default };
        if worse {
            *(setting.of)(&mut rule) = default;
        }
    }
    let mut mended = Vec::new();
    if !works(&rule) {
        return mended;
    }
    for (Setting { field, of, .. }, found) in settings.iter().zip(found) {
        let works_with = |value: f64| {
            let mut tried = rule.clone();
            *of(&mut tried) = value;
            works(&tried)
        };
        let good = *of(&mut rule.clone());
        let nearest = nearest(found, good, works_with);
        *of(&mut rule) = nearest;
        if nearest != found {
            mended.push(Mended { field, found, nearest });
        }
    }
    mended
}

/// The value nearest to `found` that works, of two significant digits, where `good` works and whatever lies between it and one that works
/// does too.
fn nearest(found: f64, good: f64, works: impl Fn(f64) -> bool) -> f64 {
    if found == good || works(found) {
        return found;
    }
    let value = |index: u32| Share::two_digit(index).map_or(good, Share::get);
    let (low, high) = (found.min(good), found.max(good));
    let between: Vec<f64> = (0..SHARES).map(value).filter(|value| low < *value && *value < high).collect();
    let from_good = |n: usize| {
        if good < found { between.get(n) } else { between.len().checked_sub(n + 1).and_then(|at| between.get(at)) }
    };
    let (mut working, mut tried) = (0, between.len());
    while working < tried {
        let middle = working + (tried - working) / 2;
        if from_good(middle).is_some_and(|value| works(*value)) {
            working = middle + 1;
        } else {
            tried = middle;
        }
    }
    working.checked_sub(1).and_then(from_good).copied().unwrap_or(good)
}

/// The greatest of `1..=most` with which `works` holds, where it holds for all smaller ones too; `None` where it never does.
pub(super) fn greatest(most: u32, works: impl Fn(u32) -> bool) -> Option<u32> {
    let (mut working, mut tried) = (0, most);
    while working < tried {
        let middle = tried - (tried - working) / 2;
        if works(middle) {
            working = middle;
        } else {
            tried = middle - 1;
        }
    }
    (working > 0).then_some(working)
}
