//! schemathesis asks everything that the OpenAPI document describes, in ways that it allows and in ways that it forbids, of a real server with
//! devices: nothing makes the server fail.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::pilot::{Kind, Pilot};
use crate::processes::python_tool;
use crate::{Home, text};

const MANIFEST: &str = "downtime = \"3s\"\nactivation = { kind = \"supervise\" }\n";

fn set_up(_: &Home, _: &Path, _: u8) -> Vec<String> {
    ["sleep", "600"].map(str::to_owned).to_vec()
}

#[test]
fn no_request_makes_the_server_fail_whether_the_document_allows_it_or_not() {
    let Some(program) = python_tool("schemathesis") else { return };
    let pilot = Pilot::start(Kind { package: "gatehouse", manifest: MANIFEST.to_owned(), set_up }, &[("well", "1\n")]);
    pilot.roll_out("1.1.0", &[("well", "2\n")]);
    let token =
        pilot.home.json(&["operator", "add", "prober", "--role", "admin"])["token"].as_str().unwrap().to_owned();
    let link = pilot.home.json(&["console"])["url"].as_str().unwrap().to_owned();
    let base = link.split("/console/").next().unwrap().to_owned();
    let run = Command::new("timeout")
        .args(["240", program.to_str().unwrap(), "run", &format!("{base}/api/v1/openapi.json")])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--checks", "not_a_server_error", "--phases", "examples,coverage,fuzzing"])
        // Of two workers Python 3.11 loses count of how deep its syntax trees are, now and then.
        .args(["--max-examples", "12", "--workers", "1", "--seed", "7", "--warnings", "off", "--no-color"])
        .env("HOME", pilot.home.path(""))
        .env("NO_PROXY", "127.0.0.1")
        .current_dir(pilot.home.path(""))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = text(&run.stdout);
    assert!(run.status.success(), "{said}\n{}\n{}", text(&run.stderr), pilot.logs());
    println!("{}", said.lines().rev().take(12).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n"));
    // It may have removed every operator, itself included; the server is there all the same.
    let ready = ureq::get(format!("{base}/readyz")).call().unwrap();
    assert_eq!(ready.status(), 200, "{}", pilot.logs());
}
