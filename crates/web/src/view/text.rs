//! Text that others wrote: names, messages, lines of files. Markup is escaped by maud; here what cannot be seen is made visible,
//! bidirectional controls above all, which can make a line read as what it is not.

use maud::{Escaper, PreEscaped, Render};
use std::fmt::Write;

/// Text of others, with its control characters shown.
pub(crate) struct Shown<'a>(pub &'a str);

pub(crate) fn shown(text: &str) -> Shown<'_> {
    Shown(text)
}

impl Render for Shown<'_> {
    fn render_to(&self, out: &mut String) {
        let mut plain = 0;
        for (at, c) in self.0.char_indices().filter(|(_, c)| hidden(*c)) {
            escape(&self.0[plain..at], out);
            let code = c as u32;
            let (class, said) = match c {
                '\u{1b}' => ("ctl", "ESC".to_owned()),
                '\0' => ("ctl", "NUL".to_owned()),
                '\r' => ("ctl", "CR".to_owned()),
                _ if bidirectional(c) => ("ctl bidi", format!("U+{code:04X}")),
                _ => ("ctl", format!("U+{code:04X}")),
            };
            PreEscaped(format!(
                "<span class=\"{class}\" title=\"control character U+{code:04X}\">{said}</span>"
            ))
            .render_to(out);
            plain = at + c.len_utf8();
        }
        escape(&self.0[plain..], out);
    }
}

/// A path, which may be broken after its slashes.
pub(crate) struct Path<'a>(&'a str);

pub(crate) fn path(text: &str) -> Path<'_> {
    Path(text)
}

impl Render for Path<'_> {
    fn render_to(&self, out: &mut String) {
        for part in self.0.split_inclusive('/') {
            Shown(part).render_to(out);
            out.push_str("<wbr>");
        }
    }
}

/// The same where no markup can be: titles and choices.
pub(crate) fn flat(text: &str) -> String {
    let mut said = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) {
            said.push_str(&format!("⟨U+{:04X}⟩", c as u32));
        } else {
            said.push(c);
        }
    }
    said
}

fn escape(text: &str, out: &mut String) {
    // Writing into a string cannot fail.
    let _ = Escaper::new(out).write_str(text);
}

fn bidirectional(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn hidden(c: char) -> bool {
    let unseen = matches!(
        c,
        '\u{200b}'..='\u{200d}' | '\u{2028}' | '\u{2029}' | '\u{2060}' | '\u{feff}' | '\u{ad}'
    );
    (c.is_control() && !matches!(c, '\n' | '\t')) || bidirectional(c) || unseen
}

/// A number as people read it: 12,345.
pub(crate) fn count(number: impl TryInto<i64>) -> String {
    let digits = number.try_into().unwrap_or(i64::MAX).to_string();
    let mut said = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 && !said.ends_with('-') {
            said.push(',');
        }
        said.push(digit);
    }
    said
}

/// `1 job`, `2 jobs`.
pub(crate) fn counted(number: impl TryInto<i64> + Copy, one: &str, many: &str) -> String {
    let word = if number.try_into().is_ok_and(|number| number == 1) { one } else { many };
    format!("{} {word}", count(number))
}

pub(crate) fn bytes(number: u64) -> String {
    let mut value = number as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            let places = usize::from(value < 10.0 && unit != "B");
            return format!("{value:.places$} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// A log as plain text: escape sequences taken out, what a `\r` wrote over left out.
pub(crate) fn plain_log(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
        let line = line.trim_end_matches('\r');
        let last = line.rsplit('\r').next().unwrap_or_default();
        plain.push_str(&without_sequences(last));
        plain.push_str(end);
    }
    plain
}

fn without_sequences(line: &str) -> String {
    let mut kept = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find('\u{1b}') {
        kept.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let used = match after.as_bytes().first() {
            // A control sequence ends with a byte of `@` to `~`.
            Some(b'[') => {
                after[1..].find(|c| ('@'..='~').contains(&c)).map_or(after.len(), |end| end + 2)
            }
            // A string (title, link, device control) ends with BEL or `ESC \`.
            Some(b']' | b'P' | b'X' | b'^' | b'_') => {
                let bell = after.find('\u{7}').map(|end| end + 1);
                let terminator = after.find("\u{1b}\\").map(|end| end + 2);
                bell.into_iter().chain(terminator).min().unwrap_or(after.len())
            }
            _ => after.chars().next().map_or(0, char::len_utf8),
        };
        rest = &after[used..];
    }
    kept.push_str(rest);
    kept.retain(|c| !c.is_control() || c == '\t');
    kept
}

#[cfg(test)]
mod tests {
    use super::{bytes, count, plain_log, shown};
    use maud::Render;

    #[test]
    fn what_cannot_be_seen_is_shown() {
        let html = shown("a<b\u{202e}c\0").render().into_string();
        assert!(html.starts_with("a&lt;b<span class=\"ctl bidi\""), "{html}");
        assert!(html.contains(">U+202E</span>c<span") && html.ends_with(">NUL</span>"), "{html}");
    }

    #[test]
    fn logs_become_plain() {
        let log = "\u{1b}[31mred\u{1b}[0m\n10%\r20%\r100%\r\n\u{1b}]0;title\u{7}x\u{1b}]8;;http://a\u{1b}\\y\u{8}\n";
        assert_eq!(plain_log(log), "red\n100%\nxy\n");
        assert_eq!(plain_log("a\u{1b}"), "a");
        assert_eq!(plain_log("a\u{1b}[38;5"), "a");
        assert_eq!(plain_log("a\u{1b}é"), "a");
    }

    #[test]
    fn numbers() {
        assert_eq!(count(10_000), "10,000");
        assert_eq!(count(100), "100");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(64 << 20), "64 MiB");
    }
}
