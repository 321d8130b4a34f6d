//! What a runner offers and what a job asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::limit;

/// What a runner offers: each key with one or more values (`os` → `Linux`, `Debian-12`).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dimensions(BTreeMap<String, BTreeSet<String>>);

/// What a slice asks for: every key must be offered with at least one of its values.
///
/// The values of one key are alternatives (`os` = `Linux|Mac`); the same key named twice in a request means both, which
/// is why a key maps to a list of alternatives.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirements(BTreeMap<String, BTreeSet<BTreeSet<String>>>);

/// A dimension that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DimensionsError {
    EmptyKey,
    EmptyValue { key: String },
    TooLong { key: String },
    TooMany,
}

impl fmt::Display for DimensionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyKey => f.write_str("a dimension has an empty key"),
            Self::EmptyValue { key } => write!(f, "dimension `{key}` has an empty value"),
            Self::TooLong { key } => write!(
                f,
                "dimension `{}…` is longer than {} bytes",
                key.chars().take(32).collect::<String>(),
                limit::DIMENSION_BYTES
            ),
            Self::TooMany => write!(f, "more than {} dimensions", limit::DIMENSIONS),
        }
    }
}

impl std::error::Error for DimensionsError {}

fn check(key: &str, value: &str) -> Result<(), DimensionsError> {
    if key.is_empty() {
        return Err(DimensionsError::EmptyKey);
    }
    if value.is_empty() {
        return Err(DimensionsError::EmptyValue { key: key.into() });
    }
    if key.len() > limit::DIMENSION_BYTES || value.len() > limit::DIMENSION_BYTES {
        return Err(DimensionsError::TooLong { key: key.into() });
    }
    Ok(())
}

impl Dimensions {
    pub fn add(&mut self, key: &str, value: &str) -> Result<(), DimensionsError> {
        check(key, value)?;
        if self.0.len() >= limit::DIMENSIONS && !self.0.contains_key(key) {
            return Err(DimensionsError::TooMany);
        }
        let values = self.0.entry(key.into()).or_default();
        if values.len() >= limit::DIMENSIONS {
            return Err(DimensionsError::TooMany);
        }
        values.insert(value.into());
        Ok(())
    }

    /// For tests and constants that are known to be good.
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        let mut all = Self::default();
        for (key, value) in pairs {
            all.add(key, value).expect("a constant dimension is valid");
        }
        all
    }

    pub fn offers(&self, key: &str, value: &str) -> bool {
        self.0.get(key).is_some_and(|values| values.contains(value))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.0.iter().map(|(key, values)| (key.as_str(), values))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Requirements {
    /// Adds `key` = one of `alternatives`.
    pub fn add(&mut self, key: &str, alternatives: &[&str]) -> Result<(), DimensionsError> {
        if alternatives.is_empty() {
            return Err(DimensionsError::EmptyValue { key: key.into() });
        }
        for value in alternatives {
            check(key, value)?;
        }
        let total: usize = self.0.values().map(BTreeSet::len).sum();
        if total >= limit::DIMENSIONS {
            return Err(DimensionsError::TooMany);
        }
        let alternatives = alternatives.iter().map(|value| (*value).to_owned()).collect();
        self.0.entry(key.into()).or_default().insert(alternatives);
        Ok(())
    }

    /// For tests and constants that are known to be good. `|` separates alternatives.
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        let mut all = Self::default();
        for (key, value) in pairs {
            let alternatives: Vec<&str> = value.split('|').collect();
            all.add(key, &alternatives).expect("a constant requirement is valid");
        }
        all
    }

    /// Whether every key is offered with at least one of its alternatives.
    pub fn met_by(&self, offered: &Dimensions) -> bool {
        self.iter()
            .all(|(key, alternatives)| alternatives.iter().any(|value| offered.offers(key, value)))
    }

    /// Each (key, alternatives) pair, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.0.iter().flat_map(|(key, all)| all.iter().map(move |one| (key.as_str(), one)))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// `os=Linux|Mac gpu=none`, as people write it.
impl fmt::Display for Requirements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (key, alternatives)) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{key}=")?;
            for (j, value) in alternatives.iter().enumerate() {
                write!(f, "{}{value}", if j > 0 { "|" } else { "" })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_are_or_and_keys_are_and() {
        let offered = Dimensions::of(&[("os", "Linux"), ("os", "Debian"), ("cpu", "x86-64")]);
        for (asked, met) in [
            (&[("os", "Linux")][..], true),
            (&[("os", "Mac|Debian")][..], true),
            (&[("os", "Linux"), ("os", "Debian")][..], true),
            (&[("os", "Linux"), ("os", "Mac")][..], false),
            (&[("os", "Linux"), ("gpu", "none")][..], false),
            (&[][..], true),
        ] {
            assert_eq!(Requirements::of(asked).met_by(&offered), met, "{asked:?}");
        }
    }

    #[test]
    fn bad_dimensions_get_a_sentence() {
        let mut offered = Dimensions::default();
        assert_eq!(offered.add("", "x"), Err(DimensionsError::EmptyKey));
        assert!(offered.add("os", "").unwrap_err().to_string().contains("`os`"));
        assert!(offered.add(&"k".repeat(9999), "x").is_err());
    }
}
