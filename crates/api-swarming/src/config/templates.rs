//! Task templates: what a pool adds to each of its tasks.
//!
//! Facts: luci-go `swarming/server/cfg/pools.go`, and for how they are applied `swarming/server/rpcs/tasks_new_task.go`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Report, wire};
use crate::proto::config::PoolsCfg;
use crate::proto::config::pool::TaskDeploymentScheme;
use crate::proto::swarming::new_task_request::PoolTaskTemplateField;
use crate::proto::swarming::{CacheEntry, CipdPackage};
use crate::validate::cipd;
use crate::validate::path::{self, Directories};
use crate::validate::properties::{MAX_VARIABLES, VARIABLE_VALUE_BYTES, caches};
use crate::validate::task::Properties;
use crate::validate::text::{join, length, quote};

/// What is added to a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Template {
    caches: Vec<CacheEntry>,
    packages: Vec<CipdPackage>,
    env: Vec<wire::task_template::Env>,
}

/// What the tasks of a pool get, and what a part of them gets in its place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Deployment {
    prod: Template,
    canary: Option<Template>,
    /// Of 9999.
    canary_chance: i32,
}

impl Deployment {
    /// A number for [`choose`](Self::choose).
    pub const CHANCES: std::ops::RangeInclusive<i32> = 1..=9999;

    /// The template of one task, and how its tag calls it.
    pub fn choose(
        &self,
        asked: PoolTaskTemplateField,
        chance: i32,
    ) -> (&'static str, Option<&Template>) {
        let prod = ("prod", Some(&self.prod));
        let canary = self.canary.as_ref().map(|canary| ("canary", Some(canary)));
        match asked {
            PoolTaskTemplateField::Auto if chance < self.canary_chance => canary.unwrap_or(prod),
            PoolTaskTemplateField::Auto | PoolTaskTemplateField::CanaryNever => prod,
            PoolTaskTemplateField::CanaryPrefer => canary.unwrap_or(prod),
            PoolTaskTemplateField::Skip => ("none", None),
        }
    }
}

impl Template {
    /// Adds it to a slice, unless the slice wants the same for something else.
    pub fn apply(&self, to: &mut Properties) -> Result<(), String> {
        let mut directories = Directories::default();
        let note = |package: &CipdPackage| format!("{}:{}", package.package_name, package.version);
        for cache in &self.caches {
            let owner = format!("task_template_cache:{}", cache.name);
            directories.add(&cache.path, owner, String::new());
        }
        for package in &self.packages {
            let owner = "task_template_cipd_packages".to_owned();
            directories.add(&package.path, owner, note(package));
        }
        for cache in &to.caches {
            if self.caches.iter().any(|own| own.name == cache.name) {
                let name = quote(&cache.name);
                return Err(format!("request.cache {name} conflicts with pool's template"));
            }
            directories.add(&cache.path, format!("task_cache:{}", cache.name), String::new());
        }
        for package in &to.cipd_input.packages {
            directories.add(&package.path, "task_cipd_packages".to_owned(), note(package));
        }
        join(&directories.conflicts())?;
        for env in self.env.iter().filter(|env| !env.soft) {
            for (what, is_there) in [
                ("env", to.env.contains_key(&env.var)),
                ("env_prefix", to.env_prefixes.contains_key(&env.var)),
            ] {
                if is_there {
                    let name = quote(&env.var);
                    return Err(format!("request.{what} {name} conflicts with pool's template"));
                }
            }
        }
        to.caches.extend(self.caches.iter().cloned());
        to.cipd_input.packages.extend(self.packages.iter().cloned());
        for env in &self.env {
            if !env.value.is_empty() {
                to.env.entry(env.var.clone()).or_insert_with(|| env.value.clone());
            }
            if !env.prefix.is_empty() {
                let prefixes = to.env_prefixes.entry(env.var.clone()).or_default();
                prefixes.extend(env.prefix.iter().cloned());
            }
        }
        Ok(())
    }
}

/// All templates with a name, each with what it includes, and all deployments.
#[derive(Default)]
pub(super) struct Templates {
    flat: BTreeMap<String, Flat>,
    deployments: BTreeMap<String, Arc<Deployment>>,
}

struct Flat {
    template: wire::TaskTemplate,
    /// Itself, and what it includes at any depth.
    includes: BTreeSet<String>,
}

