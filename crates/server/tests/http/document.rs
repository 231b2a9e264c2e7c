//! The OpenAPI document that is committed is the one that the code makes.

use std::path::Path;

use crate::fleet::{Api, Fleet};

#[test]
fn the_committed_openapi_document_is_the_one_that_the_code_makes() {
    let running = Fleet::found().start();
    let document = Api::nobody(&running.base).get("/openapi.json");
    assert_eq!(document["openapi"].as_str().map(|version| version.starts_with("3.1")), Some(true));
    let mut made = serde_json::to_string_pretty(&document).unwrap();
    made.push('\n');
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/api/openapi.json");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "docs/api/openapi.json is not what the code makes: run this test with UPDATE_DOCS=1");
    running.stop();
}
