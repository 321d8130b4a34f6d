//! How large named caches usually are, so that a bot can make room before it fills one.
//!
//! Facts: luci-go `swarming/server/model/namedcaches.go`, luci-py `server/named_caches.py`.

use std::collections::{BTreeMap, HashMap};

use model::Dimensions;
use serde_json::Value;

/// Pool, then the family of operating systems.
type Kind = (String, &'static str);

/// Bytes by name of the cache, for bots of each kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CacheSizes(HashMap<Kind, BTreeMap<String, u64>>);

fn kind(dimensions: &Dimensions) -> Kind {
    let first = |key: &str| {
        let values = dimensions.iter().find(|(name, _)| *name == key).map(|(_, values)| values);
        values.and_then(|values| values.first()).cloned().unwrap_or_default()
    };
    let os = ["Windows", "Mac", "Android", "Linux"].into_iter();
    let os = os.into_iter().find(|os| dimensions.offers("os", os)).unwrap_or("other");
    (first("pool"), os)
}

/// `{name: [[folder, bytes], used]}`, as bots report it.
fn reported(state: &str) -> Vec<(String, u64)> {
    let state: Value = serde_json::from_str(state).unwrap_or_default();
    let Some(caches) = state.get("named_caches").and_then(Value::as_object) else {
        return Vec::new();
    };
    let size = |cache: &Value| cache.get(0)?.get(1)?.as_u64();
    caches.iter().filter_map(|(name, cache)| Some((name.clone(), size(cache)?))).collect()
}

impl CacheSizes {
    /// Of all bots: the size that 95 of 100 do not exceed.
    pub fn of<'a>(bots: impl Iterator<Item = (&'a Dimensions, &'a str)>) -> Self {
        let mut all: HashMap<Kind, BTreeMap<String, Vec<u64>>> = HashMap::new();
        for (dimensions, state) in bots {
            for (name, size) in reported(state) {
                let of_kind = all.entry(kind(dimensions)).or_default();
                of_kind.entry(name).or_default().push(size);
            }
        }
        let most = |mut sizes: Vec<u64>| {
            sizes.sort_unstable();
            sizes[(sizes.len() * 95).div_ceil(100).max(1) - 1]
        };
        let sizes = all.into_iter().map(|(kind, names)| {
            (kind, names.into_iter().map(|(name, sizes)| (name, most(sizes))).collect())
        });
        Self(sizes.collect())
    }

    /// For a bot; what is not known of its own system is guessed from the others of its pool.
    pub fn for_bot(&self, dimensions: &Dimensions) -> BTreeMap<String, u64> {
        let own = kind(dimensions);
        let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
        for ((pool, os), names) in &self.0 {
            if *pool != own.0 || *os == own.1 {
                continue;
            }
            for (name, size) in names {
                let most = sizes.entry(name.clone()).or_default();
                *most = (*most).max(*size);
            }
        }
        sizes.extend(
            self.0.get(&own).into_iter().flatten().map(|(name, size)| (name.clone(), *size)),
        );
        sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_like_bots() {
        let bot = |pool, os| Dimensions::of(&[("pool", pool), ("os", os)]);
        let state =
            |size: u64| format!(r#"{{"named_caches": {{"git": [["x", {size}], 5], "bad": 3}}}}"#);
        let linux: Vec<_> = (1..=100).map(|size| (bot("p", "Linux"), state(size))).collect();
        let others = [
            (
                bot("p", "Mac"),
                r#"{"named_caches": {"xcode": [["x", 7], 1], "git": [["x", 900], 1]}}"#.to_owned(),
            ),
            (bot("q", "Linux"), state(5000)),
            (bot("p", "Linux"), "no JSON".to_owned()),
        ];
        let all = linux.iter().chain(&others).map(|(d, s)| (d, s.as_str()));
        let sizes = CacheSizes::of(all);
        let of = |pool, os| sizes.for_bot(&bot(pool, os)).into_iter().collect::<Vec<_>>();
        assert_eq!(of("p", "Linux"), [("git".to_owned(), 95), ("xcode".to_owned(), 7)]);
        assert_eq!(of("p", "Mac")[0], ("git".to_owned(), 900));
        assert_eq!(of("p", "Windows")[0], ("git".to_owned(), 900));
        assert_eq!(of("r", "Linux"), []);
    }
}
