//! The queries themselves. That they fit the schema is checked where the schema is.

use std::fs;
use std::path::{Path, PathBuf};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    all.filter(|path| path.is_file()).collect()
}

/// The server finds a query's cost by its selection; and who reads a log of queries finds the page by its name.
#[test]
fn every_query_has_a_name_and_is_used() {
    let mut sources = String::new();
    for file in files("src/pages") {
        sources.push_str(&fs::read_to_string(file).unwrap());
    }
    for folder in ["queries", "queries/do"] {
        for file in files(folder) {
            let text = fs::read_to_string(&file).unwrap();
            let head: Vec<&str> = text
                .split(|c: char| !c.is_alphanumeric())
                .filter(|word| !word.is_empty())
                .take(2)
                .collect();
            assert!(matches!(head[0], "query" | "mutation"), "{}", file.display());
            let name = file.file_stem().unwrap().to_str().unwrap();
            let used = sources.contains(&format!("/{name}.graphql"))
                || sources.contains(&format!("\"{name}\":"));
            assert!(used, "{} is used by no page", file.display());
        }
    }
}
