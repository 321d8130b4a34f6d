//! `[server]`: the server's settings.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::default_data_directory;

/// As resolved: file, then environment, then flags. `phalanx config show` prints it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSection {
    /// Address and port.
    pub listen: SocketAddr,
    /// Database, logs, blobs, repositories, tokens.
    pub data_directory: PathBuf,
    /// PEM certificate chain and key. Needed off loopback, unless a proxy terminates TLS.
    pub tls_certificate: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    /// Says that this proxy terminates TLS in front of the server; its name is only shown.
    pub behind_proxy: Option<String>,
    /// Host names by which clients may call the server, beside localhost.
    pub hosts: Vec<String>,
    /// How long a runner may be silent before its jobs go to another.
    pub lease_ms: u64,
    /// Most live jobs.
    pub live_jobs_max: usize,
    /// Where people find the server, for links; its address when absent.
    pub external_url: Option<String>,
    /// Most bytes of all mirrors together.
    pub repositories_bytes_max: u64,
}

impl Default for ServerSection {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7070)),
            data_directory: default_data_directory(),
            tls_certificate: None,
            tls_key: None,
            behind_proxy: None,
            hosts: Vec::new(),
            lease_ms: 60_000,
            live_jobs_max: model::limit::LIVE_JOBS,
            external_url: None,
            repositories_bytes_max: 500 << 30,
        }
    }
}

#[derive(Args, Clone, Debug, Default)]
pub struct ServerFlags {
    /// Address and port to listen on
    #[arg(long, env = "PHALANX_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Folder for database, logs, blobs, repositories and tokens
    #[arg(long, env = "PHALANX_DATA_DIRECTORY", value_name = "DIR")]
    data_directory: Option<PathBuf>,
    /// PEM certificate chain
    #[arg(long, env = "PHALANX_TLS_CERTIFICATE", value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// PEM private key
    #[arg(long, env = "PHALANX_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// This proxy terminates TLS in front of the server
    #[arg(long, env = "PHALANX_BEHIND_PROXY", value_name = "NAME")]
    behind_proxy: Option<String>,
    /// A host name by which clients call the server (repeatable)
    #[arg(long = "host", env = "PHALANX_HOSTS", value_delimiter = ',', value_name = "NAME")]
    hosts: Vec<String>,
    /// How long a runner may be silent before its jobs go to another
    #[arg(long, env = "PHALANX_LEASE_MS", value_name = "MILLISECONDS")]
    lease_ms: Option<u64>,
    /// Most live jobs
    #[arg(long, env = "PHALANX_LIVE_JOBS_MAX", value_name = "COUNT")]
    live_jobs_max: Option<usize>,
    /// Where people find the server, for links in pull requests
    #[arg(long, env = "PHALANX_EXTERNAL_URL", value_name = "URL")]
    external_url: Option<String>,
    /// Most bytes of all mirrors together
    #[arg(long, env = "PHALANX_REPOSITORIES_BYTES_MAX", value_name = "BYTES")]
    repositories_bytes_max: Option<u64>,
}

impl ServerFlags {
    /// Flags and environment over the file.
    pub fn over(self, file: ServerSection) -> ServerSection {
        ServerSection {
            listen: self.listen.unwrap_or(file.listen),
            data_directory: self.data_directory.unwrap_or(file.data_directory),
            tls_certificate: self.tls_certificate.or(file.tls_certificate),
            tls_key: self.tls_key.or(file.tls_key),
            behind_proxy: self.behind_proxy.or(file.behind_proxy),
            hosts: if self.hosts.is_empty() { file.hosts } else { self.hosts },
            lease_ms: self.lease_ms.unwrap_or(file.lease_ms),
            live_jobs_max: self.live_jobs_max.unwrap_or(file.live_jobs_max),
            external_url: self.external_url.or(file.external_url),
            repositories_bytes_max: self
                .repositories_bytes_max
                .unwrap_or(file.repositories_bytes_max),
        }
    }
}
