//! What Go has no say in: messages, scopes, limits, `matches`, conditions and steps. The language itself is compared with Go in
//! `tests/it/go_template.rs`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::*;
use crate::{
    BatchChangeContext, ChangedFiles, Condition, EnvVar, OutputFormat, OutputRule, Position,
    RepositoryContext, Run, Step, StepResult,
};

fn context() -> TemplateContext {
    TemplateContext {
        repository: RepositoryContext {
            name: "github.com/a/b".to_owned(),
            search_result_paths: vec!["x".to_owned(), "y z".to_owned()],
            ..RepositoryContext::default()
        },
        batch_change: BatchChangeContext { name: "change".to_owned(), ..Default::default() },
        ..TemplateContext::default()
    }
}

fn render(text: &str, scope: Scope) -> Result<String, TemplateError> {
    Template::parse(text)?.render(&context(), scope)
}

#[test]
fn globs_match() {
    let table = [
        ("${{ matches repository.name \"github.com/*\" }}", "true"),
        ("${{ matches repository.name \"github.com/?/{b,c}\" }}", "true"),
        ("${{ matches repository.name \"gitlab*\" }}", "false"),
        ("${{ \"*\" | matches \"\" }}", "true"),
    ];
    for (text, expected) in table {
        assert_eq!(render(text, Scope::Step).unwrap(), expected, "{text}");
    }
    for text in ["${{ matches \"a\" }}", "${{ matches 1 \"a\" }}", "${{ matches \"a\" \"[\" }}"] {
        assert!(render(text, Scope::Step).is_err(), "{text}");
    }
}

#[test]
fn scopes_have_their_variables() {
    let table = [
        ("${{ step.stdout }}", [false, true, false, false]),
        ("${{ previous_step.stdout }}", [true, true, false, false]),
        ("${{ steps.path }}", [true, true, true, true]),
        ("${{ batch_change_link }}", [false, false, false, true]),
        ("${{ repository.name }}", [true, true, true, true]),
        ("${{ .repository.name }}", [true, true, true, true]),
        ("${{ .step.stdout }}", [false, true, false, false]),
        ("${{ if false }}${{ step }}${{ end }}", [false, true, false, false]),
        ("${{ nonsense }}", [false; 4]),
    ];
    for (text, expected) in table {
        let scopes = [Scope::Step, Scope::Output, Scope::Changeset, Scope::ChangesetBody];
        assert_eq!(scopes.map(|scope| render(text, scope).is_ok()), expected, "{text}");
    }
    let link = render("${{ batch_change_link }}", Scope::ChangesetBody).unwrap();
    assert_eq!(link, "${{ batch_change_link }}");
}

#[test]
fn before_any_step_everything_is_empty() {
    let text = "<${{ previous_step.stdout }}${{ previous_step.added_files }}${{ join previous_step.modified_files \" \" }}\
                ${{ range previous_step.deleted_files }}x${{ end }}>${{ eq previous_step.renamed_files \"\" }}";
    assert_eq!(render(text, Scope::Step).unwrap(), "<>true");
    assert_eq!(render("${{ repository.search_result_paths }}", Scope::Step).unwrap(), "x y z");
}

#[test]
fn messages_say_what_is_wrong_and_where() {
    let table = [
        (
            "a\nü ${{ nme }}",
            2,
            7,
            "there is no `nme` here; there is `batch_change`, `outputs`, `previous_step`, `repository`, `steps`",
        ),
        (
            "${{ repositry.name }}",
            1,
            5,
            "there is no `repositry` here (did you mean `repository`?)",
        ),
        (
            "${{ repository.nme }}",
            1,
            15,
            "there is no `nme`; there is `branch`, `name`, `search_result_paths`",
        ),
        ("${{ outputs.x }}", 1, 12, "there is no `x`; it is empty"),
        ("${{ outputs.my-key }}", 1, 15, "`-` must not follow `.my`"),
        ("${{ if true }}", 1, 5, "`if` without `${{ end }}`"),
        ("x ${{ 1", 1, 8, "`${{` without `}}`"),
        ("${{ len 1 }}", 1, 5, "`len`: needs text, a list or a map, and has a whole number"),
        ("${{ call 1 }}", 1, 5, "the function `call` is not supported"),
        ("${{ slice \"ü\" 1 }}", 1, 5, "`slice`: would cut a character in two"),
        ("${{ 1i }}", 1, 5, "complex numbers are not supported"),
        ("${{ printf \"%[1]d\" 1 }}", 1, 5, "`printf`: argument numbers"),
        ("${{ if eq 1 }}${{ end }}", 1, 8, "`eq`: needs 2 arguments"),
    ];
    for (text, line, column, message) in table {
        let error = render(text, Scope::Step).unwrap_err();
        assert!(error.message.starts_with(message), "{text}: {error}");
        assert_eq!((error.line, error.column), (line, column), "{text}: {error}");
    }
}

