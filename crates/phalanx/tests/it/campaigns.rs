//! Actions and campaigns on a server as people and programs use it: GraphQL, the command line, kills.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::code_host::{Dialect, Forge, Options};

use crate::support::{Place, eventually, request, run, text};

const SPEC: &str = "name: greet
on:
  - repositoriesMatchingQuery: file:README.md
steps:
  - run: echo bye >> README.md
changesetTemplate:
  title: Say bye
  body: A body
  branch: phalanx/bye
  commit:
    message: Say bye
    author: { name: Ann, email: ann@example.com }
";

/// Runs a GraphQL operation; `None` when the server breaks off.
fn try_graph(url: &str, token: &str, query: &str, variables: Value) -> Option<Value> {
    let body = json!({ "query": query, "variables": variables }).to_string();
    let headers = format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
    let (status, answer) = request(url, "POST", "/api/graphql", &headers, &body)?;
    assert_eq!(status, 200, "{answer}");
    serde_json::from_str(&answer).ok()
}

fn graph(url: &str, token: &str, query: &str, variables: Value) -> Value {
    let answer = try_graph(url, token, query, variables).expect("the server answers");
    assert!(answer["errors"].is_null(), "{query}: {answer}");
    answer["data"].clone()
}

/// Code of the first error.
fn refused(url: &str, token: &str, query: &str, variables: Value) -> String {
    let answer = try_graph(url, token, query, variables).expect("the server answers");
    let code = answer["errors"][0]["extensions"]["code"].as_str();
    code.unwrap_or_else(|| panic!("{query} is not refused: {answer}")).to_owned()
}

fn add_folder(place: &Place, url: &str, token: &str) {
    let input =
        json!({ "name": "local", "kind": "GIT", "url": "", "include": [place.path("repos")] });
    let add = "mutation($i: CodeHostInput!) { addCodeHost(input: $i) { id } }";
    graph(url, token, add, json!({ "i": input }));
    eventually("the repositories are listed", || {
        let data = graph(url, token, "{ repositories { totalCount } }", json!({}));
        (data["repositories"]["totalCount"] == 2).then_some(())
    });
}

