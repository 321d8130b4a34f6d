//! `phalanx bench NAME`: measures, side by side in one run, on this machine and loopback only. Every figure is a ratio or comes
//! with what it is compared to.

mod crash;
mod dispatch;
mod exec;
mod fleet;
mod git;
mod http;
mod jobs;
mod lists;
mod pages;
mod queue;
mod runners;
mod search;
mod server;

use clap::{Args, Subcommand};

use super::output;

#[derive(Args)]
pub struct Bench {
    #[command(subcommand)]
    name: Name,
    /// As JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Name {
    /// Jobs per second through the whole engine, durable and not
    Jobs(jobs::Jobs),
    /// From submit to a parked runner
    Dispatch(dispatch::Dispatch),
    /// 100,000 queued jobs: cost of a dispatch, memory, restart
    Queue(queue::Queue),
    /// exec over many trees against plain shell
    Exec(exec::Exec),
    /// kill -9 of the server under load, with a ledger
    Crash(crash::Crash),
    /// Every page of the web UI while one execution has 10,000 jobs
    Pages(pages::Pages),
    /// A query over many repositories against rg over their files
    Search(search::Search),
    /// 20,000 Swarming bots: memory, latency, throughput, and kill -9 of the server under them
    Fleet(fleet::Fleet),
    /// Lists of Swarming's tasks and bots, with 10,000 and with 1,000,000 tasks in the store
    Lists(lists::Lists),
    #[command(hide = true)]
    FleetBots(fleet::Bots),
    /// kill -9, -STOP and -TERM of runners in the middle of jobs
    Runners(runners::Runners),
}

impl Bench {
    pub async fn run(self) -> anyhow::Result<()> {
        let (lines, good) = match self.name {
            Name::Jobs(bench) => (bench.run()?, true),
            Name::Dispatch(bench) => (bench.run().await?, true),
            Name::Queue(bench) => (bench.run().await?, true),
            Name::Exec(bench) => (bench.run().await?, true),
            Name::Crash(bench) => bench.run().await?,
            Name::Pages(bench) => (bench.run().await?, true),
            Name::Search(bench) => (bench.run().await?, true),
            Name::Runners(bench) => bench.run().await?,
            Name::Fleet(bench) => bench.run().await?,
            Name::Lists(bench) => (bench.run().await?, true),
            Name::FleetBots(bots) => return bots.run().await,
        };
        if self.json {
            output::json(&lines)?;
        } else {
            for line in &lines {
                let goal =
                    line.goal.as_ref().map(|goal| format!("   (goal {goal})")).unwrap_or_default();
                output::print_line(&format!("{:<58} {:>14}{goal}", line.what, line.value))?;
            }
        }
        if good { Ok(()) } else { Err(super::Exit(1).into()) }
    }
}

/// One figure.
#[derive(Debug, serde::Serialize)]
pub(super) struct Figure {
    what: String,
    value: String,
    goal: Option<&'static str>,
}

fn figure(what: impl Into<String>, value: impl Into<String>, goal: Option<&'static str>) -> Figure {
    Figure { what: what.into(), value: value.into(), goal }
}

/// The value below which this part of all values lies.
fn percentile(values: &mut [f64], part: f64) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part).round() as usize]
}

fn median(values: &mut [f64]) -> f64 {
    percentile(values, 0.5)
}
