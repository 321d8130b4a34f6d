//! `phalanx server`

use clap::Args;

use std::sync::Arc;

use super::BadInput;
use crate::config::{File, ServerFlags};
use crate::server::chaos::Chaos;
use crate::server::{Server as Running, StoreKind};

#[derive(Args)]
pub struct Server {
    #[command(flatten)]
    flags: ServerFlags,
    /// Let requests fail on purpose, so that clients can be hardened:
    /// seed=7,rate=0.02,kinds=500+503+delay+drop_after_commit+truncate
    #[arg(long, value_name = "WHAT", value_parser = |text: &str| text.parse().map(Arc::<Chaos>::new))]
    chaos: Option<Arc<Chaos>>,
    /// Let them fail for clients of other hosts too
    #[arg(long, requires = "chaos")]
    chaos_off_loopback: bool,
    /// Keep nothing: only to measure what keeping costs
    #[arg(long, hide = true)]
    null_store: bool,
}

impl Server {
    pub async fn run(self, file: File) -> anyhow::Result<()> {
        // The allocator asks for huge pages, and then 20,000 bots take 585 MB instead of 490. `bench jobs` costs the same
        // either way, a Swarming task (`bench fleet --part throughput`) up to 6 % more processor time without them. `git`,
        // which inherits this, works without them, too; jobs would inherit it in `phalanx up`, so not there.
        if let Err(error) = nix::sys::prctl::set_thp_disable(true) {
            tracing::debug!("failed to turn huge pages off, memory will be larger: {error}");
        }
        let section = self.flags.over(file.server);
        let kind = if self.null_store { StoreKind::Null } else { StoreKind::Sqlite };
        let local = section.listen.ip().is_loopback() && section.behind_proxy.is_none();
        if self.chaos.is_some() && !local && !self.chaos_off_loopback {
            return Err(BadInput(format!(
                "--chaos lets requests of other hosts fail, because the server listens on {}{}: \
                 listen on 127.0.0.1 without a proxy, or add --chaos-off-loopback",
                section.listen,
                if section.behind_proxy.is_some() { " behind a proxy" } else { "" }
            ))
            .into());
        }
        let chaos = self.chaos.clone();
        let server = crate::server::start(&section, &file.swarming, kind, chaos.clone()).await?;
        server.announce()?;
        if let Some(chaos) = chaos {
            tracing::warn!("requests fail on purpose: --chaos {chaos}");
        }
        announce(&server, &section.data_directory);
        let reloads = reload_when_told(&server, file.named.as_deref());
        let signal = tokio::select! {
            signal = wait_for_stop() => signal,
            never = reloads => match never {},
        };
        tracing::info!("{signal}: stopping");
        server.stop().await;
        Ok(())
    }
}

/// On SIGHUP the file is read again; what is wrong in it changes nothing.
async fn reload_when_told(
    server: &Running,
    named: Option<&std::path::Path>,
) -> std::convert::Infallible {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangups = signal(SignalKind::hangup()).expect("SIGHUP can be waited for");
    loop {
        hangups.recv().await;
        match crate::config::read(named) {
            Ok(file) => server.reload(&file.swarming),
            Err(error) => tracing::error!("the configuration stays as it was: {error:#}"),
        }
    }
}

pub fn announce(server: &Running, directory: &std::path::Path) {
    let directory = directory.display();
    tracing::info!("serving on {}", server.url());
    tracing::info!("token for people: {directory}/token; for runners: {directory}/runner-token");
}

/// Waits for SIGTERM or SIGINT and says which it was.
pub async fn wait_for_stop() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be waited for");
    let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be waited for");
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
