//! Constraints on dimensions or tags: `key` with `v1|v2` asks for one of the values, a repeated key asks again.
//!
//! Facts: luci-go `swarming/server/model/filters.go`.

use std::collections::BTreeSet;

use super::dimension;
use super::text::quote;
use crate::proto::swarming::StringPair;

/// Values in all constraints together.
pub const MAX_VALUES: usize = 512;
/// Ways to choose one value of every constraint.
pub const MAX_ALTERNATIVES: u64 = 8;

/// One of `values` under `key`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Constraint {
    pub key: String,
    /// Sorted, without duplicates, never empty.
    pub values: Vec<String>,
}

/// All of these constraints; sorted, without duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter(Vec<Constraint>);

impl Filter {
    /// The dimensions that a task asks for. A value or constraint said twice is a mistake.
    pub fn of_task(pairs: &[StringPair]) -> Result<Self, String> {
        Self::parse(pairs.iter().map(borrowed), dimension::key, dimension::value, false)
    }

    /// A search for bots by dimension. What is said twice counts once.
    pub fn of_bots(pairs: &[StringPair]) -> Result<Self, String> {
        Self::parse(pairs.iter().map(borrowed), dimension::key, dimension::value, true)?.bounded()
    }

    /// A search for tasks by `key:v1|v2` tags. What is said twice counts once.
    pub fn of_tags(tags: &[String]) -> Result<Self, String> {
        let split = |tag: &String| match tag.split_once(':') {
            Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
            // Upstream's server crashes here.
            None => Err(format!("tag must be in key:value form, not {}", quote(tag))),
        };
        let pairs: Vec<(String, String)> = tags.iter().map(split).collect::<Result<_, _>>()?;
        let pairs = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        Self::parse(pairs, tag_part, |_, value| tag_part(value), true)?.bounded()
    }

    /// A search costs what it asks for. Upstream takes any number.
    fn bounded(self) -> Result<Self, String> {
        match self.values() {
            ..=MAX_VALUES => Ok(self),
            values => Err(format!("too many values {values} (max is {MAX_VALUES})")),
        }
    }

    fn values(&self) -> usize {
        self.0.iter().map(|constraint| constraint.values.len()).sum()
    }

    fn parse<'a>(
        pairs: impl Iterator<Item = (&'a str, &'a str)>,
        check_key: impl Fn(&str) -> Result<(), String>,
        check_value: impl Fn(&str, &str) -> Result<(), String>,
        may_repeat: bool,
    ) -> Result<Self, String> {
        let mut constraints = Vec::new();
        for (key, text) in pairs {
            check_key(key).map_err(|why| format!("bad key {}: {why}", quote(key)))?;
            let mut values = BTreeSet::new();
            let mut count = 0;
            for value in text.split('|') {
                check_value(key, value)
                    .map_err(|why| format!("key {}: value {}: {why}", quote(key), quote(value)))?;
                values.insert(value.to_owned());
                count += 1;
            }
            if values.len() != count && !may_repeat {
                return Err(format!("key {} has repeated values", quote(key)));
            }
            let values = values.into_iter().collect();
            constraints.push(Constraint { key: key.to_owned(), values });
        }
        let count = constraints.len();
        constraints.sort();
        constraints.dedup();
        if constraints.len() != count && !may_repeat {
            return Err("has duplicate constraints".to_owned());
        }
        Ok(Self(constraints))
    }

    pub fn constraints(&self) -> &[Constraint] {
        &self.0
    }

    /// Every value asked for under `key`, a value of two constraints twice.
    pub fn values_of(&self, key: &str) -> Vec<&str> {
        let of_key = self.0.iter().filter(|constraint| constraint.key == key);
        of_key.flat_map(|constraint| &constraint.values).map(String::as_str).collect()
    }

    /// The pools named, sorted, each once.
    pub fn pools(&self) -> BTreeSet<&str> {
        self.values_of("pool").into_iter().collect()
    }

    /// `key:value` of every value of every constraint.
    pub fn tags(&self) -> impl Iterator<Item = String> {
        self.0.iter().flat_map(|constraint| {
            constraint.values.iter().map(|value| format!("{}:{value}", constraint.key))
        })
    }

    /// Refuses dimensions that cost too much to match.
    pub fn check_complexity(&self) -> Result<(), String> {
        let total = self.values();
        if total > MAX_VALUES {
            return Err(format!("too many dimension constraints {total} (max is {MAX_VALUES})"));
        }
        // Upstream's number wraps round, so that 2^64 alternatives pass; ours stays at the top.
        let alternatives = self.0.iter().fold(1_u64, |product, constraint| {
            product.saturating_mul(constraint.values.len() as u64)
        });
        if alternatives > MAX_ALTERNATIVES {
            return Err(format!(
                "too many combinations of dimensions {alternatives} (max is {MAX_ALTERNATIVES}), \
                 reduce usage of \"|\""
            ));
        }
        Ok(())
    }
}

