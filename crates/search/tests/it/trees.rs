//! Queries and their syntax trees. Each is also written out, read again and compared.

use search::PatternType::{self, Keyword, Literal, Regexp, Standard};

use crate::shape::{parsed, shape};

const ALL: [PatternType; 4] = [Literal, Standard, Regexp, Keyword];

fn check(pattern_type: PatternType, cases: &[(&str, &str)]) {
    for (text, wanted) in cases {
        let query = parsed(text, pattern_type);
        assert_eq!(shape(&query.root), *wanted, "{text} as {pattern_type:?}");
        let written = query.to_string();
        for other in ALL {
            let again = parsed(&written, other);
            assert_eq!(shape(&again.root), *wanted, "{text} is written as {written}");
            assert_eq!(again.to_string(), written);
        }
    }
}

#[test]
fn filters_are_the_same_in_every_type() {
    for pattern_type in ALL {
        check(
            pattern_type,
            &[
                ("repo:go-*", "repo:go-*"),
                ("r:a", "repo:a"),
                ("REPO:a", "repo:a"),
                ("-repo:a", "-repo:a"),
                ("not repo:a", "-repo:a"),
                ("NOT r:a", "-repo:a"),
                ("repo:^github\\.com/a/b$@v1:v2", "repo:^github\\.com/a/b$@v1:v2"),
                ("repo:a rev:v1", "(and repo:a rev:v1)"),
                ("repo:a revision:v1", "(and repo:a rev:v1)"),
                ("f:a", "file:a"),
                ("path:a", "file:a"),
                ("-file:\\.md$", "-file:\\.md$"),
                ("lang:go", "lang:go"),
                ("l:go", "lang:go"),
                ("-language:go", "-lang:go"),
                ("repo:(a|b)/c", "repo:(a|b)/c"),
                ("file:(foo bar)", "file:(foo bar)"),
                ("repo:a\\ b", "repo:a\\ b"),
                ("repo:\"a b\"", "repo:a b"),
                ("repo:'a \"b'", "repo:a \"b"),
                ("repo:\"a\\\"b\\\\.c\\d\"", "repo:a\"b\\.c\\d"),
                ("file:\"a\\tb\\n\"", "file:a\tb\n"),
                ("repo:a context:global", "repo:a"),
                ("repohasfile:go.mod", "repo:has.file(path:\"go.mod\")"),
                ("-repohasfile:README.md", "-repo:has.file(path:\"README.md\")"),
                ("repo:has.path(a b)", "repo:has.file(path:\"a b\")"),
                ("repo:contains.path(a)", "repo:has.file(path:\"a\")"),
                ("repo:has.content(a(b)c)", "repo:has.file(content:\"a(b)c\")"),
                ("repo:has.content(\"a)b\")", "repo:has.file(content:\"a)b\")"),
                (
                    "repo:has.file(path:go\\.mod content:foo)",
                    "repo:has.file(path:\"go\\\\.mod\" content:\"foo\")",
                ),
                (
                    "repo:contains.file(content:'x y' path:z)",
                    "repo:has.file(path:\"z\" content:\"x y\")",
                ),
                ("repo:contains(file:a content:b)", "repo:has.file(path:\"a\" content:\"b\")"),
                ("repo:contains.file(Dockerfile)", "repo:has.file(path:\"Dockerfile\")"),
                ("-repo:has.topic(ci)", "-repo:has.topic(\"ci\")"),
                ("not repo:has.topic(ci)", "-repo:has.topic(\"ci\")"),
                ("file:has.content(x)", "file:has.content(\"x\")"),
                ("file:contains(x)", "file:has.content(\"x\")"),
                // Quotes make an expression of what would be a predicate.
                ("repo:\"has.topic(x)\"", "repo:has.topic(x)"),
                ("fork:only archived:no", "(and fork:only archived:no)"),
                ("visibility:private case:yes", "(and visibility:private case:yes)"),
                ("count:all type:repo select:repo", "(and count:all type:repo select:repo)"),
                ("repo:a and repo:b", "(and repo:a repo:b)"),
                ("repo:a or repo:b", "(or repo:a repo:b)"),
                ("(repo:a or repo:b) lang:go", "(and (or repo:a repo:b) lang:go)"),
                ("repo:a or repo:b and repo:c", "(or repo:a (and repo:b repo:c))"),
                ("repo:a or repo:b repo:c", "(or repo:a (and repo:b repo:c))"),
                ("((repo:a))", "repo:a"),
                ("repo:a and (repo:b and repo:c)", "(and repo:a repo:b repo:c)"),
                ("not (repo:a)", "-repo:a"),
            ],
        );
    }
}

