//! Specs that are good, and everything that can be wrong with one.

use crate::*;

const GOOD: &str = r#"
version: 2
name: hello-world.1
description: Adds *Hello World*
on:
  - repositoriesMatchingQuery: file:README.md
  - repository: github.com/a/b
  - repository: github.com/c/d
    branch: main
  - repository: github.com/e/f
    branches: [one, two]
workspaces:
  - rootAtLocationOf: package.json
    in: github.com/{a,c}/*
    onlyFetchWorkspace: true
steps:
  - run: |
      echo ${{ repository.name }} > x
      cat x
    container: alpine:3
    env:
      A: ${{ batch_change.name }}
      B: "2"
    files:
      /tmp/script.sh: |
        echo hi
    mount:
      - path: ./scripts
        mountpoint: /scripts
    outputs:
      first:
        value: ${{ step.stdout }}
        format: json
      second: {value: plain}
    if: ${{ eq repository.name "github.com/a/b" }}
    timeout: 1h30m
  - run: make
    env: [HOME, {C: d}]
    if: false
importChangesets:
  - repository: github.com/a/b
    externalIDs: [1, "two"]
transformChanges:
  group:
    - directory: a/b
      branch: other
    - directory: c
      branch: third
      repository: github.com/a/b
changesetTemplate:
  title: Hello ${{ outputs.second }}
  body: See ${{ batch_change_link }}
  branch: hello
  fork: true
  commit:
    message: Add
    author:
      name: Me
      email: me@example.com
  published:
    - "*": false
    - github.com/a/*@hello: draft
"#;

fn at(line: u32, column: u32) -> Position {
    Position { line, column }
}

#[test]
fn a_batch_spec_is_read() {
    let Parsed { spec, warnings } = parse("batch.yaml", GOOD.as_bytes()).unwrap();
    assert_eq!(warnings, []);
    assert_eq!((spec.format, spec.version), (Format::Batch, 2));
    assert_eq!(spec.name, "hello-world.1");
    let repository = |name: &str, branches: &[&str], line| On::Repository {
        name: name.to_owned(),
        branches: branches.iter().map(|branch| (*branch).to_owned()).collect(),
        at: at(line, 5),
    };
    assert_eq!(
        spec.on,
        [
            On::Query { query: "file:README.md".to_owned(), at: at(6, 5) },
            repository("github.com/a/b", &[], 7),
            repository("github.com/c/d", &["main"], 8),
            repository("github.com/e/f", &["one", "two"], 10),
        ]
    );
    assert_eq!(
        spec.workspaces,
        [WorkspaceRule {
            root_at_location_of: "package.json".to_owned(),
            r#in: "github.com/{a,c}/*".to_owned(),
            only_fetch_workspace: true,
            at: at(13, 5),
        }]
    );
    let [first, second] = &spec.steps[..] else { panic!("two steps") };
    assert_eq!(first.run, Run::Shell("echo ${{ repository.name }} > x\ncat x\n".to_owned()));
    assert_eq!(first.container.as_deref(), Some("alpine:3"));
    assert_eq!(first.env[1], EnvVar { name: "B".to_owned(), value: Some("2".to_owned()) });
    assert_eq!(first.files["/tmp/script.sh"], "echo hi\n");
    assert_eq!(first.mount[0].mountpoint, "/scripts");
    assert_eq!(first.outputs["first"].format, OutputFormat::Json);
    assert_eq!(first.outputs["second"].format, OutputFormat::Text);
    assert!(matches!(&first.r#if, Condition::Template(text) if text.starts_with("${{ eq")));
    assert_eq!(first.timeout_ms, Some(5_400_000));
    assert_eq!(second.container, None);
    assert_eq!(
        second.env,
        [
            EnvVar { name: "HOME".to_owned(), value: None },
            EnvVar { name: "C".to_owned(), value: Some("d".to_owned()) },
        ]
    );
    assert_eq!(second.r#if, Condition::Never);
    assert_eq!(spec.import_changesets[0].external_ids, ["1", "two"]);
    assert_eq!(spec.transform_changes[1].repository.as_deref(), Some("github.com/a/b"));
    let template = spec.changeset_template.unwrap();
    assert_eq!(template.fork, Some(true));
    assert_eq!(template.author.unwrap().email, "me@example.com");
    assert_eq!(
        template.published.0,
        [
            ("*".to_owned(), PublishedState::No),
            ("github.com/a/*@hello".to_owned(), PublishedState::Draft),
        ]
    );
}

#[test]
fn an_action_is_read_with_comments_and_trailing_commas() {
    let text = r#"// An action.
{
	"$schema": "x", /* a
	comment */
	"scopeQuery": "repo:a // b",
	"steps": [
		{"type": "command", "args": ["sh", "-c", "echo '${{ not a template }}'"]},
		{"type": "docker", "image": "alpine:3", "cacheDirs": ["/cache"],}, // last
	],
}
"#;
    let Parsed { spec, warnings } = parse_named("action.json", text.as_bytes(), "mine").unwrap();
    assert_eq!((spec.format, spec.version, &*spec.name), (Format::Action, 0, "mine"));
    assert_eq!(spec.on, [On::Query { query: "repo:a // b".to_owned(), at: at(5, 16) }]);
    let [command, docker] = &spec.steps[..] else { panic!("two steps") };
    let arguments = ["sh", "-c", "echo '${{ not a template }}'"].map(str::to_owned);
    assert_eq!(command.run, Run::Argv(arguments.to_vec()));
    assert_eq!(command.container, None);
    assert_eq!(docker.run, Run::Argv(Vec::new()));
    assert_eq!(docker.container.as_deref(), Some("alpine:3"));
    assert_eq!(docker.at, at(8, 3));
    assert_eq!(warnings.len(), 1);
    assert_eq!(
        warnings[0].to_string(),
        "action.json:8:43: steps[1].cacheDirs: `cacheDirs` is ignored\n  \
         hint: put what is worth keeping into the image"
    );
    assert_eq!(
        parse("a.yaml", b"scopeQuery: x\nsteps: [{type: command, args: [a]}]").unwrap().spec.name,
        "action"
    );
}

