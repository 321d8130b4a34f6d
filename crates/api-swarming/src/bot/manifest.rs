//! What a bot is told to run.
//!
//! Facts: luci-py `handlers_bot.py` (`prepare_manifest`), `bot_code/task_runner.py`. Bots from before 2025-02-26 refuse
//! a manifest with a key too many or too few, and the task is lost; later ones take either shape.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Dimensions;
use serde_json::{Value, json};

use crate::proto::swarming::CipdInput;
use crate::validate::task::ServiceAccount;
use crate::validate::{Properties, TaskId};

/// Public CIPD, for a task that asks for packages and not from where.
const CIPD_SERVER: &str = "https://chrome-infra-packages.appspot.com";
const CIPD_CLIENT: &str = "infra/tools/cipd/${platform}";
const CIPD_CLIENT_VERSION: &str = "latest";

/// Which keys a bot's manifest has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Until 2022-10-11: 21 keys.
    WithoutBotDimensions,
    /// Since then: `bot_dimensions` too.
    WithBotDimensions,
}

impl Shape {
    /// Looks into the `bot_code/task_runner.py` of the bot.
    pub fn of_task_runner(source: &[u8]) -> Self {
        const KEY: &[u8] = b"bot_dimensions";
        if source.windows(KEY.len()).any(|window| window == KEY) {
            Self::WithBotDimensions
        } else {
            Self::WithoutBotDimensions
        }
    }
}

/// Everything around the properties.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub task: TaskId,
    pub bot_id: &'a str,
    /// With those that the server says.
    pub bot_dimensions: &'a Dimensions,
    /// An identity, such as `bot:whitelisted-ip`.
    pub bot_authenticated_as: &'a str,
    /// Where the bot reaches the server.
    pub server_url: &'a str,
    pub realm: Option<&'a str>,
    /// That of the bot's group.
    pub system_service_account: Option<&'a str>,
    pub service_account: &'a ServiceAccount,
    /// Of the slice, when it has one.
    pub secret: Option<&'a [u8]>,
    /// Name of a cache → its usual size in bytes.
    pub cache_sizes: &'a BTreeMap<String, u64>,
}

/// The `manifest` of a poll's answer.
pub fn manifest(shape: Shape, properties: &Properties, facts: &Facts<'_>) -> Value {
    let mut out = json!({
        "bot_authenticated_as": facts.bot_authenticated_as,
        "bot_id": facts.bot_id,
        "caches": caches(properties, facts.cache_sizes),
        "cas_input_root": cas_input_root(properties),
        "cipd_input": cipd_input(&properties.cipd_input),
        "command": properties.command,
        // Old bots know no other, new ones do not look.
        "containment": {"containment_type": "NONE"},
        "dimensions": properties.dimensions,
        "env": properties.env,
        "env_prefixes": properties.env_prefixes,
        "grace_period": properties.grace_period_secs,
        "hard_timeout": properties.execution_timeout_secs,
        "host": facts.server_url,
        "io_timeout": properties.io_timeout_secs,
        "outputs": properties.outputs,
        "realm": facts.realm.map_or_else(|| json!({}), |name| json!({"name": name})),
        "relative_cwd": (!properties.relative_cwd.is_empty()).then_some(&properties.relative_cwd),
        "resultdb": null,
        "secret_bytes": facts.secret.filter(|_| properties.has_secret).map(|s| STANDARD.encode(s)),
        "service_accounts": {
            "system": {"service_account": facts.system_service_account.unwrap_or("none")},
            "task": {"service_account": facts.service_account.as_str()},
        },
        "task_id": facts.task.run(),
    });
    match shape {
        Shape::WithoutBotDimensions => {}
        Shape::WithBotDimensions => {
            let pairs = facts.bot_dimensions.iter();
            let pairs =
                pairs.map(|(key, values)| (key, values.iter().cloned().collect::<Vec<_>>()));
            out["bot_dimensions"] = pairs.collect();
        }
    }
    out
}

/// The hint has to be a text.
fn caches(properties: &Properties, sizes: &BTreeMap<String, u64>) -> Vec<Value> {
    let one = |cache: &crate::proto::swarming::CacheEntry| {
        let hint = sizes.get(&cache.name).map_or_else(|| "-1".to_owned(), u64::to_string);
        json!({"name": cache.name, "path": cache.path, "hint": hint})
    };
    properties.caches.iter().map(one).collect()
}

fn cas_input_root(properties: &Properties) -> Option<Value> {
    let root = properties.cas_input_root.as_ref()?;
    let digest = root.digest.clone().unwrap_or_default();
    Some(json!({
        "cas_instance": root.cas_instance,
        "digest": {"hash": digest.hash, "size_bytes": digest.size_bytes},
    }))
}

