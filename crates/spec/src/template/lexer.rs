//! Cuts a template into tokens, one at a time, so that a long template needs no long list of them.

use super::syntax::Fault;

pub(super) const OPEN: &str = "${{";
const CLOSE: &str = "}}";

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    Text,
    Open,
    Close,
    /// A name, or a keyword: what it is depends on where it stands.
    Name,
    /// With its dot in front.
    Field,
    Dot,
    /// With its `$` in front.
    Variable,
    /// As written.
    Number,
    /// With their quotes.
    Character,
    Quoted,
    Raw,
    Declare,
    Assign,
    Pipe,
    Comma,
    GroupOpen,
    GroupClose,
    End,
}

#[derive(Clone, Debug)]
pub(super) struct Token<'a> {
    pub kind: TokenKind,
    pub offset: usize,
    pub text: &'a str,
    /// White space stands in front of it.
    pub spaced: bool,
}

pub(super) struct Lexer<'a> {
    input: &'a str,
    at: usize,
    in_action: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(input: &'a str) -> Self {
        Self { input, at: 0, in_action: false }
    }

    pub(super) fn next(&mut self) -> Result<Token<'a>, Fault> {
        if self.in_action { self.action() } else { self.text() }
    }

    fn rest(&self) -> &'a str {
        &self.input[self.at..]
    }

    fn token(&mut self, kind: TokenKind, length: usize, spaced: bool) -> Token<'a> {
        let offset = self.at;
        self.at += length;
        Token { kind, offset, text: &self.input[offset..self.at], spaced }
    }

    fn text(&mut self) -> Result<Token<'a>, Fault> {
        loop {
            let rest = self.rest();
            if rest.is_empty() {
                return Ok(self.token(TokenKind::End, 0, false));
            }
            let Some(open) = rest.find(OPEN) else {
                return Ok(self.token(TokenKind::Text, rest.len(), false));
            };
            let inside = &rest[open + OPEN.len()..];
            let trims = trims_left(inside);
            if open > 0 {
                let text =
                    if trims { rest[..open].trim_end_matches(is_space) } else { &rest[..open] };
                let offset = self.at;
                self.at += open;
                if !text.is_empty() {
                    return Ok(Token { kind: TokenKind::Text, offset, text, spaced: false });
                }
                continue;
            }
            let marker = if trims { 2 } else { 0 };
            if inside[marker..].starts_with("/*") {
                self.comment(OPEN.len() + marker)?;
                continue;
            }
            self.in_action = true;
            let mut token = self.token(TokenKind::Open, OPEN.len() + marker, false);
            token.text = OPEN;
            return Ok(token);
        }
    }

    /// Skips a comment and the delimiters around it.
    fn comment(&mut self, start: usize) -> Result<(), Fault> {
        let offset = self.at;
        let body = &self.rest()[start + 2..];
        let Some(end) = body.find("*/") else {
            return Err(Fault::new(offset, "the comment has no `*/`"));
        };
        let after = &body[end + 2..];
        let (length, trims) = match closing(after) {
            Some(closing) => closing,
            None => {
                let message = format!("a comment must end right before `{CLOSE}` or ` -{CLOSE}`");
                return Err(Fault::new(offset, message));
            }
        };
        self.at += start + 2 + end + 2 + length;
        if trims {
            self.trim();
        }
        Ok(())
    }

    fn trim(&mut self) {
        self.at = self.input.len() - self.rest().trim_start_matches(is_space).len();
    }

    fn action(&mut self) -> Result<Token<'a>, Fault> {
        let start = self.at;
        loop {
            if let Some((length, trims)) = closing(self.rest()) {
                self.in_action = false;
                let token = self.token(TokenKind::Close, length, self.at > start);
                if trims {
                    self.trim();
                }
                return Ok(token);
            }
            match self.rest().chars().next() {
                Some(space) if is_space(space) => self.at += 1,
                _ => break,
            }
        }
        let spaced = self.at > start;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Err(Fault::new(start, format!("`{OPEN}` without `{CLOSE}`")));
        };
        let second = rest[first.len_utf8()..].chars().next();
        let (kind, length) = match first {
            '=' => (TokenKind::Assign, 1),
            ':' if second == Some('=') => (TokenKind::Declare, 2),
            ':' => return Err(self.fault("expected `:=`")),
            '|' => (TokenKind::Pipe, 1),
            ',' => (TokenKind::Comma, 1),
            '(' => (TokenKind::GroupOpen, 1),
            ')' => (TokenKind::GroupClose, 1),
            '"' => (TokenKind::Quoted, self.quoted('"')?),
            '\'' => (TokenKind::Character, self.quoted('\'')?),
            '`' => match rest[1..].find('`') {
                Some(end) => (TokenKind::Raw, end + 2),
                None => return Err(self.fault("the text has no closing backquote")),
            },
            '$' => (TokenKind::Variable, self.word(1)?),
            '.' if !second.is_some_and(|c| c.is_ascii_digit()) => match self.word(1)? {
                1 => (TokenKind::Dot, 1),
                length => (TokenKind::Field, length),
            },
            '.' | '+' | '-' | '0'..='9' => (TokenKind::Number, self.number()),
            _ if is_word(first) => (TokenKind::Name, self.word(0)?),
            _ => {
                let message = format!("`{}` has no meaning here", first.escape_debug());
                return Err(self.fault(&message));
            }
        };
        Ok(self.token(kind, length, spaced))
    }

    fn fault(&self, message: &str) -> Fault {
        Fault::new(self.at, message)
    }

    /// The length of a word that starts behind `prefix` bytes.
    fn word(&self, prefix: usize) -> Result<usize, Fault> {
        let rest = self.rest();
        let length = prefix + word_length(&rest[prefix..]);
        let after = &rest[length..];
        match after.chars().next() {
            None | Some('.' | ',' | '|' | ':' | '(' | ')') => Ok(length),
            Some(c) if is_space(c) || after.starts_with(CLOSE) => Ok(length),
            Some(c) => {
                let offset = self.at + length;
                let word = &rest[..length];
                let hint = if c == '-' {
                    format!("; write `index … \"{word}-…\"` for a name with `-`")
                } else {
                    String::new()
                };
                let c = c.escape_debug();
                Err(Fault::new(offset, format!("`{c}` must not follow `{word}`{hint}")))
            }
        }
    }

    fn quoted(&self, quote: char) -> Result<usize, Fault> {
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((at, c)) = characters.next() {
            match c {
                '\n' => break,
                '\\' => match characters.next() {
                    Some((_, c)) if c != '\n' => {}
                    _ => break,
                },
                _ if c == quote => return Ok(at + 1),
                _ => {}
            }
        }
        Err(self.fault(&format!("there is no closing `{quote}` on this line")))
    }

    fn number(&self) -> usize {
        let rest = self.rest();
        let mut previous = ' ';
        let mut length = 0;
        let unsigned = rest.strip_prefix(['+', '-']).unwrap_or(rest);
        let hexadecimal = unsigned.starts_with("0x") || unsigned.starts_with("0X");
        for (at, c) in rest.char_indices() {
            let sign = matches!(c, '+' | '-')
                && (at == 0
                    || (matches!(previous, 'e' | 'E') && !hexadecimal)
                    || matches!(previous, 'p' | 'P'));
            if !(sign || c == '.' || is_word(c)) {
                break;
            }
            previous = c;
            length = at + c.len_utf8();
        }
        length
    }
}

/// The length of a closing delimiter that stands here, and whether it trims what follows.
fn closing(rest: &str) -> Option<(usize, bool)> {
    if rest.starts_with(CLOSE) {
        return Some((CLOSE.len(), false));
    }
    let trimmed = rest.strip_prefix(is_space)?.strip_prefix('-')?;
    trimmed.starts_with(CLOSE).then_some((2 + CLOSE.len(), true))
}

fn trims_left(inside: &str) -> bool {
    inside.strip_prefix('-').is_some_and(|rest| rest.starts_with(is_space))
}

fn word_length(text: &str) -> usize {
    text.find(|c| !is_word(c)).unwrap_or(text.len())
}

pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}
