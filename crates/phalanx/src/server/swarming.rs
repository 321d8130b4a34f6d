//! Wiring of the door for Swarming's clients and bots.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use api_swarming::archive::{self, Archive, Identity};
use api_swarming::config::toml::Swarming;
use api_swarming::config::{Config, files, toml};
use api_swarming::validate::new_task::{MIN_TIMEOUT_SECS, OLD_MIN_TIMEOUT_SECS};
use api_swarming::{Access, Caller, Door, Parts, Role, hands};
use dispatcher::{Clock, Dispatcher, House, SystemClock};
use executor_protocol::{NetworkOrder, Order, RuntimeOrder};
use fleet::{Fleet, FleetStore};
use futures::FutureExt;
use spec::{EnvVar, Run, Step};

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub struct Wiring<'a> {
    pub settings: &'a Swarming,
    pub dispatcher: Dispatcher,
    pub house: Arc<dyn House>,
    pub fleet: Box<dyn FleetStore>,
    pub graphql: Arc<api_graphql::Door>,
    pub runner_token: String,
    pub open: bool,
    pub url: String,
    pub key: [u8; 32],
}

/// Reads the settings again: pools, groups of bots, times, and the bot. What makes the server another one needs a restart.
pub fn reload(door: &Door, settings: &Swarming, at_start: &Swarming) {
    let read = config(settings).and_then(|config| Ok((config, archive(settings, door.url())?)));
    match read {
        Ok((config, archive)) => {
            tracing::info!("the configuration of Swarming is read again: {}", config.revision);
            door.set_config(config);
            door.set_archive(archive);
            for key in settings.needs_restart(at_start) {
                tracing::warn!(
                    "`swarming.{key}` is another now, which needs a restart of the server"
                );
            }
        }
        Err(error) => {
            tracing::error!("the configuration of Swarming stays as it was: {error:#}");
        }
    }
}

/// The bot that is handed out.
fn archive(settings: &Swarming, server: &str) -> anyhow::Result<Option<Archive>> {
    let Some(path) = &settings.bot else { return Ok(None) };
    let identity = Identity { server, server_version: VERSION, bot_config: None };
    let built = archive::load(path).and_then(|files| archive::build(files, identity));
    let archive = built.map_err(|error| {
        let error = anyhow::Error::from(error);
        let (file, path) = (settings.file.display(), path.display());
        crate::cli::BadInput(format!("{file}: swarming.bot: `{path}` is no bot: {error:#}"))
    })?;
    tracing::info!("bots are to be version {}", archive.version);
    Ok(Some(archive))
}

pub fn door(wiring: Wiring<'_>) -> anyhow::Result<Door> {
    let Wiring { settings, dispatcher, house, fleet, graphql, runner_token, open, url, key } =
        wiring;
    let archive = archive(settings, &url)?;
    let fleet = Fleet::load(fleet, SystemClock::default().now().wall)?;
    let min_timeout_secs =
        if settings.short_timeouts { OLD_MIN_TIMEOUT_SECS } else { MIN_TIMEOUT_SECS };
    let door = Door::new(Parts {
        dispatcher,
        house,
        post: post()?,
        fleet: Arc::new(fleet),
        config: config(settings)?,
        access: Access {
            open,
            of_token: Box::new(move |token| {
                let graphql = graphql.clone();
                async move { caller(&graphql, &token).await }.boxed()
            }),
            bot_token: runner_token,
        },
        url,
        version: VERSION.to_owned(),
        min_timeout_secs,
        parked_polls_max: settings.parked_polls_max.unwrap_or_else(parked_polls_max),
        archive,
        without_cipd: !settings.cipd,
        ui: settings.ui.clone(),
        enabled: !settings.off,
        key,
    })?;
    Ok(door)
}

/// Tells somebody who wants to hear of a task. SECURITY: only an operator says who that is, and nobody is followed elsewhere.
fn post() -> anyhow::Result<api_swarming::Post> {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .context("make a client that tells of tasks")?;
    Ok(Box::new(move |url, text| {
        let request = client.post(url).header("Content-Type", "application/json").body(text);
        async move {
            let answer = request.send().await.map_err(|error| error.without_url().to_string())?;
            match answer.status() {
                status if status.is_success() => Ok(()),
                status => Err(format!("the answer is {status}")),
            }
        }
        .boxed()
    }))
}

/// A part of what the limit of open files allows: the rest is for clients, the store and the logs.
fn parked_polls_max() -> usize {
    super::accept::connections_max() * 4 / 5
}

pub(super) async fn caller(graphql: &api_graphql::Door, token: &str) -> Option<Caller> {
    let caller = graphql.caller(token).await.ok()??;
    let role = match caller.role {
        campaign::site::Role::Admin => Role::Admin,
        campaign::site::Role::User => Role::User,
        campaign::site::Role::Reader => Role::Viewer,
    };
    Some(Caller { identity: format!("user:{}", caller.name), role })
}