fn borrowed(pair: &StringPair) -> (&str, &str) {
    (&pair.key, &pair.value)
}

/// A key or value in a search by tags.
fn tag_part(part: &str) -> Result<(), String> {
    if part.is_empty() {
        return Err("cannot be empty".to_owned());
    }
    if part.trim() != part {
        return Err("should have no leading or trailing spaces".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(of: &[(&str, &str)]) -> Vec<StringPair> {
        of.iter().map(|(k, v)| StringPair { key: (*k).into(), value: (*v).into() }).collect()
    }

    #[test]
    fn mistakes_in_a_tasks_dimensions() {
        for (of, why) in [
            (vec![("", "v")], r#"bad key "": the key cannot be empty"#),
            (vec![("k", "")], r#"key "k": value "": the value cannot be empty"#),
            (vec![("k", "a|")], r#"key "k": value "": the value cannot be empty"#),
            (vec![("k", "a|a")], r#"key "k" has repeated values"#),
            (vec![("k", "a|b"), ("k", "b|a")], "has duplicate constraints"),
        ] {
            assert_eq!(Filter::of_task(&pairs(&of)), Err(why.to_owned()));
        }
        let filter = Filter::of_bots(&pairs(&[("k", "b|a|b"), ("k", "a|b"), ("a", "x")])).unwrap();
        assert_eq!(filter.tags().collect::<Vec<_>>(), ["a:x", "k:a", "k:b"]);
    }

    #[test]
    fn complexity_is_limited() {
        let check = |of: &[(String, String)]| {
            let of: Vec<_> = of.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            Filter::of_task(&pairs(&of)).unwrap().check_complexity()
        };
        let numbered = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>().join("|");
        assert_eq!(check(&[("a".into(), numbered(8))]), Ok(()));
        assert_eq!(
            check(&[("a".into(), numbered(3)), ("b".into(), numbered(3))]),
            Err("too many combinations of dimensions 9 (max is 8), reduce usage of \"|\"".into())
        );
        let many: Vec<_> = (0..513).map(|i| (format!("k{i}"), "v".to_owned())).collect();
        assert_eq!(check(&many), Err("too many dimension constraints 513 (max is 512)".into()));
        let wide: Vec<_> = (0..100).map(|i| (format!("k{i}"), numbered(4))).collect();
        assert!(check(&wide).unwrap_err().contains("combinations"));
    }

    #[test]
    fn tags_are_judged_less_strictly() {
        let of = |tags: &[&str]| {
            Filter::of_tags(&tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(of(&["pool:a|b", "pool:b", "x y:z"]).unwrap().pools().len(), 2);
        assert_eq!(of(&["k"]), Err(r#"tag must be in key:value form, not "k""#.to_owned()));
        assert_eq!(of(&[":v"]), Err(r#"bad key "": cannot be empty"#.to_owned()));
        assert_eq!(of(&["k:"]), Err(r#"key "k": value "": cannot be empty"#.to_owned()));
        assert_eq!(
            of(&["k: v"]),
            Err(r#"key "k": value " v": should have no leading or trailing spaces"#.to_owned())
        );
    }

    #[test]
    fn a_search_has_a_bound() {
        let tags = |values: usize| vec![(0..values).map(|n| format!("k:{n}")).collect::<Vec<_>>()];
        let one = |values: usize| format!("k:{}", vec!["v"; values].join("|"));
        assert!(Filter::of_tags(&tags(512).concat()).is_ok());
        let why = Filter::of_tags(&tags(513).concat()).unwrap_err();
        assert_eq!(why, "too many values 513 (max is 512)");
        // What is said twice counts once.
        assert!(Filter::of_tags(&[one(513)]).is_ok());
    }
}