#[test]
fn an_agent_needs_only_the_mutations() {
    let place = Place::new();
    for name in ["a", "b"] {
        place.repository(&format!("repos/{name}"), &[("README.md", "hello\n")]);
    }
    let (_server, url) = place.server(&[]);
    let token = place.token("token");
    let graph = |query: &str, variables: Value| graph(&url, &token, query, variables);
    add_folder(&place, &url, &token);
    let create =
        "mutation($d: JSONCString!) { createAction(name: \"greet\", definition: $d) { id } }";
    let action = graph(create, json!({ "d": SPEC }))["createAction"]["id"].clone();
    let start = "mutation($a: ID!) { createActionExecution(action: $a) { id invocationReason } }";
    let execution = graph(start, json!({ "a": action }))["createActionExecution"].clone();
    assert_eq!(execution["invocationReason"], "MANUAL");

    let register =
        "mutation { registerAgent(id: \"agent one\", specs: \"os=Linux\") { id state } }";
    let agent = graph(register, json!({}))["registerAgent"].clone();
    assert_eq!(agent["state"], "ONLINE");
    let pull = "mutation($a: ID!) { pullActionJob(agent: $a) {
        id state repository { name } baseRevision { oid } definition { steps } } }";
    let mut jobs = Vec::new();
    while let Some(job) = Some(graph(pull, json!({ "a": agent["id"] }))["pullActionJob"].clone())
        .filter(|j| !j.is_null())
    {
        jobs.push(job);
    }
    assert_eq!(jobs.len(), 2);
    assert!(jobs[0]["definition"]["steps"].as_str().unwrap().contains("echo bye"));

    // The id is the right to the job; the job's public id is none.
    let append =
        "mutation($j: ID!, $c: String!) { appendLog(actionJob: $j, content: $c) { state } }";
    let update = "mutation($j: ID!, $p: String, $s: ActionJobState) {
        updateActionJob(actionJob: $j, patch: $p, state: $s) { state outcome diffStat { added } } }";
    let public = graph("{ actionJobs(state: RUNNING) { nodes { id } } }", json!({}));
    let public = public["actionJobs"]["nodes"][0]["id"].clone();
    assert_eq!(refused(&url, &token, append, json!({ "j": public, "c": "x" })), "BAD_INPUT");
    let mine = jobs[0]["id"].clone();
    for content in ["one\n", "two\n"] {
        let state = graph(append, json!({ "j": mine, "c": content }))["appendLog"].clone();
        assert_eq!(state["state"], "RUNNING");
    }
    let patch = "diff --git README.md README.md\n--- README.md\n+++ README.md\n@@ -1 +1,2 @@\n hello\n+bye\n";
    let nonsense = json!({ "j": mine, "p": "no diff", "s": "COMPLETED" });
    assert_eq!(refused(&url, &token, update, nonsense), "BAD_INPUT");
    let done = graph(update, json!({ "j": mine, "p": patch, "s": "COMPLETED" }));
    assert_eq!(done["updateActionJob"]["state"], "COMPLETED");
    assert_eq!(done["updateActionJob"]["diffStat"]["added"], 1);
    let log = "query($j: ID!) { node(id: $j) { ... on ActionJob { log } } }";
    assert_eq!(graph(log, json!({ "j": mine }))["node"]["log"], "one\ntwo\n");
    assert_eq!(refused(&url, &token, append, json!({ "j": mine, "c": "late" })), "BAD_INPUT");

    // The other fails; it is tried again, and the first try's right is worth nothing any more.
    let other = jobs[1]["id"].clone();
    graph(update, json!({ "j": other, "s": "ERRORED" }));
    let status = "query($e: ID!) { node(id: $e) { ... on ActionExecution {
        status { state pendingCount } patchSet { id patches { totalCount } } } } }";
    let failed = graph(status, json!({ "e": execution["id"] }))["node"].clone();
    assert_eq!(failed["status"]["state"], "ERRORED");
    assert_eq!(failed["patchSet"], Value::Null);
    graph("mutation($j: ID!) { retryActionJob(actionJob: $j) { state } }", json!({ "j": other }));
    let again = graph(pull, json!({ "a": agent["id"] }))["pullActionJob"].clone();
    assert_ne!(again["id"], other);
    let late = json!({ "j": other, "p": patch, "s": "COMPLETED" });
    assert_eq!(refused(&url, &token, update, late), "BAD_INPUT");
    graph(update, json!({ "j": again["id"], "p": patch, "s": "COMPLETED" }));
    eventually("the patch set is built", || {
        let now = graph(status, json!({ "e": execution["id"] }))["node"].clone();
        (now["patchSet"]["patches"]["totalCount"] == 2).then_some(())
    });
    let history =
        "query($j: ID!) { node(id: $j) { ... on ActionJob { attempts { number state } } } }";
    let attempts = graph(history, json!({ "j": again["id"] }))["node"]["attempts"].clone();
    assert_eq!(
        attempts,
        json!([{ "number": 2, "state": "succeeded" }, { "number": 1, "state": "failed" }])
    );
    graph(
        "mutation($a: ID!) { unregisterAgent(agent: $a) { alwaysNil } }",
        json!({ "a": agent["id"] }),
    );
    assert_eq!(refused(&url, &token, pull, json!({ "a": agent["id"] })), "NOT_FOUND");
}

