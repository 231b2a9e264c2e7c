//! `tidegate simulate`: what policies, and the rules that others use, would do with a release in a simulated fleet.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tidegate_domain::policy::{POLICY_BYTES_MAX, Policy};
use tidegate_sim::catalogue;
use tidegate_sim::compare::{Entrant, Fared, TUNING_DEVICES, better_than_first, compare, in_parallel, trace};
use tidegate_sim::many::{Quantiles, many};
use tidegate_sim::report::{lasting, page};
use tidegate_sim::rivals::Rule;
use tidegate_sim::scenario::{DEVICES_MAX, SCENARIO_BYTES_MAX, Scenario};
use tidegate_sim::to_the_end;

use super::replay::{self, Replay};
use crate::durable_file::{self, Readers};
use crate::output::{Answer, table};

pub(crate) const EXAMPLES: &str = "\
Each policy runs twice on the same devices with the same luck: with the scenario's release, and with a
sound one. HARMED counts devices that the fault struck, whether anybody was told or not; TO ALL is how
long the sound release took to 95 of 100 devices. The same seed gives the same answer.

Examples:
  tidegate simulate --list
  tidegate simulate --scenario crowdstrike_291
  tidegate simulate --scenario crowdstrike_291 --devices 100000 --report out
  tidegate simulate --scenario mine.toml --policy mine-policy.toml --policy default --policy timed-waves
  tidegate simulate --scenario sound_release --policy default --runs 1000
  tidegate simulate --suite --devices 20000
  tidegate simulate --replay history.jsonl --policy expedited";

/// What is to be simulated.
#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// A scenario of the suite by name, or a file
    #[arg(long, value_name = "NAME|FILE", required_unless_present_any = ["suite", "list", "replay"])]
    scenario: Option<String>,
    /// default, expedited, a policy file, or a rule of others: everyone-at-once, percent-groups, timed-waves, deferral-rings,
    /// n-minus-1; repeatable [default: all of them]
    #[arg(long = "policy", value_name = "NAME|FILE")]
    policies: Vec<String>,
    /// How many devices [default: as the scenario says]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=i64::from(DEVICES_MAX)))]
    devices: Option<u32>,
    /// What all chance is drawn from
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Repeat with so many seeds from --seed on, and show median and 95 %; without the sound release
    #[arg(long, value_name = "N", conflicts_with_all = ["suite", "report"], value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    runs: Option<u32>,
    /// Try the settings of others' rules on a fleet of at most so many devices
    #[arg(long, value_name = "N", default_value_t = TUNING_DEVICES, value_parser = clap::value_parser!(u32).range(2..=i64::from(DEVICES_MAX)))]
    tune_devices: u32,
    /// How many threads; the answer does not depend on it [default: as many as there are cores, one for huge fleets]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Write a page with curves and the frontier into this folder, one a scenario
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Write every decision of the planner into this file, a line of JSON each; where the scenario has servers, their log, which --replay
    /// reads. With one --policy, and with --scenario's release only
    #[arg(long, value_name = "FILE", conflicts_with_all = ["suite", "report", "runs"])]
    trace: Option<PathBuf>,
    /// Every scenario of the suite
    #[arg(long, conflicts_with_all = ["scenario", "list"])]
    suite: bool,
    /// A history from a real server, as `store export` writes it: whether its planner decides the same again, and with --policy when that
    /// policy would have halted
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scenario", "suite", "list", "devices", "runs", "report", "trace", "threads"])]
    replay: Option<PathBuf>,
    /// Which rollout of the history [default: the last one that was started]
    #[arg(long, value_name = "ID", requires = "replay")]
    rollout: Option<String>,
    /// The scenarios of the suite, a line each
    #[arg(long, conflicts_with = "scenario")]
    list: bool,
}

/// Fleets of more devices are simulated one after the other: each takes more than a gigabyte.
const SIDE_BY_SIDE_MAX: u32 = 2_000_000;

