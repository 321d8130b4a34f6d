//! Names with numbers in them: `bot{1..3,07}` is four names.
//!
//! Facts: luci-go `common/data/text/intsetexpr`. `{{` and `}}` stand for the braces themselves.

/// Names that one expression may stand for. Upstream has no limit; one line could take all memory.
pub const MAX_NAMES: u64 = 100_000;

/// A number, or a range of them, and how many digits each has at least.
struct Range {
    first: u64,
    last: u64,
    width: usize,
}

/// All names in increasing order of their numbers.
pub fn expand(text: &str) -> Result<Vec<String>, String> {
    let mut before = String::new();
    let mut rest = text.chars().peekable();
    let inside = loop {
        match rest.next() {
            None => return Ok(vec![before]),
            Some(brace @ ('{' | '}')) if rest.peek() == Some(&brace) => {
                before.push(brace);
                rest.next();
            }
            Some('}') => return Err(r#"bad expression - "}" must appear after "{""#.to_owned()),
            Some('{') => {
                let mut inside = String::new();
                loop {
                    match rest.next() {
                        // Upstream takes it, and loses the number.
                        None => return Err(r#"bad expression - no "}" after "{""#.to_owned()),
                        Some('}') => break,
                        Some(c) => inside.push(c),
                    }
                }
                break inside;
            }
            Some(c) => before.push(c),
        }
    };
    let mut after = String::new();
    while let Some(c) = rest.next() {
        if matches!(c, '{' | '}') && rest.next_if_eq(&c).is_none() {
            let why = r#"bad expression - only one "{...}" section is allowed"#;
            return Err(why.to_owned());
        }
        after.push(c);
    }
    let ranges = ranges(&inside)?;
    if ranges.is_empty() {
        return Ok(vec![before + &after]);
    }
    let name = |number, width| format!("{before}{number:0width$}{after}");
    let names = ranges.iter().flat_map(|Range { first, last, width }| {
        (*first..=*last).map(move |number| (number, *width))
    });
    Ok(names.map(|(number, width)| name(number, width)).collect())
}

fn ranges(inside: &str) -> Result<Vec<Range>, String> {
    let mut ranges: Vec<Range> = Vec::new();
    let mut total: u64 = 0;
    // A comma may stand at the end.
    for item in inside.strip_suffix(',').unwrap_or(inside).split(',') {
        if item.is_empty() && inside.is_empty() {
            break;
        }
        let (from, to) = item.split_once("..").unwrap_or((item, item));
        let (first, last) = (number(from)?, number(to)?);
        if item.contains("..") && first >= last {
            return Err(format!("bad range - {last} is not larger than {first}"));
        }
        if let Some(Range { last: least, .. }) = ranges.last()
            && *least >= first
        {
            return Err(format!(
                "the set is not in increasing order - {first} is not larger than {least}"
            ));
        }
        total = total.saturating_add((last - first).saturating_add(1));
        if total > MAX_NAMES {
            return Err(format!("the set has more than {MAX_NAMES} numbers"));
        }
        let width = if from.len() == to.len() { from.len() } else { 0 };
        ranges.push(Range { first, last, width });
    }
    Ok(ranges)
}

fn number(text: &str) -> Result<u64, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("bad expression - expecting a number, got \"{text}\""));
    }
    text.parse().map_err(|_| format!("integer \"{text}\" is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        for (text, names) in [
            ("", vec![""]),
            ("bot", vec!["bot"]),
            ("a{1..3}b", vec!["a1b", "a2b", "a3b"]),
            ("{01,002,03..04}", vec!["01", "002", "03", "04"]),
            ("{8..10}", vec!["8", "9", "10"]),
            ("{08..10}", vec!["08", "09", "10"]),
            ("{1,2,}", vec!["1", "2"]),
            ("a{}b", vec!["ab"]),
            ("{{1}}", vec!["{1}"]),
            ("a..b,c", vec!["a..b,c"]),
        ] {
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            assert_eq!(expand(text), Ok(names), "{text}");
        }
    }

    #[test]
    fn mistakes() {
        for (text, why) in [
            ("a}", r#""}" must appear after "{""#),
            ("a{1}{2}", "only one"),
            ("a{1}}", "only one"),
            ("{x}", "expecting a number"),
            ("{1", r#"no "}" after "{""#),
            ("{1..}", "expecting a number"),
            ("{1..2..3}", "expecting a number"),
            ("{,}", "expecting a number"),
            ("{3..1}", "bad range - 1 is not larger than 3"),
            ("{2..2}", "bad range - 2 is not larger than 2"),
            ("{1,1}", "not in increasing order"),
            ("{99999999999999999999}", "too large"),
            ("{0..18446744073709551615}", "more than 100000 numbers"),
        ] {
            let said = expand(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
