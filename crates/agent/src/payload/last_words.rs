//! What a payload says on its error output: passed on to the agent's own, and the end of it kept, for whoever asks why it ended.

use std::collections::VecDeque;
use std::io::{Read, Write as _};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How much of the end is kept: with the way it ended it fits into a report's detail.
const KEPT_BYTES_MAX: usize = 240;
/// How long the rest of the output of a payload that has ended is waited for.
const WITHIN: Duration = Duration::from_millis(200);
/// The reader needs little: one agent has many of them.
const STACK_BYTES: usize = 64 << 10;

/// The end of an output.
#[derive(Debug, Default)]
pub(super) struct LastWords {
    heard: Arc<(Mutex<Heard>, Condvar)>,
}

#[derive(Debug, Default)]
struct Heard {
    end: VecDeque<u8>,
    over: bool,
}

impl LastWords {
    /// Listens until the output is over.
    pub(super) fn of(output: impl Read + Send + 'static) -> LastWords {
        let words = LastWords::default();
        let heard = Arc::clone(&words.heard);
        let spawned = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || listen(output, &heard));
        if let Err(error) = spawned {
            tracing::warn!("nobody reads what the payload says: {error}");
        }
        words
    }

    /// The last whole lines that fit, as one line. Waits a moment for what is still on its way.
    pub(super) fn said(&self) -> String {
        let (heard, told) = &*self.heard;
        let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        let (heard, _) =
            told.wait_timeout_while(heard, WITHIN, |heard| !heard.over).unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = heard.end.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        // Where the beginning is cut off, it begins with a whole line, if there is one.
        let cut = bytes.len() == KEPT_BYTES_MAX;
        let whole = if cut { text.split_once('\n').map_or(&*text, |(_, rest)| rest) } else { &text };
        let whole = if whole.trim().is_empty() { &text } else { whole };
        whole.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

fn listen(mut output: impl Read, heard: &(Mutex<Heard>, Condvar)) {
    let mut chunk = [0; 4096];
    while let Ok(read @ 1..) = output.read(&mut chunk) {
        let chunk = chunk.get(..read).unwrap_or_default();
        // Where the agent's own is gone, what the payload says goes nowhere, as it did before.
        let _ = std::io::stderr().write_all(chunk);
        let mut heard = heard.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.end.extend(chunk);
        let over = heard.end.len().saturating_sub(KEPT_BYTES_MAX);
        heard.end.drain(..over);
    }
    heard.0.lock().unwrap_or_else(PoisonError::into_inner).over = true;
    heard.1.notify_all();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_nothing_before_them() {
        let said = |text: &str| LastWords::of(std::io::Cursor::new(text.as_bytes().to_vec())).said();
        assert_eq!(said(""), "");
        assert_eq!(
            said("starting\nFATAL: template field 21 out of range\n"),
            "starting FATAL: template field 21 out of range"
        );
        let long = format!("{}\nthe last line\n", "x".repeat(1_000));
        assert_eq!(said(&long), "the last line");
        let endless = "y".repeat(1_000);
        assert_eq!(said(&endless).len(), KEPT_BYTES_MAX, "one line is cut");
    }
}
