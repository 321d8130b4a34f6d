//! Rules of the house that a compiler does not check.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

fn crates() -> BTreeSet<String> {
    let folders = fs::read_dir(root().join("crates")).unwrap();
    let with_manifest = folders
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("Cargo.toml").exists());
    with_manifest.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// What each crate may use of ours. A new arrow needs an ADR.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("engine", &["model"]),
    ("blobs", &["model"]),
    ("spec", &["model"]),
    ("search", &[]),
    ("executor-protocol", &[]),
    ("codehost", &["model"]),
    ("fleet", &["model"]),
    ("api-swarming", &["model", "engine", "dispatcher", "blobs", "fleet"]),
    ("dispatcher", &["model", "engine", "blobs"]),
    ("store", &["model", "engine", "dispatcher", "campaign", "codehost", "spec", "fleet"]),
    ("campaign", &["model", "engine", "dispatcher", "blobs", "codehost", "spec", "search"]),
    (
        "api-executor",
        &["model", "engine", "dispatcher", "campaign", "codehost", "blobs", "executor-protocol"],
    ),
    (
        "api-graphql",
        &["model", "engine", "dispatcher", "campaign", "codehost", "blobs", "spec", "search"],
    ),
    ("api-rest", &["model", "engine", "dispatcher", "campaign", "codehost", "blobs", "spec"]),
    ("runner", &["model", "blobs", "spec", "executor-protocol"]),
    ("testkit", &["model", "engine"]),
    ("web", &[]),
];

#[test]
fn crates_use_only_what_they_may() {
    let all = crates();
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    for name in all.iter().filter(|name| *name != "phalanx") {
        let manifest =
            fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
        let normal = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let normal = normal.split("\n[").next().unwrap_or_default();
        let used = normal.lines().filter_map(|line| line.split(['.', ' ', '=']).next());
        let may =
            allowed.get(name.as_str()).unwrap_or_else(|| panic!("`{name}` has no row in ARROWS"));
        for used in used.filter(|used| all.contains(*used)) {
            assert!(may.contains(&used), "`{name}` may not use `{used}`");
        }
    }
}

fn sources(of: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("crates").join(of).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

#[test]
fn sql_is_only_in_store() {
    for name in crates().iter().filter(|name| *name != "store") {
        for (path, text) in sources(name) {
            for word in ["INSERT INTO", "SELECT count", "DELETE FROM", "rusqlite"] {
                assert!(!text.contains(word), "{} holds SQL", path.display());
            }
        }
    }
}

#[test]
fn the_engine_knows_no_world() {
    for (path, text) in sources("engine") {
        for word in ["std::time", "SystemTime", "Instant", "tokio", "std::fs", "std::net", "rand::"]
        {
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .any(|line| line.contains(word));
            assert!(!code, "{} uses {word}", path.display());
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    for name in crates() {
        for (path, text) in sources(&name) {
            assert!(text.starts_with("//!"), "{} does not open with `//!`", path.display());
        }
    }
}

#[test]
fn the_map_names_the_crates_that_exist() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for name in crates() {
        assert!(map.contains(&format!("`{name}`")), "ARCHITECTURE.md does not name `{name}`");
    }
}
