//! The functions of templates: Go's own, and those of batch specs. Each checks what it makes against the budget first.

use std::fmt::Write as _;

use super::evaluator::Budget;
use super::format;
use super::value::{List, Value};
use crate::glob::Glob;

const NAMES: [&str; 23] = [
    "and", "eq", "ge", "gt", "html", "index", "join", "join_if", "js", "le", "len", "lt",
    "matches", "ne", "not", "or", "print", "printf", "println", "replace", "slice", "split",
    "urlquery",
];

pub(super) fn exists(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Calls a function; `and` and `or` are the evaluator's, because they do not evaluate all of their arguments.
pub(super) fn call(
    name: &str,
    arguments: Vec<Value>,
    budget: &mut Budget,
) -> Result<Value, String> {
    let given = &arguments[..];
    for argument in given {
        budget.steps(weight(argument))?;
    }
    match name {
        "eq" => equal(given),
        "ne" => two(given).and_then(|[a, b]| Ok(Value::Bool(!a.equals(b)?))),
        "lt" => two(given).and_then(|[a, b]| Ok(Value::Bool(a.less(b)?))),
        "le" => two(given).and_then(|[a, b]| Ok(Value::Bool(a.less(b)? || a.equals(b)?))),
        "gt" => two(given).and_then(|[a, b]| Ok(Value::Bool(!(a.less(b)? || a.equals(b)?)))),
        "ge" => two(given).and_then(|[a, b]| Ok(Value::Bool(!a.less(b)?))),
        "not" => one(given).map(|value| Value::Bool(!value.is_true())),
        "len" => one(given).and_then(length),
        "index" => index(given),
        "slice" => slice(given, budget),
        "print" => made(print(given, false), budget),
        "println" => made(print(given, true), budget),
        "printf" => printf(given, budget),
        "html" => made(escape_html(&print_for_escaping(given)), budget),
        "js" => made(escape_js(&print_for_escaping(given)), budget),
        "urlquery" => made(escape_query(&print_for_escaping(given)), budget),
        "join" => join(given, budget),
        "split" => split(given, budget),
        "replace" => replace(given, budget),
        "join_if" => join_if(given, budget),
        "matches" => matches(given, budget),
        _ => Err("this function is not supported".to_owned()),
    }
}

/// The steps that looking at an argument takes, however the function looks at it.
fn weight(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len() / 1024,
        Value::List(list) => list.items.len() / 64,
        Value::Map(map) => map.len() / 64,
        _ => 0,
    }
}

fn made(text: String, budget: &mut Budget) -> Result<Value, String> {
    budget.bytes(text.len())?;
    Ok(Value::text(&text))
}

fn one(arguments: &[Value]) -> Result<&Value, String> {
    match arguments {
        [value] => Ok(value),
        _ => Err(format!("takes 1 argument, and has {}", arguments.len())),
    }
}

fn two(arguments: &[Value]) -> Result<[&Value; 2], String> {
    match arguments {
        [first, second] => Ok([first, second]),
        _ => Err(format!("takes 2 arguments, and has {}", arguments.len())),
    }
}

fn text(value: &Value) -> Result<&str, String> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(format!("needs text, and has {}", other.kind())),
    }
}

