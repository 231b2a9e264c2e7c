//! What one block costs the gate's evidence: `cargo bench -p tidegate-domain --bench evidence`.
//!
//! Prints times, and ratios against the least work that could be done: one addition a guess of the grid. Judges nothing.
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
    show("entered into one scope", each(&blocks, halt.clone(), |p, b| p.enter(*b)), additions);
    let found = each(&blocks, (), |(), b| drop(black_box(halt.edges(b.exposure()))));
    show("of that: the edges", found, additions);
    let scopes = vec![halt.clone(); SCOPES];
    let simply = each(&blocks, scopes.clone(), |s, b| s.iter_mut().for_each(|p| p.enter(*b)));
    show("entered into four scopes, each by itself", simply, additions);
    let shared = each(&blocks, scopes, |scopes, block| {
        let edges = halt.edges(block.exposure());
        scopes.iter_mut().for_each(|process| process.enter_at(&edges, *block));
    });
    show("entered into four scopes at shared edges", shared, additions);
    let clear = ClearanceProcess::new(share(5e-3));
    show("entered into one ring's clearance", each(&blocks, clear, |p, b| p.enter(*b)), additions);
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

fn show(what: &str, took: Duration, least: Duration) {
    let ratio = took.as_secs_f64() / least.as_secs_f64();
    println!("  {what:<44} {:>9.0} ns  {ratio:>8.1} x one addition a guess", took.as_secs_f64() * 1e9);
}
