//! How a rollout's progress is shown: drawn over itself at a terminal, else a line a change; for programs a JSON object a change.

use std::io::IsTerminal as _;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use tidegate_wire::operator::RolloutView;

use crate::output;
use crate::rollout_view;

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
    pub(crate) fn new(json: bool) -> Shown {
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
                drawing.set_message(if self.aside { rollout_view::progress(view) } else { rollout_view::full(view) });
                drawing.tick();
                if matches!(view.report.phase.as_str(), "completed" | "halted") {
                    drawing.finish();
                }
            }
            None if !changed => {}
            None if self.aside => eprintln!("   {}", rollout_view::line(view)),
            None if self.json => output::line(&serde_json::to_string(view)?),
            None => output::line(&rollout_view::line(view)),
        }
        Ok(())
    }

    /// Shows a word while there is no view to show.
    pub(crate) fn note(&self, text: &str) {
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
