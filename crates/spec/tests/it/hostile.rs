//! Garbage, and good specs and templates that were cut or scrambled: never a panic, and never slow.

use std::time::{Duration, Instant};

use spec::{Scope, Template, TemplateContext, parse};

use crate::expressions::EXPRESSIONS;

const SPEC: &str = include_str!("batch.yaml");
const ACTION: &str = include_str!("action.json");

/// The longest that one small input may take, in a build without optimisation on a busy machine.
const SOON: Duration = Duration::from_secs(5);

/// A small generator of numbers, the same on every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

fn try_spec(bytes: &[u8]) {
    let started = Instant::now();
    if let Err(errors) = parse("spec", bytes) {
        assert!(!errors.is_empty(), "no spec and no error: {:?}", String::from_utf8_lossy(bytes));
        assert!(errors.iter().all(|error| !error.message.is_empty()));
    }
    assert!(started.elapsed() < SOON, "slow: {:?}", String::from_utf8_lossy(bytes));
}

fn try_template(text: &str) {
    let started = Instant::now();
    for scope in [Scope::Output, Scope::ChangesetBody] {
        let result = Template::parse(text)
            .and_then(|template| template.render(&TemplateContext::default(), scope));
        if let Err(error) = result {
            assert!(error.line > 0 && error.column > 0 && error.offset <= text.len(), "{error:?}");
        }
    }
    assert!(started.elapsed() < SOON, "slow: {text:?}");
}

#[test]
fn the_seeds_are_good() {
    for seed in [SPEC, ACTION] {
        let result = parse("seed", seed.as_bytes());
        assert!(result.is_ok(), "{:?}", result.map_err(|errors| errors[0].to_string()));
    }
}

#[test]
fn cut_specs_never_panic() {
    for seed in [SPEC, ACTION] {
        for end in 0..=seed.len() {
            try_spec(&seed.as_bytes()[..end]);
            try_spec(&seed.as_bytes()[end..]);
        }
    }
}

#[test]
fn scrambled_specs_never_panic() {
    let mut numbers = Numbers(42);
    let pieces: [&[u8]; 24] = [
        b"\"",
        b"'",
        b"${{",
        b"}}",
        b": ",
        b"- ",
        b"\n",
        b"  ",
        b"{",
        b"}",
        b"[",
        b"]",
        b"&a ",
        b"*a",
        b"|\n",
        b">\n",
        b"#",
        b"//",
        b"/*",
        b"!!str ",
        b"<<: ",
        b"\t",
        b"\xff",
        "\u{feff}ü".as_bytes(),
    ];
    for seed in [SPEC, ACTION] {
        for _ in 0..3000 {
            let mut bytes = seed.as_bytes().to_vec();
            for _ in 0..=numbers.below(4) {
                let at = numbers.below(bytes.len());
                match numbers.below(4) {
                    0 => drop(bytes.remove(at)),
                    1 => bytes[at] = numbers.below(256) as u8,
                    2 => {
                        let end = (at + numbers.below(40)).min(bytes.len());
                        bytes.drain(at..end);
                    }
                    _ => {
                        let piece = pieces[numbers.below(pieces.len())];
                        bytes.splice(at..at, piece.iter().copied());
                    }
                }
                if bytes.is_empty() {
                    break;
                }
            }
            try_spec(&bytes);
        }
    }
}

#[test]
fn garbage_never_panics() {
    let mut numbers = Numbers(7);
    let alphabet: Vec<char> =
        "{}[]:,-|>&*!#%@`'\"\\ \t\n\r$(.)=+~?<0aé\u{85}\u{2028}\u{1f600}\0".chars().collect();
    for _ in 0..5000 {
        let length = numbers.below(60);
        let text: String = (0..length).map(|_| alphabet[numbers.below(alphabet.len())]).collect();
        try_spec(text.as_bytes());
        try_template(&text);
        try_template(&format!("${{{{ {text}"));
        try_template(&format!("${{{{ {text} }}}}"));
        try_spec(format!("name: a\nsteps:\n- run: {text}\n").as_bytes());
    }
}

#[test]
fn cut_and_joined_templates_never_panic() {
    let mut numbers = Numbers(99);
    for expression in EXPRESSIONS {
        let ends: Vec<usize> = expression.char_indices().map(|(at, _)| at).collect();
        for &end in &ends {
            try_template(&expression[..end]);
            try_template(&expression[end..]);
        }
        let other = EXPRESSIONS[numbers.below(EXPRESSIONS.len())];
        let cut = ends.get(numbers.below(ends.len())).copied().unwrap_or(0);
        try_template(&format!("{}{other}{}", &expression[..cut], &expression[cut..]));
    }
}

#[test]
fn long_repetitions_are_not_slow() {
    let pieces = [
        "[",
        "{",
        "- ",
        "a: ",
        "a:\n ",
        "? ",
        "&a ",
        "*a ",
        "!a ",
        "!!str ",
        "\"",
        "'",
        "|\n",
        ">\n",
        "#",
        "# a\n",
        "---\n",
        "...\n",
        "%a\n",
        "a\n",
        "a: b\n",
        "- a\n",
        "a, ",
        "[a, ",
        "{a: ",
        "[]",
        "{}",
        ": ",
        ",",
        "\n",
        " ",
        "\t",
        "\"a\": 1, ",
        "//",
        "/*",
        "/* */",
        "x",
        "\\",
        "<<: ",
        "a: &a\n",
        "- &a b\n- *a\n",
        "\u{feff}",
        "é",
        "a: |\n  b\n",
        "- - - ",
        "\"\\u00e9",
        "\r",
        "0",
        "${{",
        "}}",
        "${{ 1 }}",
        "${{/* */}}",
        "${{- 1 -}} ",
        "${{ (",
        "${{ if 1 }}",
        "${{ $a := 1 }}",
        "a.",
        "| ",
        "${{ `",
        "${{ else }}",
        "${{ end }}",
        "${{ a }}",
    ];
    for piece in pieces {
        let long = piece.repeat(200_000 / piece.len());
        for text in
            [long.clone(), format!("{{{long}"), format!("name: {long}"), format!("a: |\n  {long}")]
        {
            try_spec(text.as_bytes());
        }
        try_template(&long);
        try_template(&format!("${{{{ {long}"));
    }
}