/// Runs a comparison or the suite.
///
/// # Errors
/// When a scenario or policy cannot be read, or the report not be written.
pub(crate) fn run(args: &SimulateArgs) -> Result<Answer> {
    if args.list {
        return list();
    }
    if let Some(file) = &args.replay {
        let policies = args.policies.iter().map(|name| own_policy(name)).collect::<Result<_>>()?;
        return replay::run(&Replay { file, rollout: args.rollout.as_deref(), policies, seed: args.seed });
    }
    let entrants = entrants(&args.policies, args.tune_devices)?;
    let scenarios = scenarios(args)?;
    let most = scenarios.iter().map(|scenario| scenario.devices).max().unwrap_or(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = args.threads.map_or(if most > SIDE_BY_SIDE_MAX { 1 } else { cores }, usize::from);
    if let (Some(runs), Some(scenario)) = (args.runs, scenarios.first()) {
        return repeated(scenario, &entrants, (args.seed, runs), threads);
    }
    if let (Some(file), Some(scenario)) = (&args.trace, scenarios.first()) {
        return traced(scenario, &entrants, args.seed, file);
    }
    let compared = simulate(&scenarios, &entrants, args.seed, threads);
    for (scenario, fared) in scenarios.iter().zip(&compared) {
        let outcomes = fared.iter().flat_map(|one| [(one, &one.outcome.broken), (one, &one.sound.broken)]);
        refuse_broken(scenario, outcomes.map(|(one, broken)| (one.name.as_str(), args.seed, broken)))?;
        refuse_unordered(scenario, fared.iter().map(|one| (one.name.as_str(), one.outcome.refused.as_ref())))?;
    }
    if let Some(dir) = &args.report {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        for (scenario, fared) in scenarios.iter().zip(&compared) {
            let file = dir.join(format!("{}.html", scenario.name));
            durable_file::replace(&file, page(scenario, args.seed, fared).as_bytes(), Readers::Anybody)?;
            eprintln!("{} is written", file.display());
        }
    }
    let json: Vec<Value> = scenarios.iter().zip(&compared).map(|(s, fared)| as_json(s, args.seed, fared)).collect();
    if args.suite {
        return Answer::new(json, suite_text(&scenarios, &compared));
    }
    let (Some(scenario), Some(fared), Some(json)) = (scenarios.first(), compared.first(), json.into_iter().next())
    else {
        bail!("no scenario")
    };
    Answer::new(json, text(scenario, args.seed, fared))
}

fn list() -> Result<Answer> {
    let (mut rows, mut lines) = (Vec::new(), table(&["Scenario", "What happened", "Devices"]));
    for (name, text) in catalogue::all() {
        let scenario = Scenario::parse(text)?;
        lines.add_row([name.to_string(), scenario.title.clone(), scenario.devices.to_string()]);
        rows.push(json!({"scenario": name, "title": scenario.title, "devices": scenario.devices}));
    }
    Answer::new(rows, lines.to_string())
}

fn progress_bar(parts: usize) -> ProgressBar {
    let bar = ProgressBar::new(1_000 * parts as u64);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {percent}%  {elapsed}, {eta} to go") {
        bar.set_style(style);
    }
    bar
}

/// Shows on a bar how far a run has come.
fn shown(bar: &ProgressBar) -> impl Fn(f64) -> ControlFlow<()> + Sync {
    |share| {
        bar.set_position((share * 1e3) as u64);
        ControlFlow::Continue(())
    }
}

fn repeated(scenario: &Scenario, entrants: &[Entrant], seeds: (u64, u32), threads: usize) -> Result<Answer> {
    let bar = progress_bar(1);
    let all = many(scenario, entrants, seeds, threads, &shown(&bar));
    bar.finish_and_clear();
    let broken = all.iter().flat_map(|one| one.broken.iter().map(|(seed, what)| (one.policy.as_str(), *seed, what)));
    refuse_broken(scenario, broken)?;
    let refused = all.iter().flat_map(|one| one.refused.values().map(|why| (one.policy.as_str(), Some(why))));
    refuse_unordered(scenario, refused)?;
    let mut rows =
        table(&["Policy", "Exposed", "Harmed", "Need hands", "Halted", "Halted after", "To all", "Called", "By"]);
    let count = |q: Quantiles| format!("{} / {} / {}", q.median, q.p95, q.max);
    let time = |q: Option<Quantiles>| {
        q.map_or_else(|| "-".to_owned(), |q| format!("{} / {}", lasting(q.median), lasting(q.p95)))
    };
    for one in &all {
        let by: Vec<String> = one.halted_by.iter().map(|(kind, times)| format!("{kind} {times}")).collect();
        rows.add_row([
            one.policy.clone(),
            count(one.exposed),
            count(one.harmed),
            count(one.need_hands),
            format!("{} of {}", one.halted, one.runs),
            time(one.halt_s),
            time(one.fleet_done_s),
            one.called.to_string(),
            by.join(", "),
        ]);
    }
    let (seed, runs) = seeds;
    let head =
        format!("{}\n{} devices, {runs} seeds from {seed}; median / 95 % / most", scenario.title, scenario.devices);
    let json =
        json!({"scenario": scenario.name, "devices": scenario.devices, "seed": seed, "runs": runs, "policies": all});
    Answer::new(json, format!("{head}\n\n{rows}"))
}

