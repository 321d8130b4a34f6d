//! Prints values as Go does: `%v` for what a template prints, and the verbs of `printf`.

use std::fmt::Write as _;

use super::value::Value;

mod verbs;

pub(super) use verbs::printf;

/// No float has more digits than this; all that follow are zeros, and `format!` takes no large precision.
const EXACT: usize = 1100;

/// `%v`.
pub(super) fn plain(value: &Value) -> String {
    let mut text = String::new();
    write_plain(&mut text, value);
    text
}

fn write_plain(text: &mut String, value: &Value) {
    match value {
        Value::Nil => text.push_str("<nil>"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Integer(value) => write!(text, "{value}").expect("a string takes all text"),
        Value::Float(value) => text.push_str(&float(*value)),
        Value::Text(value) => text.push_str(value),
        Value::List(list) if list.bare => text.push_str(&list.joined(" ")),
        Value::List(list) => {
            text.push('[');
            for (index, item) in list.items.iter().enumerate() {
                if index > 0 {
                    text.push(' ');
                }
                write_plain(text, item);
            }
            text.push(']');
        }
        Value::Map(map) => {
            text.push_str("map[");
            for (index, (key, item)) in map.iter().enumerate() {
                if index > 0 {
                    text.push(' ');
                }
                text.push_str(key);
                text.push(':');
                write_plain(text, item);
            }
            text.push(']');
        }
    }
}

/// The shortest digits that read back as the same number; an exponent when it is below -4 or above 5.
pub(super) fn float(value: f64) -> String {
    general(value, None)
}

/// `%g`: the shortest digits, or so many; with an exponent where it is shorter.
pub(super) fn general(value: f64, precision: Option<usize>) -> String {
    if let Some(name) = not_finite(value) {
        return name.to_owned();
    }
    let (most, scientific) = match precision {
        None => (6, format!("{value:e}")),
        Some(precision) => {
            let digits = precision.max(1);
            (digits as i32, format!("{value:.*e}", (digits - 1).min(EXACT)))
        }
    };
    let (mantissa, exponent) = scientific.split_once('e').expect("`{:e}` writes an exponent");
    let exponent: i32 = exponent.parse().expect("an exponent is a number");
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let mut digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let length = digits.trim_end_matches('0').len().max(1);
    digits.truncate(length);
    let body = if exponent < -4 || exponent >= most {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        format!("{first}{point}{rest}{}", exponent_text(exponent))
    } else if exponent < 0 {
        format!("0.{}{digits}", "0".repeat((-exponent - 1) as usize))
    } else {
        let whole = exponent as usize + 1;
        if digits.len() <= whole {
            format!("{digits}{}", "0".repeat(whole - digits.len()))
        } else {
            format!("{}.{}", &digits[..whole], &digits[whole..])
        }
    };
    format!("{sign}{body}")
}

/// `e+06`: a sign and at least two digits.
fn exponent_text(exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("e{sign}{:02}", exponent.abs())
}

/// `%e`.
fn scientific(value: f64, precision: usize) -> String {
    let exact = precision.min(EXACT);
    let text = format!("{value:.exact$e}");
    let (mantissa, exponent) = text.split_once('e').expect("`{:e}` writes an exponent");
    let zeros = "0".repeat(precision - exact);
    format!(
        "{mantissa}{zeros}{}",
        exponent_text(exponent.parse().expect("an exponent is a number"))
    )
}

fn not_finite(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value.is_infinite() {
        Some(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else {
        None
    }
}

/// Text in double quotes, as a Go program would write it.
pub(super) fn quote(text: &str, ascii: bool) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        quote_character(&mut quoted, c, '"', ascii);
    }
    quoted.push('"');
    quoted
}

fn quote_character(quoted: &mut String, c: char, mark: char, ascii: bool) {
    let plain = match c {
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{b}' => "\\v",
        '\\' => "\\\\",
        _ if c == mark => {
            quoted.push('\\');
            quoted.push(mark);
            return;
        }
        _ if is_printable(c) && (!ascii || c.is_ascii()) => {
            quoted.push(c);
            return;
        }
        _ => "",
    };
    if !plain.is_empty() {
        quoted.push_str(plain);
        return;
    }
    let number = u32::from(c);
    let written = match number {
        0..0x20 | 0x7f => write!(quoted, "\\x{number:02x}"),
        0x20..0x1_0000 => write!(quoted, "\\u{number:04x}"),
        _ => write!(quoted, "\\U{number:08x}"),
    };
    written.expect("a string takes all text");
}

/// Whether the character shows something; of the spaces only the common one does.
pub(super) fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    // Behind another character, `escape_debug` leaves what is printable as it is.
    let text = ['a', c].into_iter().collect::<String>();
    text.escape_debug().nth(1) == Some(c)
}