impl Templates {
    pub fn resolve(of: &PoolsCfg, prefix: &str, report: &mut Report) -> Self {
        let mut named = BTreeMap::new();
        for (index, template) in of.task_template.iter().enumerate() {
            let place = format!("{prefix}task_template #{} ({})", index + 1, template.name);
            if template.name.is_empty() {
                report.mistake(&place, "name is empty");
            } else if named.insert(template.name.as_str(), (template, place.clone())).is_some() {
                let name = quote(&template.name);
                report.mistake(&place, format_args!("template {name} was already declared"));
            }
        }
        let mut all = Self::default();
        for (name, (_, place)) in &named {
            if let Err(why) = all.flatten(name, &named, &mut Vec::new()) {
                report.mistake(place, why);
            }
        }
        for (name, (_, place)) in &named {
            if let Some(flat) = all.flat.get(*name) {
                check(&flat.template, place, report);
            }
        }
        for (index, deployment) in of.task_template_deployment.iter().enumerate() {
            let name = &deployment.name;
            let place = format!("{prefix}task_template_deployment #{} ({name})", index + 1);
            if name.is_empty() {
                report.mistake(&place, "name is empty");
            }
            let resolved = Arc::new(all.deployment(deployment, &place, report));
            if all.deployments.insert(name.clone(), resolved).is_some() {
                let why = format!("deployment {} was already declared", quote(name));
                report.mistake(&place, why);
            }
        }
        all
    }

    /// What a pool's tasks get.
    pub fn of_pool(
        &self,
        pool: &wire::Pool,
        place: &str,
        report: &mut Report,
    ) -> Option<Arc<Deployment>> {
        match pool.task_deployment_scheme.as_ref()? {
            TaskDeploymentScheme::TaskTemplateDeployment(name) if name.is_empty() => None,
            TaskDeploymentScheme::TaskTemplateDeployment(name) => {
                let known = self.deployments.get(name).cloned();
                if known.is_none() {
                    let why = format!("unknown `task_template_deployment`: {}", quote(name));
                    report.mistake(place, why);
                }
                known
            }
            TaskDeploymentScheme::TaskTemplateDeploymentInline(inline) => {
                let place = format!("{place}: task_template_deployment_inline");
                if !inline.name.is_empty() {
                    report.mistake(&place, "name cannot be specified");
                }
                Some(Arc::new(self.deployment(inline, &place, report)))
            }
        }
    }

    /// Makes a template whole, and before it those that it includes. `path` is how it was come to.
    fn flatten<'a>(
        &mut self,
        name: &'a str,
        named: &BTreeMap<&'a str, (&'a wire::TaskTemplate, String)>,
        path: &mut Vec<&'a str>,
    ) -> Result<(), String> {
        if self.flat.contains_key(name) {
            return Ok(());
        }
        if path.contains(&name) {
            return Err(format!("encounter inclusion cycle for template {}", quote(name)));
        }
        let Some((template, _)) = named.get(name) else {
            return Err(format!("unknown template {}", quote(name)));
        };
        let template: &'a wire::TaskTemplate = template;
        path.push(name);
        for sub in &template.include {
            self.flatten(sub, named, path)?;
        }
        path.pop();
        let template = self.with_included(template, BTreeSet::from([name.to_owned()]))?;
        self.flat.insert(name.to_owned(), template);
        Ok(())
    }

    /// A template and all that it includes, which must be whole already.
    fn with_included(
        &self,
        template: &wire::TaskTemplate,
        mut includes: BTreeSet<String>,
    ) -> Result<Flat, String> {
        let mut whole = template.clone();
        for sub in &template.include {
            let Some(sub_template) = self.flat.get(sub) else {
                return Err(format!("includes unknown template {}", quote(sub)));
            };
            for name in &sub_template.includes {
                if !includes.insert(name.clone()) {
                    return Err(format!("template already includes {}", quote(name)));
                }
            }
            merge(&mut whole, &sub_template.template);
        }
        Ok(Flat { template: whole, includes })
    }

    fn deployment(
        &self,
        of: &wire::TaskTemplateDeployment,
        place: &str,
        report: &mut Report,
    ) -> Deployment {
        if !(0..=9999).contains(&of.canary_chance) {
            report.mistake(place, "canary_chance out of range [0,9999]");
        }
        if of.canary_chance > 0 && of.canary.is_none() {
            report.mistake(place, "canary_chance specified without a canary");
        }
        let mut inlined = |template: &wire::TaskTemplate, field: &str| {
            let place = format!("{place}: {field}");
            if !template.name.is_empty() {
                report.mistake(&place, "name cannot be specified");
            }
            match self.with_included(template, BTreeSet::new()) {
                Ok(whole) => {
                    check(&whole.template, &place, report);
                    used(whole.template)
                }
                Err(why) => {
                    report.mistake(&place, why);
                    Template::default()
                }
            }
        };
        let prod = of.prod.as_ref().map(|prod| inlined(prod, "prod"));
        let canary = of.canary.as_ref().map(|canary| inlined(canary, "canary"));
        if prod.is_none() {
            report.mistake(&format!("{place}: prod"), "required");
        }
        Deployment { prod: prod.unwrap_or_default(), canary, canary_chance: of.canary_chance }
    }
}