/// The bot needs all of it or nothing.
fn cipd_input(input: &CipdInput) -> Option<Value> {
    let client = input.client_package.clone().unwrap_or_default();
    let is_whole = !input.server.is_empty() && !client.package_name.is_empty();
    if input.packages.is_empty() && !is_whole {
        return None;
    }
    fn or<'a>(text: &'a str, default: &'a str) -> &'a str {
        if text.is_empty() { default } else { text }
    }
    let packages: Vec<Value> = input
        .packages
        .iter()
        .map(|package| {
            json!({
                "path": package.path,
                "package_name": package.package_name,
                "version": package.version,
            })
        })
        .collect();
    Some(json!({
        "server": or(&input.server, CIPD_SERVER),
        "client_package": {
            "package_name": or(&client.package_name, CIPD_CLIENT),
            "version": or(&client.version, CIPD_CLIENT_VERSION),
        },
        "packages": packages,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::swarming::{CacheEntry, CasReference, CipdPackage, Digest};

    /// What bots of 2022 compare with.
    const KEYS: [&str; 21] = [
        "bot_authenticated_as",
        "bot_id",
        "caches",
        "cas_input_root",
        "cipd_input",
        "command",
        "containment",
        "dimensions",
        "env",
        "env_prefixes",
        "grace_period",
        "hard_timeout",
        "host",
        "io_timeout",
        "outputs",
        "realm",
        "relative_cwd",
        "resultdb",
        "secret_bytes",
        "service_accounts",
        "task_id",
    ];

    fn build(shape: Shape, properties: &Properties) -> Value {
        let mut dimensions = Dimensions::default();
        dimensions.add("id", "b").unwrap();
        let sizes = BTreeMap::from([("known".to_owned(), 42)]);
        let facts = Facts {
            task: TaskId::parse("6663cfc78b41fb10").unwrap(),
            bot_id: "b",
            bot_dimensions: &dimensions,
            bot_authenticated_as: "bot:whitelisted-ip",
            server_url: "http://localhost:9",
            realm: None,
            system_service_account: None,
            service_account: &ServiceAccount::Bot,
            secret: Some(b"hush"),
            cache_sizes: &sizes,
        };
        manifest(shape, properties, &facts)
    }

    fn keys(value: &Value) -> Vec<&str> {
        value.as_object().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn the_keys_are_exact() {
        let properties = Properties::default();
        let old = build(Shape::WithoutBotDimensions, &properties);
        let mut sorted = keys(&old);
        sorted.sort_unstable();
        assert_eq!(sorted, KEYS);
        assert_eq!(old["containment"], json!({"containment_type": "NONE"}));
        assert_eq!(old["realm"], json!({}));
        for empty in ["cas_input_root", "cipd_input", "relative_cwd", "resultdb", "secret_bytes"] {
            assert_eq!(old[empty], Value::Null, "{empty}");
        }
        let new = build(Shape::WithBotDimensions, &properties);
        assert_eq!(keys(&new).len(), 22);
        assert_eq!(new["bot_dimensions"], json!({"id": ["b"]}));
        assert_eq!(new["task_id"], "6663cfc78b41fb11");
    }

    #[test]
    fn values_have_the_types_that_bots_want() {
        let mut properties = Properties {
            has_secret: true,
            relative_cwd: "a".into(),
            caches: vec![
                CacheEntry { name: "known".into(), path: "p".into() },
                CacheEntry { name: "new".into(), path: "q".into() },
            ],
            cas_input_root: Some(CasReference {
                cas_instance: "i".into(),
                digest: Some(Digest { hash: "h".into(), size_bytes: 7 }),
            }),
            ..Properties::default()
        };
        properties.env.insert("K".into(), "V".into());
        properties.dimensions.insert("os".into(), vec!["a|b".into()]);
        properties.cipd_input.packages =
            vec![CipdPackage { package_name: "n".into(), version: "v".into(), path: "p".into() }];
        let out = build(Shape::WithBotDimensions, &properties);
        assert_eq!(out["caches"][0], json!({"name": "known", "path": "p", "hint": "42"}));
        assert_eq!(out["caches"][1]["hint"], "-1");
        assert_eq!(out["secret_bytes"], "aHVzaA==");
        assert_eq!(out["env"], json!({"K": "V"}));
        assert_eq!(out["dimensions"], json!({"os": ["a|b"]}));
        assert_eq!(out["cas_input_root"]["digest"]["size_bytes"], 7);
        assert_eq!(out["service_accounts"]["task"]["service_account"], "bot");
        assert_eq!(out["service_accounts"]["system"]["service_account"], "none");
        let cipd = &out["cipd_input"];
        assert_eq!(cipd["server"], CIPD_SERVER);
        assert_eq!(cipd["client_package"]["version"], "latest");
        assert_eq!(cipd["packages"][0], json!({"path": "p", "package_name": "n", "version": "v"}));
    }

    #[test]
    fn a_bot_tells_its_shape() {
        assert_eq!(Shape::of_task_runner(b"x bot_dimensions y"), Shape::WithBotDimensions);
        assert_eq!(Shape::of_task_runner(b"bot_dim"), Shape::WithoutBotDimensions);
    }
}