/// Checks the diagnostics of a text: each line is `line | what stands at that place | field: beginning of the message`.
#[track_caller]
fn check(text: &str, expected: &str) {
    let errors = match parse("f", text.as_bytes()) {
        Ok(parsed) => panic!("no errors in {text}\n{parsed:?}"),
        Err(errors) => errors,
    };
    let lines: Vec<&str> = text.split('\n').collect();
    let found: Vec<String> = errors
        .iter()
        .map(|error| {
            let Position { line, column } = error.at;
            let rest = lines.get((line as usize).wrapping_sub(1)).unwrap_or(&"");
            let rest: String =
                rest.chars().skip((column as usize).saturating_sub(1)).take(8).collect();
            format!("{line} | {rest:<8} | {}: {}", error.field, error.message)
        })
        .collect();
    let expected: Vec<&str> =
        expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let same = found.len() == expected.len()
        && found.iter().zip(&expected).all(|(found, expected)| found.starts_with(expected));
    assert!(
        same,
        "{text}\nexpected:\n  {}\nfound:\n  {}",
        expected.join("\n  "),
        found.join("\n  ")
    );
}

#[test]
fn all_mistakes_are_told_at_once() {
    check(
        r#"
version: 3
name: "no spaces"
descripton: x
on:
  - repository: a
    branch: x
    branches: [y, y, ""]
  - {}
  - text
  - repositoriesMatchingQuery: q
    repository: r
workspaces:
  - in: "a{b"
steps:
  - run: 5
    container: ""
    env: [A=b, {B: 1}, {C: x, D: y}, 7]
    files: {"/a,b": x, c: x}
    mount: [{path: ../x, mountpoint: /a}, {path: "a,b", mountpoint: "b"}]
    outputs: {o: {format: xml}}
    if: 3
    timeout: 10
    codingAgent: {}
  - run: a
    timeout: soon
importChangesets:
  - externalIDs: [1, 1, [], ""]
transformChanges:
  group: [{directory: "", branch: b}, {directory: d, branch: b}, {directory: d, branch: b}, {directory: e, branch: t}]
"#,
        r#"2 | 3        | version: version 3 is not supported; there is 1 and 2
         3 | "no spac | name: a name has only letters, digits, `_`, `.` and `-`
         4 | descript | descripton: there is no `descripton`
         8 | branches | on[0].branches: both `branch` and `branches` are there
         8 | y, ""]   | on[0].branches[1]: this branch stands here twice
         8 | ""]      | on[0].branches[2]: this must not be empty
         9 | {}       | on[1]: this names no repository
         10 | text     | on[2]: this is text; it must be a map of keys and values
         12 | reposito | on[3].repository: `repository` must not stand beside `repositoriesMatchingQuery`
         14 | in: "a{b | workspaces[0]: `rootAtLocationOf` is missing
         14 | "a{b"    | workspaces[0].in: this is not a glob: unclosed alternate group
         15 | steps:   | changesetTemplate: `changesetTemplate` is missing, and there are steps
         16 | 5        | steps[0].run: this is the number 5; it must be text
         17 | ""       | steps[0].container: this must not be empty
         18 | A=b, {B: | steps[0].env[0]: the name of a variable must not be empty, and has no `=`
         18 | 1}, {C:  | steps[0].env[1].B: this is the number 1; it must be text
         18 | {C: x, D | steps[0].env[2]: an item must have exactly one key, the variable's name
         18 | 7]       | steps[0].env[3]: this is the number 7; it must be a name, or a name and its value
         19 | "/a,b":  | steps[0].files./a,b: a path must not have a `,`
         19 | c: x}    | steps[0].files.c: a path inside of the step begins with `/`
         20 | ../x, mo | steps[0].mount[0].path: the path must lie in the folder of this file
         20 | "a,b", m | steps[0].mount[1].path: a path must not have a `,`
         20 | "b"}]    | steps[0].mount[1].mountpoint: a path inside of the step begins with `/`
         21 | {format: | steps[0].outputs.o: `value` is missing
         21 | xml}}    | steps[0].outputs.o.format: there is no format `xml`; there is `text`, `json` and `yaml`
         22 | 3        | steps[0].if: this is the number 3; it must be `true`, `false` or a template
         23 | 10       | steps[0].timeout: this must be a duration with its unit
         24 | codingAg | steps[0].codingAgent: there is no `codingAgent`: it belongs to version 3, which is not supported
         26 | soon     | steps[1].timeout: `soon` is not a duration
         28 | external | importChangesets[0]: `repository` is missing
         28 | 1, [], " | importChangesets[0].externalIDs[1]: `1` stands here twice
         28 | [], ""]  | importChangesets[0].externalIDs[2]: this is a list; it must be text or a number
         28 | ""]      | importChangesets[0].externalIDs[3]: this must not be empty
         30 | "", bran | transformChanges.group[0].directory: this must not be empty
         30 | b}, {dir | transformChanges.group[2].branch: two groups have the branch `b`"#,
    );
}

