//! From a definition to the workspaces that it runs in.

use std::collections::BTreeSet;

use campaign::execution::Plan;
use codehost::git::Source;

use crate::ground::*;

async fn plan(ground: &Ground, text: &str) -> Result<Plan, String> {
    ground.service.preview_scope("act", text).await.map_err(|error| error.to_string())
}

fn names(plan: &Plan) -> Vec<String> {
    let jobs = plan.workspaces.iter().map(|workspace| &workspace.job);
    jobs.map(|job| format!("{}@{}:{}", job.repository, job.branch, job.path)).collect()
}

const STEP: &str = "steps:\n  - {run: 'true', container: alpine}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_of_many_repositories_is_whole_without_a_count() {
    let ground = Ground::new().await;
    let origin = ground.repository("r0000", &[("a", "needle")]).await;
    let all = ground.service.searcher.repositories().clone();
    let adding = (1..1500).map(|n| {
        let (all, origin) = (all.clone(), origin.clone());
        async move { all.add(&format!("r{n:04}"), Source::Path(origin)).await.unwrap() }
    });
    futures::future::join_all(adding).await;
    let found = plan(&ground, &spec("needle", "")).await.unwrap();
    let found: BTreeSet<String> = names(&found).into_iter().collect();
    assert_eq!(found.len(), 1500);
    let action =
        r#"{"scopeQuery": "repo:^r0 needle", "steps": [{"type": "command", "args": ["true"]}]}"#;
    assert_eq!(plan(&ground, action).await.unwrap().workspaces.len(), 1000);
    // Who says a count gets it.
    assert_eq!(plan(&ground, &spec("repo:^r0 count:7", "")).await.unwrap().workspaces.len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batchignore_keeps_a_repository_out() {
    let ground = Ground::new().await;
    ground.repository("a", &[("f", "x")]).await;
    ground.repository("b", &[("f", "x"), (".batchignore", "")]).await;
    let found = plan(&ground, &spec("file:^f$", "")).await.unwrap();
    assert_eq!(names(&found), ["a@main:"]);
    assert_eq!(found.skipped.len(), 1);
    assert!(found.skipped[0].to_string().contains("`b` is left out: it has a `.batchignore`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_named_stands_before_what_is_found() {
    let ground = Ground::new().await;
    let path = ground.repository("a", &[("f", "x")]).await;
    ground.repository("b", &[("f", "x")]).await;
    shell(&path, "git checkout -qb next");
    change(&path, &[("g", "y")]);
    shell(&path, "git checkout -q main && git tag v1");
    let on = |on: &str| format!("version: 2\nname: n\non:\n{on}{STEP}{TEMPLATE}");
    let both = on("  - repositoriesMatchingQuery: file:f\n  - repository: a\n    branch: next\n");
    assert_eq!(names(&plan(&ground, &both).await.unwrap()), ["a@next:", "b@main:"]);
    let branches = on("  - repository: a\n    branches: [main, next, v1]\n");
    assert_eq!(names(&plan(&ground, &branches).await.unwrap()), ["a@main:", "a@next:", "a@v1:"]);
    let revision = on("  - repositoriesMatchingQuery: repo:^a$@next file:g\n");
    let found = plan(&ground, &revision).await.unwrap();
    assert_eq!(names(&found), ["a@next:"]);
    assert_eq!(found.workspaces[0].job.search_result_paths, ["g"]);
    let error = plan(&ground, &on("  - repository: zzz\n")).await.unwrap_err();
    assert!(error.contains("no repository `zzz`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn workspaces_take_their_own_files_only() {
    let ground = Ground::new().await;
    let files = [
        ("a/b/package.json", "{}"),
        ("a/b/x.js", "needle"),
        ("a/bc/package.json", "{}"),
        ("a/bc/y.js", "needle"),
        ("other/z.js", "needle"),
    ];
    ground.repository("mono", &files).await;
    ground.repository("none", &[("n.js", "needle")]).await;
    let rules = "workspaces:\n  - {rootAtLocationOf: package.json, in: '*'}\n";
    let found = plan(&ground, &spec("needle", rules)).await.unwrap();
    assert_eq!(names(&found), ["mono@main:a/b", "mono@main:a/bc"]);
    let paths = |n: usize| found.workspaces[n].job.search_result_paths.clone();
    assert_eq!((paths(0), paths(1)), (vec!["a/b/x.js".to_owned()], vec!["a/bc/y.js".to_owned()]));
    assert!(found.skipped[0].to_string().contains("no file `package.json`"));
    let twice = "workspaces:\n  - {rootAtLocationOf: package.json, in: 'm*'}\n  - {rootAtLocationOf: x, in: '*o'}\n";
    let error = plan(&ground, &spec("needle", twice)).await.unwrap_err();
    assert!(error.contains("`m*`") && error.contains("`*o`") && error.contains("mono"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_found_is_said_with_a_hint() {
    let ground = Ground::new().await;
    ground.repository("a", &[("f", "x")]).await;
    for text in [
        spec("repo:zzz", ""),
        "{scopeQuery: 'repo:zzz', steps: [{type: command, args: [a]}]}".to_owned(),
    ] {
        let error = plan(&ground, &text).await.unwrap_err();
        assert!(error.contains("none of the 1 repositories"), "{error}");
        assert!(error.contains("fork:yes"), "{error}");
    }
    let action = ground.action("act", &spec("repo:zzz", "")).await;
    assert!(ground.run(&action).await.is_err());
    assert!(
        ground
            .service
            .store
            .executions(Default::default(), campaign::page::Window { after: None, first: 9 })
            .unwrap()
            .items
            .is_empty()
    );
}
