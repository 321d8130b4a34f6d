//! Queries that are none, and what their writers are told.

use search::ErrorKind::{self, Contradiction, Limit, Syntax, Unsupported, Value};
use search::PatternType::{self, Keyword, Literal, Regexp, Standard};
use search::{Error, Position, limit};

fn fault(text: &str, pattern_type: PatternType) -> Error {
    let result = search::parse(text, pattern_type).and_then(|query| search::plan(&query));
    match result {
        Ok(plan) => panic!("{text} is a query: {plan:?}"),
        Err(error) => error,
    }
}

/// The query, the kind, the token, and a part of the sentence.
type Case = (&'static str, ErrorKind, &'static str, &'static str);

fn check(pattern_type: PatternType, cases: &[Case]) {
    for (text, kind, token, part) in cases {
        let error = fault(text, pattern_type);
        let message = error.to_string();
        assert!(message.contains(part), "{text}: {message}");
        assert_eq!(error.kind, *kind, "{text}: {message}");
        assert_eq!(&text[error.span.range()], *token, "{text}: {message}");
        let advice = [": ", ", or ", "; "];
        assert!(advice.iter().any(|it| message.contains(it)), "{text}: no advice in {message}");
    }
}

#[test]
fn what_is_no_query() {
    check(
        Standard,
        &[
            ("", Syntax, "", "names nothing to look for"),
            ("  \n ", Syntax, "  \n ", "names nothing to look for"),
            ("context:global", Syntax, "context:global", "names nothing to look for"),
            ("and foo", Syntax, "and", "`and` has nothing on its left"),
            ("foo or", Syntax, "or", "`or` has nothing on its right"),
            ("foo and and bar", Syntax, "and", "`and` has nothing on its left"),
            ("(or foo)", Syntax, "or", "`or` has nothing on its left"),
            ("not", Syntax, "not", "needs one pattern or filter"),
            ("foo not", Syntax, "not", "needs one pattern or filter"),
            ("not not foo", Syntax, "not ", "needs one pattern or filter"),
            ("(not )", Syntax, "not ", "needs one pattern or filter"),
            ("not -repo:a", Syntax, "not -repo:a", "cancel each other"),
            ("not -content:a", Syntax, "not -content:a", "negated already"),
            ("not (repo:a foo)", Syntax, "not (repo:a foo)", "negate each filter"),
            ("(foo", Syntax, "(", "`(` is never closed"),
            ("(repo:a foo", Syntax, "(", "`(` is never closed"),
            ("foo )", Syntax, ")", "`)` closes nothing"),
            ("repo:\"a b", Syntax, "repo:\"a b", "is never closed"),
            ("repo:\"a\"b", Syntax, "repo:\"a\"b", "put a space before `b`"),
            ("repo: foo", Syntax, "repo:", "`repo:` has no value"),
            ("-file:\"\"", Syntax, "-file:\"\"", "`-file:` has no value"),
            ("content:\"\"", Syntax, "content:\"\"", "`content:` has no value"),
            ("foo or context:global", Syntax, "foo or context:global", "a branch of `or`"),
            ("repo:has.path(a", Syntax, "repo:has.path(", "`repo:has.path` is never closed"),
            ("repo:has.path(a)b", Syntax, "repo:has.path(a)b", "put a space before `b`"),
            ("repo:has.path()", Value, "", "the parentheses are empty"),
            ("repo:has.file( )", Value, " ", "the parentheses are empty"),
            ("repo:has.file(path:)", Value, "path:", "`path:` has no value"),
            ("repo:has.file(path:a path:b)", Value, "path:a path:b", "twice"),
        ],
    );
    check(
        Keyword,
        &[
            ("()", Syntax, "()", "the parentheses are empty"),
            ("( )", Syntax, "( )", "the parentheses are empty"),
            ("\"foo bar", Syntax, "\"foo bar", "is never closed"),
            ("\"\"", Syntax, "\"\"", "the pattern is empty"),
        ],
    );
    check(
        Regexp,
        &[
            ("a\\", Syntax, "a\\", "ends in a lone `\\`"),
            ("(a", Syntax, "(", "`(` is never closed"),
            ("a(", Value, "a(", "is no regular expression: unclosed group"),
            ("a[", Value, "a[", "is no regular expression: unclosed character class"),
            ("a(?=b)", Value, "a(?=b)", "look-around"),
            ("a(b c(", Value, "a(b c(", "is no regular expression"),
        ],
    );
    check(Literal, &[("repo:a patternType:regexp *", Value, "*", "it is no glob: write `.*`")]);
}

#[test]
fn values_that_cannot_be() {
    check(
        Standard,
        &[
            ("repo:*foo", Value, "repo:*foo", "it is no glob: write `.*` for anything"),
            ("repo:a file:(", Value, "file:(", "is no regular expression: unclosed group"),
            ("/a(/", Value, "/a(/", "is no regular expression: unclosed group"),
            ("repo:@v1", Value, "repo:@v1", "no repository in front of `@`"),
            ("repo:a@v1::v2", Value, "repo:a@v1::v2", "`` is no revision"),
            ("repo:a@--upload-pack=x", Value, "repo:a@--upload-pack=x", "is no revision"),
            ("repo:a@^main", Value, "repo:a@^main", "all revisions are excluded"),
            ("-repo:a@v1", Value, "-repo:a@v1", "cannot have a revision"),
            ("repo:a@v1 rev:v2", Value, "rev:v2", "both `rev:` and `@`"),
            ("rev:v2 foo", Value, "rev:v2", "`rev:` needs a `repo:`"),
            ("lang:klingon", Value, "lang:klingon", "`klingon` is no language"),
            ("fork:maybe", Value, "fork:maybe", "`fork:` cannot be `maybe`: use yes, no or only"),
            ("archived:x", Value, "archived:x", "use yes, no or only"),
            ("case:only foo", Value, "case:only", "use yes or no"),
            ("visibility:x", Value, "visibility:x", "use any, public or private"),
            ("count:0 a", Value, "count:0", "use all or a number from 1"),
            ("count:-1 a", Value, "count:-1", "use all or a number from 1"),
            ("count:+1 a", Value, "count:+1", "use all or a number from 1"),
            ("type:x", Value, "type:x", "use repo, path or file"),
            ("select:x a", Value, "select:x", "use repo, file or content"),
            ("patternType:x a", Value, "patternType:x", "is no pattern type"),
            ("fork:yes fork:yes", Value, "fork:yes", "`fork:` is there twice"),
            ("case:yes repo:a case:no", Value, "case:no", "`case:` is there twice"),
            ("repo:a rev:b rev:c", Value, "rev:c", "`rev:` is there twice"),
            (
                "a patternType:literal patternType:literal",
                Value,
                "patternType:literal",
                "is there twice",
            ),
            ("-fork:yes", Value, "-fork:yes", "`fork:` cannot be negated"),
            ("not count:5", Value, "not count:5", "`count:` cannot be negated"),
            ("-patternType:literal a", Value, "-patternType:literal", "cannot be negated"),
            ("(repo:a count:5) or repo:b", Value, "count:5", "holds for all of the query"),
            ("repo:b or (repo:a select:repo)", Value, "select:repo", "holds for all"),
        ],
    );
}

#[test]
fn what_is_not_supported_says_so() {
    check(
        Standard,
        &[
            (
                "author:x foo",
                Unsupported,
                "author:x",
                "`author:` is a filter that is not supported",
            ),
            ("-after:2020 foo", Unsupported, "-after:2020", "not supported"),
            ("timeout:5s foo", Unsupported, "timeout:5s", "not supported"),
            ("type:diff foo", Unsupported, "type:diff", "use repo, path or file"),
            ("type:symbol foo", Unsupported, "type:symbol", "use repo, path or file"),
            ("select:file.directory a", Unsupported, "select:file.directory", "not supported"),
            ("select:symbol.class a", Unsupported, "select:symbol.class", "not supported"),
            ("patternType:structural a", Unsupported, "patternType:structural", "use literal"),
            ("context:mine a", Unsupported, "context:mine", "search contexts"),
            ("repo:has.meta(a:b)", Unsupported, "has.meta(a:b)", "use has.file, has.path"),
            ("file:has.owner(x)", Unsupported, "has.owner(x)", "use has.content"),
        ],
    );
}

#[test]
fn what_no_repository_can_be() {
    check(
        Standard,
        &[
            ("repo:a -repo:a", Contradiction, "-repo:a", "remove one"),
            ("file:a -file:a", Contradiction, "-file:a", "remove one"),
            ("repohasfile:a -repohasfile:a", Contradiction, "-repohasfile:a", "remove one"),
            ("lang:go -lang:golang", Contradiction, "-lang:golang", "can hold for no file"),
            ("lang:go lang:python", Contradiction, "lang:python", "(lang:a or lang:b)"),
            ("repo:a@v1 repo:b@v2", Contradiction, "repo:b@v2", "no revision in common"),
            ("type:repo file:a", Contradiction, "file:a", "use `repo:has.path(…)`"),
            ("type:repo lang:go", Contradiction, "lang:go", "about files"),
            ("type:path content:a", Contradiction, "type:path", "add `type:file`"),
        ],
    );
}

#[test]
fn one_branch_that_cannot_hold_is_left_out() {
    let query = search::parse("(repo:a or repo:b) -repo:a", Standard).expect("a query");
    let plan = search::plan(&query).expect("`repo:b` is left");
    assert_eq!(plan.queries.len(), 1);
}

#[test]
fn a_type_in_quotes_that_it_makes_itself_is_named() {
    let error = fault("\"x patternType:keyword y\"", Literal);
    assert!(error.to_string().contains("put it at the start"), "{error}");
}

#[test]
fn places_are_for_people() {
    let query = "repo:a\n  f\u{fc}r fork:x";
    let error = fault(query, Standard);
    assert_eq!(error.position(query), Position { line: 2, column: 7 });
    assert_eq!(&query[error.span.range()], "fork:x");
}

#[test]
fn limits_are_named() {
    let deep = format!("{}repo:a{}", "(".repeat(limit::DEPTH + 1), ")".repeat(limit::DEPTH + 1));
    let many = "repo:a ".repeat(limit::TERMS + 1);
    let product = "(repo:a or repo:b) ".repeat(9);
    let long = "x".repeat(limit::QUERY_BYTES + 1);
    let big = "/\\w{1000}{1000}/".to_owned();
    for text in [deep, many, product, long, big] {
        let error = fault(&text, Standard);
        assert_eq!(error.kind, Limit, "{error}");
    }
    let fits = format!("{}repo:a{}", "(".repeat(limit::DEPTH), ")".repeat(limit::DEPTH));
    assert!(search::parse(&fits, Standard).is_ok());
    let names = vec!["github.com/organisation/repository-name"; 1000].join("|");
    let query = search::parse(&format!("repo:^({names})$"), Standard).expect("a query");
    search::plan(&query).expect("a thousand names fit");
}