#[test]
fn the_command_line_takes_an_action_to_branches() {
    let place = Place::new();
    for name in ["a", "b"] {
        place.repository(&format!("repos/{name}"), &[("README.md", "hello\n")]);
    }
    place.write("greet.yaml", SPEC);
    // What people put into their configuration of git, and worse. The server and its runner read none of it.
    let touch = format!("touch {}", place.path("ran").display());
    let hook = place.write("hooks/reference-transaction", &format!("#!/bin/sh\n{touch}\n"));
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::copy(&hook, place.path("hooks/pre-push")).unwrap();
    place.write("home/.gitconfig", &format!(
        "[core]\n\tautocrlf = true\n\thooksPath = {}\n\tfsmonitor = {touch}\n\tquotePath = true\n[diff]\n\texternal = {touch}\n\tnoprefix = true\n[commit]\n\tgpgsign = true\n[user]\n\tname = Someone Else\n",
        place.path("hooks").display(),
    ));
    let (_server, url) = place.server(&[]);
    let _runner = place.runner(&url, "one", 2);
    let phalanx = |arguments: &[&str]| {
        let output = run(place.phalanx().args(arguments));
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let fine = |arguments: &[&str]| {
        let (code, out, err) = phalanx(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {out}{err}");
        out
    };
    fine(&["codehost", "add", "local", "--kind", "git", "--include", "repos"]);
    fine(&["codehost", "sync", "local"]);
    assert_eq!(fine(&["search", "hello"]), "a:README.md:1: hello\nb:README.md:1: hello\n");
    assert_eq!(phalanx(&["search", "nothing-like-this"]).0, Some(1));
    let (code, _, err) = phalanx(&["search", "repo:("]);
    assert!(code == Some(2) && err.contains("^^^^^^"), "{err}");

    fine(&["action", "create", "greet", "-f", "greet.yaml"]);
    place.write("bad.yaml", "name: x\nsteps: 7\n");
    let (code, _, err) = phalanx(&["action", "create", "bad", "-f", "bad.yaml"]);
    assert!(code == Some(2) && err.contains("definition:2:"), "{err}");
    let (code, _, err) = phalanx(&["action", "show", "nope"]);
    assert!(code == Some(2) && err.contains("there is no action `nope`"), "{err}");
    let patches = fine(&["action", "run", "greet"]);
    assert_eq!(patches.matches("+bye").count(), 2, "{patches}");
    assert_eq!(fine(&["execution", "spec", "1"]), SPEC);
    fine(&["campaign", "new", "bye", "--execution", "1"]);
    assert!(fine(&["campaign", "preview", "bye"]).contains("2 nothing"));
    fine(&["campaign", "publish", "bye", "--glob", "a", "--push-only"]);
    eventually("the branch is pushed", || {
        let status = place.json(&["campaign", "status", "bye"]);
        (status["counts"]["pushedOnly"] == 1 && status["counts"]["unpublished"] == 1).then_some(())
    });
    let shown = place.git("repos/a", &["log", "-1", "--format=%an <%ae> %s", "phalanx/bye"]);
    assert_eq!(text(&shown.stdout).trim(), "Ann <ann@example.com> Say bye");
    let readme = place.git("repos/a", &["show", "phalanx/bye:README.md"]);
    assert_eq!(text(&readme.stdout), "hello\nbye\n");
    assert!(!place.path("ran").exists(), "a program of the user's configuration ran");
    place.write(
        "fail.yaml",
        &SPEC.replace("greet", "fails").replace("echo bye >> README.md", "exit 4"),
    );
    fine(&["action", "create", "fails", "-f", "fail.yaml"]);
    let (code, _, err) = phalanx(&["action", "run", "fails"]);
    assert_eq!(code, Some(1), "{err}");
    let branches = place.git("repos/b", &["branch", "--list", "phalanx/*"]);
    assert_eq!(text(&branches.stdout), "");

    let (code, _, err) = phalanx(&["action", "schedule", "greet", "--cron", "61 * * * *"]);
    assert!(code == Some(2) && err.contains("is not a schedule"), "{err}");
    assert!(fine(&["action", "schedule", "greet", "--cron", "@daily"]).contains("next: "));
    fine(&["saved-search", "create", "readmes", "file:README.md"]);
    fine(&["action", "schedule", "greet", "--saved-search", "readmes", "--on", "added"]);
    assert!(fine(&["action", "list"]).contains("search readmes"));
    let token = fine(&["token", "create", "bob", "--role", "reader"]);
    let (code, _, err) = phalanx(&[
        "action",
        "create",
        "x",
        "-f",
        "greet.yaml",
        "--server",
        &url,
        "--token",
        token.trim(),
    ]);
    assert!(code == Some(3) && err.contains("needs the role `user`"), "{err}");
}

#[test]
fn a_secret_reaches_its_step_and_no_log() {
    const DEPLOY: &str = "name: deploy
on:
  - repository: a
steps:
  - run: |
      echo \"the token is $DEPLOY_TOKEN\"
      printf %s \"$DEPLOY_TOKEN\" | base64
      printf '%s' \"$DEPLOY_TOKEN\" | wc -c > length
    env:
      - DEPLOY_TOKEN
changesetTemplate: { title: T, body: B, branch: b, commit: { message: M } }
";
    let place = Place::new();
    place.repository("repos/a", &[("README.md", "hello\n")]);
    place.write("deploy.yaml", DEPLOY);
    let (_server, url) = place.server(&[]);
    let _runner = place.runner(&url, "one", 1);
    let phalanx = |arguments: &[&str], input: &str| {
        let file = place.write("stdin", input);
        let stdin = std::fs::File::open(file).unwrap();
        let output = run(place.phalanx().args(arguments).stdin(stdin));
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let fine = |arguments: &[&str]| {
        let (code, out, err) = phalanx(arguments, "");
        assert_eq!(code, Some(0), "{arguments:?}: {out}{err}");
        out
    };
    fine(&["codehost", "add", "local", "--kind", "git", "--include", "repos"]);
    fine(&["codehost", "sync", "local"]);
    fine(&["action", "create", "deploy", "-f", "deploy.yaml"]);
    let (code, _, err) = phalanx(&["action", "run", "deploy"], "");
    assert!(code == Some(2) && err.contains("no secret of this name"), "{err}");
    let (code, _, err) = phalanx(&["secret", "set", "DEPLOY_TOKEN"], "short");
    assert!(code == Some(2) && err.contains("cannot be masked"), "{err}");

    // It looks like a template, and is none.
    let secrets = ["s3cret-${{ one }}", "another-s3cret"];
    for (secret, length) in [(secrets[0], "17"), (secrets[1], "14")] {
        let (code, _, err) = phalanx(&["secret", "set", "DEPLOY_TOKEN"], &format!("{secret}\n"));
        assert_eq!(code, Some(0), "{err}");
        // A changed secret is another step: nothing of the cache is taken for it.
        assert!(fine(&["action", "run", "deploy"]).contains(&format!("+{length}")));
    }
    for job in ["1", "2"] {
        let log = fine(&["job", "logs", job]);
        assert!(log.contains("the token is ***\n"), "{log}");
        assert!(!log.contains("s3cret") && !log.contains("czNjcmV0"), "{log}");
    }
    // A command has its own environment first, and the server's secrets after it.
    let path = place.path("repos/a");
    let exec = ["exec", "-f", "deploy.yaml", "--repo", path.to_str().unwrap(), "--server", &url];
    assert!(fine(&exec).contains("+14"));
    let output = run(place.phalanx().args(exec).env("DEPLOY_TOKEN", "mine"));
    assert!(text(&output.stdout).contains("+4"), "{}", text(&output.stderr));

    for secret in secrets {
        let grep = std::process::Command::new("grep")
            .args(["-raF", secret])
            .arg(place.path("data"))
            .output()
            .unwrap();
        assert_eq!(text(&grep.stdout), "", "a secret is in the clear on the disk");
    }
    fine(&["secret", "delete", "DEPLOY_TOKEN"]);
    let (code, _, err) = phalanx(&["action", "run", "deploy"], "");
    assert!(code == Some(2) && err.contains("no secret of this name"), "{err}");
}

/// Kills the server while it publishes, `KILLS` times; the code host keeps the ledger.
#[test]
fn killed_while_publishing_it_makes_each_pull_request_once() {
    const KILLS: u32 = 50;
    const REPOSITORIES: usize = 6;
    let forge = Forge::start(Dialect::GitHub, Options::default());
    for number in 0..REPOSITORIES {
        forge.add_repository(&format!("acme/r{number}"), &[("README.md", "hello\n")]);
    }
    let place = Place::new();
    let mut kills = 0;
    let mut campaigns = BTreeMap::new();
    let patch = "diff --git a/README.md b/README.md\n--- a/README.md\n+++ b/README.md\n@@ -1 +1,2 @@\n hello\n+bye\n";
    let mut listen = "127.0.0.1:0".to_owned();
    while kills < KILLS {
        let (mut server, url) = place.server(&["--listen", &listen]);
        listen = url.trim_start_matches("http://").to_owned();
        let token = place.token("token");
        if kills == 0 && campaigns.is_empty() {
            let input = json!({ "name": "forge", "kind": "GITHUB", "url": forge.url(), "include": ["acme"], "token": forge.token() });
            let add = "mutation($i: CodeHostInput!) { addCodeHost(input: $i) { id } }";
            graph(&url, &token, add, json!({ "i": input }));
            eventually("the repositories are fetched", || {
                let data =
                    graph(&url, &token, "{ repositories { nodes { fetchedAt } } }", json!({}));
                let all = data["repositories"]["nodes"].as_array()?.clone();
                (all.len() == REPOSITORIES && all.iter().all(|it| !it["fetchedAt"].is_null()))
                    .then_some(())
            });
        }
        // One more campaign for each life, so that there is always something on its way.
        let name = format!("c{}", campaigns.len());
        if publish(&url, &token, &name, patch).is_some() {
            campaigns.insert(name, ());
        }
        // Spread over the time that a campaign takes, by the number of the kill: nothing is left to chance.
        let moment = Duration::from_millis(u64::from(kills * 37 % 400));
        let until = Instant::now() + moment;
        while Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        server.child.kill().unwrap();
        server.child.wait().unwrap();
        kills += 1;
    }
    let (_server, url) = place.server(&["--listen", &listen]);
    let token = place.token("token");
    for name in campaigns.keys() {
        eventually("every campaign is published", || {
            let query = "query($n: String!) { campaign(name: $n) { counts { total open failed diverged } status { errors } } }";
            let data = graph(&url, &token, query, json!({ "n": name }));
            let counts = &data["campaign"]["counts"];
            assert_eq!((&counts["failed"], &counts["diverged"]), (&json!(0), &json!(0)), "{data}");
            (counts["open"] == REPOSITORIES).then_some(())
        });
    }
    let mut made: BTreeMap<(String, String), usize> = BTreeMap::new();
    for created in forge.ledger().created {
        *made.entry((created.repository, created.head)).or_default() += 1;
    }
    assert!(campaigns.len() as u32 > KILLS / 2, "only {} campaigns were begun", campaigns.len());
    assert_eq!(made.len(), campaigns.len() * REPOSITORIES, "a pull request is missing");
    assert!(made.values().all(|count| *count == 1), "a pull request was made twice: {made:?}");
}

/// Begins a campaign; `None` when it is there already.
fn publish(url: &str, token: &str, name: &str, patch: &str) -> Option<()> {
    let repositories =
        "{ viewer { id } repositories { nodes { id headCommit { oid } defaultBranch { name } } } }";
    let data = graph(url, token, repositories, json!({}));
    let patches = data["repositories"]["nodes"].as_array()?.iter().map(|repository| {
        json!({
            "repository": repository["id"],
            "baseRevision": repository["headCommit"]["oid"],
            "baseRef": repository["defaultBranch"]["name"],
            "patch": patch,
        })
    });
    let set = "mutation($p: [PatchInput!]!) { createPatchSetFromPatches(patches: $p) { id } }";
    let set = graph(url, token, set, json!({ "p": patches.collect::<Vec<_>>() }));
    let input = json!({
        "namespace": data["viewer"]["id"],
        "name": name,
        "branch": format!("phalanx/{name}"),
        "patchSet": set["createPatchSetFromPatches"]["id"],
        "draft": false,
    });
    let create = "mutation($i: CreateCampaignInput!) { createCampaign(input: $i) { id } }";
    let answer = try_graph(url, token, create, json!({ "i": input }))?;
    answer["errors"].is_null().then_some(())
}

#[test]
fn a_refusal_names_the_field() {
    let place = Place::new();
    place.repository("repos/a", &[("README.md", "hello\n")]);
    let (_server, url) = place.server(&[]);
    let token = place.token("token");
    let ask = |query: &str, variables: Value| {
        try_graph(&url, &token, query, variables).expect("the server answers")
    };
    let host = |name: &str, url: &str, exclude: &str| {
        let input = json!({ "name": name, "kind": "GITHUB", "url": url, "exclude": [exclude] });
        ask("mutation($i: CodeHostInput!) { addCodeHost(input: $i) { id } }", json!({ "i": input }))
    };
    let search = |name: &str, query: &str| {
        let create =
            "mutation($n: String!, $q: String!) { createSavedSearch(name: $n, query: $q) { id } }";
        ask(create, json!({ "n": name, "q": query }))
    };
    let action = |name: &str, definition: &str| {
        let create = "mutation($n: String!, $d: JSONCString!) { createAction(name: $n, definition: $d) { id } }";
        ask(create, json!({ "n": name, "d": definition }))
    };
    let made = action("greet", SPEC)["data"]["createAction"]["id"].clone();
    let settings = |settings: Value| {
        let change = "mutation($a: ID!, $s: ActionSettingsInput!) { updateActionSettings(action: $a, settings: $s) { id } }";
        ask(change, json!({ "a": made, "s": settings }))
    };
    let secret = |name: &str, value: &str| {
        let set = "mutation($n: String!, $v: String!) { setSecret(name: $n, value: $v) { id } }";
        ask(set, json!({ "n": name, "v": value }))
    };
    assert!(search("mine", "file:README.md")["errors"].is_null());
    let cases = [
        ("name", "BAD_INPUT", host("no good", "https://github.com", "x")),
        ("url", "BAD_INPUT", host("hub", "github", "x")),
        ("exclude", "BAD_INPUT", host("hub", "https://github.com", "{")),
        ("name", "CONFLICT", search("mine", "file:x")),
        ("query", "BAD_INPUT", search("other", "repo:(")),
        ("definition", "BAD_INPUT", action("bad", "steps: 7\n")),
        ("schedule", "BAD_INPUT", settings(json!({ "schedule": "61 * * * *" }))),
        ("timeZone", "BAD_INPUT", settings(json!({ "schedule": "@daily", "timeZone": "Moon" }))),
        ("name", "BAD_INPUT", secret("lower", "x")),
        ("value", "BAD_INPUT", secret("GOOD", "")),
    ];
    for (field, code, answer) in cases {
        let extensions = &answer["errors"][0]["extensions"];
        assert_eq!(
            (&extensions["field"], &extensions["code"]),
            (&json!(field), &json!(code)),
            "{answer}"
        );
    }
    let found = ask(
        "{ savedSearch(name: \"mine\") { query } none: savedSearch(name: \"x\") { id } }",
        json!({}),
    );
    assert_eq!(
        found["data"],
        json!({ "savedSearch": { "query": "file:README.md" }, "none": null })
    );
}

#[test]
fn jobs_of_several_states_newest_first() {
    let place = Place::new();
    for name in ["a", "b", "c", "d"] {
        place.repository(&format!("repos/{name}"), &[("README.md", "hello\n")]);
    }
    let (_server, url) = place.server(&[]);
    let token = place.token("token");
    let graph = |query: &str, variables: Value| graph(&url, &token, query, variables);
    let input =
        json!({ "name": "local", "kind": "GIT", "url": "", "include": [place.path("repos")] });
    graph("mutation($i: CodeHostInput!) { addCodeHost(input: $i) { id } }", json!({ "i": input }));
    eventually("the repositories are listed", || {
        let data = graph("{ repositories { totalCount } }", json!({}));
        (data["repositories"]["totalCount"] == 4).then_some(())
    });
    let create =
        "mutation($d: JSONCString!) { createAction(name: \"greet\", definition: $d) { id } }";
    let action = graph(create, json!({ "d": SPEC }))["createAction"]["id"].clone();
    let start = "mutation($a: ID!) { createActionExecution(action: $a) { id } }";
    let execution = graph(start, json!({ "a": action }))["createActionExecution"]["id"].clone();
    let register = "mutation { registerAgent(id: \"one\", specs: \"os=Linux\") { id } }";
    let agent = graph(register, json!({}))["registerAgent"]["id"].clone();
    let pull = "mutation($a: ID!) { pullActionJob(agent: $a) { id } }";
    let update = "mutation($j: ID!, $s: ActionJobState) { updateActionJob(actionJob: $j, state: $s) { number } }";
    let mut numbers = Vec::new();
    for state in ["COMPLETED", "ERRORED", "TIMEOUT"] {
        let job = graph(pull, json!({ "a": agent }))["pullActionJob"]["id"].clone();
        let ended = graph(update, json!({ "j": job, "s": state }));
        numbers.push(ended["updateActionJob"]["number"].clone());
    }
    let list = "query($e: ID!, $s: [ActionJobState!], $after: String) {
        all: actionJobs(first: 1, after: $after, states: $s, newestFirst: true) { totalCount pageInfo { endCursor } nodes { number } }
        node(id: $e) { ... on ActionExecution { jobs(states: $s) { totalCount nodes { number } } } } }";
    let failed = json!(["ERRORED", "TIMEOUT"]);
    let first = graph(list, json!({ "e": execution, "s": failed }));
    let job = |number: &Value| json!({ "number": number });
    assert_eq!(first["all"]["totalCount"], 2);
    assert_eq!(first["all"]["nodes"], json!([job(&numbers[2])]));
    let oldest_first = json!([job(&numbers[1]), job(&numbers[2])]);
    assert_eq!(first["node"]["jobs"], json!({ "totalCount": 2, "nodes": oldest_first }));
    let after = &first["all"]["pageInfo"]["endCursor"];
    let second = graph(list, json!({ "e": execution, "s": failed, "after": after }));
    assert_eq!(second["all"]["nodes"], json!([job(&numbers[1])]));
    let everything = graph(list, json!({ "e": execution }));
    assert_eq!(everything["all"]["totalCount"], 4);
}
