//! A long queue: what a dispatch costs in it, what it weighs, and how long a restart with it takes.

use std::time::Instant;

use anyhow::ensure;
use clap::Args;
use executor_protocol::WorkReply;
use serde_json::json;

use super::server::ServerProcess;
use super::{Figure, figure, median};

#[derive(Args)]
pub struct Queue {
    /// Queued jobs
    #[arg(long, default_value_t = 100_000)]
    jobs: u64,
    /// Restarts
    #[arg(long, default_value_t = 5)]
    restarts: usize,
}

impl Queue {
    pub async fn run(&self) -> anyhow::Result<Vec<Figure>> {
        let mut few = Vec::new();
        let mut many = Vec::new();
        let (mut restarts, mut memory) = (Vec::new(), 0);
        for round in 0..3 {
            few.push(self.dispatch_cost(100).await?);
            let data = tempfile::tempdir()?;
            let mut server = ServerProcess::start(data.path(), false, 60_000)?;
            submit(&server, self.jobs).await?;
            many.push(drain(&server, 2000).await?);
            submit(&server, 2000).await?;
            memory = memory.max(server.memory());
            if round > 0 {
                continue;
            }
            for _ in 0..self.restarts {
                server.kill();
                let began = Instant::now();
                server = ServerProcess::start(data.path(), false, 60_000)?;
                ensure!(
                    server.worker().await?.post("/.executors/test/auth", "", b"").await?.0 == 200,
                    "the server does not serve"
                );
                restarts.push(began.elapsed().as_secs_f64());
                memory = memory.max(server.memory());
            }
        }
        let (few, many) = (median(&mut few), median(&mut many));
        let jobs = self.jobs;
        Ok(vec![
            figure("server processor time a job, 100 queued", format!("{few:.1} µs"), None),
            figure(
                format!("server processor time a job, {jobs} queued"),
                format!("{many:.1} µs"),
                None,
            ),
            figure(
                "cost of a dispatch, long queue / short queue",
                format!("{:.2}", many / few),
                Some("≤ 1.5"),
            ),
            figure(
                format!("kill -9 with {jobs} queued → serving"),
                format!("{:.3} s", median(&mut restarts)),
                Some("≤ 2 s"),
            ),
            figure(
                format!("memory of the server with {jobs} queued"),
                format!("{} MB", memory / 1_000_000),
                Some("≤ 300 MB"),
            ),
        ])
    }

    /// The same work with a queue that is kept short.
    async fn dispatch_cost(&self, depth: u64) -> anyhow::Result<f64> {
        let data = tempfile::tempdir()?;
        let server = ServerProcess::start(data.path(), false, 60_000)?;
        let mut used = 0.0;
        for _ in 0..20 {
            submit(&server, depth).await?;
            used += drain(&server, depth).await? * depth as f64;
        }
        Ok(used / (20 * depth) as f64)
    }
}

async fn submit(server: &ServerProcess, jobs: u64) -> anyhow::Result<()> {
    let mut connection = server.user().await?;
    let mut left = jobs;
    while left > 0 {
        let count = left.min(2000);
        let payload = json!({ "repositoryName": "", "note": "x".repeat(260) });
        let body = json!({ "queue": "batches", "payloads": vec![payload; count as usize] });
        let (status, answer) = connection
            .post("/api/v1/jobs", "Content-Type: application/json\r\n", &serde_json::to_vec(&body)?)
            .await?;
        ensure!(status == 200, "submit: {status} {}", String::from_utf8_lossy(&answer));
        left -= count;
    }
    Ok(())
}

/// Takes and completes jobs one at a time; microseconds of the server's processor time for each.
async fn drain(server: &ServerProcess, jobs: u64) -> anyhow::Result<f64> {
    let mut connection = server.worker().await?;
    let body = json!({ "executorName": "drain", "session": 1, "queues": ["batches"], "slots": 1 });
    connection.post("/.executors/phalanx/register", "", &serde_json::to_vec(&body)?).await?;
    let before = server.cpu();
    let mut held = Vec::new();
    for poll in 1..=jobs {
        let body = json!({ "executorName": "drain", "session": 1, "jobs": held, "claim": { "poll": 0, "want": 1 } });
        let (status, answer) =
            connection.post("/.executors/phalanx/work", "", &serde_json::to_vec(&body)?).await?;
        ensure!(status == 200, "work {poll}: {status}");
        let reply: WorkReply = serde_json::from_slice(&answer)?;
        held = reply
            .claimed
            .iter()
            .map(|job| {
                json!({ "id": job.id, "token": job.token,
                    "complete": { "outcome": { "state": "succeeded" }, "logBytes": 0, "logCrc32": 0 } })
            })
            .collect();
        ensure!(!held.is_empty(), "the queue is empty too early");
    }
    let body = json!({ "executorName": "drain", "session": 1, "jobs": held });
    connection.post("/.executors/phalanx/work", "", &serde_json::to_vec(&body)?).await?;
    Ok((server.cpu() - before).as_micros() as f64 / jobs as f64)
}
