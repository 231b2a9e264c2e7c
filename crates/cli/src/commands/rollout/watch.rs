//! `tidegate rollout watch`: follows a rollout to its end. At a terminal it draws over itself; else it writes a line a change.
//! A server that is away for a while is waited for.

use std::io::IsTerminal as _;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use tidegate_domain::ids::RolloutId;
use tidegate_domain::time::Elapsed;
use tidegate_wire::operator::RolloutView;

use super::{EVERY, view};
use crate::client::Client;
use crate::context::Context;
use crate::output::{self, Answer};

/// The exit code for a rollout that halted.
const EXIT_HALTED: u8 = 3;

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The rollout
    rollout: RolloutId,
    /// How often to ask
    #[arg(long, value_name = "TIME", default_value_t = EVERY)]
    every: Elapsed,
    /// How long to wait for a server that does not answer
    #[arg(long, value_name = "TIME", default_value = "5min")]
    patience: Elapsed,
}

pub(super) fn run(context: &Context, args: &WatchArgs) -> Result<Answer> {
    if !(100..=3_600_000).contains(&args.every.as_ms()) {
        bail!("--every {}: right is 100ms to 1h", args.every);
    }
    let api = context.client()?;
    let mut shown = Shown::new(context.json);
    let mut silent_since: Option<Instant> = None;
    loop {
        match ask(&api, args, &mut silent_since)? {
            Some(view) => {
                shown.show(&view)?;
                match view.report.phase.as_str() {
                    "completed" => return Ok(Answer::shown(0)),
                    "halted" => return Ok(Answer::shown(EXIT_HALTED)),
                    _ => {}
                }
            }
            None => shown.note("the server does not answer; waiting for it"),
        }
        thread::sleep(Duration::from_millis(args.every.as_ms()));
    }
}

/// The rollout, or nothing while a server that does not answer is still waited for.
fn ask(api: &Client, args: &WatchArgs, silent_since: &mut Option<Instant>) -> Result<Option<RolloutView>> {
    match api.rollout(&args.rollout) {
        Ok(view) => {
            *silent_since = None;
            Ok(Some(view))
        }
        Err(error) if error.is_passing() => {
            let since = silent_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= Duration::from_millis(args.patience.as_ms()) {
                return Err(error.into());
            }
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// What was shown last, and how.
pub(crate) struct Shown {
    json: bool,
    /// Lines go to standard error: standard output belongs to somebody else.
    aside: bool,
    /// Drawn over while it runs; only at a terminal.
    drawing: Option<ProgressBar>,
    last: Option<Value>,
}

impl Shown {
    /// Shows on standard output: JSON lines, a drawing at a terminal, or a line a change.
    fn new(json: bool) -> Shown {
        let drawing = (!json && std::io::stdout().is_terminal()).then(|| drawing_on(ProgressDrawTarget::stdout()));
        Shown { json, aside: false, drawing, last: None }
    }

    /// Shows on standard error, beside what the command itself prints.
    pub(crate) fn aside() -> Shown {
        let drawing = std::io::stderr().is_terminal().then(|| drawing_on(ProgressDrawTarget::stderr()));
        Shown { json: false, aside: true, drawing, last: None }
    }

    /// Shows a view, if anything that matters has changed.
    pub(crate) fn show(&mut self, view: &RolloutView) -> Result<()> {
        let now = what_matters(serde_json::to_value(view)?);
        let changed = self.last.as_ref() != Some(&now);
        self.last = Some(now);
        match &self.drawing {
            Some(drawing) => {
                drawing.set_message(if self.aside { view::progress(view) } else { view::full(view) });
                drawing.tick();
                if matches!(view.report.phase.as_str(), "completed" | "halted") {
                    drawing.finish();
                }
            }
            None if !changed => {}
            None if self.aside => eprintln!("   {}", view::line(view)),
            None if self.json => output::line(&serde_json::to_string(view)?),
            None => output::line(&view::line(view)),
        }
        Ok(())
    }

    fn note(&self, text: &str) {
        if let Some(drawing) = &self.drawing {
            drawing.set_message(text.to_owned());
            drawing.tick();
        }
    }
}

fn drawing_on(target: ProgressDrawTarget) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::with_draw_target(None, target).with_style(style)
}

/// A view without what passes by itself: clocks, and evidence that is still being weighed.
fn what_matters(mut view: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(map) => {
                for passing in ["at_ms", "left_ms", "ln_e", "ln_evidence"] {
                    map.remove(passing);
                }
                map.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    strip(&mut view);
    // Its lines say the same as the verdict, with the clocks written out.
    if let Value::Object(map) = &mut view {
        map.remove("reasons");
    }
    view
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_ran_on_is_no_change() {
        let view = |left_ms: u64, proven: u64| {
            what_matters(serde_json::json!({
                "reasons": [format!("soaking, {left_ms} ms left")],
                "report": {"at_ms": left_ms, "verdict": {"verdict": "wait", "reasons": [{"wait": "soak", "left_ms": left_ms}]},
                           "rings": [{"proven": proven}]},
            }))
        };
        assert_eq!(view(5, 1), view(9, 1));
        assert_ne!(view(5, 1), view(5, 2));
    }
}
