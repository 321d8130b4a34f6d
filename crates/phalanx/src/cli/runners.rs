//! `phalanx runner list|drain`

use api_rest::types::{Drain as DrainRequest, RunnerDetail};
use clap::Args;

use super::connect::{Connect, Local};
use super::output;
use crate::config::File;

#[derive(Args)]
pub struct List {
    #[command(flatten)]
    connect: Connect,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl List {
    pub async fn run(self, file: File) -> anyhow::Result<()> {
        let local = Local::open(&self.connect, &file).await?;
        let runners: Vec<RunnerDetail> = local.client().get("runners").await?;
        local.close().await;
        if self.json {
            return output::json(&runners);
        }
        if runners.is_empty() {
            return output::print_line("no runner is connected; start one with `phalanx runner`");
        }
        let rows = runners.iter().map(|runner| {
            let state = match (runner.draining, runner.jobs.len()) {
                (true, _) => "draining",
                (false, 0) => "idle",
                (false, _) => "busy",
            };
            let dimensions =
                runner.dimensions.iter().map(|(key, values)| format!("{key}={}", values.join("|")));
            vec![
                runner.name.clone(),
                state.to_owned(),
                format!("{}/{}", runner.jobs.len(), runner.slots),
                runner.queues.join(","),
                dimensions.collect::<Vec<_>>().join(" "),
                output::ago(runner.seen_ms),
            ]
        });
        let header = ["name", "state", "slots", "queues", "dimensions", "seen"];
        output::print_line(&output::table(&header, rows.collect()))
    }
}

#[derive(Args)]
pub struct Drain {
    #[command(flatten)]
    connect: Connect,
    /// The runner's name
    name: String,
    /// Give it jobs again
    #[arg(long)]
    undo: bool,
}

impl Drain {
    pub async fn run(self, file: File) -> anyhow::Result<()> {
        let local = Local::open(&self.connect, &file).await?;
        let path = format!("runners/{}/drain", output::urlencode(&self.name));
        let runner: RunnerDetail =
            local.client().post(&path, &DrainRequest { drain: !self.undo }).await?;
        local.close().await;
        let does = if runner.draining { "gets no more jobs" } else { "gets jobs again" };
        output::print_line(&format!("`{}` {does}; it runs {} now", runner.name, runner.jobs.len()))
    }
}