#[test]
fn hostile_templates_end_soon() {
    let grow = "${{ $x := \"aaaaaaaaaaaaaaaa\" }}${{ range 40 }}${{ $x = print $x $x }}${{ end }}${{ $x }}".to_owned();
    let table = [
        "${{ range 1000000000 }}${{ range 1000000000 }}${{ end }}${{ end }}".to_owned(),
        "${{ range 1000000000 }}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa${{ end }}".to_owned(),
        grow.clone(),
        format!("{grow}${{{{ split $x \"\" }}}}"),
        "${{ define \"t\" }}${{ template \"t\" }}${{ template \"t\" }}${{ end }}${{ template \"t\" }}".to_owned(),
        "${{ define \"t\" }}${{ range 100000 }}${{ template \"t\" . }}${{ end }}${{ end }}${{ template \"t\" }}".to_owned(),
        "${{ range 100 }}${{ printf \"%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d\" 1 1 1 1 1 1 1 }}${{ end }}".to_owned(),
        "${{ printf \"%99999999999999999999d\" 1 }}".to_owned(),
        "${{ range 1000 }}${{ $x := printf \"%999999d\" 1 }}${{ replace $x \" \" $x }}${{ end }}".to_owned(),
        format!("${{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000)),
        format!("{}x", "${{ if 1 }}".repeat(5000)),
        format!("{}x", "${{ block \"a\" 1 }}".repeat(5000)),
        format!("{}${{{{ range 400000 }}}}${{{{ $ }}}}${{{{ end }}}}", "${{$a:=1}}".repeat(200_000)),
        format!("${{{{ define \"t\" }}}}{}${{{{ template \"t\" }}}}{}${{{{ end }}}}${{{{ template \"t\" }}}}", "${{ if 1 }}".repeat(90), "${{ end }}".repeat(90)),
        "${{ printf \"%999999d\" (split (printf \"%9999d\" 1) \"\") }}".to_owned(),
        "${{ $a := printf \"%999999d\" 1 }}${{ $b := printf \"%999999d\" 1 }}${{ range 1000000 }}${{ eq $a $b }}${{ end }}".to_owned(),
        format!("${{{{ matches (printf \"%999999d\" 1) \"{}\" }}}}", "*a".repeat(500)),
        format!("${{{{ .{} }}}}", "a.".repeat(200_000)),
    ];
    for text in table {
        let started = Instant::now();
        assert!(render(&text, Scope::Step).is_err(), "{:.80}", text);
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{:.80} took {:?}",
            text,
            started.elapsed()
        );
    }
    // What is deep but allowed fits on a small stack.
    let groups = format!("{}1{}", "(".repeat(98), ")".repeat(98));
    assert_eq!(render(&format!("${{{{ {groups} }}}}"), Scope::Step).unwrap(), "1");
    let ifs = format!("{}x{}", "${{ with 1 }}".repeat(99), "${{ end }}".repeat(99));
    assert_eq!(render(&ifs, Scope::Step).unwrap(), "x");
    for (verb, length) in [("f", 900_002), ("e", 900_006), ("g", 3)] {
        let text = format!("${{{{ printf \"%.900000{verb}\" 1.5 }}}}");
        assert_eq!(render(&text, Scope::Step).unwrap().len(), length, "{verb}");
    }
    // Long is not hostile.
    let long =
        format!("{}${{{{ end }}}}", "${{ if 0 }}".to_owned() + &"${{ else if 0 }}".repeat(20_000));
    assert_eq!(render(&long, Scope::Step).unwrap(), "");
    assert_eq!(render(&"${{1}}".repeat(200_000), Scope::Step).unwrap().len(), 200_000);
}

#[test]
fn conditions_are_evaluated() {
    let mut context = context();
    context.outputs.insert("yes".to_owned(), true.into());
    let condition = |text: &str| Condition::Template(text.to_owned());
    let table = [
        (Condition::Always, Some(true)),
        (Condition::Never, Some(false)),
        (condition(" ${{ outputs.yes }}\n"), Some(true)),
        (condition("${{ not outputs.yes }}"), Some(false)),
        (condition("true"), Some(true)),
        (condition("1"), Some(false)),
        (condition("TRUE"), Some(false)),
        (condition("${{ outputs.no }}"), None),
        (condition("${{"), None),
    ];
    for (condition, expected) in table {
        assert_eq!(evaluate_condition(&condition, &context).ok(), expected, "{condition:?}");
    }
}

