//! The fields of a task's properties.
//!
//! Facts: luci-go `swarming/server/rpcs/tasks_new_task.go`, `swarming/server/validate/validate.go`.

use std::collections::BTreeSet;

use super::filter::Filter;
use super::path::{self, Directories};
use super::task::Properties;
use super::text::{join, length, only, quote};
use super::{cipd, url};
use crate::config::Pool;
use crate::proto::swarming::{
    CacheEntry, CasReference, CipdInput, CipdPackage, Digest, StringListPair, StringPair,
    TaskProperties,
};

const MAX_GRACE_SECS: i32 = 60 * 60;
/// A task and all around it has to fit into 7 days.
const MAX_TIMEOUT_SECS: i32 = 7 * 24 * 60 * 60 - MAX_GRACE_SECS - 60;
const MAX_ARGUMENTS: usize = 128;
pub(crate) const MAX_VARIABLES: usize = 64;
const VARIABLE_BYTES: usize = 64;
pub(crate) const VARIABLE_VALUE_BYTES: usize = 1024;
const MAX_OUTPUTS: usize = 4096;
const OUTPUT_BYTES: usize = 512;
const MAX_CACHES: usize = 32;
const CACHE_NAME_BYTES: usize = 128;
const CACHE_PATH_BYTES: usize = 256;

/// Everything in the order that decides which mistake is told.
pub(super) fn check(
    properties: &TaskProperties,
    pool: &Pool,
    min_timeout_secs: i32,
) -> Result<Filter, String> {
    let TaskProperties {
        grace_period_secs,
        execution_timeout_secs,
        io_timeout_secs,
        relative_cwd,
        ..
    } = properties;
    let timeout = |seconds| between(seconds, min_timeout_secs, MAX_TIMEOUT_SECS);
    at("grace_period_secs", between(*grace_period_secs, 0, MAX_GRACE_SECS))?;
    at("execution_timeout_secs", timeout(*execution_timeout_secs))?;
    if *io_timeout_secs != 0 {
        at("io_timeout_secs", timeout(*io_timeout_secs))?;
    }
    at("command", command(&properties.command))?;
    if !relative_cwd.is_empty() {
        at("relative_cwd", path::check(relative_cwd, cipd::PATH_BYTES, true))?;
    }
    at("env", env(&properties.env))?;
    at("env_prefixes", env_prefixes(&properties.env_prefixes))?;
    at("cas_input_root", properties.cas_input_root.as_ref().map_or(Ok(()), cas_input_root))?;
    at("outputs", outputs(&properties.outputs))?;
    let mut directories = Directories::default();
    at("caches", join(&caches(&properties.caches, "task_cache", &mut directories)))?;
    if let Some(input) = &properties.cipd_input {
        at("cipd_input", cipd_input(input, properties.idempotent, &mut directories))?;
    }
    dimensions(&properties.dimensions, pool).map_err(|why| format!("dimensions: {why}"))
}

/// The typed form of properties that passed [`check`].
/// What was stored of checked properties.
pub fn stored(properties: TaskProperties) -> Properties {
    // What was checked once is parsed again.
    let filter = Filter::of_task(&properties.dimensions).unwrap_or_default();
    convert(properties, filter)
}

pub(super) fn convert(properties: TaskProperties, filter: Filter) -> Properties {
    let seconds = |seconds: i32| u32::try_from(seconds).unwrap_or_default();
    let mut out = Properties {
        command: properties.command,
        relative_cwd: properties.relative_cwd,
        filter,
        execution_timeout_secs: seconds(properties.execution_timeout_secs),
        io_timeout_secs: seconds(properties.io_timeout_secs),
        grace_period_secs: seconds(properties.grace_period_secs),
        idempotent: properties.idempotent,
        cas_input_root: properties.cas_input_root,
        caches: properties.caches,
        cipd_input: properties.cipd_input.unwrap_or_default(),
        outputs: properties.outputs,
        containment: properties.containment.unwrap_or_default(),
        has_secret: !properties.secret_bytes.is_empty(),
        ..Properties::default()
    };
    out.env.extend(properties.env.into_iter().map(|pair| (pair.key, pair.value)));
    let prefixes = properties.env_prefixes.into_iter();
    out.env_prefixes.extend(prefixes.map(|pair| (pair.key, pair.value)));
    for pair in properties.dimensions {
        out.dimensions.entry(pair.key).or_default().push(pair.value);
    }
    out
}

fn at(field: &str, result: Result<(), String>) -> Result<(), String> {
    result.map_err(|why| format!("{field}: {why}"))
}

pub(super) fn between(seconds: i32, min: i32, max: i32) -> Result<(), String> {
    if (min..=max).contains(&seconds) {
        return Ok(());
    }
    Err(format!("{seconds} must be between {min}s and {max}s"))
}

fn command(arguments: &[String]) -> Result<(), String> {
    match arguments.len() {
        0 => Err("required".to_owned()),
        1..=MAX_ARGUMENTS => Ok(()),
        _ => Err(format!("can have up to {MAX_ARGUMENTS} arguments")),
    }
}

fn variable(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("required".to_owned());
    }
    length(name, VARIABLE_BYTES)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !only(name, allowed) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("{} should match ^[A-Za-z_][A-Za-z0-9_]*$", quote(name)));
    }
    Ok(())
}