#[test]
fn literal_keeps_spaces_and_quotes() {
    check(
        Literal,
        &[
            ("foo bar", "'foo bar'"),
            ("foo   bar", "'foo   bar'"),
            ("foo\n  bar", "'foo bar'"),
            ("  foo ", "'foo'"),
            ("\"foo bar\"", "'\"foo bar\"'"),
            ("/foo/", "'/foo/'"),
            ("foo:bar", "'foo:bar'"),
            ("http://x:80/", "'http://x:80/'"),
            ("-foo", "'-foo'"),
            ("foo repo:a bar", "(and 'foo bar' repo:a)"),
            ("repo:a foo bar", "(and repo:a 'foo bar')"),
            ("fmt.Println(\"hello world\")", "'fmt.Println(\"hello world\")'"),
            ("(foo bar)", "'(foo bar)'"),
            ("func() {}", "'func() {}'"),
            ("()", "'()'"),
            ("foo(", "'foo('"),
            ("foo)", "'foo)'"),
            ("foo( or bar", "(or 'foo(' 'bar')"),
            ("repo:a foo( or bar", "(and repo:a (or 'foo(' 'bar'))"),
            ("foo and bar", "(and 'foo' 'bar')"),
            ("foo AND bar Or baz", "(or (and 'foo' 'bar') 'baz')"),
            ("a or b and c or d", "(or 'a' (and 'b' 'c') 'd')"),
            ("(a or b) and c", "(and (or 'a' 'b') 'c')"),
            ("(a or b) c", "(and (or 'a' 'b') 'c')"),
            ("not foo", "(not 'foo')"),
            ("foo not bar baz", "(and 'foo' (not 'bar') 'baz')"),
            ("not (foo or bar)", "(not (or 'foo' 'bar'))"),
            ("a and not b", "(and 'a' (not 'b'))"),
            ("-content:\"x y\" repo:a", "(and (not content:'x y') repo:a)"),
            ("not content:x", "(not content:'x')"),
            ("content:/x/", "content:'/x/'"),
            ("android order nothing", "'android order nothing'"),
            ("or(x)", "'or(x)'"),
            ("not(x)", "'not(x)'"),
            ("f\u{fc}r \u{65e5}\u{672c}", "'f\u{fc}r \u{65e5}\u{672c}'"),
            // Filters around an `or` without parentheses hold for all of it.
            ("repo:a x or y", "(and repo:a (or 'x' 'y'))"),
            ("x or y repo:a", "(and repo:a (or 'x' 'y'))"),
            ("repo:a x or y and z lang:go", "(and repo:a lang:go (or 'x' (and 'y' 'z')))"),
            ("repo:a x or y or repo:b z", "(or (and repo:a 'x') 'y' (and repo:b 'z'))"),
            ("repo:a x or repo:b", "(or (and repo:a 'x') repo:b)"),
            ("(repo:a x) or y", "(or (and repo:a 'x') 'y')"),
            ("(repo:a x) or (repo:b y)", "(or (and repo:a 'x') (and repo:b 'y'))"),
            ("content:\"repo:x\" repo:a", "(and content:'repo:x' repo:a)"),
            ("(repo:a content:\"foo(\") or x", "(or (and repo:a content:'foo(') 'x')"),
        ],
    );
}