/// What must never happen and did is an error, with the command that shows it again.
fn refuse_broken<'a>(
    scenario: &Scenario,
    broken: impl IntoIterator<Item = (&'a str, u64, &'a Vec<String>)>,
) -> Result<()> {
    let mut broken = broken.into_iter().filter(|(_, _, what)| !what.is_empty());
    let Some((policy, seed, what)) = broken.next() else { return Ok(()) };
    bail!(
        "{}\nand under {} more seeds. This is a fault of Tidegate. The same again, step by step:\n  tidegate simulate --scenario {} --policy {policy} \
         --devices {} --seed {seed} --trace trace.jsonl",
        what.join("\n"),
        broken.count(),
        scenario.name,
        scenario.devices
    )
}

/// Servers refuse an order that cannot pass on the fleet; so there is nothing to show.
fn refuse_unordered<'a>(
    scenario: &Scenario,
    refused: impl IntoIterator<Item = (&'a str, Option<&'a String>)>,
) -> Result<()> {
    match refused.into_iter().find_map(|(policy, why)| Some((policy, why?))) {
        Some((policy, why)) => bail!("an order under policy {policy} for {} devices: {why}", scenario.devices),
        None => Ok(()),
    }
}

fn traced(scenario: &Scenario, entrants: &[Entrant], seed: u64, file: &Path) -> Result<Answer> {
    let [Entrant::Policy(policy)] = entrants else {
        bail!("--trace takes one policy of ours: right is for example `--policy default --trace {}`", file.display())
    };
    let mut out = std::io::BufWriter::new(
        std::fs::File::create(file).with_context(|| format!("cannot make {}", file.display()))?,
    );
    let (bar, mut lines, mut failed) = (progress_bar(1), 0_u64, None);
    let outcome = trace(scenario, policy, seed, &shown(&bar), &mut |line| {
        use std::io::Write as _;
        lines += 1;
        failed = failed.take().or(writeln!(out, "{line}").err());
    });
    bar.finish_and_clear();
    failed
        .map_or(Ok(()), Err)
        .and_then(|()| std::io::Write::flush(&mut out))
        .with_context(|| format!("cannot write {}", file.display()))?;
    refuse_broken(scenario, [(policy.name.as_str(), seed, &outcome.broken)])?;
    refuse_unordered(scenario, [(policy.name.as_str(), outcome.refused.as_ref())])?;
    let json = json!({"scenario": scenario.name, "seed": seed, "decisions": lines, "harmed": outcome.harmed, "exposed": outcome.exposed});
    Answer::new(json, format!("{lines} decisions are in {}", file.display()))
}

fn simulate(scenarios: &[Scenario], entrants: &[Entrant], seed: u64, threads: usize) -> Vec<Vec<Fared>> {
    let bar = progress_bar(scenarios.len());
    // One scenario: its policies side by side. Several: the scenarios.
    let compared = match scenarios {
        [one] => vec![compare(one, entrants, seed, threads, &shown(&bar))],
        several => in_parallel(several, threads, |_, scenario| {
            let fared = compare(scenario, entrants, seed, 1, &to_the_end);
            bar.inc(1_000);
            fared
        }),
    };
    bar.finish_and_clear();
    compared
}

fn entrants(names: &[String], tuned_on: u32) -> Result<Vec<Entrant>> {
    if names.is_empty() {
        let mut all: Vec<String> = catalogue::POLICIES.iter().map(|(name, _)| (*name).to_owned()).collect();
        all.extend(Rule::ALL.map(|rule| rule.word().to_owned()));
        return all.iter().map(|name| entrant(name, tuned_on)).collect();
    }
    names.iter().map(|name| entrant(name, tuned_on)).collect()
}

fn entrant(name: &str, tuned_on: u32) -> Result<Entrant> {
    if let Some(rule) = Rule::ALL.into_iter().find(|rule| rule.word() == name) {
        return Ok(Entrant::Rule { rule, tuned_on });
    }
    Ok(Entrant::Policy(Box::new(own_policy(name)?)))
}

fn own_policy(name: &str) -> Result<Policy> {
    if let Some(policy) = catalogue::policy(name) {
        return Ok(policy?);
    }
    let rules = Rule::ALL.map(Rule::word).join(", ");
    let text = durable_file::read_text(Path::new(name), POLICY_BYTES_MAX as u64).with_context(|| {
        format!("`{name}` is neither default, expedited, one of {rules}, nor a policy file that can be read")
    })?;
    Policy::parse(&text).with_context(|| format!("policy {name}"))
}

