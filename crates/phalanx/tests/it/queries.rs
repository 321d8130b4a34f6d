//! Every GraphQL operation of ours is one of the schema: the web UI's and the command line's.

use std::fs;
use std::path::{Path, PathBuf};

fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
}

#[test]
fn the_pages_and_the_commands_ask_what_there_is() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut operations: Vec<(PathBuf, String)> = Vec::new();
    let (mut pages, mut commands) = (Vec::new(), Vec::new());
    files(&here.join("../web/queries"), "graphql", &mut pages);
    for path in pages {
        let text = fs::read_to_string(&path).unwrap();
        operations.push((path, text));
    }
    let of_pages = operations.len();
    files(&here.join("src/cli"), "rs", &mut commands);
    for path in commands {
        let source = fs::read_to_string(&path).unwrap();
        // Constants that hold an operation: `const LIST: &str = "…";`.
        for part in source.split(": &str =").skip(1) {
            let Some(text) = part.trim_start().strip_prefix('"') else { continue };
            let Some(end) = text.find("\";") else { continue };
            let text = &text[..end];
            if text.starts_with("query") || text.starts_with("mutation") || text.starts_with('{') {
                operations.push((path.clone(), text.to_owned()));
            }
        }
    }
    assert!(of_pages > 20 && operations.len() > of_pages + 20, "{of_pages}, {}", operations.len());
    for (path, text) in operations {
        if let Err(errors) = api_graphql::check(&text) {
            panic!("{}: {errors:?}\n{text}", path.display());
        }
    }
}
