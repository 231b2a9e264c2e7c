//! Processes that a test starts and ends: the command, and what is asked again and again until it is so.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Home;

/// Where Debian puts programs; nginx is in sbin.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long anything that is waited for may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(25);

/// Asks a child to end, waits a bounded time, then ends it.
pub(crate) fn end(child: &mut Child) {
    if let (Ok(None), Some(pid)) = (child.try_wait(), i32::try_from(child.id()).ok().and_then(Pid::from_raw)) {
        let _ = kill_process(pid, Signal::TERM);
    }
    let _ = within(Duration::from_secs(10), || child.try_wait().ok().flatten());
    let _ = child.kill();
    let _ = child.wait();
}

/// Asks again and again until there is an answer or the time is over.
pub(crate) fn within<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        let answer = ask();
        if answer.is_some() || start.elapsed() > limit {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(crate) fn until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    within(LIMIT, ask).unwrap_or_else(|| panic!("{what}: not within {} s", LIMIT.as_secs()))
}

/// Starts the command in a home, with nothing in its environment but where programs are and what is given.
pub(crate) fn start_with(home: &Home, args: &[&str], log: &Path, environment: &[(&str, &str)]) -> Child {
    let log = File::create(log).unwrap();
    Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(args)
        .env_clear()
        .env("PATH", PATH)
        .envs(environment.iter().copied())
        .current_dir(home.path(""))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

pub(crate) fn start(home: &Home, args: &[&str], log: &Path) -> Child {
    start_with(home, args, log, &[])
}

/// A program that the lane `python-tools` put in its place. Says what is skipped where it is not there.
pub(crate) fn python_tool(name: &str) -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?.join("python/bin").join(name);
    if !program.is_file() {
        println!("skipped: {name} is not there; `cargo xtask test --lane python-tools` puts it in its place");
        return None;
    }
    Some(program)
}

/// Whether Debian has put a program where programs are. Says what is skipped where it has not.
pub(crate) fn is_there(program: &str, package: &str) -> bool {
    let there = PATH.split(':').any(|folder| Path::new(folder).join(program).exists());
    if !there {
        println!("skipped: {program} is missing; apt-get install --no-install-recommends {package}");
    }
    there
}
