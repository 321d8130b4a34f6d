//! The `[swarming]` table of `phalanx.toml`: what upstream's files say, with defaults for all of it.
//!
//! ```toml
//! [swarming]
//! bot_death_timeout_secs = 600
//!
//! [[swarming.pool]]
//! name = ["default"]
//! scheduling_algorithm = "fifo"
//!
//! [[swarming.bot_group]]
//! bot_id = ["bot{1..9}"]
//! dimensions = ["pool:default", "rack:7"]
//! bot_config_script = "hooks.py"
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Config, ConfigError, Origin, Origins, Parts, Report};
use crate::proto::config::pool::SchedulingAlgorithm;
use crate::proto::config::{self as wire, BotsCfg, PoolsCfg, SettingsCfg};

/// The table. Times are in seconds; 0 is the default.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Swarming {
    /// How old a result may be that answers an idempotent task. Default: 604800, a week.
    pub reusable_task_age_secs: i32,
    /// A bot that was silent for so long is dead. Default: 600.
    pub bot_death_timeout_secs: i32,
    /// The longest sleep that an idle bot is told. Default: 60.
    pub max_bot_sleep_secs: i32,
    /// Give no task to any bot.
    pub force_bots_to_sleep: bool,
    /// The page of one run, with `%s` for its id; `https://` only.
    pub display_server_url_template: String,
    /// The CAS viewer that pages link to; `https://` only.
    pub cas_viewer_server: String,
    /// Keys of dimensions that bots must not choose themselves. Default: `["pool"]`.
    pub trusted_dimensions: Option<Vec<String>>,
    /// Default: the pools that groups name. Without groups either, every pool that somebody names is there.
    pub pool: Vec<Pool>,
    /// Default: all bots belong to the pool. Needed where there are several.
    pub bot_group: Vec<BotGroup>,
    /// What pools may add to their tasks.
    pub task_template: Vec<TaskTemplate>,
    pub task_template_deployment: Vec<TaskTemplateDeployment>,
    /// CIPD for tasks that do not name their own. Default: none.
    pub default_cipd: Option<DefaultCipd>,
    /// Topics of PubSub that tasks may name, and the address that each stands for: it is sent what a push subscription sends.
    pub topics: BTreeMap<String, String>,
    /// Tasks, and bots that are dead, are deleted when they are older than so many days. Default: 548, which is 18 months.
    pub keep_days: Option<u32>,
    /// No door for Swarming's clients and bots.
    pub off: bool,
    /// The directory or zip file of the bot to hand out. Without one every bot is let be as it is.
    pub bot: Option<PathBuf>,
    /// Upstream's `settings.cfg`, `bots.cfg`, `pools.cfg` and `scripts/`, in place of what stands here.
    pub config_directory: Option<PathBuf>,
    /// The directory of a built copy of upstream's web UI: luci-py's `appengine/swarming/ui2/dist`.
    pub ui: Option<PathBuf>,
    /// Let bots fetch CIPD's client before each task. By default only tasks that ask for packages do.
    pub cipd: bool,
    /// Let tasks ask for expirations and timeouts of 1 to 29 seconds too, as in the Python server's time.
    pub short_timeouts: bool,
    /// Most polls that wait for a task at once; further bots are told when to come back. Default: what the
    /// limit of open files leaves.
    pub parked_polls_max: Option<usize>,
    /// Where it was read. Scripts that groups name are in `scripts/` beside it.
    #[serde(skip)]
    pub file: PathBuf,
}

/// Bots, and the tasks for them.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// One or more; each is a pool of its own.
    pub name: Vec<String>,
    /// Whose rules say who may do what: `<project>:<realm>`.
    #[serde(default = "pool_realm")]
    pub realm: String,
    /// Of tasks that name none.
    #[serde(default = "task_realm")]
    pub default_task_realm: String,
    /// Which of two equally urgent tasks is first: `fifo` or `lifo`.
    #[serde(default)]
    pub scheduling_algorithm: Order,
    /// Regular expressions of dimension keys that no task may ask for.
    #[serde(default)]
    pub informational_dimension_re: Vec<String>,
    /// Addresses of whom to ask.
    #[serde(default)]
    pub owners: Vec<String>,
    /// The name of what is added to each task.
    #[serde(default)]
    pub task_template_deployment: String,
}

fn pool_realm() -> String {
    "phalanx:pools".to_owned()
}

fn task_realm() -> String {
    "phalanx:tasks".to_owned()
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    #[default]
    Fifo,
    Lifo,
}

