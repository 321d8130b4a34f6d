//! When two tasks ask for the same: the key under which a result can be found again.
//!
//! Facts: luci-go `swarming/server/model/stringpairsserializer.go`. A hash never leaves the server.

use std::fmt::Display;

use sha2::{Digest as _, Sha256};

use super::task::Properties;
use crate::proto::swarming::CipdPackage;

/// SHA-256 over all properties and the secret, as a list of (path, value), each with its length before it.
///
/// Take it after the task template and the default CIPD are applied. `secret` counts when the slice has one.
pub fn properties_hash(properties: &Properties, secret: Option<&[u8]>) -> [u8; 32] {
    let mut pairs = Pairs(Sha256::new());
    pairs.put("idempotent", properties.idempotent);
    pairs.put("relativeCwd", &properties.relative_cwd);
    pairs.put("execution_timeout_secs", properties.execution_timeout_secs);
    pairs.put("grace_period_secs", properties.grace_period_secs);
    pairs.put("io_timeout_secs", properties.io_timeout_secs);
    pairs.list("command", properties.command.iter());
    pairs.list("outputs", sorted(&properties.outputs).into_iter());
    for (index, (key, value)) in properties.env.iter().enumerate() {
        pairs.put(&format!("env.{index}.key"), key);
        pairs.put(&format!("env.{index}.value"), value);
    }
    for (index, (key, paths)) in properties.env_prefixes.iter().enumerate() {
        pairs.put(&format!("env_prefixes.{index}.key"), key);
        pairs.list(&format!("env_prefixes.{index}.value"), paths.iter());
    }
    for (index, (key, values)) in properties.dimensions.iter().enumerate() {
        pairs.put(&format!("dimensions.{index}.key"), key);
        pairs.list(&format!("dimensions.{index}.value"), sorted(values).into_iter());
    }
    let mut caches: Vec<_> = properties.caches.iter().collect();
    caches.sort_by_key(|cache| (&cache.name, &cache.path));
    for (index, cache) in caches.into_iter().enumerate() {
        pairs.put(&format!("caches.{index}.name"), &cache.name);
        pairs.put(&format!("caches.{index}.path"), &cache.path);
    }
    if let Some(root) = &properties.cas_input_root {
        pairs.put("cas_input_root.cas_instance", &root.cas_instance);
        if let Some(digest) = &root.digest {
            pairs.put("cas_input_root.digest.hash", &digest.hash);
            pairs.put("cas_input_root.digest.size_bytes", digest.size_bytes);
        }
    }
    pairs.cipd(properties);
    let containment = &properties.containment;
    pairs.put("containment.containment_type", containment.containment_type);
    pairs.put("containment.lower_priority", containment.lower_priority);
    pairs.put("containment.limit_processes", containment.limit_processes);
    let memory = containment.limit_total_committed_memory;
    pairs.put("containment.limit_total_committed_memory", memory);
    if let Some(secret) = secret.filter(|_| properties.has_secret) {
        pairs.put_bytes("secret_bytes", secret);
    }
    pairs.0.finalize().into()
}

fn sorted(texts: &[String]) -> Vec<&String> {
    let mut out: Vec<_> = texts.iter().collect();
    out.sort();
    out
}

struct Pairs(Sha256);

impl Pairs {
    fn put(&mut self, key: &str, value: impl Display) {
        self.put_bytes(key, value.to_string().as_bytes());
    }

    fn put_bytes(&mut self, key: &str, value: &[u8]) {
        for part in [key.as_bytes(), value] {
            // A request is at most 64 MiB.
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            self.0.update(length.to_le_bytes());
            self.0.update(part);
        }
    }

    fn list<'a>(&mut self, key: &str, values: impl Iterator<Item = &'a String>) {
        for (index, value) in values.enumerate() {
            self.put(&format!("{key}.{index}"), value);
        }
    }

    fn cipd(&mut self, properties: &Properties) {
        let input = &properties.cipd_input;
        self.put("cipd_input.server", &input.server);
        if let Some(client) = &input.client_package {
            self.package("cipd_input.client_package", client);
        }
        let mut packages: Vec<_> = input.packages.iter().collect();
        packages.sort_by_key(|package| (&package.package_name, &package.version, &package.path));
        for (index, package) in packages.into_iter().enumerate() {
            self.package(&format!("cipd_input.packages.{index}"), package);
        }
    }

    fn package(&mut self, key: &str, package: &CipdPackage) {
        self.put(&format!("{key}.package_name"), &package.package_name);
        self.put(&format!("{key}.version"), &package.version);
        self.put(&format!("{key}.path"), &package.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::swarming::{CacheEntry, CasReference, Digest};

    fn base() -> Properties {
        let package = |name: &str| CipdPackage {
            package_name: name.into(),
            version: "v".into(),
            path: "p".into(),
        };
        let mut properties = Properties {
            command: vec!["a".into(), "b".into()],
            outputs: vec!["x".into(), "y".into()],
            caches: vec![
                CacheEntry { name: "c1".into(), path: "p1".into() },
                CacheEntry { name: "c2".into(), path: "p2".into() },
            ],
            has_secret: true,
            ..Properties::default()
        };
        properties.cipd_input.packages = vec![package("p1"), package("p2")];
        properties.dimensions.insert("os".into(), vec!["L".into(), "D".into()]);
        properties
    }

    #[test]
    fn order_counts_only_where_it_means_something() {
        let hash = |properties: &Properties| properties_hash(properties, Some(b"s"));
        let known = hash(&base());
        let mut same = base();
        same.outputs.reverse();
        same.caches.reverse();
        same.cipd_input.packages.reverse();
        same.dimensions.get_mut("os").unwrap().reverse();
        assert_eq!(hash(&same), known);

        let changes: [fn(&mut Properties); 10] = [
            |p| p.command.reverse(),
            |p| p.command = vec!["ab".into()],
            |p| p.idempotent = true,
            |p| p.relative_cwd = "x".into(),
            |p| p.io_timeout_secs = 1,
            |p| p.containment.lower_priority = true,
            |p| p.cipd_input.server = "s".into(),
            |p| p.has_secret = false,
            |p| drop(p.env.insert("K".into(), "V".into())),
            |p| {
                let digest = Some(Digest { hash: "h".into(), size_bytes: 1 });
                p.cas_input_root = Some(CasReference { cas_instance: "i".into(), digest });
            },
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut other = base();
            change(&mut other);
            assert_ne!(hash(&other), known, "change {index}");
        }
        assert_ne!(properties_hash(&base(), Some(b"t")), known);
    }
}
