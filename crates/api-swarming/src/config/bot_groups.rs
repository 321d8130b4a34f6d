//! Which bots there are, how they prove it, and what the server says of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

/// What holds for all bots of one section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BotGroup {
    /// Said by the server, whatever the bot says; at least `pool`.
    pub dimensions: BTreeMap<String, BTreeSet<String>>,
    pub admission: Admission,
    /// `bot`, an address, or nothing.
    pub system_service_account: Option<String>,
    /// Hooks that the bot gets when it connects.
    pub script: Option<Script>,
    pub logs_cloud_project: Option<String>,
    pub owners: Vec<String>,
}

/// Who may be a bot of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Admission {
    /// No one: the bot is in no group.
    #[default]
    Nobody,
    /// Whom the server lets in where a group says nothing.
    AsServer,
    /// Who succeeds in one of these, tried in this order; never empty.
    OneOf(Vec<BotAuth>),
}

/// One way for a bot to show who it is. All that is given must be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BotAuth {
    pub method: AuthMethod,
    /// A list of addresses that the bot's must be in.
    pub ip_allowlist: Option<String>,
    pub log_if_failed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// Only the address.
    Ip,
    /// `X-Luci-Machine-Token`; with ids, only of these authorities.
    MachineToken { ca_ids: Vec<i64> },
    /// An OAuth token of one of these accounts.
    ServiceAccount(Vec<String>),
    /// A token of a Google Compute Engine machine of this project.
    GceVmToken { project: String },
}

/// Python source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Such as `hooks.py`.
    pub name: String,
    pub body: String,
    /// Of the body, in hex.
    pub sha256: String,
}

/// All groups, and who is in which.
#[derive(Clone, Debug)]
pub struct BotGroups {
    /// Keys of dimensions that a bot must not choose itself.
    pub trusted_dimensions: BTreeSet<String>,
    /// The first is for bots of no other.
    pub(super) groups: Vec<BotGroup>,
    pub(super) by_id: HashMap<String, usize>,
    /// None is the start of another.
    pub(super) by_prefix: BTreeMap<String, usize>,
}

/// `host` of a bot named `host--suffix`, of which there are several on one machine; else the whole id.
pub fn host_bot_id(bot_id: &str) -> &str {
    bot_id.split_once("--").map_or(bot_id, |(host, _)| host)
}

impl BotGroups {
    /// All bots are welcome, and in the pools that they say.
    pub(super) fn everybody() -> Self {
        let group = BotGroup { admission: Admission::AsServer, ..BotGroup::default() };
        Self {
            trusted_dimensions: BTreeSet::new(),
            groups: vec![group],
            by_id: HashMap::new(),
            by_prefix: BTreeMap::new(),
        }
    }

    /// The group of a bot: by its id, by its host's id, by prefix, or the default one.
    pub fn find(&self, bot_id: &str) -> &BotGroup {
        let host = host_bot_id(bot_id);
        let by_id = self.by_id.get(bot_id).or_else(|| self.by_id.get(host));
        let by_prefix = || {
            // Prefixes do not nest, so the one before `host` is the only one that can start it.
            let up_to = (Bound::Unbounded, Bound::Included(host));
            let before = self.by_prefix.range::<str, _>(up_to).next_back();
            before.filter(|(prefix, _)| host.starts_with(*prefix)).map(|(_, group)| group)
        };
        &self.groups[by_id.or_else(by_prefix).copied().unwrap_or(0)]
    }
}

impl BotGroup {
    /// The pools of its bots; `unassigned` where the configuration gives none.
    pub fn pools(&self) -> Vec<&str> {
        match self.dimensions.get("pool") {
            Some(pools) if !pools.is_empty() => pools.iter().map(String::as_str).collect(),
            _ => vec!["unassigned"],
        }
    }

    /// For bots that no section is about.
    pub(super) fn unassigned() -> Self {
        let pool = BTreeSet::from(["unassigned".to_owned()]);
        Self { dimensions: BTreeMap::from([("pool".to_owned(), pool)]), ..Self::default() }
    }
}
