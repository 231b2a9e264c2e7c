//! How the server behaves as a process on a network: problems for everything, health, metrics, TLS, an orderly end.

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::json;
use ureq::http::Method;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::fleet::{Fleet, Running, http_agent, request};
use crate::played::twelve;

#[test]
fn unknown_routes_and_methods_get_problem_documents() {
    let running = Fleet::found().start();
    let agent = http_agent();
    for (method, path, status, kind) in [
        (Method::GET, "/nonsense", 404, "unknown_route"),
        (Method::GET, "/api/v1/nonsense", 404, "unknown_route"),
        (Method::GET, "/api/v1/status/more", 404, "unknown_route"),
        (Method::DELETE, "/api/v1/status", 405, "method"),
        (Method::GET, "/device/v1/check-in", 405, "method"),
        (Method::GET, "/device/v1/metadata/%FF", 400, "name_malformed"),
    ] {
        let reply = request(&agent, method.clone(), &format!("{}{path}", running.base), &[], b"").unwrap();
        assert_eq!((reply.status, reply.kind().as_str()), (status, kind), "{method} {path}");
        assert_eq!(reply.headers["content-type"], "application/problem+json");
        assert!(reply.headers.contains_key("x-request-id"));
    }
    let console = request(&agent, Method::GET, &running.base, &[], b"").unwrap();
    assert!(String::from_utf8(console.body).unwrap().contains("Sign in"), "the bare address leads to the console");
    running.stop();
}

#[test]
fn health_and_metrics_say_how_the_server_is() {
    let fleet = Fleet::found();
    let running = fleet.start();
    let agent = http_agent();
    let get = |path: &str| request(&agent, Method::GET, &format!("{}{path}", running.base), &[], b"").unwrap();
    assert_eq!((get("/healthz").status, get("/readyz").status), (200, 200));
    let mut device = twelve(&fleet, &running.base).remove(0);
    assert!(device.enrol());
    device.play().unwrap();
    let text = String::from_utf8(get("/metrics").body).unwrap();
    for line in [
        "tidegate_check_ins_total 1",
        "tidegate_enrolments_total 1",
        "tidegate_devices 1",
        "tidegate_ready 1",
        "tidegate_unproven 0",
        "tidegate_incidents_open 0",
        "tidegate_rollouts{phase=\"running\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
    }
    assert!(text.contains("tidegate_conduct_turns_total") && text.contains("tidegate_store_seq"));
    running.stop();
}

#[test]
fn an_artifact_comes_whole_or_in_the_range_asked_for() {
    let mut fleet = Fleet::found();
    let running = fleet.start();
    fleet.publish(&running.admin(), "1.0.0", "0123456789");
    let name = tidegate_domain::digest::Digest::of(b"0123456789").hex();
    let url = format!("{}/device/v1/artifacts/{name}", running.base);
    let get = |range: &str| request(&http_agent(), Method::GET, &url, &[("range", range)], b"").unwrap();
    assert_eq!(get("").body, b"0123456789");
    for (range, body, told) in [
        ("bytes=3-", "3456789", "bytes 3-9/10"),
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=8-100", "89", "bytes 8-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
    ] {
        let reply = get(range);
        assert_eq!((reply.status, reply.body.as_slice()), (206, body.as_bytes()), "{range}");
        assert_eq!(reply.headers["content-range"], told);
    }
    running.stop();
}

#[test]
fn a_check_in_is_answered_so_that_the_device_knows_who_answered() {
    let fleet = Fleet::found();
    let running = fleet.start();
    let mut device = twelve(&fleet, &running.base).remove(0);
    assert!(device.enrol());
    let nonce = "ab".repeat(32);
    let (bearer, body) = (format!("Bearer {}", device.bearer), device.presence().to_string());
    let headers =
        [("authorization", bearer.as_str()), ("tidegate-device", device.id.as_str()), ("tidegate-nonce", &nonce)];
    let url = format!("{}/device/v1/check-in", running.base);
    let reply = request(&http_agent(), Method::POST, &url, &headers, body.as_bytes()).unwrap();
    let key = tidegate_wire::authenticity::AnswerKey::of_token(&device.bearer);
    let mac = reply.headers["tidegate-answer"].to_str().unwrap();
    assert!(key.accepts(&nonce, &reply.body, mac));
    running.stop();
}

#[test]
fn a_server_with_a_certificate_speaks_tls_and_nothing_else() {
    let fleet = Fleet::found();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (chain, key) = (fleet.folder.path().join("chain.pem"), fleet.folder.path().join("key.pem"));
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let running = Running::start(tidegate_server::Settings { tls: Some((chain, key)), ..fleet.settings() });
    let address = running.base.strip_prefix("http://").unwrap().to_owned();
    let port = address.rsplit(':').next().unwrap();

    let roots = RootCerts::from(vec![Certificate::from_der(made.cert.der()).to_owned()]);
    let config = ureq::Agent::config_builder().tls_config(TlsConfig::builder().root_certs(roots).build());
    let agent = config.build().new_agent();
    let url = format!("https://localhost:{port}/api/v1/login");
    let code = running.server.as_ref().unwrap().login_code.clone();
    let reply = request(&agent, Method::POST, &url, &[], json!({"code": code}).to_string().as_bytes()).unwrap();
    assert_eq!(reply.status, 201);
    let mut plain = TcpStream::connect(&address).unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = std::io::Read::read_to_end(&mut plain, &mut answer);
    assert!(!answer.starts_with(b"HTTP"), "no answer in the clear");
    running.stop();
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let fleet = Fleet::found();
    let running = fleet.start();
    let second = running.runtime.block_on(tidegate_server::Server::start(fleet.settings()));
    assert!(second.err().unwrap().to_string().contains("another server uses it"));
    running.stop();
    fleet.start().stop();
}

#[test]
fn data_of_another_fleet_are_refused() {
    let fleet = Fleet::found();
    fleet.start().stop();
    let other = Fleet::found();
    let settings = tidegate_server::Settings { data: fleet.data(), ..other.settings() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let error = runtime.block_on(tidegate_server::Server::start(settings)).err().unwrap();
    assert!(error.to_string().contains("belong to fleet"), "{error}");
}
