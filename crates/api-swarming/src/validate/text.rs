//! Texts as luci-go writes and judges them: its `%q`, its `path.Clean`, lengths in bytes, and lists of mistakes.

use std::fmt::Write as _;

/// As many mistakes as one message tells (luci-go `common/errors/multierror.go`).
const SHOWN: usize = 20;

/// `text` in quotes, as Go's `%q` writes it.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            c if is_printable(c) => out.push(c),
            c => {
                let number = u32::from(c);
                // A `String` takes every write.
                let _ = match number {
                    0..=0x7f => write!(out, "\\x{number:02x}"),
                    0x80..=0xffff => write!(out, "\\u{number:04x}"),
                    _ => write!(out, "\\U{number:08x}"),
                };
            }
        }
    }
    out.push('"');
    out
}

/// Rust's and Go's tables agree on what can be seen; a combining mark counts as visible only inside of a string.
fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return c == ' ' || c.is_ascii_graphic();
    }
    let mut inside = String::from("a");
    inside.push(c);
    inside.escape_debug().count() == 2
}

/// `path` without `.`, `..`, and doubled or trailing slashes, as Go's `path.Clean`; `.` when nothing is left.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// At most `limit` bytes.
pub(crate) fn length(text: &str, limit: usize) -> Result<(), String> {
    if text.len() > limit {
        return Err(format!("too long {}: {} > {limit}", quote(text), text.len()));
    }
    Ok(())
}

/// The start of a text that a stranger chose, for a message: at most `max` bytes.
pub(crate) fn shorten(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    format!("{}...", &text[..text.floor_char_boundary(max.saturating_sub(3))])
}

/// Mistakes as one message: a single one as it is, several numbered, one a line.
pub(crate) fn join(mistakes: &[String]) -> Result<(), String> {
    match mistakes {
        [] => Ok(()),
        [only] => Err(only.clone()),
        several => {
            let mut out = String::new();
            for (index, mistake) in several.iter().enumerate() {
                if index == SHOWN {
                    let _ = write!(out, "\nerr[{index}:{}] <omitted>", several.len());
                    break;
                }
                let line = if index == 0 { "" } else { "\n" };
                let _ = write!(out, "{line}err[{index}]: {mistake}");
            }
            Err(out)
        }
    }
}

/// Not empty, and only characters that `allowed` lets pass.
pub(crate) fn only(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_is_that_of_go() {
        for (text, expected) in [
            ("", r#""""#),
            ("a b", r#""a b""#),
            ("\"\\\n\t\0", r#""\"\\\n\t\x00""#),
            ("\x07\x08\x0b\x0c\r\x7f", r#""\a\b\v\f\r\x7f""#),
            ("é日本\u{301}", "\"é日本\u{301}\""),
            ("\u{a0}\u{200b}\u{feff}", r#""\u00a0\u200b\ufeff""#),
            ("\u{e0001}", r#""\U000e0001""#),
            ("'", r#""'""#),
        ] {
            assert_eq!(quote(text), expected, "{text:?}");
        }
    }

    #[test]
    fn cleaning_is_that_of_go() {
        for (path, expected) in [
            ("", "."),
            (".", "."),
            ("a/b", "a/b"),
            ("a//b/", "a/b"),
            ("a/./b", "a/b"),
            ("a/../b", "b"),
            ("a/..", "."),
            ("../a", "../a"),
            ("a/../../b", "../b"),
            ("../../a", "../../a"),
            ("/..", "/"),
            ("/a/../..//b", "/b"),
            ("./a", "a"),
            ("...", "..."),
        ] {
            assert_eq!(clean(path), expected, "{path:?}");
        }
    }

    #[test]
    fn a_long_list_of_mistakes_is_cut() {
        let mistakes: Vec<String> = (0..25).map(|i| format!("m{i}")).collect();
        assert_eq!(join(&[]), Ok(()));
        assert_eq!(join(&mistakes[..1]), Err("m0".to_owned()));
        assert_eq!(join(&mistakes[..2]), Err("err[0]: m0\nerr[1]: m1".to_owned()));
        let all = join(&mistakes).unwrap_err();
        assert!(all.ends_with("err[19]: m19\nerr[20:25] <omitted>"), "{all}");
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        assert_eq!(shorten("日本語", 9), "日本語");
        assert_eq!(shorten("日本語日本", 9), "日本...");
        assert_eq!(shorten("日本語日本", 8), "日...");
    }
}
