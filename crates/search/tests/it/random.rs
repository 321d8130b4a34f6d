//! Random text: nothing panics, and what is a query can be written out and read again.

use std::time::{Duration, Instant};

use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::{collection::vec, prop_assert, prop_assert_eq, sample::select};
use search::PatternType::{self, Keyword, Literal, Regexp, Standard};

use crate::fleet::fleet;
use crate::shape::shape;

fn pattern_type() -> impl Strategy<Value = PatternType> {
    select(vec![Literal, Standard, Regexp, Keyword])
}

/// Text made of what the language is made of, so that much of it is a query.
fn words() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        select(vec![
            "and",
            "or",
            "not",
            "AND",
            "(",
            ")",
            " ",
            " ",
            " ",
            " ",
            "  ",
            "\n",
            "\"",
            "'",
            "/",
            "\\",
            "repo:",
            "-repo:",
            "file:",
            "-file:",
            "content:",
            "lang:go",
            "case:yes",
            "@v1",
            "rev:v1",
            "has.path(",
            "has.file(path:",
            " content:",
            "has.topic(x)",
            "count:all",
            "type:path",
            "select:repo",
            "fork:yes",
            "repohasfile:",
            "patternType:literal",
            "patternType:regexp",
            "patternType:keyword",
            "patternType:standard",
            "main",
            "api",
            "hello",
            "go",
            ".*",
            "[a-z]",
            "|",
            "{",
            "}",
            "^",
            "$",
            ":",
            "\u{fc}",
            "acme",
        ])
        .prop_map(str::to_owned),
        Just("(repo:a x) or ".to_owned()),
        Just(" (a or b) ".to_owned()),
    ];
    vec(word, 0..24).prop_map(|words| words.concat())
}

fn check(
    text: &str,
    pattern_type: PatternType,
) -> Result<(), proptest::test_runner::TestCaseError> {
    let query = match search::parse(text, pattern_type) {
        Ok(query) => query,
        Err(error) => {
            prop_assert!(text.get(error.span.range()).is_some(), "{text:?}: {error:?}");
            error.position(text);
            return Ok(());
        }
    };
    let written = query.to_string();
    let again = search::parse(&written, pattern_type);
    prop_assert!(again.is_ok(), "{text:?} is written as {written:?}: {again:?}");
    let again = again.expect("just looked");
    prop_assert_eq!(
        shape(&again.root),
        shape(&query.root),
        "{:?} is written as {:?}",
        text,
        written
    );
    prop_assert_eq!(again.to_string(), written);
    let (first, second) = (search::plan(&query), search::plan(&again));
    prop_assert_eq!(first.is_ok(), second.is_ok());
    if let (Ok(first), Ok(second)) = (first, second) {
        let fleet = fleet();
        let found = search::evaluate_all(&first, &fleet);
        prop_assert_eq!(found, search::evaluate_all(&second, &fleet));
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text(text in any::<String>(), pattern_type in pattern_type()) {
        check(&text, pattern_type)?;
    }

    #[test]
    fn any_words(text in words(), pattern_type in pattern_type()) {
        check(&text, pattern_type)?;
    }
}

#[test]
fn hostile_text_takes_no_time() {
    let parts = [
        "(",
        ")",
        "()",
        "foo( ",
        "\"a ",
        "'\" ",
        "repo:\"a ",
        "repo:has.path( ",
        "/a ",
        "\\",
        "-",
        "not ",
        "not (",
        "a or ",
        "(a or ",
        "(repo:a or ",
        "a and ",
        "has.file(path:\"",
        "r:(",
        "[",
        "a:",
        "content:/a ",
        "patternType:regexp\" ",
        "\u{3000}",
    ];
    for part in parts {
        let text = part.repeat(search::limit::QUERY_BYTES / part.len());
        for pattern_type in [Literal, Standard, Regexp, Keyword] {
            let start = Instant::now();
            if let Ok(query) = search::parse(&text, pattern_type) {
                // A pattern of 64 KiB may be too big an expression; that is an error like any other.
                let _ = search::plan(&query);
            }
            assert!(start.elapsed() < Duration::from_secs(5), "{part:?} as {pattern_type:?}");
        }
    }
}
