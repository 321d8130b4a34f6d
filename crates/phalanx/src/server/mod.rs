//! Wiring: a data directory becomes a running server.

mod accept;
pub mod chaos;
mod data;
mod metrics;
mod pages;
mod swarming;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use campaign::scope::Searcher;
use campaign::service::{Parts, Service, Vault};
use dispatcher::{Dispatcher, Reader, Store, SystemClock};
use tokio_util::sync::CancellationToken;

use self::chaos::Chaos;
use crate::config::ServerSection;
pub use data::{DataDirectory, LockedError, live_server};

/// A server that serves.
pub struct Server {
    pub address: SocketAddr,
    pub dispatcher: Dispatcher,
    /// For people and their tools.
    pub token: String,
    pub runner_token: String,
    data: Arc<DataDirectory>,
    stop: CancellationToken,
    accepting: tokio::task::JoinHandle<()>,
    scheme: &'static str,
    swarming: api_swarming::Door,
    /// As it was at the start.
    of_swarming: api_swarming::config::toml::Swarming,
}

impl Server {
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, reachable(self.address))
    }

    /// Takes over what may change without a restart.
    pub fn reload(&self, of_swarming: &api_swarming::config::toml::Swarming) {
        swarming::reload(&self.swarming, of_swarming, &self.of_swarming);
    }

    /// Answers what waits, writes what is open, and returns.
    pub async fn stop(self) {
        self.dispatcher.stop().await;
        self.swarming.flush();
        self.stop.cancel();
        let _ = tokio::time::timeout(std::time::Duration::from_secs(2), self.accepting).await;
        self.data.forget_live_server();
    }
}

/// What kind of store a server runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    Sqlite,
    /// Keeps nothing: the benchmark's comparison.
    Null,
}

/// Starts a server on a data directory that nobody else uses.
pub async fn start(
    section: &ServerSection,
    of_swarming: &api_swarming::config::toml::Swarming,
    store: StoreKind,
    chaos: Option<Arc<Chaos>>,
) -> anyhow::Result<Server> {
    refuse_open_door(section)?;
    raise_file_limit();
    let data = Arc::new(DataDirectory::open(&section.data_directory)?);
    let logs = Arc::new(blobs::Logs::open(&data.path("logs"))?);
    let cas = Arc::new(blobs::Cas::open(&data.path("blobs"))?);
    let step_cache = Arc::new(campaign::StepCache::open(&data.path("step-cache"))?);
    let repositories = Arc::new(codehost::git::Repositories::open(&data.path("repositories"))?);
    let store::Sqlite { jobs, reader, campaigns, fleet, house } =
        store::open_sqlite(&data.path(""))?;
    let (writer, reader): (Box<dyn Store>, Arc<dyn Reader>) = match store {
        StoreKind::Sqlite => (Box::new(jobs), Arc::new(reader)),
        StoreKind::Null => (Box::new(dispatcher::NullStore), Arc::new(dispatcher::NullStore)),
    };
    let mut config = engine::Config::new(data.lease_key()?);
    config.lease_ms = section.lease_ms;
    config.undelivered_ms = config.undelivered_ms.min(section.lease_ms / 2);
    config.runner_gone_ms = section.lease_ms * 2;
    config.live_jobs_max = section.live_jobs_max;
    let clock = Box::new(SystemClock::default());
    let dispatcher =
        Dispatcher::start(config, writer, reader, logs, clock, Box::new(stop_at_once))?;
    if let Some(runner) = data.embedded_runner() {
        // It was in the process that had this data directory before, so it is no more.
        let runner = model::RunnerName::new(&runner);
        dispatcher.deregister(engine::ops::DeregisterOp { runner }).await;
        data.forget_embedded_runner();
    }
    let (token, runner_token) = (data.token("token")?, data.token("runner-token")?);
    // Behind a proxy a client is elsewhere, whatever the address says.
    let loopback = section.listen.ip().is_loopback() && section.behind_proxy.is_none();
    let stop = CancellationToken::new();
    let listener = tokio::net::TcpListener::bind(section.listen)
        .await
        .with_context(|| format!("listen on {}", section.listen))?;
    let address = listener.local_addr()?;
    let tls = accept::tls(section)?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    if section.external_url.is_none()
        && (section.behind_proxy.is_some() || section.listen.ip().is_unspecified())
    {
        tracing::warn!(
            "links, and the bot that is handed out, lead to {scheme}://{}: if others reach this server elsewhere, say it \
             with `external_url` in `[server]`, or --external-url",
            reachable(address)
        );
    }
    let own_url = || format!("{scheme}://{}", reachable(address));
    let service = Service::new(Parts {
        dispatcher: dispatcher.clone(),
        cas: cas.clone(),
        store: Arc::new(campaigns.on_fatal(stop_at_once)),
        searcher: Arc::new(Searcher::new(repositories.clone())),
        url: section.external_url.clone().unwrap_or_else(own_url),
        vault: Vault::new(&data.secret_key()?),
        clock: Box::new(SystemClock::default()),
        connect: Box::new(connect),
        repositories_bytes_max: section.repositories_bytes_max,
    });
    service.start(&stop);
    let executor = api_executor::Door::new(
        dispatcher.clone(),
        cas.clone(),
        step_cache,
        repositories.clone(),
        service.clone(),
        api_executor::Tokens::new([runner_token.as_str()]),
        loopback,
    );
    let executor = executor
        .with_foreign(swarming::hands(section.external_url.clone().unwrap_or_else(own_url)));
    let graphql = Arc::new(api_graphql::Door::new(service.clone(), &token));
    let swarming = swarming::door(swarming::Wiring {
        settings: of_swarming,
        dispatcher: dispatcher.clone(),
        house: Arc::new(house.on_fatal(stop_at_once)),
        fleet: Box::new(fleet.on_fatal(stop_at_once)),
        graphql: graphql.clone(),
        runner_token: runner_token.clone(),
        open: loopback,
        url: section.external_url.clone().unwrap_or_else(own_url),
        key: data.secret_key()?,
    })?;
    let rest = api_rest::router(Arc::new(api_rest::Door {
        dispatcher: dispatcher.clone(),
        cas,
        searcher: service.searcher.clone(),
        repositories,
        token: api_rest::Token::new(&token),
        local_paths: loopback,
        service,
    }));
    let of_pages = pages::Pages { graphql: graphql.clone(), swarming: swarming.clone() };
    let pages = web::router(Arc::new(of_pages));
    let rest = rest.merge(api_graphql::router(graphql.clone())).merge(pages);
    let hosts = accept::Hosts::new(section, address);
    let metrics = metrics::Metrics::new(dispatcher.clone(), swarming.clone(), chaos.clone());
    let metrics = Arc::new(metrics);
    let metrics_access = accept::MetricsAccess { open: loopback, graphql: graphql.clone() };
    let doors = accept::Doors {
        metrics,
        metrics_access,
        chaos,
        executor,
        swarming: swarming.clone(),
        rest,
        hosts,
    };
    let accepting = tokio::spawn(accept::run(listener, tls, Arc::new(doors), stop.clone()));
    Ok(Server {
        address,
        dispatcher,
        token,
        runner_token,
        data,
        stop,
        accepting,
        scheme,
        swarming,
        of_swarming: of_swarming.clone(),
    })
}

