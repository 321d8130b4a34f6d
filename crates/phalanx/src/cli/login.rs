//! `phalanx login URL`: keeps a server's token for later commands.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::graph::{text, word};
use super::output::{self, say};
use crate::client::Client;

#[derive(Args)]
pub struct Login {
    /// As `https://phalanx.example.com`
    url: String,
    /// PEM certificates to trust beside the system's
    #[arg(long, env = "PHALANX_CA_CERTIFICATES", value_name = "FILE")]
    ca_certificates: Option<PathBuf>,
    /// Forget the server's token
    #[arg(long)]
    forget: bool,
}

/// `logins.toml`: tokens by URL.
#[derive(Default, Serialize, Deserialize)]
struct Logins {
    #[serde(default)]
    tokens: BTreeMap<String, String>,
}

const VIEWER: &str = "{ viewer { username role } }";

fn path() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/".into()));
    match std::env::var_os("XDG_CONFIG_HOME").filter(|value| !value.is_empty()) {
        Some(config) => PathBuf::from(config).join("phalanx/logins.toml"),
        None => home().join(".config/phalanx/logins.toml"),
    }
}

fn read() -> Logins {
    std::fs::read_to_string(path())
        .ok()
        .and_then(|text| toml::from_str(&text).ok())
        .unwrap_or_default()
}

fn normal(url: &str) -> &str {
    url.trim_end_matches('/')
}

/// The token that `login` kept for a server.
pub fn token_for(url: &str) -> Option<String> {
    read().tokens.remove(normal(url))
}

impl Login {
    pub async fn run(self) -> anyhow::Result<()> {
        let url = normal(&self.url).to_owned();
        let mut logins = read();
        if self.forget {
            logins.tokens.remove(&url);
            write(&path(), &logins)?;
            return output::print_line(&format!("the token of {url} is forgotten"));
        }
        if std::io::stdin().is_terminal() {
            say!(
                "paste a token of {url} (`phalanx up` prints one, `phalanx token create` makes one):"
            );
        }
        let mut token = String::new();
        std::io::stdin().lock().read_line(&mut token).context("read the token")?;
        let token = token.trim().to_owned();
        let client = Client::new(&url, &token, self.ca_certificates.as_deref())?;
        let data = client.graph(VIEWER, json!({})).await?;
        let (name, role) = (text(&data["viewer"]["username"]), word(&data["viewer"]["role"]));
        logins.tokens.insert(url.clone(), token);
        write(&path(), &logins)?;
        output::print_line(&format!("logged in to {url} as {name} ({role})"))
    }
}

/// For its owner only.
fn write(path: &Path, logins: &Logins) -> anyhow::Result<()> {
    let folder = path.parent().context("the file lies in a folder")?;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let temporary = path.with_extension("new");
    let mut options = std::fs::File::options();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary);
    let mut file = file.with_context(|| format!("write `{}`", path.display()))?;
    std::io::Write::write_all(&mut file, toml::to_string(logins)?.as_bytes())?;
    std::fs::rename(&temporary, path).with_context(|| format!("write `{}`", path.display()))
}
