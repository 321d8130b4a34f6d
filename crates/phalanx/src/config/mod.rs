//! Configuration: `phalanx.toml`, then `PHALANX_*`, then flags. Read once, here; the rest of the program gets structs.

mod runner;
mod server;

use std::path::{Path, PathBuf};

use anyhow::Context;
use api_swarming::config::toml::Swarming;
use serde::{Deserialize, Serialize};

pub use runner::{RunnerFlags, RunnerSection};
pub use server::{ServerFlags, ServerSection};

/// The file, one struct per section. Unknown keys are errors.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    pub server: ServerSection,
    pub runner: RunnerSection,
    /// The door of Swarming's clients and bots.
    pub swarming: Swarming,
    /// Where it was read, when it was named.
    #[serde(skip)]
    pub named: Option<PathBuf>,
}

/// Reads the file that is named, or `phalanx.toml` in the working directory when there is one.
pub fn read(named: Option<&Path>) -> anyhow::Result<File> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => PathBuf::from("phalanx.toml"),
    };
    let mut file = File::default();
    let asked = named.map(Path::to_owned);
    if named.is_some() || path.exists() {
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("read `{}`", path.display()))?;
        file = toml::from_str(&text).with_context(|| format!("read `{}`", path.display()))?;
    }
    file.named = asked;
    file.swarming.file = path;
    // Every command has to do with this one, also those without a flag for it.
    if let Some(data) = std::env::var_os("PHALANX_DATA_DIRECTORY").filter(|data| !data.is_empty()) {
        file.server.data_directory = data.into();
    }
    Ok(file)
}

/// Where a person's data lies when nothing else is said.
pub fn default_data_directory() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/".into()));
    match std::env::var_os("XDG_DATA_HOME").filter(|value| !value.is_empty()) {
        Some(data) => PathBuf::from(data).join("phalanx"),
        None => home().join(".local/share/phalanx"),
    }
}
