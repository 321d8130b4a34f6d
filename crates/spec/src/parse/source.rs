//! The text of a spec by line and column: from a place inside a template back to the place in the file.

use granit_parser::ScalarStyle;

use super::tree::{Node, Text};
use crate::{Position, TemplateError};

pub(super) struct Source<'a> {
    text: &'a str,
    /// Where each line begins, in bytes.
    lines: Vec<usize>,
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, lines: std::iter::once(0).chain(breaks).collect() }
    }

    fn position(&self, offset: usize) -> Position {
        let line = self.lines.partition_point(|start| *start <= offset).max(1);
        let before = self.text.get(self.lines[line - 1]..offset).unwrap_or_default();
        Position { line: line as u32, column: before.chars().count() as u32 + 1 }
    }

    fn line(&self, line: u32) -> Option<&'a str> {
        let start = *self.lines.get((line as usize).checked_sub(1)?)?;
        let end = self.lines.get(line as usize).copied().unwrap_or(self.text.len());
        self.text.get(start..end)
    }

    /// Where in the file an error of the template in this value is; as near as can be told, which is at least the value.
    pub(super) fn locate(&self, node: &Node, text: &Text, error: &TemplateError) -> Position {
        let found = match text.style {
            ScalarStyle::Literal => self.in_block(node.at.line, text, error),
            ScalarStyle::Folded => None,
            _ => self.in_line(text, error.offset),
        };
        found.unwrap_or(node.at)
    }

    /// A literal block takes whole lines, from each of which it cuts the indentation off.
    fn in_block(&self, start: u32, text: &Text, error: &TemplateError) -> Option<Position> {
        // The parser names the first line that is not blank; what is above it belongs to the text, down from the `|`.
        let mut header = start;
        if !self.text.get(text.span.start..)?.starts_with('|') {
            header -= 1;
            while self.line(header)?.trim().is_empty() {
                header = header.checked_sub(1).filter(|line| *line > 0)?;
            }
        }
        let mut number = header;
        let indentation = loop {
            number += 1;
            let line = self.line(number)?;
            if !line.trim().is_empty() {
                break line.len() - line.trim_start_matches(' ').len();
            }
        };
        // An indentation that is written down may be less than that of the first line.
        let head = self.line(header)?;
        let mark = head.rfind('|')?;
        if head[mark..].split('#').next()?.contains(|c: char| c.is_ascii_digit()) {
            return None;
        }
        Some(Position { line: header + error.line, column: indentation as u32 + error.column })
    }

    fn in_line(&self, text: &Text, offset: usize) -> Option<Position> {
        let raw = self.text.get(text.span.clone())?;
        if raw.contains('\n') {
            return None;
        }
        let start = text.span.start;
        match text.style {
            ScalarStyle::Plain => {
                raw.starts_with(&text.value).then(|| self.position(start + offset))
            }
            ScalarStyle::SingleQuoted => {
                let inside = raw.strip_prefix('\'')?;
                // Two quotes in the file are one in the value.
                let doubled = text.value.get(..offset)?.matches('\'').count();
                inside.get(..offset + doubled).map(|_| self.position(start + 1 + offset + doubled))
            }
            _ => {
                let mut rest = raw.strip_prefix('"')?;
                let mut seen = 0;
                for c in text.value.chars() {
                    if seen >= offset {
                        break;
                    }
                    let length = match (rest.as_bytes().first()?, rest.as_bytes().get(1)) {
                        (b'\\', Some(b'x')) => 4,
                        (b'\\', Some(b'u')) if u32::from(c) > 0xffff => 12,
                        (b'\\', Some(b'u')) => 6,
                        (b'\\', Some(b'U')) => 10,
                        (b'\\', Some(_)) => 1 + rest[1..].chars().next()?.len_utf8(),
                        _ => rest.chars().next()?.len_utf8(),
                    };
                    rest = rest.get(length..)?;
                    seen += c.len_utf8();
                }
                Some(self.position(text.span.end - rest.len()))
            }
        }
    }
}
