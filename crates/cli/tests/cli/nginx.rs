//! Real input: Debian's nginx as the payload of real devices, its configuration as the content, everything by the commands that a
//! person types. Never stands in for a part: server, agents, guards and nginx are processes of their own; all end with the test.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::Home;
use crate::pilot::{BROAD, Device, Kind, LAB, Pilot};
use crate::processes::{LIMIT, is_there, until, within};

const PACKAGE: &str = "site";
const OLD: &str = "the page from the factory";
const NEW: &str = "the new page";

/// Passes when this device's nginx serves the page of the slot that is current. Nothing beyond what every Debian has.
const PROBE: &str = "read -r address port < $TIDEGATE_RUN/../../../listen && exec 3<> /dev/tcp/$address/$port && \
     printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && grep -qxF -f $TIDEGATE_SLOT/html/index.html <&3";
/// Passes when nginx would start on what is current: one that is told to read it again and cannot goes on with what it read before.
const WOULD_START: &str = "exec nginx -t -q -p $TIDEGATE_RUN/../active/ -c $TIDEGATE_RUN/../../../nginx.conf";
/// What a publisher writes as the site's configuration.
const SITE: &str = "location / { root html; }\n";
/// The same with a word that nginx does not know: it refuses to start.
const BROKEN_SITE: &str = "loction / { root html; }\n";
/// nginx takes it, and serves no page.
const SICK_SITE: &str = "location / { return 503; }\n";
/// Every body that is sent stays behind as a file.
const LEAKY_SITE: &str = "location / { root html; }\n\
     location = /in { client_body_in_file_only on; proxy_pass http://$server_addr:$server_port/; }\n";
/// So many files are well.
const FILES_MAX: u32 = 5;
/// Says every 200 ms how many files bodies have left, and that it is there.
const COUNTER: &str = r#"use strict; use Socket; my ($folder, $parent) = @ARGV;
socket(my $socket, PF_UNIX, SOCK_DGRAM, 0) or die;
while (kill 0, $parent) {
    my @files = glob("$folder/*");
    send($socket, "READY=1\nX_TIDEGATE_NUMBER=body_files " . @files, 0, pack_sockaddr_un($ENV{NOTIFY_SOCKET}));
    select(undef, undef, undef, 0.2);
}
"#;

/// nginx's configuration is the content; `activation` and further probes say how it takes effect and is seen to be well.
fn site(activation: &str, probes: &str, set_up: fn(&Home, &Path, u8) -> Vec<String>) -> Kind {
    let probe = serde_json::to_string(&["bash", "-c", PROBE]).unwrap();
    let manifest = format!(
        "downtime = \"3s\"\nactivation = {activation}\n\
         [[probes]]\nkind = \"exec\"\ntimeout = \"2s\"\ncommand = {probe}\n{probes}"
    );
    Kind { package: PACKAGE, manifest, set_up }
}

fn files<'a>(site: &'a str, page: &'a str) -> [(&'static str, &'a str); 2] {
    [("site.conf", site), ("html/index.html", page)]
}

/// A device's own nginx.conf says where it listens and where its files go; the release brings the site.
fn set_up(home: &Home, data: &Path, number: u8) -> Vec<String> {
    let address = free_address(number);
    fs::write(data.join("listen"), format!("{} {}\n", address.ip(), address.port())).unwrap();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("  {what}_temp_path {}/tmp-{what};\n", data.display()))
        .concat();
    // The workers keep the user that the test runs as: the test's folder is closed to all others.
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let own = format!(
        "{user}worker_processes 1;\npid {data}/nginx.pid;\nevents {{}}\nhttp {{\n  access_log off;\n{temporary}  \
         server {{ listen {address}; include {data}/packages/{PACKAGE}/active/site.conf; }}\n}}\n",
        data = data.display()
    );
    let conf = home.write(&format!("devices/{}/nginx.conf", data.file_name().unwrap().to_str().unwrap()), &own);
    let conf = conf.to_str().unwrap();
    ["nginx", "-p", "{active}/", "-e", "stderr", "-c", conf, "-g", "daemon off;"].map(str::to_owned).to_vec()
}

/// The same behind a few lines of the device's own that count what nginx leaves behind.
fn set_up_with_a_counter(home: &Home, data: &Path, number: u8) -> Vec<String> {
    let nginx = set_up(home, data, number).iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let counter = data.join("counter.pl");
    fs::write(&counter, COUNTER).unwrap();
    let bodies = data.join("tmp-client_body");
    // A start begins anew: what the run before left is gone.
    let script = format!("rm -rf {0}/*\nperl {1} {0} $$ &\nexec {nginx}\n", bodies.display(), counter.display());
    let start = data.join("start");
    fs::write(&start, script.replace("{active}", &format!("{}/packages/{PACKAGE}/active", data.display()))).unwrap();
    vec!["sh".to_owned(), start.display().to_string()]
}