/// Adds what `sub` has and `base` has not.
fn merge(base: &mut wire::TaskTemplate, sub: &wire::TaskTemplate) {
    for cache in &sub.cache {
        if !base.cache.iter().any(|known| known.name == cache.name) {
            base.cache.push(cache.clone());
        }
    }
    for package in &sub.cipd_package {
        let same = |known: &wire::task_template::CipdPackage| {
            (&known.pkg, &known.path) == (&package.pkg, &package.path)
        };
        if !base.cipd_package.iter().any(same) {
            base.cipd_package.push(package.clone());
        }
    }
    for env in &sub.env {
        match base.env.iter_mut().find(|known| known.var == env.var) {
            Some(known) => known.prefix.extend(env.prefix.iter().cloned()),
            None => base.env.push(env.clone()),
        }
    }
}

fn used(template: wire::TaskTemplate) -> Template {
    let cache =
        |cache: wire::task_template::CacheEntry| CacheEntry { name: cache.name, path: cache.path };
    let package = |package: wire::task_template::CipdPackage| CipdPackage {
        package_name: package.pkg,
        version: package.version,
        path: package.path,
    };
    Template {
        caches: template.cache.into_iter().map(cache).collect(),
        packages: template.cipd_package.into_iter().map(package).collect(),
        env: template.env,
    }
}