const HEAD: &str = "name: a\nchangesetTemplate: {title: t, branch: b, commit: {message: m}}\n";

#[test]
fn mistakes_in_templates_are_placed() {
    let step = |step: &str| format!("{HEAD}steps:\n- {step}\n");
    let table = [
        (
            "run: echo ${{ x }}",
            "4 | x }}     | steps[0].run: there is no `x` here; there is `batch_change`",
        ),
        ("run: \"a\\t\\u00e9${{ x }}\"", "4 | x }}\"    | steps[0].run: there is no `x`"),
        ("run: '''${{ x }}'", "4 | x }}'    | steps[0].run: there is no `x`"),
        ("run: |\n    ok\n\n    ü ${{ x }}", "7 | x }}     | steps[0].run: there is no `x`"),
        ("run: |-\n\n    ${{ x }}", "6 | x }}     | steps[0].run: there is no `x`"),
        ("run: >\n    a\n    ${{ x }}", "5 | a        | steps[0].run: there is no `x`"),
        ("run: a\n  if: ${{ eq 1 }}", "5 | eq 1 }}  | steps[0].if: `eq`: needs 2 arguments"),
        (
            "run: a\n  if: ${{ eq 1 \"a\" }}",
            "5 | eq 1 \"a\" | steps[0].if: `eq`: a whole number cannot be compared with text",
        ),
        ("run: ${{ if true }}", "4 | if true  | steps[0].run: `if` without `${{ end }}`"),
        ("run: ${{ step.stdout }}", "4 | step.std | steps[0].run: `step` exists only in `outputs`"),
        (
            "run: ${{ steps.added_file }}",
            "4 | .added_f | steps[0].run: there is no `added_file` in `steps` (did you mean `added_files`?)",
        ),
        ("{run: a, container: \"${{ \"}", "4 |  \"}      | steps[0].container: `${{` without `}}`"),
        ("{run: a, env: {A: \"${{ b }}\"}}", "4 | b }}\"}}  | steps[0].env.A: there is no `b`"),
        (
            "{run: a, files: {/f: \"${{ batch_change.nme }}\"}}",
            "4 | .nme }}\" | steps[0].files./f: there is no `nme`",
        ),
        (
            "{run: a, outputs: {o: {value: \"${{ stp.x }}\"}}}",
            "4 | stp.x }} | steps[0].outputs.o.value: there is no `stp` here (did you mean `step`?)",
        ),
    ];
    for (text, expected) in table {
        check(&step(text), expected);
    }
    // Not before the repository is known.
    assert!(parse("f", step("run: a\n  if: ${{ eq repository.name }}").as_bytes()).is_ok());
}

