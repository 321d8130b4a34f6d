//! Dimension keys and values, tags, and what a bot says of itself.
//!
//! Facts: luci-go `swarming/server/validate/validate.go`.

use std::collections::{BTreeMap, BTreeSet};

use super::text::{quote, shorten};

/// Bytes in the key of a dimension or tag.
pub const KEY_BYTES: usize = 64;
/// Bytes in the value of a dimension or tag.
pub const VALUE_BYTES: usize = 256;

/// Only the server gives these.
const RESERVED_TAGS: [&str; 1] = ["swarming.terminate"];

/// Whether `key` can name a dimension: 1..64 of letters, digits, `-`, `_`, `.`, not a digit first.
pub fn key(key: &str) -> Result<(), String> {
    key_length(key)?;
    let mut rest = key.bytes();
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_' | b'.');
    let first = rest.next().is_some_and(is_letter);
    if !first || !rest.all(|byte| is_letter(byte) || byte.is_ascii_digit()) {
        return Err(r"the key should match ^[a-zA-Z\-\_\.][0-9a-zA-Z\-\_\.]*$".to_owned());
    }
    Ok(())
}

fn key_length(key: &str) -> Result<(), String> {
    match key.len() {
        0 => Err("the key cannot be empty".to_owned()),
        1..=KEY_BYTES => Ok(()),
        long => Err(format!("the key should be no longer than {KEY_BYTES} (got {long})")),
    }
}

/// Whether `value` can be one of dimension `key`: 1..256 bytes, not padded, and no `:` in an `id` or `pool`.
pub fn value(key: &str, value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Err("the value cannot be empty".to_owned());
    }
    value_text(value)?;
    match key {
        "id" if value.contains(':') => Err(r#"bot ID is not allowed to contain ":""#.to_owned()),
        "pool" if value.contains(':') => Err(r#"pool ID is not allowed to contain ":""#.to_owned()),
        _ => Ok(()),
    }
}

fn value_text(value: &str) -> Result<(), String> {
    if value.len() > VALUE_BYTES {
        let long = value.len();
        return Err(format!("the value should be no longer than {VALUE_BYTES} (got {long})"));
    }
    if value.trim() != value {
        return Err("the value should have no leading or trailing spaces".to_owned());
    }
    Ok(())
}

/// Whether a client may give a task this tag: `key:value`, where only the value may be empty.
pub fn tag(tag: &str) -> Result<(), String> {
    let Some((key, value)) = tag.split_once(':') else {
        return Err(format!("tag must be in key:value form, not {}", quote(tag)));
    };
    key_length(key)?;
    value_text(value)?;
    if RESERVED_TAGS.contains(&key) {
        let key = quote(key);
        return Err(format!(
            "tag {key} is reserved for internal use and can't be assigned manually"
        ));
    }
    Ok(())
}

/// What is wrong with the dimensions that a bot reports, sorted by key; empty when nothing is.
///
/// Shape: key → values, not empty and without duplicates; `id` has exactly one.
pub fn of_bot(dimensions: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut mistakes = Vec::new();
    let mut seen_id = false;
    for (name, values) in dimensions {
        let mut found = Vec::new();
        found.extend(key(name).err());
        if values.is_empty() {
            found.push("values list should not be empty".to_owned());
        }
        let mut seen = BTreeSet::new();
        for one in values {
            if let Err(why) = value(name, one) {
                let shown = quote(&shorten(one, VALUE_BYTES + 5));
                found.push(format!("bad value {shown}: {why}"));
            } else if !seen.insert(one) {
                found.push(format!("duplicate value {}", quote(one)));
            }
        }
        if name == "id" {
            seen_id = true;
            if values.len() > 1 {
                found.push("must have only one value".to_owned());
            }
        }
        let shown = quote(&shorten(name, KEY_BYTES + 5));
        mistakes
            .extend(found.into_iter().map(|why| (name.as_str(), format!("key {shown}: {why}"))));
    }
    if !seen_id {
        mistakes.push(("id", "key \"id\": a value is missing".to_owned()));
        mistakes.sort_by_key(|(name, _)| *name);
    }
    mistakes.into_iter().map(|(_, why)| why).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        for good in ["a", "-", "_x", ".", "label-key.9", &"k".repeat(64)] {
            assert_eq!(key(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("", "the key cannot be empty"),
            ("9a", "should match"),
            ("a:b", "should match"),
            ("a b", "should match"),
            ("é", "should match"),
            ("a\n", "should match"),
            (&"k".repeat(65), "the key should be no longer than 64 (got 65)"),
        ] {
            assert!(key(bad).unwrap_err().contains(why), "{bad}");
        }
    }

    #[test]
    fn values_and_tags() {
        assert_eq!(value("os", "a:b"), Ok(()));
        assert_eq!(value("id", "a:b"), Err(r#"bot ID is not allowed to contain ":""#.to_owned()));
        assert_eq!(value("pool", ":"), Err(r#"pool ID is not allowed to contain ":""#.to_owned()));
        assert_eq!(value("os", ""), Err("the value cannot be empty".to_owned()));
        assert!(value("os", "a\u{a0}").unwrap_err().contains("leading or trailing"));
        assert!(value("os", &"v".repeat(257)).unwrap_err().contains("(got 257)"));
        assert_eq!(tag("a:"), Ok(()));
        assert_eq!(tag("a b:c:d"), Ok(()));
        assert_eq!(tag("a"), Err(r#"tag must be in key:value form, not "a""#.to_owned()));
        assert_eq!(tag(":v"), Err("the key cannot be empty".to_owned()));
        assert!(tag("a: v").unwrap_err().contains("spaces"));
        assert!(tag("swarming.terminate:1").unwrap_err().contains("reserved"));
    }

    #[test]
    fn dimensions_of_a_bot() {
        let of = |pairs: &[(&str, &[&str])]| {
            let own = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect();
            of_bot(&pairs.iter().map(|(k, v)| ((*k).to_owned(), own(v))).collect())
        };
        assert!(of(&[("id", &["b"]), ("os", &["Linux", "Debian"])]).is_empty());
        assert_eq!(of(&[("zz", &["v"])]), [r#"key "id": a value is missing"#]);
        assert_eq!(
            of(&[("a", &[]), ("id", &["x:y", "z"]), ("os", &["L", "L", ""])]),
            [
                r#"key "a": values list should not be empty"#,
                r#"key "id": bad value "x:y": bot ID is not allowed to contain ":""#,
                r#"key "id": must have only one value"#,
                r#"key "os": duplicate value "L""#,
                r#"key "os": bad value "": the value cannot be empty"#,
            ]
        );
        assert_eq!(of(&[("z", &[])])[0], r#"key "id": a value is missing"#);
    }
}