/// Something to add to tasks. One of a deployment has no name.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskTemplate {
    pub name: String,
    /// Names of others that it has in it.
    pub include: Vec<String>,
    pub cache: Vec<TemplateCache>,
    pub cipd_package: Vec<TemplatePackage>,
    pub env: Vec<TemplateEnv>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateCache {
    pub name: String,
    pub path: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TemplatePackage {
    pub path: String,
    pub pkg: String,
    pub version: String,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TemplateEnv {
    pub var: String,
    pub value: String,
    /// Paths that are put before its value.
    pub prefix: Vec<String>,
    /// A task may say otherwise.
    pub soft: bool,
}

/// Which template a pool's tasks get, and which some of them get in its place.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskTemplateDeployment {
    pub name: String,
    pub prod: TaskTemplate,
    pub canary: Option<TaskTemplate>,
    /// Of 9999.
    pub canary_chance: i32,
}

/// What holds for some bots. Without ids and prefixes: for all bots of no other group.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct BotGroup {
    /// Ids, or expressions such as `bot{1..9}`. A bot `host--x` is in the group of `host`.
    pub bot_id: Vec<String>,
    pub bot_id_prefix: Vec<String>,
    /// `key:value`, said by the server whatever the bot says.
    pub dimensions: Vec<String>,
    /// A file in `scripts/`, beside this one: hooks that the bot gets when it connects.
    pub bot_config_script: String,
    /// `bot` or an address.
    pub system_service_account: String,
    pub logs_cloud_project: String,
    pub owners: Vec<String>,
    /// How bots show who they are, tried in this order. Default: as the server is configured for all.
    pub auth: Vec<BotAuth>,
}

/// One way to show who one is.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct BotAuth {
    pub require_luci_machine_token: bool,
    pub require_service_account: Vec<String>,
    pub require_gce_vm_token_project: String,
    pub ip_allowlist: String,
    pub log_if_failed: bool,
}

/// Where packages come from.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DefaultCipd {
    pub server: String,
    pub client_package: String,
    pub client_version: String,
}

/// The file, of which only one table is ours.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    swarming: Swarming,
}

/// Reads the table out of `text`. `file` names it in mistakes; `scripts` are those that groups may name.
pub fn read(
    file: &str,
    text: &str,
    scripts: &BTreeMap<String, String>,
) -> Result<Config, ConfigError> {
    let document: Document = ::toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.as_bytes().get(..span.start));
        let lines = before.map(|before| 1 + before.iter().filter(|byte| **byte == b'\n').count());
        let line = lines.map(|line| format!(":{line}")).unwrap_or_default();
        ConfigError(vec![format!("{file}{line}: {}", error.message())])
    })?;
    resolve(file, document.swarming, scripts)
}

/// The configuration that the table describes.
pub fn resolve(
    file: &str,
    table: Swarming,
    scripts: &BTreeMap<String, String>,
) -> Result<Config, ConfigError> {
    let prefix = format!("{file}: swarming.");
    let mut report = Report::default();
    let on_demand = table.pool.is_empty() && table.bot_group.is_empty();
    if table.bot_group.is_empty() {
        if table.pool.iter().flat_map(|pool| &pool.name).count() > 1 {
            let why = "there are several pools and no `bot_group`: say with `dimensions = [\"pool:…\"]` which bots are in which";
            report.mistake(&format!("{prefix}pool"), why);
        }
        if table.trusted_dimensions.is_some() {
            let why = "there is no `bot_group` to say them";
            report.mistake(&format!("{prefix}trusted_dimensions"), why);
        }
    }
    report.finish()?;
    let origin = Origin { prefix: &prefix, strict: false };
    let origins = Origins { settings: origin, bots: origin, pools: origin };
    let config = super::resolve(&parts(table), &origins, scripts)?;
    Ok(if on_demand { config.on_demand() } else { config })
}

impl Swarming {
    /// What it says that the files of upstream say, too.
    pub fn said_of_files(&self) -> Vec<&'static str> {
        let said = [
            ("reusable_task_age_secs", self.reusable_task_age_secs != 0),
            ("bot_death_timeout_secs", self.bot_death_timeout_secs != 0),
            ("max_bot_sleep_secs", self.max_bot_sleep_secs != 0),
            ("force_bots_to_sleep", self.force_bots_to_sleep),
            ("display_server_url_template", !self.display_server_url_template.is_empty()),
            ("cas_viewer_server", !self.cas_viewer_server.is_empty()),
            ("trusted_dimensions", self.trusted_dimensions.is_some()),
            ("pool", !self.pool.is_empty()),
            ("bot_group", !self.bot_group.is_empty()),
            ("task_template", !self.task_template.is_empty()),
            ("task_template_deployment", !self.task_template_deployment.is_empty()),
            ("default_cipd", self.default_cipd.is_some()),
        ];
        said.into_iter().filter(|(_, is_said)| *is_said).map(|(key, _)| key).collect()
    }

    /// What a running server does not take over when it is said otherwise.
    pub fn needs_restart(&self, was: &Self) -> Vec<&'static str> {
        let differs = [
            ("off", self.off != was.off),
            ("cipd", self.cipd != was.cipd),
            ("short_timeouts", self.short_timeouts != was.short_timeouts),
            ("parked_polls_max", self.parked_polls_max != was.parked_polls_max),
            ("ui", self.ui != was.ui),
        ];
        differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