fn equal(arguments: &[Value]) -> Result<Value, String> {
    let [first, others @ ..] = arguments else { return Err("needs 2 arguments".to_owned()) };
    if others.is_empty() {
        return Err("needs 2 arguments, and has 1".to_owned());
    }
    for other in others {
        if first.equals(other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn length(value: &Value) -> Result<Value, String> {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::List(list) => list.items.len(),
        Value::Map(map) => map.len(),
        other => return Err(format!("needs text, a list or a map, and has {}", other.kind())),
    };
    Ok(Value::Integer(length as i64))
}

/// A place in something of that length; the end counts as a place.
fn place(index: &Value, length: usize) -> Result<usize, String> {
    let Value::Integer(index) = index else {
        return Err(format!("needs a whole number as the place, and has {}", index.kind()));
    };
    let place = usize::try_from(*index).ok().filter(|place| *place <= length);
    place.ok_or_else(|| format!("there is no place {index}: the length is {length}"))
}

fn index(arguments: &[Value]) -> Result<Value, String> {
    let [value, indexes @ ..] = arguments else { return Err("needs an argument".to_owned()) };
    if *value == Value::Nil {
        return Err("there is nothing in nothing (nil)".to_owned());
    }
    let mut value = value.clone();
    for index in indexes {
        value = match &value {
            Value::List(list) => {
                let place = place(index, list.items.len())?;
                let none = || format!("there is no place {place}: the length is {place}");
                list.items.get(place).cloned().ok_or_else(none)?
            }
            Value::Text(text) => {
                let place = place(index, text.len())?;
                let none = || format!("there is no place {place}: the length is {place}");
                Value::Integer(i64::from(*text.as_bytes().get(place).ok_or_else(none)?))
            }
            Value::Map(map) => map.get(text(index)?).cloned().unwrap_or(Value::Nil),
            other => return Err(format!("needs a list or a map, and has {}", other.kind())),
        };
    }
    Ok(value)
}

fn slice(arguments: &[Value], budget: &mut Budget) -> Result<Value, String> {
    let [value, places @ ..] = arguments else { return Err("needs an argument".to_owned()) };
    if places.len() > 3 {
        return Err(format!("takes 3 places at most, and has {}", places.len()));
    }
    let length = match value {
        Value::Text(_) if places.len() == 3 => {
            return Err("takes 2 places at most for text".to_owned());
        }
        Value::Text(text) => text.len(),
        Value::List(list) => list.items.len(),
        other => return Err(format!("needs text or a list, and has {}", other.kind())),
    };
    let mut bounds = [0, length, length];
    for (bound, given) in bounds.iter_mut().zip(places) {
        *bound = place(given, length)?;
    }
    let [start, end, most] = bounds;
    if start > end || end > most {
        return Err(format!("the places {start}, {end} and {most} are out of order"));
    }
    match value {
        Value::List(list) => {
            budget.steps(end - start)?;
            let items = list.items[start..end].into();
            Ok(Value::List(List { items, bare: list.bare }))
        }
        Value::Text(text) => {
            budget.bytes(end - start)?;
            let inside = "would cut a character in two";
            text.get(start..end).map(Value::text).ok_or_else(|| inside.to_owned())
        }
        _ => unreachable!("its length is known"),
    }
}

/// `print` puts a space between two values of which neither is text, `println` between all.
fn print(arguments: &[Value], line: bool) -> String {
    let mut output = String::new();
    let is_text = |value: &Value| matches!(value, Value::Text(_));
    for (index, argument) in arguments.iter().enumerate() {
        let previous = index.checked_sub(1).map(|index| &arguments[index]);
        if previous.is_some_and(|previous| line || !(is_text(previous) || is_text(argument))) {
            output.push(' ');
        }
        output.push_str(&format::plain(argument));
    }
    if line {
        output.push('\n');
    }
    output
}

fn print_for_escaping(arguments: &[Value]) -> String {
    let arguments: Vec<Value> = arguments
        .iter()
        .map(|argument| match argument {
            Value::Nil => Value::text("<no value>"),
            other => other.clone(),
        })
        .collect();
    print(&arguments, false)
}

fn printf(arguments: &[Value], budget: &mut Budget) -> Result<Value, String> {
    let [template, arguments @ ..] = arguments else { return Err("needs a format".to_owned()) };
    let text = format::printf(text(template)?, arguments, &mut |room| budget.bytes(room))?;
    made(text, budget)
}

fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0' => escaped.push('\u{fffd}'),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

fn escape_js(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\'' => escaped.push_str("\\'"),
            '"' => escaped.push_str("\\\""),
            '<' | '>' | '&' | '=' | '\0'..' ' => {
                write!(escaped, "\\u{:04X}", u32::from(c)).expect("a string takes all text");
            }
            _ if c.is_ascii() || format::is_printable(c) => escaped.push(c),
            _ => write!(escaped, "\\u{:04X}", u32::from(c)).expect("a string takes all text"),
        }
    }
    escaped
}

fn escape_query(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => escaped.push('+'),
            b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => escaped.push(char::from(byte)),
            _ => write!(escaped, "%{byte:02X}").expect("a string takes all text"),
        }
    }
    escaped
}

fn join(arguments: &[Value], budget: &mut Budget) -> Result<Value, String> {
    let [list, separator] = two(arguments)?;
    let Value::List(list) = list else {
        return Err(format!("needs a list and text, and has {}", list.kind()));
    };
    let texts: Vec<&str> = list.items.iter().map(text).collect::<Result<_, _>>()?;
    joined(&texts, text(separator)?, budget)
}

fn join_if(arguments: &[Value], budget: &mut Budget) -> Result<Value, String> {
    let [separator, texts @ ..] = arguments else { return Err("needs a separator".to_owned()) };
    let separator = text(separator)?;
    let mut texts: Vec<&str> = texts.iter().map(text).collect::<Result<_, _>>()?;
    texts.retain(|text| !text.is_empty());
    joined(&texts, separator, budget)
}

fn joined(texts: &[&str], separator: &str, budget: &mut Budget) -> Result<Value, String> {
    let between = separator.len().saturating_mul(texts.len().saturating_sub(1));
    let length = texts.iter().fold(between, |sum, text| sum.saturating_add(text.len()));
    budget.steps(texts.len())?;
    budget.bytes(length)?;
    Ok(Value::text(&texts.join(separator)))
}

fn split(arguments: &[Value], budget: &mut Budget) -> Result<Value, String> {
    let [whole, separator] = two(arguments)?;
    let (whole, separator) = (text(whole)?, text(separator)?);
    budget.bytes(whole.len())?;
    let count = if separator.is_empty() {
        whole.chars().count()
    } else {
        whole.matches(separator).count() + 1
    };
    // An item is much larger than a step otherwise makes.
    budget.steps(count.saturating_mul(4))?;
    if separator.is_empty() {
        let mut buffer = [0; 4];
        let items = whole.chars().map(|c| Value::text(c.encode_utf8(&mut buffer)));
        return Ok(Value::List(List { items: items.collect(), bare: false }));
    }
    Ok(Value::texts(whole.split(separator), false))
}

fn replace(arguments: &[Value], budget: &mut Budget) -> Result<Value, String> {
    let [whole, old, new] = arguments else {
        return Err(format!("takes 3 arguments, and has {}", arguments.len()));
    };
    let (whole, old, new) = (text(whole)?, text(old)?, text(new)?);
    let count = if old.is_empty() { whole.chars().count() + 1 } else { whole.matches(old).count() };
    let length = (whole.len() - old.len() * count).saturating_add(new.len().saturating_mul(count));
    budget.bytes(length)?;
    Ok(Value::text(&whole.replace(old, new)))
}

fn matches(arguments: &[Value], budget: &mut Budget) -> Result<Value, String> {
    let [whole, pattern] = two(arguments)?;
    let glob = Glob::parse(text(pattern)?)?;
    let whole = text(whole)?;
    budget.steps(glob.work(whole))?;
    Ok(Value::Bool(glob.matches(whole)))
}