/// Where a device's nginx listens.
fn address(device: &Device) -> SocketAddr {
    fs::read_to_string(device.data.join("listen")).unwrap().trim().replace(' ', ":").parse().unwrap()
}

/// Waits until this device's nginx serves the page.
fn serves(device: &Device, page: &str) {
    let mut last = String::new();
    let served = within(LIMIT, || {
        last = get(address(device)).unwrap_or_else(|error| error.to_string());
        last.ends_with(&format!("\r\n\r\n{page}\n")).then_some(())
    });
    assert!(served.is_some(), "{} serves {last:?}, not {page:?}: {}", device.name, device.log());
}

/// The id of nginx's first process, the same while nginx was not started anew; none while it is being written.
fn nginx(device: &Device) -> Option<i32> {
    fs::read_to_string(device.data.join("nginx.pid")).ok()?.trim().parse().ok()
}

/// An address of the device's own. Outgoing connections come from 127.0.0.1, so that none can take the port between two starts.
pub(crate) fn free_address(number: u8) -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    // Tests of one process run side by side: the port makes them differ.
    let listener = TcpListener::bind((Ipv4Addr::new(127, 64 + number, high, low.clamp(1, 254)), 0)).unwrap();
    listener.local_addr().unwrap()
}

fn get(address: SocketAddr) -> std::io::Result<String> {
    ask(address, b"GET / HTTP/1.0\r\n\r\n")
}

fn ask(address: SocketAddr, request: &[u8]) -> std::io::Result<String> {
    let timeout = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.write_all(request)?;
    let mut answer = String::new();
    stream.take(64 * 1024).read_to_string(&mut answer)?;
    Ok(answer)
}

fn page(text: &str) -> String {
    format!("{text}\n")
}

#[test]
fn a_site_that_nginx_refuses_halts_and_every_device_serves_the_page_from_before() {
    if !is_there("nginx", "nginx-light") {
        return;
    }
    let kind = site("{ kind = \"supervise\" }", "", set_up);
    let mut pilot = Pilot::start(kind, &files(SITE, &page(OLD)));
    pilot.devices.iter().for_each(|device| serves(device, OLD));
    let (good, over) = pilot.roll_out("1.1.0", &files(SITE, &page(NEW)));
    pilot.assert_completed(&over, &good);
    pilot.devices.iter().for_each(|device| serves(device, NEW));
    let before: Vec<_> = pilot.of(&BROAD).map(nginx).collect();

    let (bad, over) = pilot.roll_out("1.2.0", &files(BROKEN_SITE, &page("a page that nobody may see")));
    assert_eq!(over["first_window"], 2, "{over}");
    pilot.assert_halted_and_restored(&over, &good);
    for device in &pilot.devices {
        serves(device, NEW);
        assert_eq!(device.has_slot(&bad), LAB.contains(&device.name), "{}", device.name);
        assert_eq!(device.log().contains("unknown directive \"loction\""), LAB.contains(&device.name));
    }
    let after: Vec<_> = pilot.of(&BROAD).map(nginx).collect();
    assert_eq!(before, after, "the nginx of a device that was never opened was not touched");

    let told = fs::read_to_string(pilot.home.path("server.log")).unwrap();
    for line in [
        "a release was published",
        "a rollout started",
        "a ring passed",
        "the rollout is complete",
        "the rollout halted",
    ] {
        assert!(told.contains(line), "the server's log tells that {line}: {told}");
    }

    nginx_dies_alone(pilot.of(&BROAD).next().unwrap());
    let number = pilot.devices.iter().position(|device| device.name == BROAD[1]).unwrap();
    let (home, device) = (&pilot.home, &mut pilot.devices[number]);
    the_agent_dies_alone(home, device);
    assert_eq!(pilot.shown(BROAD[1])["current"], *good, "the release is not left");
}

