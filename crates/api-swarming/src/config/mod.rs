//! How a site wants its pools, bots and server to be: from upstream's files, or from `phalanx.toml`.
//!
//! [`files`] reads `settings.cfg`, `bots.cfg` and `pools.cfg` in protobuf's text format; [`toml`] reads the `[swarming]`
//! table. Both give one [`Config`]. Facts: luci-go `swarming/server/cfg`, `swarming/proto/config`.

mod bot_groups;
mod bots;
pub mod files;
pub mod intset;
mod pools;
mod report;
mod settings;
pub mod templates;
pub mod toml;

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

pub use self::bot_groups::{
    Admission, AuthMethod, BotAuth, BotGroup, BotGroups, Script, host_bot_id,
};
pub use self::pools::{Pool, SchedulingAlgorithm};
pub use self::report::{ConfigError, Report};
pub use self::settings::{AuthGroups, Settings};
use crate::proto::config::{self as wire, BotsCfg, PoolsCfg, SettingsCfg};
use crate::validate::task::DefaultCipd;

/// What a site configured, checked.
#[derive(Clone, Debug)]
pub struct Config {
    pub settings: Settings,
    /// By name.
    pub pools: BTreeMap<String, Pool>,
    pub bots: BotGroups,
    /// For tasks that do not name their own.
    pub default_cipd: Option<DefaultCipd>,
    /// What only `phalanx.toml` says, whatever file the rest is from.
    pub ours: Ours,
    /// Names this state of the configuration, for the tag `swarming.pool.version`.
    pub revision: String,
    /// A sentence for everything that was set and means nothing to this server. Show them to the operator.
    pub ignored: Vec<String>,
}

/// What upstream has no setting for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ours {
    /// Topics of PubSub, and the address that each stands for.
    pub topics: BTreeMap<String, String>,
    /// Tasks and dead bots that are older are deleted.
    pub keep_days: u32,
}

/// As upstream: 18 months.
const KEEP_DAYS: u32 = 548;

impl Default for Ours {
    fn default() -> Self {
        Self { topics: BTreeMap::new(), keep_days: KEEP_DAYS }
    }
}

impl Config {
    /// Adds what only `phalanx.toml` says.
    pub fn with_ours(mut self, file: &str, table: &toml::Swarming) -> Result<Self, ConfigError> {
        let mut report = Report::default();
        for (topic, url) in &table.topics {
            let place = format!("{file}: swarming.topics.\"{topic}\"");
            report.check(&place, crate::validate::name::pubsub_topic(topic));
            let scheme = url::Url::parse(url).ok().map(|url| url.scheme().to_owned());
            if !matches!(scheme.as_deref(), Some("http" | "https")) {
                report.mistake(
                    &place,
                    format_args!("`{url}` is no address that begins with http:// or https://"),
                );
            }
        }
        if table.keep_days == Some(0) {
            let why = "nothing would be kept: at least 1, or leave it out for 18 months";
            report.mistake(&format!("{file}: swarming.keep_days"), why);
        }
        if let Some(ui) = table.ui.as_ref().filter(|ui| !ui.is_dir()) {
            let place = format!("{file}: swarming.ui");
            report.mistake(&place, format_args!("`{}` is no folder", ui.display()));
        }
        report.finish()?;
        let keep_days = table.keep_days.unwrap_or(KEEP_DAYS);
        self.ours = Ours { topics: table.topics.clone(), keep_days };
        Ok(self)
    }

    /// Where nobody says a word about pools and groups, every pool that somebody names is there, and bots say themselves where
    /// they belong.
    fn on_demand(self) -> Self {
        Self { pools: BTreeMap::new(), bots: BotGroups::everybody(), ..self }
    }
}

/// Where a part of the configuration stands: the file, and what leads to its fields.
#[derive(Clone, Copy)]
struct Origin<'a> {
    /// Such as `pools.cfg: ` or `phalanx.toml: swarming.`.
    prefix: &'a str,
    /// Upstream's rules: what must be given in its files has a default in ours.
    strict: bool,
}

struct Parts {
    settings: SettingsCfg,
    bots: BotsCfg,
    pools: PoolsCfg,
}

/// Origins of [`Parts`], in the same order.
struct Origins<'a> {
    settings: Origin<'a>,
    bots: Origin<'a>,
    pools: Origin<'a>,
}

/// `scripts` are those that bot groups may name, by file name.
fn resolve(
    parts: &Parts,
    origins: &Origins<'_>,
    scripts: &BTreeMap<String, String>,
) -> Result<Config, ConfigError> {
    let mut report = Report::default();
    let settings = settings::resolve(&parts.settings, origins.settings, &mut report);
    let (pools, pools_cipd) = pools::resolve(&parts.pools, origins.pools, &mut report);
    let bots = bots::resolve(&parts.bots, origins.bots, scripts, &mut report);
    let default_cipd = pools_cipd
        .or_else(|| settings::default_cipd(&parts.settings, origins.settings, &mut report));
    let revision = revision(parts, scripts);
    let ignored = report.finish()?;
    let ours = Ours::default();
    Ok(Config { settings, pools, bots, default_cipd, ours, revision, ignored })
}

/// Equal for equal configurations, whatever file they stand in.
fn revision(parts: &Parts, scripts: &BTreeMap<String, String>) -> String {
    use prost::Message as _;
    let mut hash = Sha256::new();
    let messages =
        [parts.settings.encode_to_vec(), parts.bots.encode_to_vec(), parts.pools.encode_to_vec()];
    for bytes in &messages {
        hash.update(bytes.len().to_le_bytes());
        hash.update(bytes);
    }
    for text in scripts.iter().flat_map(|(name, body)| [name, body]) {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    hex::encode(&hash.finalize()[..10])
}

#[cfg(test)]
mod tests;
