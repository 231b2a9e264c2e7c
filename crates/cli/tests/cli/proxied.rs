//! A server behind Debian's nginx, which speaks TLS for it with a certificate of a private authority, and devices that reach it through
//! Debian's tinyproxy. Real processes throughout; they end with the test.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde_json::Value;

use crate::processes::{PATH, end, is_there, start, start_with, until};
use crate::{Home, text};

/// The name that only the proxy knows: a device that does not ask through it never gets there.
const NAME: &str = "gate.example";

/// Ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A private authority, and a certificate of it for the server's names.
fn certificates(home: &Home) -> PathBuf {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority_key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = Issuer::from_params(&params, &authority_key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![NAME.to_owned(), "localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    home.write("tls.pem", &certificate.pem());
    home.write("tls.key", &key.serialize_pem());
    home.write("ca.pem", &authority.pem())
}

/// nginx as docs/operate/install.md sets it up, from that page.
fn nginx(home: &Home, port: u16, upstream: &str) -> Process {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operate/install.md")).unwrap();
    let block = page.split("```nginx\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = home.path("").display().to_string();
    let server = block
        .replace("443", &format!("127.0.0.1:{port}"))
        .replace("/etc/tidegate/", &folder)
        .replace("http://127.0.0.1:7440", upstream);
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("  {what}_temp_path {folder}tmp-{what};\n"))
        .concat();
    let conf = format!(
        "pid {folder}nginx.pid;\nevents {{}}\nhttp {{\n  access_log {folder}access.log;\n{temporary}{server}\n}}\n"
    );
    let conf = home.write("nginx.conf", &conf);
    let words = ["-p", &folder, "-e", "stderr", "-c", conf.to_str().unwrap(), "-g", "daemon off;"];
    let log = fs::File::create(home.path("nginx.log")).unwrap();
    let mut command = Command::new("nginx");
    command.args(words).env("PATH", PATH).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    Process(command.spawn().unwrap())
}

/// A proxy in a mount namespace of its own, in which the server's name leads to this machine. None where that cannot be.
fn proxy(home: &Home, port: u16) -> Option<Process> {
    home.write("hosts", &format!("127.0.0.1 localhost {NAME}\n"));
    let log = home.path("proxy.log");
    let conf = format!(
        "Port {port}\nListen 127.0.0.1\nTimeout 60\nAllow 127.0.0.1\nLogFile \"{}\"\nLogLevel Connect\n",
        log.display()
    );
    home.write("proxy.conf", &conf);
    let script = "mount --bind hosts /etc/hosts && exec tinyproxy -d -c proxy.conf";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).current_dir(home.path("")).env("PATH", PATH).stdin(Stdio::null());
    let mut proxy = Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let listens = || std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(true);
    let ended = || None.or_else(listens);
    let up = crate::processes::within(std::time::Duration::from_secs(10), ended).is_some();
    if !up || proxy.0.try_wait().unwrap().is_some() {
        println!("skipped: a mount namespace for the proxy needs root");
        return None;
    }
    Some(proxy)
}

fn enrolled(home: &Home, device: &str) -> Option<()> {
    let devices = home.json(&["fleet", "list"]);
    let devices = devices.as_array().or_else(|| devices["devices"].as_array()).unwrap().clone();
    devices.iter().any(|found| found["device"] == device).then_some(())
}

#[test]
fn people_and_devices_reach_a_server_behind_a_proxy_that_speaks_tls_and_through_one_on_the_way_out() {
    if !is_there("nginx", "nginx-light") || !is_there("tinyproxy", "tinyproxy") {
        return;
    }
    let home = Home::new().with("TIDEGATE_KEY_DIR", "fleet/offline").with("TIDEGATE_CA_FILE", "ca.pem");
    let fleet = home.init(&[]);
    let ca = certificates(&home);
    let (tls_port, proxy_port) = (free_port(), free_port());
    let public = format!("https://{NAME}:{tls_port}");
    let up = ["up", "--data", "data", "--fleet", "fleet/server", "--listen", "127.0.0.1:0", "--check-in", "500ms"];
    let more = ["--announce", "server.json", "--public-url", &public];
    let _server = Process(start(&home, &[&up[..], &more[..]].concat(), &home.path("server.log")));
    let announced: Value =
        until("the server", || serde_json::from_slice(&fs::read(home.path("server.json")).ok()?).ok());
    assert_eq!(announced["url"], public.as_str(), "what people are told is where they get to it");
    let _nginx = nginx(&home, tls_port, announced["address"].as_str().unwrap());
    until("nginx", || std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, tls_port)).ok());
    let Some(_proxy) = proxy(&home, proxy_port) else { return };
    let proxy_url = format!("http://127.0.0.1:{proxy_port}");

    // A person, through both.
    let person = |home: Home| home.with("HTTPS_PROXY", &proxy_url);
    let home = person(home);
    let code = announced["login_code"].as_str().unwrap();
    home.json(&["login", &public, "--code", code, "--fleet-digest", &fleet]);
    let token =
        ["device", "token", "create", "--key", "enrolment", "--devices", "4", "--endpoint", &public, "--out", "token"];
    home.json(&token);

    // A device that its environment leads through the proxy, set up as people do.
    let install = |name: &str, more: &[&str], environment: &[(&str, &str)]| {
        let data = home.path(&format!("devices/{name}"));
        let etc = home.path(&format!("etc/{name}"));
        let words =
            ["agent", "install", "--data", data.to_str().unwrap(), "--etc", etc.to_str().unwrap(), "--no-start"];
        let own = ["--token", "token", "--ca", ca.to_str().unwrap(), "--device", name, "--package", "site"];
        let log = home.path(&format!("{name}.install"));
        let mut installed = start_with(&home, &[&words[..], &own, more].concat(), &log, environment);
        let status = installed.wait().unwrap();
        assert!(status.success(), "{}", text(&fs::read(log).unwrap()));
        let config = etc.join("agent.toml");
        let run = ["agent", "--config", config.to_str().unwrap()];
        Process(start_with(&home, &run, &home.path(&format!("{name}.log")), environment))
    };
    let _first = install("by-environment", &[], &[("HTTPS_PROXY", &proxy_url)]);
    until("the first device", || enrolled(&home, "by-environment"));
    // One whose settings do, and whose environment would lead it nowhere.
    let nowhere = [("HTTPS_PROXY", "http://127.0.0.1:1")];
    let _second = install("by-settings", &["--proxy", &proxy_url], &nowhere);
    until("the second device", || enrolled(&home, "by-settings"));
    // One that is told to ask directly finds nobody of that name; on loopback it needs no telling.
    let _third = install("not-through", &["--no-proxy", NAME], &[("HTTPS_PROXY", &proxy_url)]);
    let log = || text(&fs::read(home.path("not-through.log")).unwrap());
    until("the third device's error", || log().contains("cannot enrol yet").then_some(()));
    let local = format!("https://localhost:{tls_port}");
    let _fourth = install("on-loopback", &["--endpoint", &local], &nowhere);
    until("the fourth device", || enrolled(&home, "on-loopback"));
    assert_eq!(enrolled(&home, "not-through"), None);

    let passed = text(&fs::read(home.path("proxy.log")).unwrap());
    assert!(passed.contains(&format!("CONNECT {NAME}:{tls_port}")), "{passed}");
    let shown = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["agent", "status", "--json", "--data", home.path("devices/by-settings").to_str().unwrap()])
        .output()
        .unwrap();
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(
        (&shown["device"], &shown["enrolled"], &shown["running"]),
        (&"by-settings".into(), &true.into(), &true.into())
    );
}
