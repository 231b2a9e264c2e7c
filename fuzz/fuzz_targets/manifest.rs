//! Manifests: what is accepted keeps its bounds, stays inside its slot, and is the same when written and read again.
#![no_main]

use std::collections::BTreeSet;
use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use tidegate_domain::digest::Digest;
use tidegate_domain::release::Manifest;
use tidegate_domain::time::Elapsed;
use tidegate_fuzz::{bounded, same_again, seed_json};

fuzz_target!(init: seeds(), |data: &[u8]| {
    let Ok(manifest) = bounded(data.len(), || Manifest::parse(data)) else { return };
    same_again(&manifest);
    let again = Manifest::parse(&serde_json::to_vec(&manifest).unwrap());
    assert_eq!(again.as_ref(), Ok(&manifest));
    assert!((1..=4_096).contains(&manifest.files.len()));
    assert!(manifest.downtime > Elapsed::ZERO && manifest.size_bytes() >= manifest.files[0].size);
    let mut paths = BTreeSet::new();
    for file in &manifest.files {
        let path = Path::new(file.path.as_str());
        assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{path:?} leaves its slot");
        assert!(paths.insert(file.path.as_str().to_ascii_lowercase()), "{path:?} stands twice");
    }
    for file in &manifest.files {
        let path = file.path.as_str().to_ascii_lowercase();
        let inside = format!("{path}/");
        assert!(!paths.iter().any(|other| other.starts_with(&inside)), "{path} is a file and a folder");
    }
});

fn seeds() {
    let sha256 = Digest::of(b"x");
    let files = json!([{"path": "bin/run.sh", "sha256": sha256, "size": 1, "executable": true}, {"path": "a", "sha256": sha256, "size": 9}]);
    let probes = json!([
        {"kind": "health_file", "path": "health.json", "fresh": "5s"}, {"kind": "exec", "command": ["true"], "timeout": "1s"},
        {"kind": "http", "port": 80, "path": "/", "status": 200, "contains": "ok", "timeout": "1s"}, {"kind": "tcp", "port": 1, "timeout": "1s"}
    ]);
    let activations = [
        json!({"kind": "supervise", "command": ["{slot}/bin/run.sh"]}),
        json!({"kind": "restart", "command": ["systemctl", "restart", "x"]}),
        json!({"kind": "signal", "signal": "hup"}),
        json!({"kind": "hook", "command": ["x"]}),
    ];
    for (n, activation) in activations.into_iter().enumerate() {
        seed_json(
            &n.to_string(),
            &json!({
                "package": "sensor-content", "version": "1.0.0", "files": files, "needs": {"api": 3}, "offers": {"api": 4},
                "activation": activation, "probes": probes, "downtime": "8s", "network": true, "contact_deadline": "10min",
                "ext": {"later": [1]}
            }),
        );
    }
}
