//! What Go sends: `null` for an empty list or map, and a zero time for an unset one.

use serde::{Deserialize, Deserializer};

/// `null` is the default.
pub fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Go's zero time, sent where a time is unset.
pub fn is_zero_time(text: &str) -> bool {
    text.is_empty() || text.starts_with("0001-01-01T00:00:00")
}
