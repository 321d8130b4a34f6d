//! A task that was checked: what a client asked for, in types that need no second look.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::filter::Filter;
use super::task_id::TaskId;
use super::text::quote;
use crate::proto::swarming::new_task_request::PoolTaskTemplateField;
use crate::proto::swarming::{CacheEntry, CasReference, CipdInput, CipdPackage, Containment};
use crate::prpc::{Code, Status};

/// More urgent tasks need a permission of their own.
pub const MOST_URGENT: u8 = 20;
/// Seconds without a word of its bot after which a running task is lost, unless the task says otherwise.
pub const BOT_PING_TOLERANCE_SECS: u32 = 1200;
/// Seconds for which a termination task waits for its bot.
pub const TERMINATION_EXPIRATION_SECS: u32 = 5 * 24 * 60 * 60;

/// What a client wants to be run.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTask {
    /// Empty for a termination task only.
    pub pool: String,
    pub name: String,
    pub parent: Option<Parent>,
    /// 1..=255, less is more urgent; 0 for a termination task only.
    pub priority: u8,
    /// 1..=8, tried in this order.
    pub slices: Vec<Slice>,
    /// The one secret of all slices that have one.
    pub secret: Option<Bytes>,
    /// Those of the client; see [`all_tags`](Self::all_tags).
    pub tags: Vec<String>,
    /// May be empty.
    pub user: String,
    pub service_account: ServiceAccount,
    pub pubsub: Option<Pubsub>,
    /// Only show what would be run.
    pub evaluate_only: bool,
    pub template: PoolTaskTemplateField,
    /// 60..=1200.
    pub bot_ping_tolerance_secs: u32,
    /// The client's own name of this request. Of several with one name only the first makes a task.
    pub request_uuid: Option<String>,
    pub resultdb: bool,
    /// `<project>:<realm>`; see [`set_realm`](Self::set_realm).
    pub realm: Option<String>,
}

/// The task that asks for this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    pub id: TaskId,
    /// As the client wrote it, which is how tags and answers name it.
    pub text: String,
}

/// What the server knows of a task that asks for another.
#[derive(Clone, Copy, Debug)]
pub struct KnownParent<'a> {
    /// It waits or runs.
    pub is_active: bool,
    /// It only asks a bot to stop.
    pub is_terminate: bool,
    pub user: &'a str,
}

/// Whom a task may act as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceAccount {
    None,
    /// As its bot.
    Bot,
    Email(String),
}

impl ServiceAccount {
    pub fn as_str(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Bot => "bot",
            Self::Email(address) => address,
        }
    }
}

/// Whom to tell when the task's state changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pubsub {
    pub topic: String,
    pub auth_token: String,
    pub userdata: String,
}

/// Where a task may run, and until when.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    pub properties: Properties,
    /// Counted from the end of the slice before, or from the creation of the task.
    pub expiration_secs: u32,
    /// Wait even when no bot that fits is known.
    pub wait_for_capacity: bool,
}

/// What to run, and on which bots.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    pub command: Vec<String>,
    /// May be empty.
    pub relative_cwd: String,
    pub env: BTreeMap<String, String>,
    /// Variable → paths to put before its value.
    pub env_prefixes: BTreeMap<String, Vec<String>>,
    /// Key → what was asked, in the client's order; `a|b` is one of them.
    pub dimensions: BTreeMap<String, Vec<String>>,
    /// The same, parsed.
    pub filter: Filter,
    pub execution_timeout_secs: u32,
    /// 0 for none.
    pub io_timeout_secs: u32,
    pub grace_period_secs: u32,
    /// A result of equal properties will do.
    pub idempotent: bool,
    pub cas_input_root: Option<CasReference>,
    pub caches: Vec<CacheEntry>,
    pub cipd_input: CipdInput,
    pub outputs: Vec<String>,
    pub containment: Containment,
    pub has_secret: bool,
}

/// CIPD for the tasks that do not name their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DefaultCipd {
    pub server: String,
    pub client_package: String,
    pub client_version: String,
}

/// What the server says of a new task in its tags.
#[derive(Clone, Copy, Debug)]
pub struct TagFacts<'a> {
    /// The caller's identity, such as `user:joe@example.com`.
    pub authenticated: &'a str,
    /// Names this state of the configuration.
    pub pool_version: &'a str,
    /// `prod`, `canary` or `none`.
    pub task_template: &'a str,
    /// The RBE instance, `none`, or nothing where a pool knows no RBE.
    pub rbe: Option<&'a str>,
}