#[test]
fn standard_knows_expressions_between_slashes() {
    check(
        Standard,
        &[
            ("foo bar", "'foo bar'"),
            ("\"foo bar\"", "'\"foo bar\"'"),
            ("/fo+/", "/fo+/"),
            ("/a b/", "/a b/"),
            ("/a\\/b/", "/a/b/"),
            ("/usr/bin", "'/usr/bin'"),
            ("// comment", "'// comment'"),
            ("foo /ba+r/", "/(?:foo).*?(?:ba+r)/"),
            ("/a/ and /b/", "(and /a/ /b/)"),
            ("(/a/ or /b/) repo:x", "(and (or /a/ /b/) repo:x)"),
            ("content:/a+/", "content:/a+/"),
            ("content:\"/a+/\"", "content:'/a+/'"),
            ("foo patternType:literal", "'foo'"),
        ],
    );
}

#[test]
fn regexp_words_follow_each_other() {
    check(
        Regexp,
        &[
            ("fo+", "/fo+/"),
            ("a b", "/(?:a).*?(?:b)/"),
            ("a|b c", "/(?:a|b).*?(?:c)/"),
            ("\"a.b\"", "'a.b'"),
            ("\"a.b\" c+", "/(?:a\\.b).*?(?:c+)/"),
            ("(foo|bar)", "/(foo|bar)/"),
            ("(foo bar)baz", "/(foo bar)baz/"),
            ("a\\ b", "/a\\ b/"),
            ("\\(x", "/\\(x/"),
            ("(foo or bar)", "(or /foo/ /bar/)"),
            ("content:a+", "content:/a+/"),
            ("content:\"repo:x\" repo:a", "(and content:/repo:x/ repo:a)"),
            ("foo: bar", "/(?:foo:).*?(?:bar)/"),
        ],
    );
}

#[test]
fn keyword_words_are_apart() {
    check(
        Keyword,
        &[
            ("foo bar", "(and 'foo' 'bar')"),
            ("\"foo bar\" baz", "(and 'foo bar' 'baz')"),
            ("'foo bar'", "'foo bar'"),
            ("/fo+/ bar", "(and /fo+/ 'bar')"),
            ("(foo bar)", "(and 'foo' 'bar')"),
            ("(foo bar) or baz", "(or (and 'foo' 'bar') 'baz')"),
            ("foo(bar baz)", "'foo(bar baz)'"),
            ("not (foo bar)", "(not (and 'foo' 'bar'))"),
            ("not(foo or bar)", "(not (or 'foo' 'bar'))"),
            ("repo:a foo or bar", "(and repo:a (or 'foo' 'bar'))"),
            ("\"say \\\"hi\\\"\"", "'say \"hi\"'"),
            ("\\\"x", "'\"x'"),
            ("don't", "'don't'"),
        ],
    );
}

#[test]
fn the_query_chooses_its_type() {
    for pattern_type in ALL {
        check(
            pattern_type,
            &[
                ("patternType:regexp a b", "/(?:a).*?(?:b)/"),
                ("a b patternType:regexp", "/(?:a).*?(?:b)/"),
                ("\"a b\" patterntype:literal", "'\"a b\"'"),
                ("(a b patternType:keyword)", "(and 'a' 'b')"),
                ("a b patternType:\"standard\"", "'a b'"),
                ("repo:x patternType:REGEXP", "repo:x"),
            ],
        );
    }
    // What is quoted chooses nothing.
    check(
        Keyword,
        &[("\"a patternType:literal b\" patternType:regexp", "'a patternType:literal b'")],
    );
    let quoted = "content:\"x patternType:regexp y\"";
    check(Standard, &[(quoted, "content:'x patternType:regexp y'")]);
}
