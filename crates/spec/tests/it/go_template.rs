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
            cases.push(((*expression).to_owned(), data.clone(), ours(expression, &context)));
        }
    }
    compare(&cases);
}

#[test]
fn scrambled_templates_render_as_go_renders_them() {
    if Command::new("go").arg("version").output().is_err() {
        eprintln!("skipped: there is no `go` to compare with");
        return;
    }
    let context = full();
    let data = data(&context);
    let scrambled: Vec<String> = SEEDS.flat_map(scramble).collect();
    let case = |text: &String| (text.clone(), data.clone(), ours(text, &context));
    let cases: Vec<_> = scrambled.iter().map(case).collect();
    compare(&cases);
}

/// One for each set of scrambled templates; the same on every run.
const SEEDS: std::ops::Range<u64> = 1..4;

/// What we refuse and Go does not; see the module `template`.
const UNSUPPORTED: [&str; 4] = [
    "complex numbers are not supported",
    "argument numbers such as `%[1]s` are not supported",
    "`range` declares variables as",
    "would cut a character in two",
];

/// A template, its data for Go, and what it renders to for us.
type Case = (String, Value, Result<String, String>);

fn compare(cases: &[Case]) {
    let theirs = go(cases);
    let mut differences = Vec::new();
    for ((expression, _, ours), theirs) in cases.iter().zip(&theirs) {
        let same = match (ours, theirs) {
            // The Go program has a type of its own for `search_result_paths`.
            (Ok(ours), Ok(theirs)) => *ours == theirs.replace("main.paths", "[]string"),
            (Err(_), Err(_)) => true,
            (Err(ours), Ok(_)) => UNSUPPORTED.iter().any(|message| ours.contains(message)),
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

fn go(cases: &[Case]) -> Vec<Result<String, String>> {
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

/// Templates that are put together from words of the others.
fn scramble(seed: u64) -> Vec<String> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut below = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound as u64) as usize
    };
    let words: Vec<Vec<&str>> = EXPRESSIONS.iter().map(|text| words(text)).collect();
    let all: Vec<&str> = words.iter().flatten().copied().collect();
    let mut texts = Vec::new();
    while texts.len() < 4000 {
        let mut text = words[below(words.len())].clone();
        for _ in 0..=below(3) {
            let at = below(text.len() + 1);
            match below(3) {
                0 if at < text.len() => drop(text.remove(at)),
                1 if at < text.len() => text[at] = all[below(all.len())],
                _ => text.insert(at, all[below(all.len())]),
            }
        }
        let text = text.concat();
        // What is known to differ: a byte by itself is no text, floats have no hexadecimal form, and
        // nothing has an address.
        let differs = text.split('%').skip(1).any(|verb| {
            let flags = |c: char| c.is_ascii_digit() || " .+-#*".contains(c);
            verb.trim_start_matches(flags).starts_with(['x', 'X', 'b', 'p'])
        });
        if !differs && !["call", "matches", "\\x"].iter().any(|part| text.contains(part)) {
            texts.push(text);
        }
    }
    texts
}

/// Words, and each other character by itself.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let length = if is_word(first) {
            rest.find(|c| !is_word(c)).unwrap_or(rest.len())
        } else if rest.starts_with("${{") {
            3
        } else if rest.starts_with("}}") {
            2
        } else {
            first.len_utf8()
        };
        words.push(&rest[..length]);
        rest = &rest[length..];
    }
    words
}