#[test]
fn mistakes_in_changesets_are_told() {
    let table = [
        (
            "{}",
            "1 | {}}      | changesetTemplate: `title` is missing\n1 | {}}      | changesetTemplate: `branch` is missing\n1 | {}}      | changesetTemplate: `commit` is missing",
        ),
        (
            "{title: ' ', branch: b, commit: {}}",
            "1 | ' ', bra | changesetTemplate.title: this must not be empty\n1 | {}}}     | changesetTemplate.commit: `message` is missing",
        ),
        (
            "{title: t, branch: b, commit: {message: m, author: {name: n, email: nobody}}}",
            "1 | nobody}} | changesetTemplate.commit.author.email: this is not an email address",
        ),
        (
            "{title: t, branch: b, commit: {message: m}, published: yes}",
            "1 | yes}}    | changesetTemplate.published: this is text",
        ),
        (
            "{title: t, branch: b, commit: {message: m}, published: [{'a[': true}, {a: true, b: true}, {c: 1}]}",
            "1 | 'a[': tr | changesetTemplate.published[0].a[: the glob\n1 | {a: true | changesetTemplate.published[1]: an item must have\n1 | 1}]}}    | changesetTemplate.published[2].c: this is the number 1",
        ),
        (
            "{title: '${{ batch_change_link }}', branch: b, commit: {message: '${{ previous_step.stdout }}'}}",
            "1 | batch_ch | changesetTemplate.title: `batch_change_link` exists only\n1 | previous | changesetTemplate.commit.message: `previous_step` exists only",
        ),
        (
            "{title: t, branch: b, commit: {message: m}, titel: x}",
            "1 | titel: x | changesetTemplate.titel: there is no `titel`",
        ),
    ];
    for (template, expected) in table {
        check(&format!("{{name: a, changesetTemplate: {template}}}"), expected);
    }
}

