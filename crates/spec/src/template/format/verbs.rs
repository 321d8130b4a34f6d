//! `printf`: verbs, flags, width and precision. What does not fit prints as `%!d(string=x)`, as in Go; only what would take
//! unbounded room is an error.

use std::fmt::Write as _;

use super::{EXACT, general, not_finite, plain, quote, quote_character, scientific};
use crate::template::value::{List, Value};

/// Largest width and precision; Go refuses larger ones.
const WIDEST: usize = 1_000_000;

#[derive(Clone, Debug, Default)]
struct Flags {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Formats. `room` is asked before text of that length is made.
pub(in crate::template) fn printf(
    format: &str,
    arguments: &[Value],
    room: &mut dyn FnMut(usize) -> Result<(), String>,
) -> Result<String, String> {
    let mut output = String::new();
    let mut used = 0;
    let mut rest = format;
    while let Some(percent) = rest.find('%') {
        output.push_str(&rest[..percent]);
        let mut characters = rest[percent + 1..].chars();
        let mut flags = Flags::default();
        let verb = read_flags(&mut characters, &mut flags, arguments, &mut used, &mut output)?;
        rest = characters.as_str();
        let Some(verb) = verb else {
            output.push_str("%!(NOVERB)");
            break;
        };
        let padding = flags.width.unwrap_or(0) + flags.precision.unwrap_or(0);
        if padding > 0 {
            let count = arguments.get(used).map_or(1, leaves);
            room(padding.saturating_mul(count))?;
        }
        if verb == '%' {
            output.push('%');
        } else if let Some(argument) = arguments.get(used) {
            used += 1;
            // `%+v` asks for names of fields, which nothing here has.
            flags.plus &= verb != 'v';
            let text = value(argument, verb, &flags);
            room(text.len())?;
            output.push_str(&text);
        } else {
            write!(output, "%!{verb}(MISSING)").expect("a string takes all text");
        }
    }
    output.push_str(rest_unless_ended(rest, &output));
    if used < arguments.len() {
        output.push_str("%!(EXTRA ");
        for (index, argument) in arguments[used..].iter().enumerate() {
            let separator = if index > 0 { ", " } else { "" };
            output.push_str(separator);
            match argument {
                Value::Nil => output.push_str("<nil>"),
                other => {
                    let text = format!("{}={}", other.type_name(), plain(other));
                    room(text.len())?;
                    output.push_str(&text);
                }
            }
        }
        output.push(')');
    }
    Ok(output)
}

/// How many values a verb is applied to, each of which it pads.
fn leaves(value: &Value) -> usize {
    match value {
        Value::List(list) => list.items.iter().map(leaves).sum::<usize>().max(1),
        Value::Map(map) => map.values().map(|value| 1 + leaves(value)).sum::<usize>().max(1),
        _ => 1,
    }
}

/// What follows the last verb.
fn rest_unless_ended<'a>(rest: &'a str, output: &str) -> &'a str {
    if rest.contains('%') && output.ends_with("%!(NOVERB)") { "" } else { rest }
}

/// Reads flags, width and precision, and returns the verb; none when the format ends first.
fn read_flags(
    characters: &mut std::str::Chars<'_>,
    flags: &mut Flags,
    arguments: &[Value],
    used: &mut usize,
    output: &mut String,
) -> Result<Option<char>, String> {
    let mut next = characters.next();
    loop {
        match next {
            Some('+') => flags.plus = true,
            Some('-') => flags.minus = true,
            Some('#') => flags.sharp = true,
            Some(' ') => flags.space = true,
            Some('0') => flags.zero = true,
            _ => break,
        }
        next = characters.next();
    }
    if next == Some('*') {
        match star(arguments, used) {
            Some(width) => {
                flags.minus |= width < 0;
                flags.width = Some(width.unsigned_abs() as usize);
            }
            None => output.push_str("%!(BADWIDTH)"),
        }
        next = characters.next();
    } else {
        flags.width = digits(&mut next, characters);
    }
    // As in Go, a point that ends the format is a verb that does not exist.
    if next == Some('.') && !characters.as_str().is_empty() {
        next = characters.next();
        if next == Some('*') {
            match star(arguments, used) {
                Some(precision) => flags.precision = usize::try_from(precision).ok(),
                None => output.push_str("%!(BADPREC)"),
            }
            next = characters.next();
        } else {
            flags.precision = Some(digits(&mut next, characters).unwrap_or(0));
        }
    }
    if next == Some('[') {
        return Err("argument numbers such as `%[1]s` are not supported".to_owned());
    }
    if flags.width.max(flags.precision).is_some_and(|most| most > WIDEST) {
        return Err(format!("a width or precision is larger than {WIDEST}"));
    }
    Ok(next)
}

