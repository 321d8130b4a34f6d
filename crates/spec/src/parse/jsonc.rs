//! JSON with comments and trailing commas becomes YAML, of which JSON is a part. Every character keeps its line and column.

use std::borrow::Cow;

/// Whether the first thing that is not white space or a comment is `{`.
pub(super) fn is_json(text: &str) -> bool {
    let mut rest = text.trim_start();
    loop {
        rest = if let Some(comment) = rest.strip_prefix("//") {
            comment.split_once('\n').map_or("", |(_, rest)| rest)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").map_or("", |(_, rest)| rest)
        } else {
            return rest.starts_with('{');
        };
        rest = rest.trim_start();
    }
}

/// Turns comments, and white space that YAML is particular about, into spaces.
pub(super) fn without_comments(text: &str) -> Cow<'_, str> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    let mut previous = ' ';
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '"' => string_length(rest),
            // `https://…` without quotes is no comment.
            '/' if previous != ':' && rest.starts_with("//") => {
                let length = rest.find('\n').unwrap_or(rest.len());
                blank(&mut plain, &rest[..length]);
                rest = &rest[length..];
                previous = ' ';
                continue;
            }
            '/' if rest.starts_with("/*") => {
                let length = rest[2..].find("*/").map_or(rest.len(), |end| end + 4);
                blank(&mut plain, &rest[..length]);
                rest = &rest[length..];
                previous = ' ';
                continue;
            }
            '\t' => {
                plain.push(' ');
                rest = &rest[1..];
                previous = ' ';
                continue;
            }
            _ => c.len_utf8(),
        };
        plain.push_str(&rest[..length]);
        rest = &rest[length..];
        previous = c;
    }
    Cow::Owned(plain)
}

fn blank(plain: &mut String, comment: &str) {
    plain.extend(comment.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
}

/// The length of a string with its quotes; one that is never closed goes on to the end of the text.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_become_spaces() {
        let table = [
            ("{} // ü x\n", "{}       \n"),
            ("{/* a\nb */}", "{    \n    }"),
            ("{\"a//b\": \"/* c */\"}", "{\"a//b\": \"/* c */\"}"),
            ("{\"a\\\"//b\"}", "{\"a\\\"//b\"}"),
            ("{a: http://x}", "{a: http://x}"),
            ("{\t}", "{ }"),
            ("{\"open // x", "{\"open // x"),
            ("{/* open", "{       "),
        ];
        for (text, expected) in table {
            assert_eq!(without_comments(text), expected, "{text}");
        }
    }

    #[test]
    fn json_is_told_from_yaml() {
        let table = [
            ("{", true),
            ("  // c\n /* d */ {", true),
            ("name: {", false),
            ("# c\n{", false),
            ("", false),
            ("// c", false),
            ("/*", false),
        ];
        for (text, expected) in table {
            assert_eq!(is_json(text), expected, "{text}");
        }
    }
}