#[test]
fn conditions_are_evaluated_as_far_as_they_are_known() {
    use StaticCondition::{Dynamic, Run, Skip};
    let table = [
        ("true", Run),
        ("false", Skip),
        ("${{ eq repository.name \"github.com/a/b\" }}", Run),
        ("${{ ne repository.name \"github.com/a/b\" }}", Skip),
        ("${{ matches repository.name \"*/a/*\" }}", Run),
        ("${{ not (eq batch_change.name \"change\") }}", Skip),
        ("${{ eq batch_change.description \"\" }}", Run),
        ("${{ and (eq 1 1) (eq \"a\" \"a\") }}", Run),
        ("${{ if eq repository.name \"x\" }}true${{ end }}", Skip),
        ("${{ eq repository.branch \"main\" }}", Dynamic),
        ("${{ repository.search_result_paths }}", Dynamic),
        ("${{ repository }}", Dynamic),
        ("${{ outputs.x }}", Dynamic),
        ("${{ previous_step.stdout }}", Dynamic),
        ("${{ eq steps.path \"\" }}", Dynamic),
        ("${{ .repository.name }}", Dynamic),
        ("${{ eq 1 }}", Dynamic),
        ("${{", Dynamic),
    ];
    let context = context();
    for (text, expected) in table {
        let condition = Condition::Template(text.to_owned());
        let found = evaluate_statically(&condition, &context.repository, &context.batch_change);
        assert_eq!(found, expected, "{text}");
    }
    let (repository, change) = (&context.repository, &context.batch_change);
    assert_eq!(evaluate_statically(&Condition::Always, repository, change), Run);
    assert_eq!(evaluate_statically(&Condition::Never, repository, change), Skip);
}

fn step() -> Step {
    Step {
        run: Run::Shell("echo ${{ repository.name }}".to_owned()),
        container: Some("image:${{ outputs.tag }}".to_owned()),
        env: vec![EnvVar {
            name: "A".to_owned(),
            value: Some("${{ batch_change.name }}".to_owned()),
        }],
        files: BTreeMap::from([("/f".to_owned(), "${{ steps.path }}".to_owned())]),
        mount: Vec::new(),
        outputs: BTreeMap::new(),
        r#if: Condition::Always,
        timeout_ms: Some(5),
        at: Position::default(),
    }
}

#[test]
fn steps_are_rendered_whole() {
    let mut context = context();
    context.steps_path = "sub".to_owned();
    context.outputs.insert("tag".to_owned(), 3.into());
    let rendered = render_step(&step(), &context).unwrap();
    assert_eq!(
        rendered,
        RenderedStep {
            run: Run::Shell("echo github.com/a/b".to_owned()),
            container: Some("image:3".to_owned()),
            env: vec![("A".to_owned(), "change".to_owned())],
            files: BTreeMap::from([("/f".to_owned(), "sub".to_owned())]),
            timeout_ms: Some(5),
        }
    );
    context.outputs.clear();
    assert_eq!(render_step(&step(), &context).unwrap_err().field, "container");
    let passed = EnvVar { name: "HOME".to_owned(), value: None };
    let error =
        render_step(&Step { container: None, env: vec![passed], ..step() }, &context).unwrap_err();
    assert_eq!(error.field, "env.HOME");
    // Actions have no templates.
    let argv = Run::Argv(vec!["${{ x }}".to_owned()]);
    let action = Step { run: argv.clone(), container: Some("${{".to_owned()), ..step() };
    assert_eq!(render_step(&action, &context).unwrap().run, argv);
}

#[test]
fn outputs_are_read_in_their_format() {
    let rule = |value: &str, format| OutputRule { value: value.to_owned(), format };
    let rules = BTreeMap::from([
        ("text".to_owned(), rule("${{ step.stdout }}", OutputFormat::Text)),
        (
            "json".to_owned(),
            rule("{\"a\": [1, ${{ len step.added_files | printf `%d` }}]}", OutputFormat::Json),
        ),
        ("yaml".to_owned(), rule("a: {b: yes}", OutputFormat::Yaml)),
    ]);
    let mut context = context();
    let files = ChangedFiles { added: vec!["x".to_owned()], ..ChangedFiles::default() };
    context.step = Some(StepResult { files, stdout: "out\n".to_owned(), stderr: String::new() });
    let mut outputs = BTreeMap::from([("text".to_owned(), 1.into()), ("old".to_owned(), 2.into())]);
    render_outputs(&Step { outputs: rules, ..step() }, &context, &mut outputs).unwrap();
    let expected = serde_json::json!({
        "text": "out\n", "json": {"a": [1, 1]}, "yaml": {"a": {"b": "yes"}}, "old": 2,
    });
    assert_eq!(serde_json::to_value(&outputs).unwrap(), expected);
    for (text, format) in
        [("{", OutputFormat::Json), ("a: [", OutputFormat::Yaml), ("${{ x }}", OutputFormat::Text)]
    {
        let outputs_of = BTreeMap::from([("o".to_owned(), rule(text, format))]);
        let step = Step { outputs: outputs_of, ..step() };
        let error = render_outputs(&step, &context, &mut BTreeMap::new()).unwrap_err();
        assert_eq!(error.field, "outputs.o.value");
    }
}
