//! What one block costs the gate's evidence: `cargo bench -p tidegate-domain --bench evidence`.
//!
//! Prints times, and ratios against the least work that could be done: one addition a guess, one scope. Judges nothing.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types, missing_docs)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use tidegate_domain::evidence::{BlockCounts, ClearanceProcess, HaltProcess, Share};

/// Guesses on a grid.
const GUESSES: usize = 24;

/// Scope *all*, two attribute values and the stratum.
const SCOPES: usize = 4;

fn main() {
    println!("a block's hard failures in one band");
    let blocks = blocks();
    let points = black_box([0.5_f64; GUESSES]);
    let additions = each(&blocks, [0.0; GUESSES], |sums, _| sums.iter_mut().zip(points).for_each(|(s, p)| *s += p));
    let share = |value| Share::new(value).unwrap();
    let halt = HaltProcess::new(share(5e-4));
    let one = each(&blocks, halt.clone(), |process, block| process.enter(*block));
    show("entered into one scope", one, "one addition a guess", additions);
    let found = each(&blocks, None, |found, block| *found = Some(halt.edges(block.exposure())));
    show("of that: the edges", found, "the whole", one);
    let scopes = vec![halt.clone(); SCOPES];
    let simply = each(&blocks, scopes.clone(), |scopes, block| scopes.iter_mut().for_each(|p| p.enter(*block)));
    show("entered into four scopes, each by itself", simply, "one scope", one);
    let shared = each(&blocks, scopes, |scopes, block| {
        let edges = halt.edges(block.exposure());
        scopes.iter_mut().for_each(|process| process.enter_at(&edges, *block));
    });
    show("entered into four scopes at shared edges", shared, "one scope", one);
    let clear = ClearanceProcess::new(share(5e-3));
    let one = each(&blocks, clear, |process, block| process.enter(*block));
    show("entered into one ring's clearance", one, "one addition a guess", additions);
}

/// Blocks of the sizes that a rollout opens, with few failures.
fn blocks() -> Vec<BlockCounts> {
    let sizes = (1..=40).flat_map(|treated| [100, 20, 4, 1].map(|ratio| (treated, treated * ratio)));
    sizes.map(|(treated, control)| BlockCounts::new(treated, treated / 9, control, control / 500).unwrap()).collect()
}

/// The fastest of several runs over all blocks, for one of them.
fn each<S: Clone>(blocks: &[BlockCounts], state: S, mut work: impl FnMut(&mut S, &BlockCounts)) -> Duration {
    let mut run = || {
        let mut state = state.clone();
        let begun = Instant::now();
        blocks.iter().for_each(|block| work(black_box(&mut state), black_box(block)));
        let took = begun.elapsed();
        drop(black_box(state));
        took
    };
    (0..200).map(|_| run()).min().unwrap() / u32::try_from(blocks.len()).unwrap()
}

fn show(what: &str, took: Duration, limit: &str, least: Duration) {
    let ratio = took.as_secs_f64() / least.as_secs_f64();
    println!("  {what:<44} {:>9.0} ns  {ratio:>8.2} x {limit}", took.as_secs_f64() * 1e9);
}