/// The store failed. Nothing was acknowledged since; what is on the disk decides at the next start (I36).
fn stop_at_once(error: &dispatcher::StoreError) {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    eprintln!(
        "phalanx: failed to {error}: {cause}; stopping, so that nothing is promised that is not kept"
    );
    std::process::exit(70);
}

fn connect(
    settings: &codehost::Settings,
    credential: codehost::Credential,
) -> Result<Arc<dyn codehost::CodeHost>, codehost::ConnectError> {
    codehost::connect(settings, credential, &codehost::Options::default()).map(Arc::from)
}

/// The address at which this host reaches a server that listens on this one.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(any) if any.ip().is_unspecified() => ([127, 0, 0, 1], any.port()).into(),
        SocketAddr::V6(any) if any.ip().is_unspecified() => {
            (std::net::Ipv6Addr::LOCALHOST, any.port()).into()
        }
        address => address,
    }
}

/// SECURITY: off loopback only with TLS, or behind a proxy that somebody named.
fn refuse_open_door(section: &ServerSection) -> anyhow::Result<()> {
    let encrypted = section.tls_certificate.is_some() || section.behind_proxy.is_some();
    if section.listen.ip().is_loopback() || encrypted {
        return Ok(());
    }
    Err(crate::cli::BadInput(format!(
        "refusing to listen on {} without TLS: tokens would cross the network in the clear.\n\
         Give --tls-certificate and --tls-key, or --behind-proxy NAME if a proxy terminates TLS, or listen on 127.0.0.1.",
        section.listen
    ))
    .into())
}

/// The soft limit of open files to the hard one.
fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

impl Server {
    /// Lets local commands find this server.
    pub fn announce(&self) -> anyhow::Result<()> {
        self.data.announce(&self.url(), false)
    }

    /// Says that a runner of this name is about to work in this very process, for a command, so that others of this host may
    /// use both while it lasts.
    pub fn announce_embedded(&self, runner: &str) -> anyhow::Result<()> {
        self.announce_embedded_runner(runner)?;
        self.data.announce(&self.url(), true)
    }

    /// Says that a runner of this name is about to work in this very process. When the process is killed, the next server
    /// on this data need not wait for its leases to end.
    pub fn announce_embedded_runner(&self, name: &str) -> anyhow::Result<()> {
        self.data.keep_embedded_runner(name)
    }

    /// A path in the data directory.
    pub fn data_path(&self, name: &str) -> std::path::PathBuf {
        self.data.path(name)
    }
}
