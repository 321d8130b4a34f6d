//! `[runner]`: a runner's settings. The variables of the executor that it replaces are taken too.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

/// As resolved: file, then environment, then flags.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunnerSection {
    /// As `http://127.0.0.1:7070`.
    pub server: Option<String>,
    /// A file that holds the runner token.
    pub token_file: Option<PathBuf>,
    /// Unique among the server's runners; the host's name when absent.
    pub name: Option<String>,
    pub queues: Vec<String>,
    /// Jobs at once; the number of processors when absent.
    pub slots: Option<u32>,
    /// As `gpu=none`, beside `os` and `cpu`.
    pub dimensions: Vec<String>,
    /// Mirrors and work trees.
    pub work_directory: Option<PathBuf>,
    /// PEM certificates to trust.
    pub ca_certificates: Option<PathBuf>,
}

impl Default for RunnerSection {
    fn default() -> Self {
        Self {
            server: None,
            token_file: None,
            name: None,
            queues: vec![campaign::execution::QUEUE.to_owned()],
            slots: None,
            dimensions: Vec::new(),
            work_directory: None,
            ca_certificates: None,
        }
    }
}

#[derive(Args, Clone, Debug, Default)]
pub struct RunnerFlags {
    /// The server's URL
    #[arg(long, env = "PHALANX_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// The runner token (better: --token-file)
    #[arg(long, env = "PHALANX_RUNNER_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// A file that holds the runner token
    #[arg(long, env = "PHALANX_RUNNER_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// This runner's name, unique among the server's
    #[arg(long, env = "PHALANX_RUNNER_NAME", value_name = "NAME")]
    name: Option<String>,
    /// A queue to serve (repeatable)
    #[arg(long = "queue", env = "PHALANX_QUEUES", value_delimiter = ',', value_name = "NAME")]
    queues: Vec<String>,
    /// Jobs at once
    #[arg(short = 'j', long, env = "PHALANX_SLOTS", value_name = "COUNT")]
    slots: Option<u32>,
    /// What this runner offers, beside `os` and `cpu` (repeatable)
    #[arg(
        long = "dimension",
        env = "PHALANX_DIMENSIONS",
        value_delimiter = ',',
        value_name = "KEY=VALUE"
    )]
    dimensions: Vec<String>,
    /// Folder for mirrors and work trees
    #[arg(long, env = "PHALANX_WORK_DIRECTORY", value_name = "DIR")]
    work_directory: Option<PathBuf>,
    /// PEM certificates to trust beside the system's
    #[arg(long, env = "PHALANX_CA_CERTIFICATES", value_name = "FILE")]
    ca_certificates: Option<PathBuf>,
    /// Take one round of work and stop when there is none
    #[arg(long)]
    pub once: bool,
    /// Stop after this many jobs
    #[arg(long, env = "PHALANX_MAX_JOBS", value_name = "COUNT")]
    pub max_jobs: Option<u64>,
}

/// The executor's own variable, when ours is not set.
fn executor(name: &str) -> Option<String> {
    std::env::var(format!("EXECUTOR_{name}")).ok().filter(|value| !value.is_empty())
}

impl RunnerFlags {
    /// Flags and environment over the executor's variables over the file.
    pub fn over(&self, file: RunnerSection) -> RunnerSection {
        let flags = self.clone();
        let named = executor("QUEUE_NAMES").or_else(|| executor("QUEUE_NAME"));
        let named = named.map(|names| names.split(',').map(str::to_owned).collect());
        RunnerSection {
            server: flags.server.or_else(|| executor("FRONTEND_URL")).or(file.server),
            token_file: flags.token_file.or(file.token_file),
            name: flags.name.or(file.name),
            queues: match flags.queues {
                queues if !queues.is_empty() => queues,
                _ => named.unwrap_or(file.queues),
            },
            slots: flags
                .slots
                .or_else(|| executor("MAXIMUM_NUM_JOBS").and_then(|value| value.parse().ok()))
                .or(file.slots),
            dimensions: if flags.dimensions.is_empty() {
                file.dimensions
            } else {
                flags.dimensions
            },
            work_directory: flags.work_directory.or(file.work_directory),
            ca_certificates: flags.ca_certificates.or(file.ca_certificates),
        }
    }

    pub fn total_jobs(&self) -> Option<u64> {
        let total = || executor("NUM_TOTAL_JOBS").and_then(|value| value.parse().ok());
        self.max_jobs.or_else(total).filter(|max| *max > 0)
    }

    /// The token: flag, file, or the executor's variable.
    pub fn token(&self, section: &RunnerSection) -> anyhow::Result<Option<String>> {
        use anyhow::Context;
        if let Some(token) = &self.token {
            return Ok(Some(token.clone()));
        }
        if let Some(path) = &section.token_file {
            let text = std::fs::read_to_string(path);
            let text = text.with_context(|| format!("read the token file `{}`", path.display()))?;
            return Ok(Some(text.trim().to_owned()));
        }
        Ok(executor("FRONTEND_PASSWORD"))
    }
}
