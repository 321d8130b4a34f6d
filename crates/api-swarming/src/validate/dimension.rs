//! Dimension keys and values, and tags.
//!
//! Facts: luci-go `swarming/server/validate/validate.go`.

use super::text::quote;

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
}
