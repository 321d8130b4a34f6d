//! `phalanx runner`: works for a server. With a verb: looks at a server's runners.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, Subcommand};
use runner::agent::{AgentConfig, Stop};
use runner::runtime::Runtimes;
use runner::runtime::docker::DockerRuntime;
use runner::runtime::process::ProcessRuntime;

use super::{BadInput, runners, server};
use crate::config::{File, RunnerFlags, RunnerSection};
use crate::server::live_server;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Runner {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    flags: RunnerFlags,
}

#[derive(Subcommand)]
enum Verb {
    /// List the runners of a server
    List(runners::List),
    /// Give a runner no more jobs; those it runs end
    Drain(runners::Drain),
}

impl Runner {
    pub async fn run(self, file: File) -> anyhow::Result<()> {
        match self.verb {
            Some(Verb::List(list)) => list.run(file).await,
            Some(Verb::Drain(drain)) => drain.run(file).await,
            None => work(self.flags, file).await,
        }
    }
}

async fn work(flags: RunnerFlags, file: File) -> anyhow::Result<()> {
    let section = flags.over(file.runner);
    let mut token = flags.token(&section)?;
    let mut url = section.server.clone();
    let mut shares_host = false;
    // Beside a server on the same data directory nothing need be said.
    if let Some(live) = live_server(&file.server.data_directory)
        && url.as_ref().is_none_or(|url| *url == live.url)
    {
        if token.is_none() {
            let text = std::fs::read_to_string(file.server.data_directory.join("runner-token"));
            token = text.ok().map(|text| text.trim().to_owned());
        }
        shares_host = true;
        url.get_or_insert(live.url);
    }
    let url = url.ok_or_else(|| BadInput("no server: give --server URL".to_owned()))?;
    let token = token.ok_or_else(|| {
        BadInput(
            "no token: give --token-file FILE; the server keeps it in DATA/runner-token".to_owned(),
        )
    })?;
    let mut config = agent_config(&section, url, token, section.work_directory.clone())?;
    config.shares_host = shares_host;
    config.once = flags.once;
    config.max_jobs = flags.total_jobs();
    let stop = Stop::default();
    tracing::info!(
        "runner `{}` works for {} (slots: {})",
        config.name,
        config.server,
        config.slots
    );
    tokio::spawn(obey_signals(stop.clone()));
    runner::agent::run(config, runtimes(true).await?, stop).await.context("work for the server")?;
    tracing::info!("stopped");
    Ok(())
}

/// The first signal drains, the second cancels, the third ends at once.
async fn obey_signals(stop: Stop) {
    let signal = server::wait_for_stop().await;
    tracing::info!("{signal}: taking no more jobs; again to stop those that run");
    stop.drain.cancel();
    let signal = server::wait_for_stop().await;
    tracing::info!("{signal}: stopping jobs; others will run them");
    stop.cancel.cancel();
    server::wait_for_stop().await;
    std::process::exit(130);
}

pub fn agent_config(
    section: &RunnerSection,
    server: String,
    token: String,
    work: Option<PathBuf>,
) -> anyhow::Result<AgentConfig> {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let host = host.unwrap_or_else(|| "runner".to_owned());
    let mut dimensions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut offer = |key: &str, value: &str| {
        dimensions.entry(key.to_owned()).or_default().push(value.to_owned());
    };
    offer("os", std::env::consts::OS);
    offer("cpu", std::env::consts::ARCH);
    for dimension in &section.dimensions {
        let pair =
            dimension.split_once('=').filter(|(key, value)| !key.is_empty() && !value.is_empty());
        let (key, value) = pair
            .ok_or_else(|| BadInput(format!("`{dimension}` is not a dimension: use KEY=VALUE")))?;
        offer(key, value);
    }
    let name = section.name.clone().unwrap_or(host);
    let work = work.unwrap_or_else(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/tmp".into()));
        cache.unwrap_or_else(|| home().join(".cache")).join("phalanx-runner").join(&name)
    });
    let ca_certificates = section.ca_certificates.as_deref().map(std::fs::read).transpose();
    Ok(AgentConfig {
        server,
        token,
        name,
        queues: section.queues.clone(),
        slots: section.slots.unwrap_or_else(processors),
        dimensions,
        work_directory: work,
        shares_host: false,
        max_jobs: None,
        once: false,
        ca_certificates: ca_certificates.context("read the certificates to trust")?,
    })
}

pub fn processors() -> u32 {
    std::thread::available_parallelism().map_or(1, |count| count.get() as u32)
}

/// What this machine can run jobs in.
pub async fn runtimes(docker: bool) -> anyhow::Result<Runtimes> {
    let process = Arc::new(process_runtime()?);
    let docker = if docker { DockerRuntime::detect().await } else { None };
    Ok(Runtimes { process, docker })
}

pub fn process_runtime() -> anyhow::Result<ProcessRuntime> {
    let launcher = std::env::current_exe().context("find this program's own file")?;
    Ok(ProcessRuntime::new(launcher, vec!["__launch".to_owned()]))
}
