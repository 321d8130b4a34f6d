//! Our templates against Go's `text/template`: the same outputs, and errors in the same places. Skipped where there is no `go`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use spec::{
    BatchChangeContext, ChangedFiles, RepositoryContext, Scope, StepResult, Template,
    TemplateContext,
};

use crate::expressions::EXPRESSIONS;

#[test]
fn our_templates_render_as_go_renders_them() {
    assert!(EXPRESSIONS.len() >= 200, "only {} expressions", EXPRESSIONS.len());
    if Command::new("go").arg("version").output().is_err() {
        eprintln!("skipped: there is no `go` to compare with");
        return;
    }
    let mut cases = Vec::new();
    for context in [full(), empty()] {
        let data = data(&context);
        for expression in EXPRESSIONS {
            cases.push((*expression, data.clone(), ours(expression, &context)));
        }
    }
    let theirs = go(&cases);
    let mut differences = Vec::new();
    for ((expression, _, ours), theirs) in cases.iter().zip(&theirs) {
        let same = match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => ours == theirs,
            (Err(_), Err(_)) => true,
            _ => false,
        };
        if !same {
            differences.push(format!("{expression:?}\n  ours: {ours:?}\n  Go's: {theirs:?}"));
        }
    }
    let failed = theirs.iter().filter(|theirs| theirs.is_err()).count();
    eprintln!("{} renderings compared with Go's, {failed} of them errors", theirs.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn ours(expression: &str, context: &TemplateContext) -> Result<String, String> {
    let render = || Template::parse(expression)?.render(context, Scope::Output);
    render().map_err(|error| error.to_string())
}

fn go(cases: &[(&str, Value, Result<String, String>)]) -> Vec<Result<String, String>> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go_template/main.go");
    let mut child = Command::new("go")
        .arg("run")
        .arg(program)
        .env("GO111MODULE", "off")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start go");
    let mut input = child.stdin.take().expect("its input is a pipe");
    let lines: String = cases
        .iter()
        .map(|(template, data, _)| format!("{}\n", json!({"template": template, "data": data})))
        .collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("run go");
    writer.join().expect("the writer does not panic").expect("go reads its input");
    assert!(output.status.success(), "go failed");
    let text = String::from_utf8(output.stdout).expect("go writes text");
    let results = text.lines().map(|line| {
        let answer: BTreeMap<String, String> = serde_json::from_str(line).expect("a line of JSON");
        answer.get("output").cloned().ok_or_else(|| answer["error"].clone())
    });
    let results: Vec<_> = results.collect();
    assert_eq!(results.len(), cases.len(), "go answered a different number of lines");
    results
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn full() -> TemplateContext {
    let files = ChangedFiles {
        modified: texts(&["main.go", "lib/a b.go"]),
        added: texts(&["new.txt"]),
        deleted: Vec::new(),
        renamed: texts(&["x"]),
    };
    let result = StepResult {
        files: files.clone(),
        stdout: "line 1\nline 2\n".to_owned(),
        stderr: "<warn> & \"quote\" 'single' ü\t\u{1}\u{200b}\u{a0}".to_owned(),
    };
    let outputs = json!({
        "text": "hello",
        "empty": "",
        "yes": true,
        "no": false,
        "zero": 0,
        "number": 42,
        "negative": -7,
        "big": 12345678901i64,
        "float": 1.5,
        "tiny": 0.00001,
        "huge": 1.5e22,
        "wide": 1234567.5,
        "nothing": null,
        "list": ["a", "b", "c"],
        "mixed": [1, "two", 3.5, null, true, ["x"], {"k": "v"}],
        "numbers": [3, 1, 2],
        "none": [],
        "map": {"b": 2, "a": 1, "nested": {"deep": ["x", "y"]}, "with-dash": "d"},
        "blank": {},
        "version": "1.2.3",
    });
    TemplateContext {
        repository: RepositoryContext {
            name: "github.com/org/repo".to_owned(),
            branch: "main".to_owned(),
            search_result_paths: texts(&["README.md", "src/main.go"]),
        },
        batch_change: BatchChangeContext {
            name: "my-change".to_owned(),
            description: "does things".to_owned(),
        },
        previous_step: Some(result.clone()),
        step: Some(result),
        steps_files: files,
        steps_path: "sub/dir".to_owned(),
        outputs: serde_json::from_value(outputs).expect("an object"),
    }
}

fn empty() -> TemplateContext {
    TemplateContext::default()
}

/// The same variables, for Go.
fn data(context: &TemplateContext) -> Value {
    let files = |files: &ChangedFiles| {
        json!({
            "modified_files": files.modified,
            "added_files": files.added,
            "deleted_files": files.deleted,
            "renamed_files": files.renamed,
        })
    };
    let result = |result: &Option<StepResult>| match result {
        Some(result) => {
            let mut value = files(&result.files);
            value["stdout"] = result.stdout.clone().into();
            value["stderr"] = result.stderr.clone().into();
            value
        }
        None => {
            let none = json!({"$paths": []});
            json!({
                "modified_files": none, "added_files": none, "deleted_files": none,
                "renamed_files": none, "stdout": "", "stderr": "",
            })
        }
    };
    let mut steps = files(&context.steps_files);
    steps["path"] = context.steps_path.clone().into();
    json!({
        "repository": {
            "name": context.repository.name,
            "branch": context.repository.branch,
            "search_result_paths": {"$paths": context.repository.search_result_paths},
        },
        "batch_change": {
            "name": context.batch_change.name,
            "description": context.batch_change.description,
        },
        "previous_step": result(&context.previous_step),
        "step": result(&context.step),
        "steps": steps,
        "outputs": context.outputs,
    })
}