/// The same in upstream's words.
fn parts(table: Swarming) -> Parts {
    let mut pool: Vec<wire::Pool> = table.pool.into_iter().map(Into::into).collect();
    if pool.is_empty() {
        let of_groups = table.bot_group.iter().flat_map(|group| &group.dimensions);
        let named = of_groups.filter_map(|pair| pair.strip_prefix("pool:").map(str::to_owned));
        let mut name: Vec<String> = named.collect::<BTreeSet<_>>().into_iter().collect();
        if name.is_empty() {
            name.push("default".to_owned());
        }
        pool.push(wire::Pool {
            name,
            realm: pool_realm(),
            default_task_realm: task_realm(),
            ..Default::default()
        });
    }
    let mut bot_group: Vec<wire::BotGroup> = table.bot_group.into_iter().map(Into::into).collect();
    if bot_group.is_empty() {
        let first = pool.iter().flat_map(|pool| &pool.name).next();
        let dimensions = first.map(|name| format!("pool:{name}")).into_iter().collect();
        bot_group.push(wire::BotGroup { dimensions, ..Default::default() });
    }
    let cas = (!table.cas_viewer_server.is_empty())
        .then_some(wire::CasSettings { viewer_server: table.cas_viewer_server });
    let cipd = table.default_cipd.map(|cipd| wire::external_services::Cipd {
        server: cipd.server,
        client_package: Some(wire::CipdPackage {
            package_name: cipd.client_package,
            version: cipd.client_version,
        }),
    });
    Parts {
        settings: SettingsCfg {
            reusable_task_age_secs: table.reusable_task_age_secs,
            bot_death_timeout_secs: table.bot_death_timeout_secs,
            max_bot_sleep_time: table.max_bot_sleep_secs,
            force_bots_to_sleep_and_not_run_task: table.force_bots_to_sleep,
            display_server_url_template: table.display_server_url_template,
            cas,
            ..Default::default()
        },
        bots: BotsCfg {
            trusted_dimensions: table.trusted_dimensions.unwrap_or_else(|| vec!["pool".to_owned()]),
            bot_group,
        },
        pools: PoolsCfg {
            pool,
            task_template: table.task_template.into_iter().map(Into::into).collect(),
            task_template_deployment: table
                .task_template_deployment
                .into_iter()
                .map(Into::into)
                .collect(),
            default_external_services: cipd.map(|cipd| wire::ExternalServices { cipd: Some(cipd) }),
            ..Default::default()
        },
    }
}

impl From<Pool> for wire::Pool {
    fn from(of: Pool) -> Self {
        let algorithm = match of.scheduling_algorithm {
            Order::Fifo => SchedulingAlgorithm::Fifo,
            Order::Lifo => SchedulingAlgorithm::Lifo,
        };
        Self {
            name: of.name,
            owners: of.owners,
            realm: of.realm,
            default_task_realm: of.default_task_realm,
            scheduling_algorithm: algorithm as i32,
            informational_dimension_re: of.informational_dimension_re,
            task_deployment_scheme: (!of.task_template_deployment.is_empty()).then_some(
                wire::pool::TaskDeploymentScheme::TaskTemplateDeployment(
                    of.task_template_deployment,
                ),
            ),
            ..Default::default()
        }
    }
}

impl From<TaskTemplate> for wire::TaskTemplate {
    fn from(of: TaskTemplate) -> Self {
        use wire::task_template as part;
        let cache = |of: TemplateCache| part::CacheEntry { name: of.name, path: of.path };
        let package = |of: TemplatePackage| part::CipdPackage {
            path: of.path,
            pkg: of.pkg,
            version: of.version,
        };
        let env = |of: TemplateEnv| part::Env {
            var: of.var,
            value: of.value,
            prefix: of.prefix,
            soft: of.soft,
        };
        Self {
            name: of.name,
            include: of.include,
            cache: of.cache.into_iter().map(cache).collect(),
            cipd_package: of.cipd_package.into_iter().map(package).collect(),
            env: of.env.into_iter().map(env).collect(),
        }
    }
}

impl From<TaskTemplateDeployment> for wire::TaskTemplateDeployment {
    fn from(of: TaskTemplateDeployment) -> Self {
        Self {
            name: of.name,
            prod: Some(of.prod.into()),
            canary: of.canary.map(Into::into),
            canary_chance: of.canary_chance,
        }
    }
}

impl From<BotGroup> for wire::BotGroup {
    fn from(of: BotGroup) -> Self {
        Self {
            bot_id: of.bot_id,
            bot_id_prefix: of.bot_id_prefix,
            auth: of.auth.into_iter().map(Into::into).collect(),
            owners: of.owners,
            dimensions: of.dimensions,
            bot_config_script: of.bot_config_script,
            system_service_account: of.system_service_account,
            logs_cloud_project: of.logs_cloud_project,
            ..Default::default()
        }
    }
}

impl From<BotAuth> for wire::BotAuth {
    fn from(of: BotAuth) -> Self {
        let project = of.require_gce_vm_token_project;
        Self {
            require_luci_machine_token: of.require_luci_machine_token,
            require_service_account: of.require_service_account,
            ip_whitelist: of.ip_allowlist,
            require_gce_vm_token: (!project.is_empty()).then_some(wire::bot_auth::Gce { project }),
            log_if_failed: of.log_if_failed,
            require_luci_machine_token_secure: None,
        }
    }
}
