//! Every input changes the key, and no two inputs can be taken for each other.

use std::collections::BTreeSet;

use super::*;

/// The inputs of a key, owned, so that a test can change one of them.
#[derive(Clone)]
struct Input {
    repository: &'static str,
    revision: &'static str,
    path: &'static str,
    only_fetch_workspace: bool,
    step: RenderedStep,
    outputs: BTreeMap<String, OutputRule>,
    context: TemplateContext,
    image_digest: Option<&'static str>,
    mounts: Vec<(String, String)>,
    previous_key: Option<&'static str>,
    runtime: &'static str,
}

impl Input {
    fn key(&self) -> String {
        step_key(&StepKeyInput {
            repository: self.repository,
            revision: self.revision,
            path: self.path,
            only_fetch_workspace: self.only_fetch_workspace,
            step: &self.step,
            outputs: &self.outputs,
            context: &self.context,
            image_digest: self.image_digest,
            mounts: &self.mounts,
            previous_key: self.previous_key,
            runtime: self.runtime,
        })
    }
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn rule(value: &str, format: OutputFormat) -> OutputRule {
    OutputRule { value: value.to_owned(), format }
}

fn input() -> Input {
    Input {
        repository: "github.com/a/b",
        revision: "0123",
        path: "sub",
        only_fetch_workspace: false,
        step: RenderedStep {
            run: Run::Shell("make".to_owned()),
            container: Some("alpine:3".to_owned()),
            env: vec![pair("A", "b")],
            files: BTreeMap::from([pair("/f", "content")]),
            timeout_ms: None,
        },
        outputs: BTreeMap::from([("o".to_owned(), rule("v", OutputFormat::Text))]),
        context: TemplateContext::default(),
        image_digest: Some("sha256:1"),
        mounts: vec![pair("/m", "d1")],
        previous_key: Some("k"),
        runtime: "docker",
    }
}

#[test]
fn any_change_of_an_input_changes_the_key() {
    type Change = fn(&mut Input);
    let changes: &[Change] = &[
        |_| {},
        |i| i.repository = "github.com/a/c",
        |i| i.revision = "0124",
        |i| i.path = "",
        |i| i.only_fetch_workspace = true,
        |i| i.step.run = Run::Shell("make ".to_owned()),
        |i| i.step.run = Run::Argv(vec!["make".to_owned()]),
        |i| i.step.run = Run::Argv(vec!["make".to_owned(), String::new()]),
        |i| i.step.run = Run::Argv(Vec::new()),
        |i| i.step.container = None,
        |i| i.step.container = Some(String::new()),
        |i| i.step.env = vec![pair("A", "c")],
        |i| i.step.env = vec![pair("Ab", "")],
        |i| i.step.env = vec![pair("", "Ab")],
        |i| i.step.env = vec![pair("A", "b"), pair("B", "c")],
        |i| i.step.env = vec![pair("B", "c"), pair("A", "b")],
        |i| i.step.env = Vec::new(),
        |i| i.step.files = BTreeMap::new(),
        |i| i.step.files = BTreeMap::from([pair("/f", "content2")]),
        |i| i.step.files = BTreeMap::from([pair("/fc", "ontent")]),
        |i| i.outputs = BTreeMap::new(),
        |i| i.outputs = BTreeMap::from([("p".to_owned(), rule("v", OutputFormat::Text))]),
        |i| i.outputs = BTreeMap::from([("o".to_owned(), rule("w", OutputFormat::Text))]),
        |i| i.outputs = BTreeMap::from([("o".to_owned(), rule("v", OutputFormat::Json))]),
        |i| i.outputs = BTreeMap::from([("o".to_owned(), rule("v", OutputFormat::Yaml))]),
        |i| i.context.repository.name = "x".to_owned(),
        |i| i.context.repository.branch = "x".to_owned(),
        |i| i.context.repository.search_result_paths = vec!["x".to_owned()],
        |i| i.context.batch_change.name = "x".to_owned(),
        |i| i.context.batch_change.description = "x".to_owned(),
        |i| i.context.steps_path = "x".to_owned(),
        |i| i.image_digest = None,
        |i| i.image_digest = Some("sha256:2"),
        |i| i.mounts = Vec::new(),
        |i| i.mounts = vec![pair("/m", "d2")],
        |i| i.mounts = vec![pair("/n", "d1")],
        |i| i.mounts = vec![pair("/m", "d1"), pair("/n", "d1")],
        |i| i.previous_key = None,
        |i| i.previous_key = Some("l"),
        |i| i.runtime = "process",
    ];
    let keys: BTreeSet<String> = changes
        .iter()
        .map(|change| {
            let mut input = input();
            change(&mut input);
            input.key()
        })
        .collect();
    assert_eq!(keys.len(), changes.len(), "two of the changes have the same key");
    assert!(keys.iter().all(|key| key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit())));
}

#[test]
fn what_cannot_change_the_result_does_not_change_the_key() {
    let key = input().key();
    let mut other = input();
    other.step.timeout_ms = Some(5);
    other.context.previous_step = Some(crate::StepResult::default());
    assert_eq!(other.key(), key);
    // The order in which mounts are listed says nothing.
    let mut one = input();
    one.mounts = vec![pair("/a", "1"), pair("/b", "2")];
    let mut two = input();
    two.mounts = vec![pair("/b", "2"), pair("/a", "1")];
    assert_eq!(one.key(), two.key());
    // Without outputs, nothing reads what only templates of outputs could read.
    let mut plain = input();
    plain.outputs.clear();
    let mut renamed = plain.clone();
    renamed.context.batch_change.name = "x".to_owned();
    assert_eq!(plain.key(), renamed.key());
}

#[test]
fn fields_cannot_run_into_each_other() {
    let key = |repository, revision, path| Input { repository, revision, path, ..input() }.key();
    let keys = [key("ab", "c", ""), key("a", "bc", ""), key("", "abc", ""), key("a", "b", "c")];
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
    // A variable cannot pass for a file.
    let mut env = input();
    env.step.env = vec![pair("/f", "x")];
    env.step.files.clear();
    let mut file = input();
    file.step.env.clear();
    file.step.files = BTreeMap::from([pair("/f", "x")]);
    assert_ne!(env.key(), file.key());
}

#[test]
fn a_record_survives_json() {
    let record = CachedStep {
        diff: Some("ab".repeat(32)),
        files: ChangedFiles { added: vec!["x".to_owned()], ..ChangedFiles::default() },
        stdout: "out".to_owned(),
        stderr: String::new(),
        outputs: BTreeMap::from([("o".to_owned(), serde_json::json!({"a": [1, null]}))]),
        skipped: false,
    };
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<CachedStep>(&text).unwrap(), record);
    assert_eq!(serde_json::from_str::<CachedStep>("{}").unwrap(), CachedStep::default());
}
