//! The schema as it is committed.

use std::path::PathBuf;

fn committed() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../api/schema.graphql")
}

#[test]
fn the_schema_is_committed() {
    let path = committed();
    let schema = api_graphql::sdl();
    if std::env::var_os("PHALANX_UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &schema).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        known == schema,
        "api/schema.graphql is not the schema; run PHALANX_UPDATE_SCHEMA=1 cargo test -p api-graphql and look at the difference"
    );
}
