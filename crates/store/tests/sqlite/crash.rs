//! P6 for the store: whatever is killed or dropped at whatever instant, what was acknowledged is there, without gaps.

use std::future::{Future, poll_fn};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::pin::pin;
use std::process::{Command, Stdio};
use std::task::Poll;
use std::time::{Duration, Instant};

use tidegate_control::contract::{Request, Seq, Snapshot};

use crate::{append, entry, head, lease, open, runtime, whole_log};

const KILLS: u64 = 50;
const STORE_VARIABLE: &str = "TIDEGATE_TEST_APPENDS_TO";

/// Not a test of its own: the process that the next test kills. Without the variable it does nothing.
#[test]
fn appends_until_killed() {
    let Some(path) = std::env::var_os(STORE_VARIABLE) else { return };
    runtime().block_on(async {
        let store = open(Path::new(&path)).await;
        let fence = lease(&store).await;
        let mut last = head(&store).await.last.as_u64();
        let mut out = std::io::stdout();
        loop {
            let batch = (last + 1..=last + 1 + last % 5).map(entry).collect();
            last = append(&store, fence, last, batch).await.unwrap();
            writeln!(out, "acknowledged {last}").unwrap();
            out.flush().unwrap();
            if last.is_multiple_of(7) {
                let snapshot = Snapshot { seq: Seq::from_u64(last), format: 1, bytes: last.to_string().into() };
                store.perform(Request::SaveSnapshot { fence, snapshot }).await.unwrap();
                writeln!(out, "snapshot {last}").unwrap();
                out.flush().unwrap();
            }
        }
    });
}

#[test]
fn a_killed_writer_loses_nothing_that_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let (mut log, mut in_flight) = (0, 0);
    for kill in 0..KILLS {
        // A few acknowledgements, then a stretch of time of its own length: kills fall between any two steps of a
        // write, some while the store is still being opened or created.
        let (lines, pause) = (kill % 6 * 3, Duration::from_micros(kill * 7_919 % 12_000));
        let (acknowledged, snapshot) = append_and_kill(&path, lines, pause);
        let (found, found_snapshot) = verify(&path);
        assert!(found >= acknowledged.max(log), "kill {kill}: {acknowledged} was acknowledged, {found} is there");
        assert!(found_snapshot >= snapshot, "kill {kill}: the snapshot at {snapshot} is lost");
        in_flight += u64::from(found > acknowledged.max(log));
        log = found;
    }
    println!("{KILLS} kills, {log} entries, {in_flight} times an append was durable and not yet acknowledged");
    assert!(log > 100);
}

#[test]
fn a_store_whose_creation_was_killed_can_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let mut stages = [0, 0];
    for kill in 0..30 {
        let path = folder.path().join(format!("{kill}.db"));
        let (acknowledged, _) = append_and_kill(&path, 0, Duration::from_micros(kill * 400));
        stages[usize::from(path.exists())] += 1;
        assert!(verify(&path).0 >= acknowledged);
    }
    println!("killed before the file was there, and after: {stages:?}");
}

#[test]
fn a_write_that_is_dropped_at_any_step_is_there_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    runtime().block_on(async {
        let store = open(&path).await;
        let fence = lease(&store).await;
        let (mut last, mut dropped) = (0, 0);
        for polls in (0..12).cycle().take(240) {
            let batch: Vec<_> = (last + 1..=last + 40).map(entry).collect();
            if drop_after(polls, append(&store, fence, last, batch)).await.is_none() {
                dropped += 1;
            }
            // A write of its own waits for the dropped one to be over.
            let reply = store.perform(Request::NewEpoch { fence, epoch: crate::EPOCH }).await;
            assert!(reply.is_ok(), "{reply:?}");
            let found = head(&store).await.last.as_u64();
            assert!(found == last || found == last + 40, "{found} after {last}");
            last = found;
        }
        assert!(dropped > 20, "{dropped}");
        store.close().await;
    });
    verify(&path);
}

/// Runs a writer, kills it some time after so many lines, and says what it had acknowledged by then.
fn append_and_kill(path: &Path, lines: u64, pause: Duration) -> (u64, u64) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["crash::appends_until_killed", "--exact", "--nocapture", "--test-threads=1"]);
    let mut child = command.env(STORE_VARIABLE, path).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut acknowledged, mut snapshot) = (0, 0);
    let mut hear = |line: &str| {
        // The test harness may put its own words before the first of ours.
        let number = |word: &str| line.rsplit_once(word).and_then(|(_, number)| number.parse::<u64>().ok());
        acknowledged = number("acknowledged ").unwrap_or(acknowledged);
        snapshot = number("snapshot ").unwrap_or(snapshot);
        number("acknowledged ").is_some()
    };
    let mut heard = 0;
    while heard < lines {
        heard += u64::from(hear(&said.next().unwrap().unwrap()));
    }
    let until = Instant::now() + pause;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it wrote to the pipe before it died was acknowledged too. A torn last line is one that nobody heard.
    for line in said {
        hear(&line.unwrap());
    }
    (acknowledged, snapshot)
}

/// Every entry under its number and as it was given, and the snapshot not ahead: the last number and the snapshot's.
fn verify(path: &Path) -> (u64, u64) {
    runtime().block_on(async {
        let store = open(path).await;
        let log = whole_log(&store).await;
        for (found, seq) in log.iter().zip(1..) {
            assert_eq!((found.seq.as_u64(), &found.content), (seq, &entry(seq)));
        }
        let head = head(&store).await;
        assert_eq!(head.last.as_u64(), log.len() as u64);
        let kept = store.perform(Request::LoadSnapshot).await.unwrap().into_snapshot().unwrap();
        let kept_seq = kept.as_ref().map_or(0, |kept| kept.seq.as_u64());
        assert!(kept.is_none_or(|kept| kept.bytes == kept_seq.to_string().as_bytes()));
        assert!(kept_seq <= head.last.as_u64());
        store.close().await;
        (head.last.as_u64(), kept_seq)
    })
}

/// Polls a future this often and then drops it.
async fn drop_after<F: Future>(polls: u32, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}
