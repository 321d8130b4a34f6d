//! Searches over real repositories.

use std::path::Path;
use std::process::Command;

use codehost::git::Source;

use super::*;

fn shell(directory: &Path, script: &str) {
    let done = Command::new("sh")
        .args(["-ec", script])
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .status()
        .unwrap();
    assert!(done.success(), "{script}");
}

const COMMIT: &str = "git add -A && git -c user.name=t -c user.email=t@t commit -qm x";

async fn ground(names: &[&str]) -> (tempfile::TempDir, Searcher) {
    let folder = tempfile::tempdir().unwrap();
    let all = Repositories::open(&folder.path().join("all")).unwrap();
    for name in names {
        let origin = folder.path().join("origin").join(name);
        std::fs::create_dir_all(&origin).unwrap();
        shell(&origin, "git init -q -b main .");
        shell(&origin, &format!("echo needle-{name} > file && echo x > README.md && {COMMIT}"));
        shell(&origin, &format!("git checkout -qb other && echo found > extra && {COMMIT}"));
        shell(&origin, "git checkout -q main");
        all.add(name, Source::Path(origin)).await.unwrap();
    }
    (folder, Searcher::new(Arc::new(all)))
}

async fn run(searcher: &Arc<Searcher>, query: &str) -> (Vec<String>, Ended) {
    let prepared = Prepared::new(query, PatternType::Keyword).unwrap();
    let searcher = searcher.clone();
    let search = move || {
        let mut hits = Vec::new();
        let ended = searcher.run(&prepared, None, |hit| {
            let files = hit.found.files.iter();
            let files: Vec<String> =
                files.map(|file| format!("{}@{}", file.path, file.revision)).collect();
            hits.push(format!("{} {}", hit.repository.name, files.join(",")).trim().to_owned());
            ControlFlow::Continue(())
        });
        (hits, ended)
    };
    tokio::task::spawn_blocking(search).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_find_repositories_files_and_revisions() {
    let (_folder, searcher) = ground(&["c", "a", "b"]).await;
    let searcher = Arc::new(searcher);
    assert_eq!(run(&searcher, "repo:.").await.0, ["a", "b", "c"]);
    assert_eq!(run(&searcher, "needle-b").await.0, ["b file@HEAD"]);
    assert_eq!(run(&searcher, "file:^file$ count:2").await.0, ["a file@HEAD", "b file@HEAD"]);
    assert_eq!(run(&searcher, "repo:a@other found").await.0, ["a extra@other"]);
    let globbed = run(&searcher, "repo:a@*heads/* file:extra").await.0;
    assert_eq!(globbed, ["a extra@other"]);
    assert_eq!(run(&searcher, "repohasfile:extra").await.0, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_query_again_reads_only_what_changed() {
    let (folder, searcher) = ground(&["a", "b", "c"]).await;
    let searcher = Arc::new(searcher);
    let (first, ended) = run(&searcher, "needle").await;
    assert_eq!((first.len(), ended.evaluated), (3, 3));
    assert_eq!(run(&searcher, "needle").await.1.evaluated, 0);
    let origin = folder.path().join("origin/b");
    shell(&origin, &format!("echo none > file && {COMMIT}"));
    let (hits, ended) = run(&searcher, "needle").await;
    assert_eq!((hits, ended.evaluated), (vec!["a file@HEAD".into(), "c file@HEAD".into()], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_repository_is_named_and_the_others_are_found() {
    let (folder, searcher) = ground(&["a", "b"]).await;
    let searcher = Arc::new(searcher);
    std::fs::remove_dir_all(folder.path().join("origin/a/.git/objects")).unwrap();
    let (hits, ended) = run(&searcher, "needle").await;
    assert_eq!(hits, ["b file@HEAD"]);
    assert_eq!(ended.not_searched.len(), 1);
    assert_eq!(ended.not_searched[0].0, "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_enough_stops_and_a_deadline_is_said() {
    let (_folder, searcher) = ground(&["a", "b", "c"]).await;
    let prepared = Prepared::new("needle", PatternType::Keyword).unwrap();
    let search = move || {
        let mut told = 0;
        let ended = searcher.run(&prepared, None, |_| {
            told += 1;
            ControlFlow::Break(())
        });
        let late = searcher.run(&prepared, Some(Instant::now()), |_| ControlFlow::Continue(()));
        (told, ended, late)
    };
    let (told, ended, late) = tokio::task::spawn_blocking(search).await.unwrap();
    assert_eq!((told, ended.stopped, ended.timed_out), (1, true, false));
    assert!(late.timed_out);
}
