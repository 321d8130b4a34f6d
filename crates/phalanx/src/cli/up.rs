//! `phalanx up`: a server and one runner.

use anyhow::Context;
use clap::Args;
use runner::agent::Stop;

use super::{output, runner as runner_command, server};
use crate::config::{File, ServerFlags};
use crate::server::StoreKind;

#[derive(Args)]
pub struct Up {
    #[command(flatten)]
    server: ServerFlags,
    /// Jobs at once
    #[arg(short = 'j', long, env = "PHALANX_SLOTS", value_name = "COUNT")]
    slots: Option<u32>,
}

impl Up {
    pub async fn run(self, file: File) -> anyhow::Result<()> {
        let section = self.server.over(file.server);
        let running =
            crate::server::start(&section, &file.swarming, StoreKind::Sqlite, None).await?;
        let mut of_runner = file.runner.clone();
        of_runner.slots = self.slots.or(of_runner.slots);
        let work = section.data_directory.join("work");
        let token = running.runner_token.clone();
        let mut config =
            runner_command::agent_config(&of_runner, running.url(), token, Some(work))?;
        config.shares_host = true;
        running.announce_embedded_runner(&config.name)?;
        running.announce()?;
        let stop = Stop::default();
        let agent = tokio::spawn(runner::agent::run(
            config,
            runner_command::runtimes(true).await?,
            stop.clone(),
        ));
        output::print_line(&format!("URL    {}", running.url()))?;
        output::print_line(&format!("token  {}", running.token))?;
        output::print_line("")?;
        output::print_line(&format!("phalanx exec --server {} -f SPEC --repo DIR", running.url()))?;
        tokio::pin!(agent);
        let signal = tokio::select! {
            signal = server::wait_for_stop() => signal,
            ended = &mut agent => {
                running.stop().await;
                ended?.context("run jobs")?;
                anyhow::bail!("the runner ended by itself");
            }
        };
        tracing::info!("{signal}: waiting for running jobs; again to stop them");
        stop.drain.cancel();
        tokio::select! {
            _ = &mut agent => {}
            _ = server::wait_for_stop() => {
                stop.cancel.cancel();
                let _ = tokio::time::timeout(std::time::Duration::from_secs(10), agent).await;
            }
        }
        running.stop().await;
        Ok(())
    }
}