fn scenarios(args: &SimulateArgs) -> Result<Vec<Scenario>> {
    let chosen: Vec<Scenario> = match &args.scenario {
        Some(name) => vec![scenario(name)?],
        None => catalogue::SUITE.iter().map(|(name, _)| scenario(name)).collect::<Result<_>>()?,
    };
    let sized = |scenario: Scenario| match args.devices {
        Some(devices) => scenario.with_devices(devices).with_context(|| format!("scenario {}", scenario.name)),
        None => Ok(scenario),
    };
    chosen.into_iter().map(sized).collect()
}

fn scenario(name: &str) -> Result<Scenario> {
    if let Some(scenario) = catalogue::scenario(name) {
        return Ok(scenario?);
    }
    let text = durable_file::read_text(Path::new(name), SCENARIO_BYTES_MAX as u64).with_context(|| {
        format!("`{name}` is neither a scenario of the suite (`tidegate simulate --list`) nor a file that can be read")
    })?;
    Scenario::parse(&text).with_context(|| format!("scenario {name}"))
}

fn as_json(scenario: &Scenario, seed: u64, fared: &[Fared]) -> Value {
    let one = |fared: &Fared| {
        json!({
            "policy": fared.name,
            "harmed": fared.outcome.harmed,
            "exposed": fared.outcome.exposed,
            "halt_s": fared.outcome.halt_s(),
            "need_hands": fared.outcome.need_hands,
            "fleet_done_s": fared.sound.fleet_done_s(),
            "sound_halted": fared.sound.halted_at_ms.is_some(),
            "called": fared.outcome.called.as_ref().map(|(_, why)| why),
            "halt_reasons": fared.outcome.halt_reasons,
            "blamed": fared.outcome.blamed,
            "notes": fared.notes,
        })
    };
    let policies: Vec<Value> = fared.iter().map(one).collect();
    let better = better_than_first(scenario, fared).into_iter().map(|better| {
        json!({"policy": better.rule, "setting": better.setting, "harmed": better.harmed, "fleet_done_s": better.fleet_done_s})
    });
    let better: Vec<Value> = better.collect();
    json!({"scenario": scenario.name, "devices": scenario.devices, "seed": seed, "policies": policies, "better_than_first": better})
}

fn text(scenario: &Scenario, seed: u64, fared: &[Fared]) -> String {
    let mut rows =
        table(&["Policy", "Exposed", "Harmed", "Need hands", "Halted after", "To all", "Why, and with what"]);
    for one in fared {
        let outcome = &one.outcome;
        let mut why = outcome.halt_reasons.clone();
        if !outcome.blamed.is_empty() {
            why.push(format!("to blame: {}", outcome.blamed.join(", ")));
        }
        if outcome.halted_at_ms.is_none() {
            why.extend(outcome.called.as_ref().map(|(_, why)| format!("a person is called: {why}")));
        }
        if one.sound.halted_at_ms.is_some() {
            why.push("a sound release is halted too".to_owned());
        }
        why.extend(one.notes.iter().cloned());
        rows.add_row([
            one.name.clone(),
            outcome.exposed.to_string(),
            outcome.harmed.to_string(),
            outcome.need_hands.to_string(),
            outcome.halt_s().map_or_else(|| "never".to_owned(), lasting),
            one.sound.fleet_done_s().map_or_else(|| "never".to_owned(), lasting),
            why.join("; "),
        ]);
    }
    format!("{}\n{} devices, seed {seed}\n\n{rows}", scenario.title, scenario.devices)
}

fn suite_text(scenarios: &[Scenario], compared: &[Vec<Fared>]) -> String {
    let mut heads = vec!["Harmed", "Devices"];
    let first = compared.first().map_or(&[][..], Vec::as_slice);
    heads.extend(first.iter().map(|fared| fared.name.as_str()));
    let mut rows = table(&heads);
    for (scenario, fared) in scenarios.iter().zip(compared) {
        let mut row = vec![scenario.name.clone(), scenario.devices.to_string()];
        row.extend(fared.iter().map(|fared| fared.outcome.harmed.to_string()));
        rows.add_row(row);
    }
    let mut text = rows.to_string();
    for (scenario, fared) in scenarios.iter().zip(compared) {
        for better in better_than_first(scenario, fared) {
            let first = fared.first().map_or("", |first| first.name.as_str());
            text += &format!(
                "\n{}: {} harms {} and is no slower than {first} ({}; {})",
                scenario.name,
                better.rule,
                better.harmed,
                lasting(better.fleet_done_s),
                better.setting
            );
        }
    }
    text
}
