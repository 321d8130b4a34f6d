//! Numbers, characters and quoted text, as Go writes them.

use super::value::Value;

/// The text inside quotes.
pub(super) fn quoted(literal: &str) -> Result<String, String> {
    let inside = &literal[1..literal.len() - 1];
    let mut text = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(c) = rest.chars().next() {
        if c == '\\' {
            let (c, after) = escaped(rest, '"')?;
            text.push(c);
            rest = after;
        } else {
            text.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    Ok(text)
}

/// The text inside backquotes.
pub(super) fn raw(literal: &str) -> String {
    literal[1..literal.len() - 1].replace('\r', "")
}

/// `'a'` is the number of the character.
pub(super) fn character(literal: &str) -> Result<Value, String> {
    let inside = &literal[1..literal.len() - 1];
    let (c, rest) = match inside.chars().next() {
        Some('\\') => escaped(inside, '\'')?,
        Some(c) => (c, &inside[c.len_utf8()..]),
        None => return Err("there is no character between the quotes".to_owned()),
    };
    if rest.is_empty() {
        return Ok(Value::Integer(i64::from(u32::from(c))));
    }
    Err(format!("{literal} is more than one character; text stands in \" quotes"))
}

/// Reads one escape sequence and returns what follows.
fn escaped(text: &str, quote: char) -> Result<(char, &str), String> {
    let mut characters = text.chars();
    characters.next();
    let kind = characters.next().ok_or("there is nothing behind `\\`")?;
    let rest = characters.as_str();
    let plain = match kind {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' => '\\',
        _ if kind == quote => kind,
        'x' => return coded(&text[2..], 2, 16),
        'u' => return coded(&text[2..], 4, 16),
        'U' => return coded(&text[2..], 8, 16),
        '0'..='7' => return coded(&text[1..], 3, 8),
        _ => return Err(format!("`\\{}` is no escape sequence", kind.escape_debug())),
    };
    Ok((plain, rest))
}

fn coded(digits: &str, length: usize, radix: u32) -> Result<(char, &str), String> {
    let bad = || format!("an escape sequence needs {length} digits of base {radix}");
    let (digits, rest) = digits.split_at_checked(length).ok_or_else(bad)?;
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(bad());
    }
    let number = u32::from_str_radix(digits, radix).map_err(|_| bad())?;
    // Two or three digits name a byte, and only those below 128 are text by themselves.
    if length < 4 && number > 127 {
        return Err("a single byte above 127 is not text; write `\\u` and four digits".to_owned());
    }
    let c = char::from_u32(number).ok_or("the escape sequence names no character")?;
    Ok((c, rest))
}

/// A number: whole when it is written as one, else a float.
pub(super) fn number(literal: &str) -> Result<Value, String> {
    let bad = || format!("`{literal}` is not a number");
    let (negative, unsigned) = match literal.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, literal.strip_prefix('+').unwrap_or(literal)),
    };
    if unsigned.ends_with('i') {
        return Err("complex numbers are not supported".to_owned());
    }
    let lower = unsigned.to_ascii_lowercase();
    let (radix, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, &*lower),
    };
    let digits = without_underscores(digits, radix != 10).ok_or_else(bad)?;
    if !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix)) {
        let sign = if negative { "-" } else { "" };
        let value = i64::from_str_radix(&format!("{sign}{digits}"), radix);
        return value.map(Value::Integer).map_err(|_| format!("`{literal}` is too large"));
    }
    let is_decimal = !matches!(lower.get(..2), Some("0x" | "0o" | "0b"));
    let allowed = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | '+' | '-');
    let plain = without_underscores(&lower, false).ok_or_else(bad)?;
    if !is_decimal || !plain.contains(['.', 'e']) || !plain.chars().all(allowed) {
        return Err(bad());
    }
    let value: f64 = plain.parse().map_err(|_| bad())?;
    if value.is_infinite() {
        return Err(format!("`{literal}` is too large"));
    }
    Ok(Value::Float(if negative { -value } else { value }))
}

/// Takes out underscores, which may stand only between digits, or behind a prefix.
fn without_underscores(digits: &str, prefixed: bool) -> Option<String> {
    let mut previous_is_digit = prefixed;
    let mut plain = String::with_capacity(digits.len());
    for c in digits.chars() {
        if c == '_' {
            if !previous_is_digit {
                return None;
            }
            previous_is_digit = false;
            continue;
        }
        if !previous_is_digit && !plain.is_empty() && !c.is_ascii_hexdigit() && digits.contains('_')
        {
            return None;
        }
        previous_is_digit = c.is_ascii_hexdigit();
        plain.push(c);
    }
    if digits.ends_with('_') { None } else { Some(plain) }
}