/// What `phalanx.toml` says, or upstream's files that it names.
fn config(settings: &Swarming) -> anyhow::Result<Config> {
    let mistaken = |mistakes: api_swarming::config::ConfigError| {
        anyhow::Error::from(crate::cli::BadInput(mistakes.to_string()))
    };
    let file = settings.file.display().to_string();
    let config = match &settings.config_directory {
        Some(directory) => {
            if let Some(key) = settings.said_of_files().first() {
                return Err(crate::cli::BadInput(format!(
                    "{file}: swarming.{key}: the files in `{}` say this, because of \
                     `swarming.config_directory`: take one of the two away",
                    directory.display()
                ))
                .into());
            }
            upstream(directory)?
        }
        None => {
            let directory = settings.file.parent().unwrap_or(Path::new(""));
            let names = settings.bot_group.iter().map(|group| group.bot_config_script.as_str());
            let scripts = scripts(&directory.join("scripts"), names)?;
            toml::resolve(&file, settings.clone(), &scripts).map_err(mistaken)?
        }
    };
    let config = config.with_ours(&file, settings).map_err(mistaken)?;
    for ignored in &config.ignored {
        tracing::warn!("{ignored}");
    }
    Ok(config)
}

fn upstream(directory: &Path) -> anyhow::Result<Config> {
    // One that was moved away for a moment must not take all pools with it.
    let read = |name: &str| -> anyhow::Result<String> {
        let path = directory.join(name);
        fs::read_to_string(&path).map_err(|error| {
            let what = match error.kind() {
                std::io::ErrorKind::NotFound => "is not there; an empty one is enough".to_owned(),
                _ => format!("cannot be read: {error}"),
            };
            let path = path.display();
            crate::cli::BadInput(format!("swarming.config_directory: `{path}` {what}")).into()
        })
    };
    let folder = directory.join("scripts");
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let scripts = scripts(&folder, names.iter().map(String::as_str))?;
    let (settings, bots, pools) = (read("settings.cfg")?, read("bots.cfg")?, read("pools.cfg")?);
    let texts = files::Files { settings: &settings, bots: &bots, pools: &pools, scripts };
    files::read(&texts).map_err(|mistakes| {
        let shown = directory.display();
        crate::cli::BadInput(format!("the configuration in `{shown}` is wrong:\n{mistakes}")).into()
    })
}

/// Files of hooks in a folder, by name. That one is not there is told where it is named.
fn scripts<'a>(
    folder: &Path,
    names: impl IntoIterator<Item = &'a str>,
) -> anyhow::Result<BTreeMap<String, String>> {
    let mut scripts = BTreeMap::new();
    for name in names.into_iter().filter(|name| name.ends_with(".py") && !name.contains('/')) {
        let path = folder.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => drop(scripts.insert(name.to_owned(), text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let why = format!("`{}` cannot be read: {error}", path.display());
                return Err(crate::cli::BadInput(why).into());
            }
        }
    }
    Ok(scripts)
}

/// Lets our own runners serve tasks: a task that needs neither CIPD nor CAS is a job with one step.
pub fn hands(server: String) -> api_executor::Foreign {
    Box::new(move |payload, slice| {
        // Jobs in the executors' own words are JSON, and no task begins so.
        if payload.first() == Some(&b'{') {
            return None;
        }
        Some(hands::command(payload, slice, &server)?.map(|command| order(&command)))
    })
}

fn order(command: &hands::Command) -> Order {
    let quoted: Vec<String> = command.arguments.iter().map(|text| quote(text)).collect();
    let mut script = String::new();
    for (name, _) in command.env.iter().filter(|(_, value)| value.is_empty()) {
        script += &format!("unset {name}\n");
    }
    if !command.directory.is_empty() {
        let directory = quote(&command.directory);
        script += &format!("mkdir -p {directory} && cd {directory} || exit 1\n");
    }
    script += &format!("exec {}\n", quoted.join(" "));
    let set = command.env.iter().filter(|(_, value)| !value.is_empty());
    let step = Step {
        run: Run::Shell(spec::literal(&script)),
        container: None,
        env: set
            .map(|(name, value)| EnvVar { name: name.clone(), value: Some(spec::literal(value)) })
            .collect(),
        files: BTreeMap::new(),
        mount: Vec::new(),
        outputs: BTreeMap::new(),
        r#if: spec::Condition::Always,
        timeout_ms: None,
        at: spec::Position::default(),
    };
    let raw = |value: serde_json::Value| {
        serde_json::value::to_raw_value(&value).expect("our own types are JSON")
    };
    Order {
        checkout: None,
        path: String::new(),
        only_fetch_workspace: false,
        steps: raw(serde_json::json!([step])),
        repository: raw(serde_json::json!(spec::RepositoryContext::default())),
        batch_change: raw(serde_json::json!(spec::BatchChangeContext::default())),
        mounts: Vec::new(),
        secrets: Vec::new(),
        runtime: RuntimeOrder::Process,
        network: NetworkOrder::Host,
        cpus: None,
        memory_bytes: None,
        pids: None,
        step_timeout_ms: None,
        job_timeout_ms: Some(u64::from(command.timeout_secs) * 1000),
        use_cache: false,
        plain_log: true,
    }
}

/// One word of a shell, whatever it says.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
