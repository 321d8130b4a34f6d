//! `pools.cfg`: where tasks go.

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::Regex;

use super::settings::check_cipd;
use super::templates::{Deployment, Templates};
use super::{Origin, Report};
use crate::proto::config::pool::SchedulingAlgorithm as Wire;
use crate::proto::config::{self as wire, PoolsCfg};
use crate::validate::task::DefaultCipd;
use crate::validate::text::quote;
use crate::validate::{dimension, name};

/// Bots, and the tasks for them.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    pub name: String,
    /// Whose rules say who may do what with the pool: `<project>:<realm>`.
    pub realm: String,
    /// Of tasks that name none; without it they are refused.
    pub default_task_realm: Option<String>,
    pub scheduling_algorithm: SchedulingAlgorithm,
    /// Keys of dimensions that bots report and no task may ask for.
    pub informational_dimensions: Vec<Regex>,
    /// A dimension of which a task may ask for one value only.
    pub effective_bot_id_dimension: Option<String>,
    /// Addresses of whom to ask.
    pub owners: Vec<String>,
    /// What is added to each of its tasks.
    pub deployment: Option<Arc<Deployment>>,
}

/// Which of two equally urgent tasks is first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SchedulingAlgorithm {
    /// The one that waits longer.
    #[default]
    Fifo,
    Lifo,
}

pub(super) fn resolve(
    of: &PoolsCfg,
    origin: Origin<'_>,
    report: &mut Report,
) -> (BTreeMap<String, Pool>, Option<DefaultCipd>) {
    let mut pools = BTreeMap::new();
    let templates = Templates::resolve(of, origin.prefix, report);
    for (index, pool) in of.pool.iter().enumerate() {
        let title = if pool.name.is_empty() { "unnamed".to_owned() } else { pool.name.join(",") };
        let place = format!("{}pool #{} ({title})", origin.prefix, index + 1);
        let deployment = templates.of_pool(pool, &place, report);
        let settings = Pool { deployment, ..one(pool, &place, report) };
        if pool.name.is_empty() {
            report.mistake(&place, "at least one pool name must be given");
        }
        for name in &pool.name {
            let shown = quote(name);
            if let Err(why) = dimension::value("pool", name) {
                report.mistake(&place, format_args!("bad pool name {shown}: {why}"));
            }
            let pool = Pool { name: name.clone(), ..settings.clone() };
            if pools.insert(name.clone(), pool).is_some() {
                report.mistake(&place, format_args!("pool {shown} was already declared"));
            }
        }
    }
    let is_set = !of.bot_monitoring.is_empty();
    let old = "upstream does not use it any more";
    report.ignore(&format!("{}bot_monitoring", origin.prefix), is_set, old);
    let cipd = of.default_external_services.as_ref().and_then(|services| services.cipd.as_ref());
    let cipd = cipd.map(|given| {
        let package = given.client_package.clone().unwrap_or_default();
        let cipd = DefaultCipd {
            server: given.server.clone(),
            client_package: package.package_name,
            client_version: package.version,
        };
        let place = format!("{}default_external_services.cipd", origin.prefix);
        check_cipd(&cipd, [".server", ".client_package"], &place, report);
        cipd
    });
    (pools, cipd)
}

/// Everything but the name.
fn one(of: &wire::Pool, place: &str, report: &mut Report) -> Pool {
    let at = |field: &str| format!("{place}: {field}");
    match of.realm.as_str() {
        "" => report.mistake(place, "missing required `realm` field"),
        realm => report.check(&at("realm"), name::realm(realm)),
    }
    if !of.default_task_realm.is_empty() {
        report.check(&at("default_task_realm"), name::realm(&of.default_task_realm));
    }
    let mut informational_dimensions = Vec::new();
    for (index, text) in of.informational_dimension_re.iter().enumerate() {
        match Regex::new(text) {
            Ok(regex) => informational_dimensions.push(regex),
            Err(_) => {
                let field = format!("informational_dimension_re #{} ({text})", index + 1);
                report.mistake(&at(&field), "invalid regex");
            }
        }
    }
    let effective = of.rbe_migration.as_ref().map(|rbe| rbe.effective_bot_id_dimension.clone());
    let effective = effective.filter(|key| !key.is_empty());
    if let Some(key) = &effective {
        let field = at("rbe_migration.effective_bot_id_dimension");
        report.check(&field, dimension::key(key));
        if informational_dimensions.iter().any(|regex| regex.is_match(key)) {
            report.mistake(&field, "cannot be an informational dimension");
        }
    }
    let scheduling_algorithm = match of.scheduling_algorithm() {
        Wire::Unknown | Wire::Fifo => SchedulingAlgorithm::Fifo,
        Wire::Lifo => SchedulingAlgorithm::Lifo,
    };
    ignored(of, &at, report);
    Pool {
        name: String::new(),
        realm: of.realm.clone(),
        default_task_realm: (!of.default_task_realm.is_empty())
            .then(|| of.default_task_realm.clone()),
        scheduling_algorithm,
        informational_dimensions,
        effective_bot_id_dimension: effective,
        owners: of.owners.clone(),
        deployment: None,
    }
}

fn ignored(of: &wire::Pool, at: &impl Fn(&str) -> String, report: &mut Report) {
    let mut ignore = |field: &str, is_set: bool, why: &str| report.ignore(&at(field), is_set, why);
    let old = "upstream does not use it any more";
    ignore("schedulers", of.schedulers.is_some(), "realms say who may use the pool");
    ignore("bot_monitoring", !of.bot_monitoring.is_empty(), old);
    ignore("external_schedulers", !of.external_schedulers.is_empty(), old);
    let always = "realm permissions are always enforced";
    ignore("enforced_realm_permissions", !of.enforced_realm_permissions.is_empty(), always);
    let instance = of.rbe_migration.as_ref().is_some_and(|rbe| !rbe.rbe_instance.is_empty());
    ignore("rbe_migration.rbe_instance", instance, "this server hands out tasks itself");
}