impl NewTask {
    /// Asks `bot_id` to stop.
    pub fn terminate(bot_id: &str, reason: &str) -> Self {
        let name = match reason {
            "" => format!("Terminate {bot_id}"),
            reason => format!("Terminate {bot_id}: {reason}"),
        };
        let properties = Properties {
            dimensions: BTreeMap::from([("id".to_owned(), vec![bot_id.to_owned()])]),
            ..Properties::default()
        };
        let slice = Slice {
            properties,
            expiration_secs: TERMINATION_EXPIRATION_SECS,
            wait_for_capacity: false,
        };
        Self {
            pool: String::new(),
            name,
            parent: None,
            priority: 0,
            slices: vec![slice],
            secret: None,
            tags: vec!["swarming.terminate:1".to_owned()],
            user: String::new(),
            service_account: ServiceAccount::None,
            pubsub: None,
            evaluate_only: false,
            template: PoolTaskTemplateField::Auto,
            bot_ping_tolerance_secs: BOT_PING_TOLERANCE_SECS,
            request_uuid: None,
            resultdb: false,
            realm: None,
        }
    }

    /// Gives the pool's default realm to a task without one.
    pub fn set_realm(&mut self, default: Option<&str>) -> Result<(), Status> {
        if self.realm.is_none() {
            let default = default.ok_or_else(|| Status::invalid("task realm is required"))?;
            self.realm = Some(default.to_owned());
        }
        Ok(())
    }

    /// Takes over from the task that asks for this one: its user is whoever asked for the first.
    ///
    /// `parent` is what is known of [`Parent::id`], if anything.
    pub fn set_parent(&mut self, parent: Option<&KnownParent<'_>>) -> Result<(), Status> {
        let Some(Parent { text, .. }) = &self.parent else { return Ok(()) };
        let shown = quote(text);
        match parent {
            None => Err(Status::not_found(format!("parent task {shown} not found"))),
            Some(parent) if parent.is_terminate => {
                Err(Status::invalid("termination task cannot be a parent"))
            }
            Some(parent) if !parent.is_active => {
                let why = format!("parent task {shown} has ended");
                Err(Status::new(Code::FailedPrecondition, why))
            }
            Some(parent) => {
                parent.user.clone_into(&mut self.user);
                Ok(())
            }
        }
    }

    /// A caller without `swarming.pools.createHighPriorityTask` gets the most urgent priority that is left, silently.
    pub fn clamp_priority(&mut self, may_be_urgent: bool) {
        if !may_be_urgent {
            self.priority = self.priority.max(MOST_URGENT);
        }
    }

    /// How long the task may wait in all its slices.
    pub fn expiration_secs(&self) -> u32 {
        self.slices.iter().map(|slice| slice.expiration_secs).sum()
    }

    pub fn is_terminate(&self) -> bool {
        self.slices.first().is_some_and(|slice| slice.properties.is_terminate())
    }

    /// The client's tags and those that say what the task is, sorted, each once.
    ///
    /// Call it last: it tells of the realm, the priority and the user as they are then.
    pub fn all_tags(&self, facts: TagFacts<'_>) -> Vec<String> {
        let or_none =
            |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
        let mut tags: BTreeSet<String> = self.tags.iter().cloned().collect();
        tags.extend([
            format!("priority:{}", self.priority),
            format!("realm:{}", or_none(self.realm.as_deref().unwrap_or_default())),
            format!("service_account:{}", self.service_account.as_str()),
            format!("user:{}", or_none(&self.user)),
            format!("authenticated:{}", facts.authenticated),
        ]);
        tags.extend(self.parent.iter().map(|parent| format!("parent_task_id:{}", parent.text)));
        tags.extend(facts.rbe.map(|instance| format!("rbe:{instance}")));
        if self.is_terminate() {
            tags.insert("swarming.pool.template:no_pool".to_owned());
            let ids = self.slices.iter().filter_map(|slice| slice.properties.dimensions.get("id"));
            tags.extend(ids.flatten().map(|id| format!("id:{id}")));
        } else {
            tags.insert(format!("swarming.pool.version:{}", facts.pool_version));
            tags.insert(format!("swarming.pool.task_template:{}", facts.task_template));
            tags.extend(self.slices.iter().flat_map(|slice| slice.properties.filter.tags()));
        }
        tags.into_iter().collect()
    }
}

impl Properties {
    /// Whether this asks a bot to stop: nothing is said but `id`.
    pub fn is_terminate(&self) -> bool {
        let only_dimensions = Self {
            dimensions: self.dimensions.clone(),
            filter: self.filter.clone(),
            ..Self::default()
        };
        self.dimensions.len() == 1 && self.dimensions.contains_key("id") && *self == only_dimensions
    }

    /// Fills in what a task does not say of CIPD itself.
    pub fn set_default_cipd(&mut self, default: &DefaultCipd) {
        let fill = |field: &mut String, default: &str| {
            if field.is_empty() {
                default.clone_into(field);
            }
        };
        fill(&mut self.cipd_input.server, &default.server);
        let client = self.cipd_input.client_package.get_or_insert_with(CipdPackage::default);
        fill(&mut client.package_name, &default.client_package);
        fill(&mut client.version, &default.client_version);
    }
}

#[cfg(test)]
#[path = "task_tests.rs"]
mod tests;