#[test]
fn mistakes_in_actions_are_told() {
    let table = [
        (
            "{scopeQuery: ''}",
            "1 | {scopeQu | : `steps` is missing\n1 | ''}      | scopeQuery: this must not be empty",
        ),
        ("{scopeQuery: a, steps: []}", "1 | []}      | steps: there must be at least one step"),
        ("{scopeQuery: a, steps: [{}]}", "1 | {}]}     | steps[0]: `type` is missing"),
        ("{scopeQuery: a, steps: [{type: command}]}", "1 | {type: c | steps[0]: `args` is missing"),
        (
            "{scopeQuery: a, steps: [{type: command, args: []}]}",
            "1 | args: [] | steps[0].args: there must be at least one argument",
        ),
        (
            "{scopeQuery: a, steps: [{type: command, args: [a, 1], image: x}]}",
            "1 | 1], imag | steps[0].args[1]: this is the number 1\n1 | x}]}     | steps[0].image: a command has no image",
        ),
        (
            "{scopeQuery: a, steps: [{type: docker, args: x}]}",
            "1 | {type: d | steps[0]: `image` is missing\n1 | x}]}     | steps[0].args: this is text; it must be a list",
        ),
        (
            "{scopeQuery: a, steps: [{type: shell}]}",
            "1 | shell}]} | steps[0].type: there is no type `shell`",
        ),
        (
            "{scopeQuery: a, steps: [{type: docker, image: a, dockerfile: x}], name: b}",
            "1 | dockerfi | steps[0].dockerfile: inline Dockerfiles\n1 | name: b} | name: there is no `name`",
        ),
    ];
    for (text, expected) in table {
        check(text, expected);
    }
}

#[test]
fn files_without_structure_are_explained() {
    let table = [
        ("", "0 |          | : the file is empty"),
        ("# only a comment", "0 |          | : the file is empty"),
        ("a: [", ""),
        ("- a", "1 | - a      | : this is a list; it must be a map of keys and values"),
        ("text", "1 | text     | : this is text"),
        (
            "name: a\nname: b\n",
            "2 | name: b  | name: the key `name` stands here twice; it is also on line 1",
        ),
        ("name: a\n---\nname: b\n", "2 | ---      | : the file holds more than one document"),
        ("a: *b", ""),
        ("[a]: b", "1 | [a]: b   | : a key must be text"),
        ("name: !custom a", "1 | a        | : the tag `!custom` has no meaning here"),
        ("a: &a [*a]", "1 | *a]      | : the alias stands inside of what it names"),
    ];
    for (text, expected) in table {
        match expected {
            "" => assert_eq!(parse("f", text.as_bytes()).unwrap_err().len(), 1, "{text}"),
            expected => check(text, expected),
        }
    }
    let errors = parse("f", b"name: a\nb: \xff\xfe").unwrap_err();
    assert!(
        errors[0].to_string().starts_with("f: the file is not UTF-8 text: line 2"),
        "{}",
        errors[0]
    );
    let errors = parse("f", &vec![b' '; model::limit::SPEC_BYTES + 1]).unwrap_err();
    assert_eq!(errors[0].to_string(), "f: the file is larger than 4 MiB");
}

#[test]
fn broken_structure_is_told_in_plain_words() {
    let table = [
        ("name: a: b", "1 | : b      | : a `:` must not stand here"),
        ("name: a\nsteps:\n\t- run: x", "3 | - run: x | : a tab must not stand in the indentation"),
        (
            "name: a\nsteps: [{run: a, env: {A: ${{ x }}}}]",
            "2 | {{ x }}} | : a `,` or the closing bracket is missing here",
        ),
        ("{\"name\": \"a\", ", "1 | {\"name\": | : this bracket is never closed"),
        ("name: @x", "1 | @x       | : a value must not begin with this character"),
        (
            "{\"a\": \"b\" \"c\": 1}",
            "1 | \"c\": 1}  | : a value must not go on behind its closing quote",
        ),
        ("a: *b", "1 | *b       | : no `&name` before this alias has its name"),
        ("a:\n- b: c\n d: e", "3 | d: e     | : this line does not belong to the lines above"),
        ("{} x", "1 | x        | : the document has ended, and there is more text"),
    ];
    for (text, expected) in table {
        check(text, expected);
    }
}

