//! Durations as people write them: `90s`, `10m`, `1h30m`, `500ms`.

/// The longest that can be asked for: a year.
const LONGEST_MS: u64 = 366 * 24 * 60 * 60 * 1000;

/// Milliseconds, or why it is no duration.
pub(super) fn milliseconds(text: &str) -> Result<u64, String> {
    let bad = || format!("`{}` is not a duration", text.chars().take(40).collect::<String>());
    let mut total: u64 = 0;
    let mut rest = text.trim();
    let mut previous = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let factor = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            "d" => 24 * 60 * 60 * 1000,
            _ => return Err(bad()),
        };
        // Larger units first, each once.
        if factor >= previous {
            return Err(bad());
        }
        previous = factor;
        let number: u64 = number.parse().map_err(|_| bad())?;
        total = total.saturating_add(number.saturating_mul(factor));
        rest = after;
    }
    match total {
        0 if text.trim().is_empty() => Err(bad()),
        0 => Err("the duration must be longer than nothing".to_owned()),
        _ if total > LONGEST_MS => Err("the duration is longer than a year".to_owned()),
        _ => Ok(total),
    }
}

#[cfg(test)]
mod tests {
    use super::milliseconds;

    #[test]
    fn durations_are_read() {
        let table = [
            ("90s", Some(90_000)),
            ("10m", Some(600_000)),
            ("1h30m", Some(5_400_000)),
            ("1d", Some(86_400_000)),
            ("1s500ms", Some(1500)),
            (" 5s ", Some(5000)),
            ("0s", None),
            ("", None),
            ("5", None),
            ("s", None),
            ("1m1h", None),
            ("1s1s", None),
            ("1.5h", None),
            ("-5s", None),
            ("5 s", None),
            ("99999999999999999999s", None),
            ("9999999999999999999h", None),
            ("400d", None),
            ("5ü", None),
        ];
        for (text, expected) in table {
            assert_eq!(milliseconds(text).ok(), expected, "{text}");
        }
    }
}