fn env(variables: &[StringPair]) -> Result<(), String> {
    if variables.len() > MAX_VARIABLES {
        return Err(format!("can have up to {MAX_VARIABLES} keys"));
    }
    let mut seen = BTreeSet::new();
    for (index, StringPair { key, value }) in variables.iter().enumerate() {
        if !seen.insert(key) {
            return Err("same key cannot be specified twice".to_owned());
        }
        variable(key).map_err(|why| format!("key {index}: {why}"))?;
        length(value, VARIABLE_VALUE_BYTES).map_err(|why| format!("value {index}: {why}"))?;
    }
    Ok(())
}

fn env_prefixes(prefixes: &[StringListPair]) -> Result<(), String> {
    if prefixes.len() > MAX_VARIABLES {
        return Err(format!("can have up to {MAX_VARIABLES} keys"));
    }
    let mut seen = BTreeSet::new();
    for (index, StringListPair { key, value }) in prefixes.iter().enumerate() {
        if !seen.insert(key) {
            return Err("same key cannot be specified twice".to_owned());
        }
        variable(key).map_err(|why| format!("key {index}: {why}"))?;
        if value.is_empty() {
            return Err("value is required".to_owned());
        }
        for (number, one) in value.iter().enumerate() {
            path::check(one, VARIABLE_VALUE_BYTES, false)
                .map_err(|why| format!("value {index}-{number}: {why}"))?;
        }
    }
    Ok(())
}

fn cas_input_root(root: &CasReference) -> Result<(), String> {
    let instance = &root.cas_instance;
    if instance.is_empty() {
        return Err("cas_instance is required".to_owned());
    }
    if !is_cas_instance(instance) {
        let instance = quote(instance);
        return Err(format!(
            "cas_instance {instance} should match ^projects/[a-z0-9-]+/instances/[a-z0-9-_]+$"
        ));
    }
    match &root.digest {
        None => Err("digest: required".to_owned()),
        Some(Digest { hash, .. }) if hash.is_empty() => Err("digest: hash is required".to_owned()),
        Some(Digest { size_bytes: ..0, .. }) => {
            Err("digest: size_bytes cannot be negative".to_owned())
        }
        Some(_) => Ok(()),
    }
}

fn is_cas_instance(text: &str) -> bool {
    let in_project = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let parts = text.strip_prefix("projects/").and_then(|rest| rest.split_once("/instances/"));
    parts.is_some_and(|(project, instance)| {
        only(project, in_project) && only(instance, |c| in_project(c) || c == '_')
    })
}

fn outputs(paths: &[String]) -> Result<(), String> {
    if paths.len() > MAX_OUTPUTS {
        // Upstream's message names the limit of a path.
        return Err(format!("can have up to {OUTPUT_BYTES} outputs"));
    }
    for (index, one) in paths.iter().enumerate() {
        path::check(one, OUTPUT_BYTES, false).map_err(|why| format!("output {index}: {why}"))?;
    }
    Ok(())
}

/// Everything wrong with caches; `owner` is how their paths are called in mistakes.
pub(crate) fn caches(
    caches: &[CacheEntry],
    owner: &str,
    directories: &mut Directories,
) -> Vec<String> {
    let mut mistakes = Vec::new();
    if caches.len() > MAX_CACHES {
        mistakes.push(format!("can have up to {MAX_CACHES} caches"));
    }
    let mut seen = BTreeSet::new();
    for (index, CacheEntry { name, path }) in caches.iter().enumerate() {
        if !seen.insert(name) {
            mistakes.push("same cache name cannot be specified twice".to_owned());
        }
        if let Err(why) = path::check(path, CACHE_PATH_BYTES, false) {
            mistakes.push(format!("cache path {index}: {why}"));
            continue;
        }
        directories.add(path, format!("{owner}:{name}"), String::new());
        if let Err(why) = cache_name(name) {
            mistakes.push(format!("cache name {index}: {why}"));
        }
    }
    mistakes.extend(directories.conflicts());
    mistakes
}

fn cache_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("required".to_owned());
    }
    length(name, CACHE_NAME_BYTES)?;
    if !only(name, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
        return Err(format!("{} should match ^[a-z0-9_]+$", quote(name)));
    }
    Ok(())
}

fn cipd_input(
    input: &CipdInput,
    idempotent: bool,
    directories: &mut Directories,
) -> Result<(), String> {
    if !input.server.is_empty() {
        at("server", url::secure_url(&input.server))?;
    }
    if let Some(CipdPackage { package_name, version, path }) = &input.client_package {
        if !path.is_empty() {
            return Err("client_package: path must be unset".to_owned());
        }
        at("client_package: package_name", cipd::package_name(package_name))?;
        at("client_package: version", cipd::version(version))?;
    }
    at(
        "packages",
        join(&cipd::packages(&input.packages, idempotent, "task_cipd_package", directories)),
    )
}

fn dimensions(pairs: &[StringPair], pool: &Pool) -> Result<Filter, String> {
    let filter = Filter::of_task(pairs)?;
    filter.check_complexity()?;
    if filter.values_of("id").len() > 1 {
        return Err("id cannot be specified more than once".to_owned());
    }
    for informational in &pool.informational_dimensions {
        if let Some(pair) = pairs.iter().find(|pair| informational.is_match(&pair.key)) {
            let key = quote(&pair.key);
            return Err(format!(
                "dimension {key} is informational, cannot use it for task creation"
            ));
        }
    }
    if let Some(key) = &pool.effective_bot_id_dimension
        && filter.values_of(key).len() > 1
    {
        return Err(format!("dimension {} cannot be specified more than once", quote(key)));
    }
    Ok(filter)
}