#[test]
fn what_is_strange_is_warned_of() {
    let table = [
        ("- run: a\n  if: outputs.x", "steps[0].if: this is never `true`"),
        ("- run: ${{ outputs.x }}", "steps[0].run: no step before this sets the output `x`"),
        (
            "- run: ${{ outputs.x }}\n  outputs: {x: {value: a}}",
            "steps[0].run: no step before this",
        ),
        ("- run: a\n  outputs: {x: {value: a}}\n- run: ${{ outputs.x }}", ""),
        ("- run: a\n  outputs: {x: {value: '${{ outputs.x }}'}}", ""),
    ];
    for (steps, expected) in table {
        let text = format!("{HEAD}steps:\n{steps}\n");
        let warnings = parse("f", text.as_bytes()).unwrap().warnings;
        let found: Vec<String> =
            warnings.iter().map(|w| format!("{}: {}", w.field, w.message)).collect();
        match expected {
            "" => assert_eq!(found, [""; 0], "{text}"),
            expected => {
                assert!(found.len() == 1 && found[0].starts_with(expected), "{text}\n{found:?}")
            }
        }
    }
}

#[test]
fn bombs_are_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let alias = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", alias.trim_end_matches(", ")));
    }
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1_000_000), vec!["*a"; 1000].join(", "));
    let merged = format!(
        "a: &a {{b: {}}}\nc: [{}]",
        "x".repeat(1_000_000),
        vec!["{<<: *a}"; 1000].join(", ")
    );
    for text in [bomb, long, merged] {
        let errors = parse("f", text.as_bytes()).unwrap_err();
        assert!(errors[0].message.contains("unfolds into more than"), "{}", errors[0]);
    }
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", "")] {
        let deep = format!("{}x{}", open.repeat(200), close.repeat(200));
        let errors = parse("f", deep.as_bytes()).unwrap_err();
        assert!(errors[0].message.contains("nesting is deeper"), "{}", errors[0]);
        let errors = parse("f", open.repeat(1_000_000).as_bytes()).unwrap_err();
        assert_eq!(errors.len(), 1);
    }
    let many: String = (0..5000).map(|number| format!("key{number}: 1\n")).collect();
    assert_eq!(parse("f", many.as_bytes()).unwrap_err().len(), 101);
}

#[test]
fn aliases_and_merges_are_followed() {
    let text = "name: a\nsteps:\n  - &one\n    run: echo\n    env: {A: b}\n  - <<: *one\n    run: other\n  - *one\n\
                changesetTemplate: {title: t, branch: b, commit: {message: m}}\n";
    let spec = parse("f", text.as_bytes()).unwrap().spec;
    let runs: Vec<_> = spec.steps.iter().map(|step| &step.run).collect();
    let shell = |text: &str| Run::Shell(text.to_owned());
    assert_eq!(runs, [&shell("echo"), &shell("other"), &shell("echo")]);
    assert_eq!(spec.steps[1].env.len(), 1);
}

#[test]
fn scalars_have_the_types_of_yaml() {
    let value = super::yaml_value(
        "a: 1\nb: -2.5\nc: 1e3\nd: yes\ne: 'true'\nf: ~\ng: 0x1F\nh: 1.2.3\ni: 2020-01-01\nj: .5\nk: !!str 5\nl: !!int '7'\nm: 007\nn: -\no: +\np: 1_000",
    );
    let expected = serde_json::json!({
        "a": 1, "b": -2.5, "c": 1000.0, "d": "yes", "e": "true", "f": null, "g": 31, "h": "1.2.3",
        "i": "2020-01-01", "j": 0.5, "k": "5", "l": 7, "m": 7, "n": "-", "o": "+", "p": "1_000",
    });
    match value {
        Ok(value) => assert_eq!(value, expected),
        // A lone dash is an empty list in a place where YAML allows none.
        Err(message) => assert!(message.contains("line 14"), "{message}"),
    }
    assert!(super::yaml_value("a: 1\na: 2").is_err());
    assert_eq!(super::yaml_value("").unwrap(), serde_json::Value::Null);
}

#[test]
fn json_positions_survive_comments() {
    check(
        "/* ü\n*/ {\"name\": \"a\", /* ö */ \"nam\": 1, // x\n\t\"on\": 5}",
        "2 | \"nam\": 1 | nam: there is no `nam`
         3 | 5}       | on: this is the number 5",
    );
}
