//! `phalanx server`

use clap::Args;

use crate::config::{File, ServerFlags};
use crate::server::{Server as Running, StoreKind};

#[derive(Args)]
pub struct Server {
    #[command(flatten)]
    flags: ServerFlags,
    /// Keep nothing: only to measure what keeping costs
    #[arg(long, hide = true)]
    null_store: bool,
}

impl Server {
    pub async fn run(self, file: File) -> anyhow::Result<()> {
        let section = self.flags.over(file.server);
        let kind = if self.null_store { StoreKind::Null } else { StoreKind::Sqlite };
        let server = crate::server::start(&section, &file.swarming, kind).await?;
        server.announce()?;
        announce(&server, &section.data_directory);
        let signal = wait_for_stop().await;
        tracing::info!("{signal}: stopping");
        server.stop().await;
        Ok(())
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
