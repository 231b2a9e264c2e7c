//! The server as a process of its own, for drills that end it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tidegate_domain::time::Elapsed;
use tidegate_server::{Server, Settings};

use crate::fleet::Fleet;

const FOLDER_VARIABLE: &str = "TIDEGATE_TEST_SERVE";

/// Not a test of its own: the process that other tests start and kill. Without the variable it does nothing.
#[test]
fn serves_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER_VARIABLE) else { return };
    let folder = std::path::PathBuf::from(folder);
    let any = "127.0.0.1:0".parse().unwrap();
    let settings = Settings {
        idle_check_in: Elapsed::from_ms(200),
        step_every: Elapsed::from_ms(50),
        request_timeout: Elapsed::from_ms(1_500),
        ..Settings::new(folder.join("data"), folder.join("keys"), any)
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = runtime.block_on(Server::start(settings)).unwrap();
    println!("serving {} {}", server.address, server.login_code);
    loop {
        std::thread::park();
    }
}

/// A server process. Killed when dropped.
pub(crate) struct Process {
    child: Child,
    /// What it still says; closed when it has ended.
    said: mpsc::Receiver<String>,
    /// Where it listens; none where it ended before it could say so.
    pub(crate) base: Option<String>,
    pub(crate) login_code: String,
}

impl Process {
    /// Starts one and waits until it serves, or has ended. `drill` is a variable and its value.
    pub(crate) fn start(fleet: &Fleet, drill: Option<(&str, &str)>) -> Process {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child::serves_until_killed", "--nocapture", "--test-threads=1"]);
        command.env(FOLDER_VARIABLE, fleet.folder.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        if let Some((variable, value)) = drill {
            command.env(variable, value);
        }
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (say, said) = mpsc::channel();
        // Reads to the end, which comes when the process does; then the channel closes.
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| say.send(line)));
        let line = said.iter().find_map(|line| {
            let (_, said) = line.split_once("serving ")?;
            let (address, code) = said.split_once(' ')?;
            Some((format!("http://{address}"), code.to_owned()))
        });
        let (base, login_code) = line.map_or((None, String::new()), |(base, code)| (Some(base), code));
        Process { child, said, base, login_code }
    }

    /// Whether it has ended.
    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Whether it ends by itself within this time.
    pub(crate) fn ends_within(&mut self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        loop {
            match self.said.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Timeout) => return false,
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    self.child.wait().unwrap();
                    return true;
                }
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
