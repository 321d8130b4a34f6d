//! Which server a command talks to: the one that is named, or the one that runs on the data directory.

use std::path::PathBuf;

use clap::Args;

use super::BadInput;
use crate::client::Client;
use crate::config::File;
use crate::server::live_server;

#[derive(Args, Clone, Debug, Default)]
pub struct Connect {
    /// The server's URL [default: the one that runs on the data directory]
    #[arg(long, env = "PHALANX_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// The server's token (better: the environment variable)
    #[arg(long, env = "PHALANX_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// PEM certificates to trust beside the system's
    #[arg(long, env = "PHALANX_CA_CERTIFICATES", value_name = "FILE")]
    pub ca_certificates: Option<PathBuf>,
    /// The data directory of the local server
    #[arg(long, env = "PHALANX_DATA_DIRECTORY", value_name = "DIR")]
    pub data_directory: Option<PathBuf>,
}

impl Connect {
    pub fn directory(&self, file: &File) -> PathBuf {
        self.data_directory.clone().unwrap_or_else(|| file.server.data_directory.clone())
    }

    /// A client of a server that runs. `None` when no server is named and none runs here.
    fn live(&self, file: &File) -> anyhow::Result<Option<Live>> {
        let ca = self.ca_certificates.as_deref();
        if let Some(url) = &self.server {
            let local = || live_server(&self.directory(file)).filter(|live| live.url == *url);
            let token = self.token.clone().or_else(|| local().map(|live| live.token));
            let token = token.or_else(|| super::login::token_for(url)).ok_or_else(|| {
                BadInput(format!(
                    "no token for the server {url}: set PHALANX_TOKEN or run `phalanx login`; `phalanx up` prints it"
                ))
            })?;
            return Ok(Some(Live { client: Client::new(url, &token, ca)?, host: None }));
        }
        let directory = self.directory(file);
        let Some(live) = live_server(&directory) else { return Ok(None) };
        let client = Client::of_this_host(&live.url, &live.token)?;
        Ok(Some(Live { client, host: live.embedded.then_some(directory) }))
    }
}

/// How long a server may take between taking its data directory and serving.
const STARTING_MAX: std::time::Duration = std::time::Duration::from_secs(10);

/// A server that was started for one command on the data directory, and stops with it.
pub struct Embedded {
    pub client: Client,
    pub server: crate::server::Server,
}

/// A server that runs.
pub struct Live {
    pub client: Client,
    /// The data directory, when the server belongs to another command and ends with it.
    pub host: Option<PathBuf>,
}

/// The server of the data directory: the one that runs, or one for this command.
pub enum Local {
    Live(Live),
    Embedded(Box<Embedded>),
}

impl Local {
    pub async fn open(connect: &Connect, file: &File) -> anyhow::Result<Self> {
        if let Some(live) = connect.live(file)? {
            return Ok(Self::Live(live));
        }
        let mut section = file.server.clone();
        section.data_directory = connect.directory(file);
        section.listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        section.tls_certificate = None;
        section.tls_key = None;
        section.behind_proxy = None;
        // A command's own server is for the command alone.
        let swarming = api_swarming::config::toml::Swarming { off: true, ..Default::default() };
        let deadline = std::time::Instant::now() + STARTING_MAX;
        let server = loop {
            let kind = crate::server::StoreKind::Sqlite;
            match crate::server::start(&section, &swarming, kind, None).await {
                Ok(server) => break server,
                // Another command has it: it is about to serve, or to end.
                Err(error) if error.is::<crate::server::LockedError>() => {
                    if let Some(live) = connect.live(file)? {
                        return Ok(Self::Live(live));
                    }
                    if std::time::Instant::now() > deadline {
                        return Err(error);
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
                Err(error) => return Err(error),
            }
        };
        let client = Client::new(&server.url(), &server.token, None)?;
        Ok(Self::Embedded(Box::new(Embedded { client, server })))
    }

    pub fn client(&self) -> &Client {
        match self {
            Self::Live(live) => &live.client,
            Self::Embedded(embedded) => &embedded.client,
        }
    }

    pub async fn close(self) {
        if let Self::Embedded(embedded) = self {
            embedded.server.stop().await;
        }
    }
}