fn check(template: &wire::TaskTemplate, place: &str, report: &mut Report) {
    let Template { caches: own, packages, env } = used(template.clone());
    let mut directories = Directories::default();
    let of_caches = caches(&own, "task_template_cache", &mut directories);
    let owner = "task_template_cipd_package";
    let of_packages = cipd::packages(&packages, false, owner, &mut directories);
    for (field, mistakes) in [("cache", of_caches), ("cipd_package", of_packages)] {
        for mistake in mistakes {
            report.mistake(&format!("{place}: {field}"), mistake);
        }
    }
    if env.len() > MAX_VARIABLES {
        let why = format!("can have up to {MAX_VARIABLES} env");
        report.mistake(&format!("{place}: env"), why);
    }
    let mut seen = BTreeSet::new();
    for (index, env) in env.iter().enumerate() {
        let place = format!("{place}: env: #{} {}", index + 1, env.var);
        if env.var.is_empty() {
            report.mistake(&place, "var is empty");
        }
        if !seen.insert(&env.var) {
            report.mistake(&place, format_args!("env {} was already declared", quote(&env.var)));
        }
        if let Err(why) = length(&env.value, VARIABLE_VALUE_BYTES) {
            report.mistake(&place, format_args!("value: {why}"));
        }
        for prefix in &env.prefix {
            if let Err(why) = path::check(prefix, VARIABLE_VALUE_BYTES, false) {
                report.mistake(&place, format_args!("prefix: {why}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::toml;
    use super::*;
    use crate::config::Config;

    fn read(text: &str) -> Result<Config, String> {
        toml::read("phalanx.toml", text, &BTreeMap::new()).map_err(|error| error.to_string())
    }

    const SITE: &str = r#"
        [[swarming.task_template]]
        name = "python"
        include = ["base"]
        cache = [{name = "vpython", path = "cache/vpython"}]
        env = [{var = "PATH", prefix = ["bin"]}, {var = "VPYTHON", value = "1", soft = true}]

        [[swarming.task_template]]
        name = "base"
        cipd_package = [{path = ".task_template_packages", pkg = "infra/git/${platform}", version = "version:1"}]
        env = [{var = "PATH", prefix = [".task_template_packages"]}]

        [[swarming.task_template_deployment]]
        name = "usual"
        prod = {include = ["python"]}
        canary = {include = ["base"], env = [{var = "CANARY", value = "1"}]}
        canary_chance = 5000

        [[swarming.pool]]
        name = ["lab"]
        task_template_deployment = "usual"
    "#;

    #[test]
    fn a_template_has_what_it_includes_and_tasks_get_it() {
        let config = read(SITE).unwrap();
        let deployment = config.pools["lab"].deployment.clone().unwrap();
        let word = |asked, chance| deployment.choose(asked, chance).0;
        assert_eq!(word(PoolTaskTemplateField::Auto, 4999), "canary");
        assert_eq!(word(PoolTaskTemplateField::Auto, 5000), "prod");
        assert_eq!(word(PoolTaskTemplateField::CanaryNever, 1), "prod");
        assert_eq!(word(PoolTaskTemplateField::CanaryPrefer, 9999), "canary");
        assert_eq!(word(PoolTaskTemplateField::Skip, 1), "none");

        let mut task = Properties::default();
        task.env.insert("VPYTHON".into(), "own".into());
        deployment.prod.apply(&mut task).unwrap();
        assert_eq!(task.caches[0].path, "cache/vpython");
        assert_eq!(task.cipd_input.packages[0].version, "version:1");
        assert_eq!(task.env_prefixes["PATH"], ["bin", ".task_template_packages"]);
        assert_eq!(task.env["VPYTHON"], "own");
    }

    #[test]
    fn a_task_that_wants_the_same_for_something_else_is_refused() {
        let config = read(SITE).unwrap();
        let deployment = config.pools["lab"].deployment.clone().unwrap();
        let refused = |change: &dyn Fn(&mut Properties)| {
            let mut task = Properties::default();
            change(&mut task);
            let before = task.clone();
            let why = deployment.prod.apply(&mut task).unwrap_err();
            assert_eq!(task, before, "nothing is half applied");
            why
        };
        let cache = |name: &str, path: &str| CacheEntry { name: name.into(), path: path.into() };
        assert_eq!(
            refused(&|task| task.caches.push(cache("vpython", "x"))),
            "request.cache \"vpython\" conflicts with pool's template"
        );
        assert_eq!(
            refused(&|task| task.caches.push(cache("mine", "cache/vpython"))),
            "\"cache/vpython\": directory has conflicting owners: task_cache:mine[] and task_template_cache:vpython[]"
        );
        assert_eq!(
            refused(&|task| drop(task.env.insert("PATH".into(), "x".into()))),
            "request.env \"PATH\" conflicts with pool's template"
        );
        assert_eq!(
            refused(&|task| drop(task.env_prefixes.insert("PATH".into(), Vec::new()))),
            "request.env_prefix \"PATH\" conflicts with pool's template"
        );
    }

    #[test]
    fn mistakes_are_told() {
        let template = |text: &str| format!("[[swarming.task_template]]\n{text}\n");
        for (text, why) in [
            (template("include = []"), "task_template #1 (): name is empty"),
            (
                template("name = 'a'") + &template("name = 'a'"),
                "template \"a\" was already declared",
            ),
            (template("name = 'a'\ninclude = ['b']"), "unknown template \"b\""),
            (
                template("name = 'a'\ninclude = ['b']") + &template("name = 'b'\ninclude = ['a']"),
                "encounter inclusion cycle for template",
            ),
            (
                template("name = 'a'\ninclude = ['b', 'c']")
                    + &template("name = 'b'\ninclude = ['c']")
                    + &template("name = 'c'"),
                "task_template #1 (a): template already includes \"c\"",
            ),
            (
                template("name = 'a'\ncache = [{name = 'X', path = 'x'}]"),
                "task_template #1 (a): cache: cache name 0: \"X\" should match ^[a-z0-9_]+$",
            ),
            (template("name = 'a'\nenv = [{value = 'x'}]"), "env: #1 : var is empty"),
            (
                "[[swarming.task_template_deployment]]\nname = 'd'\ncanary_chance = 10000"
                    .to_owned(),
                "task_template_deployment #1 (d): canary_chance out of range [0,9999]",
            ),
            (
                "[[swarming.task_template_deployment]]\nname = 'd'\nprod = {include = ['x']}"
                    .to_owned(),
                "prod: includes unknown template \"x\"",
            ),
            (
                "[[swarming.pool]]\nname = ['p']\ntask_template_deployment = 'x'".to_owned(),
                "pool #1 (p): unknown `task_template_deployment`: \"x\"",
            ),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