fn digits(next: &mut Option<char>, characters: &mut std::str::Chars<'_>) -> Option<usize> {
    let mut number = None;
    while let Some(digit) = next.and_then(|c| c.to_digit(10)) {
        // One more than is allowed stays one more than is allowed.
        number = Some((number.unwrap_or(0) * 10 + digit as usize).min(WIDEST + 1));
        *next = characters.next();
    }
    number
}

fn star(arguments: &[Value], used: &mut usize) -> Option<i64> {
    let argument = arguments.get(*used)?;
    *used += 1;
    match argument {
        Value::Integer(number) if number.unsigned_abs() <= WIDEST as u64 => Some(*number),
        _ => None,
    }
}

fn value(value: &Value, verb: char, flags: &Flags) -> String {
    if verb == 'T' {
        return pad(value.type_name().to_owned(), flags, true);
    }
    match value {
        Value::Nil if verb == 'v' => pad("<nil>".to_owned(), flags, true),
        Value::Nil => format!("%!{verb}(<nil>)"),
        Value::Bool(truth) if matches!(verb, 't' | 'v') => pad(truth.to_string(), flags, true),
        Value::Integer(number) => integer(*number, verb, flags),
        Value::Float(number) => float(*number, verb, flags),
        Value::Text(content) => text(content, verb, flags),
        // `search_result_paths` has a text of its own, which only the verbs for text ask for.
        Value::List(list)
            if list.bare && !flags.sharp && matches!(verb, 'v' | 's' | 'q' | 'x' | 'X') =>
        {
            text(&list.joined(" "), verb, flags)
        }
        Value::List(_) | Value::Map(_) if verb == 'v' && flags.sharp => literal(value),
        Value::List(List { items, .. }) => {
            let items: Vec<_> = items.iter().map(|item| inner(item, verb, flags)).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Map(map) => {
            let entries = map.iter().map(|(key, item)| {
                format!("{}:{}", text(key, verb, flags), inner(item, verb, flags))
            });
            format!("map[{}]", entries.collect::<Vec<_>>().join(" "))
        }
        other => bad_verb(other, verb, flags),
    }
}

/// `%#v`: as a Go program would write it.
fn literal(value: &Value) -> String {
    let flags = Flags { sharp: true, ..Flags::default() };
    let inner = |item: &Value| match item {
        Value::Nil => "interface {}(nil)".to_owned(),
        Value::List(_) | Value::Map(_) => literal(item),
        item => self::value(item, 'v', &flags),
    };
    let parts: Vec<String> = match value {
        Value::List(list) => list.items.iter().map(inner).collect(),
        Value::Map(map) => {
            let entries = map.iter();
            entries.map(|(key, item)| format!("{}:{}", quote(key, false), inner(item))).collect()
        }
        _ => Vec::new(),
    };
    format!("{}{{{}}}", value.type_name(), parts.join(", "))
}

/// An item of a collection, where nil prints the same for every verb.
fn inner(item: &Value, verb: char, flags: &Flags) -> String {
    match item {
        Value::Nil => "<nil>".to_owned(),
        item => value(item, verb, flags),
    }
}

fn bad_verb(value: &Value, verb: char, flags: &Flags) -> String {
    let flags = Flags { sharp: false, ..flags.clone() };
    format!("%!{verb}({}={})", value.type_name(), self::value(value, 'v', &flags))
}

fn text(content: &str, verb: char, flags: &Flags) -> String {
    let shortened = || match flags.precision {
        Some(most) => content.chars().take(most).collect(),
        None => content.to_owned(),
    };
    match verb {
        'v' if flags.sharp => pad(quote(content, false), flags, true),
        's' | 'v' => pad(shortened(), flags, true),
        'q' => {
            let content: String = shortened();
            let raw = flags.sharp && !content.contains('`') && !content.contains(char::is_control);
            let quoted = if raw { format!("`{content}`") } else { quote(&content, flags.plus) };
            pad(quoted, flags, true)
        }
        'x' | 'X' => {
            let most = flags.precision.unwrap_or(content.len());
            let prefix = if flags.sharp { if verb == 'x' { "0x" } else { "0X" } } else { "" };
            let mut hexadecimal = String::new();
            for (index, byte) in content.bytes().take(most).enumerate() {
                if flags.space && index > 0 {
                    hexadecimal.push(' ');
                }
                if index == 0 || flags.space {
                    hexadecimal.push_str(prefix);
                }
                let written = if verb == 'x' {
                    write!(hexadecimal, "{byte:02x}")
                } else {
                    write!(hexadecimal, "{byte:02X}")
                };
                written.expect("a string takes all text");
            }
            pad(hexadecimal, flags, true)
        }
        _ => bad_verb(&Value::text(content), verb, flags),
    }
}

fn integer(number: i64, verb: char, flags: &Flags) -> String {
    let magnitude = number.unsigned_abs();
    let (digits, prefix) = match verb {
        'd' | 'v' => (magnitude.to_string(), ""),
        'b' => (format!("{magnitude:b}"), if flags.sharp { "0b" } else { "" }),
        'o' => (format!("{magnitude:o}"), if flags.sharp { "0" } else { "" }),
        'O' => (format!("{magnitude:o}"), "0o"),
        'x' => (format!("{magnitude:x}"), if flags.sharp { "0x" } else { "" }),
        'X' => (format!("{magnitude:X}"), if flags.sharp { "0X" } else { "" }),
        'c' => return pad(character(number).to_string(), flags, true),
        'q' => {
            let mut quoted = String::from("'");
            quote_character(&mut quoted, character(number), '\'', flags.plus);
            quoted.push('\'');
            return pad(quoted, flags, true);
        }
        'U' => return pad(format!("U+{magnitude:04X}"), flags, false),
        _ => return bad_verb(&Value::Integer(number), verb, flags),
    };
    let sign = sign(number < 0, flags);
    let digits = match flags.precision {
        // Nothing at all is printed for a zero of no digits.
        Some(0) if number == 0 => return pad(String::new(), flags, false),
        Some(precision) => {
            format!("{}{digits}", "0".repeat(precision.saturating_sub(digits.len())))
        }
        None => digits,
    };
    if flags.zero && !flags.minus && flags.precision.is_none() {
        // Zeros stand between the sign and the digits; the prefix does not count.
        let width = flags.width.unwrap_or(0).saturating_sub(sign.len());
        let zeros = "0".repeat(width.saturating_sub(digits.len()));
        return format!("{sign}{prefix}{zeros}{digits}");
    }
    pad(format!("{sign}{prefix}{digits}"), flags, false)
}

fn character(number: i64) -> char {
    u32::try_from(number).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn sign(negative: bool, flags: &Flags) -> &'static str {
    match (negative, flags.plus, flags.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    }
}

fn float(number: f64, verb: char, flags: &Flags) -> String {
    if !matches!(verb, 'v' | 'g' | 'G' | 'e' | 'E' | 'f' | 'F') {
        return bad_verb(&Value::Float(number), verb, flags);
    }
    let negative = number.is_sign_negative() && !number.is_nan();
    let magnitude = if negative { -number } else { number };
    let digits = match not_finite(magnitude) {
        Some(name) => name.trim_start_matches('+').to_owned(),
        None => match verb {
            'f' | 'F' => {
                let precision = flags.precision.unwrap_or(6);
                let exact = precision.min(EXACT);
                format!("{magnitude:.exact$}{}", "0".repeat(precision - exact))
            }
            'e' => scientific(magnitude, flags.precision.unwrap_or(6)),
            'E' => scientific(magnitude, flags.precision.unwrap_or(6)).to_uppercase(),
            'G' => general(magnitude, flags.precision).to_uppercase(),
            _ => general(magnitude, flags.precision),
        },
    };
    let sign = match sign(negative, flags) {
        "" if number.is_infinite() => "+",
        sign => sign,
    };
    if flags.zero && !flags.minus && number.is_finite() {
        let width = flags.width.unwrap_or(0).saturating_sub(sign.len());
        let zeros = "0".repeat(width.saturating_sub(digits.len()));
        return format!("{sign}{zeros}{digits}");
    }
    pad(format!("{sign}{digits}"), flags, false)
}

/// Fills up to the width.
fn pad(text: String, flags: &Flags, zero_fills: bool) -> String {
    let missing = flags.width.unwrap_or(0).saturating_sub(text.chars().count());
    if missing == 0 {
        return text;
    }
    if flags.minus {
        return format!("{text}{}", " ".repeat(missing));
    }
    let fill = if flags.zero && zero_fills { "0" } else { " " };
    format!("{}{text}", fill.repeat(missing))
}