#[test]
fn a_site_is_read_again_by_a_signal_and_one_that_nginx_takes_but_does_not_serve_goes_back() {
    if !is_there("nginx", "nginx-light") {
        return;
    }
    let would_start = serde_json::to_string(&["bash", "-c", WOULD_START]).unwrap();
    let probes = format!("[[probes]]\nkind = \"exec\"\ntimeout = \"2s\"\ncommand = {would_start}\n");
    let kind = site("{ kind = \"signal\", signal = \"hup\" }", &probes, set_up);
    let pilot = Pilot::start(kind, &files(SITE, &page(OLD)));
    pilot.devices.iter().for_each(|device| serves(device, OLD));
    let processes = |pilot: &Pilot| pilot.devices.iter().map(nginx).collect::<Vec<_>>();
    let before = processes(&pilot);
    let (good, over) = pilot.roll_out("1.1.0", &files(SITE, &page(NEW)));
    pilot.assert_completed(&over, &good);
    pilot.devices.iter().for_each(|device| serves(device, NEW));
    assert_eq!(processes(&pilot), before, "every nginx read its site again and none was started anew");

    let (_, over) = pilot.roll_out("1.2.0", &files(SICK_SITE, &page("a page that nobody is served")));
    pilot.assert_halted_and_restored(&over, &good);
    pilot.devices.iter().for_each(|device| serves(device, NEW));

    // nginx refuses it and goes on with what it had read before: that it would not start again is what shows it.
    let (_, over) = pilot.roll_out("1.3.0", &files(BROKEN_SITE, &page(NEW)));
    pilot.assert_halted_and_restored(&over, &good);
    pilot.devices.iter().for_each(|device| serves(device, NEW));
    assert_eq!(processes(&pilot), before, "and every one of them still runs");
}

#[test]
fn a_site_that_leaks_goes_back_when_a_number_that_its_device_says_leaves_its_bound() {
    if !is_there("nginx", "nginx-light") {
        return;
    }
    let probes =
        format!("[[probes]]\nkind = \"number\"\nname = \"body_files\"\nat_most = {FILES_MAX}\nfresh = \"5s\"\n");
    let kind = site("{ kind = \"supervise\" }", &probes, set_up_with_a_counter);
    let pilot = Pilot::start(kind, &files(SITE, &page(OLD)));
    // What its users do all the time.
    let used = |pilot: &Pilot| {
        for device in &pilot.devices {
            let _ = ask(address(device), b"POST /in HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody");
        }
    };
    let (good, rollout) = pilot.order("1.1.0", &files(SITE, &page(NEW)));
    let over = pilot.over(&rollout, || used(&pilot));
    pilot.assert_completed(&over, &good);
    let (_, rollout) = pilot.order("1.2.0", &files(LEAKY_SITE, &page("a page that leaks")));
    let over = pilot.over(&rollout, || used(&pilot));
    pilot.assert_halted_and_restored(&over, &good);
    let shown = pilot.home.text(&["incident", "show", &format!("inc-{}", over["rollout"].as_str().unwrap())]);
    assert!(shown.contains("number body_files is"), "{shown}");
    pilot.devices.iter().for_each(|device| serves(device, NEW));
}

/// nginx's first process dies alone; its workers live on and hold the port, so that nothing can be started beside them.
fn nginx_dies_alone(device: &Device) {
    let died = nginx(device).unwrap();
    kill_process(Pid::from_raw(died).unwrap(), Signal::KILL).unwrap();
    let again = within(LIMIT, || nginx(device).filter(|pid| *pid != died));
    assert!(again.is_some(), "nginx was not started anew: {}", device.log());
    serves(device, NEW);
}

/// The agent is killed by force, and by that nginx's first process; its workers live on and hold the port. Proven is proven: the next
/// start is one attempt, forgotten once all was well for `prove.for`, and not the first of three that nginx spends on a taken port.
fn the_agent_dies_alone(home: &Home, device: &mut Device) {
    let (died, starts) = (nginx(device).unwrap(), device.attempts()["starts"].as_u64().unwrap());
    device.agent.kill().unwrap();
    device.agent.wait().unwrap();
    let worker = get(address(device)).unwrap();
    assert!(worker.contains(NEW), "a worker that outlived its agent still serves: {worker}");
    device.agent = Device::agent(home, device.name);
    let again = within(LIMIT, || nginx(device).filter(|pid| *pid != died));
    assert!(again.is_some(), "nginx was not started anew: {}", device.log());
    serves(device, NEW);
    let attempts = until("attempts that are forgotten", || {
        Some(device.attempts()).filter(|attempts| attempts["count"] == 0 && attempts["starts"] != starts)
    });
    assert_eq!(attempts["starts"], starts + 1, "{}", device.log());
    assert_eq!(attempts["returned"], Value::Null, "{}", device.log());
    serves(device, NEW);
}
