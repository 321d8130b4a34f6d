//! How long a job is on its way from a submit to a runner that waits.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;
use executor_protocol::WorkReply;
use parking_lot::Mutex;
use serde_json::json;

use super::server::ServerProcess;
use super::{Figure, figure, percentile};

#[derive(Args)]
pub struct Dispatch {
    /// Parked runners
    #[arg(long, default_value_t = 1000)]
    runners: u64,
    /// Submits a second
    #[arg(long, default_value_t = 500)]
    rate: u64,
    /// Seconds
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

impl Dispatch {
    pub async fn run(&self) -> anyhow::Result<Vec<Figure>> {
        let data = tempfile::tempdir()?;
        let server = Arc::new(ServerProcess::start(data.path(), false, 60_000)?);
        let received: Arc<Mutex<HashMap<u64, Instant>>> = Arc::default();
        let mut runners = Vec::new();
        for number in 0..self.runners {
            runners.push(tokio::spawn(wait_for_work(server.clone(), number, received.clone())));
        }
        // Everyone is parked when the server says so.
        let mut user = server.user().await?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.parked(&server).await? < self.runners {
            ensure!(Instant::now() < deadline, "the runners do not park");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let body = serde_json::to_vec(&json!({ "queue": "batches", "count": 1 }))?;
        let mut sent: Vec<(u64, Instant)> = Vec::new();
        let mut acknowledged = Vec::new();
        let total = self.rate * self.seconds;
        let mut ticker = tokio::time::interval(Duration::from_micros(1_000_000 / self.rate));
        ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
        for _ in 0..total {
            ticker.tick().await;
            let at = Instant::now();
            let (status, answer) =
                user.post("/api/v1/jobs", "Content-Type: application/json\r\n", &body).await?;
            ensure!(status == 200, "submit: {status}");
            acknowledged.push(at.elapsed().as_secs_f64() * 1000.0);
            let created: serde_json::Value = serde_json::from_slice(&answer)?;
            sent.push((created["firstJob"].as_u64().unwrap_or(0), at));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        let received = received.lock().clone();
        let mut took: Vec<f64> = sent
            .iter()
            .filter_map(|(job, at)| {
                Some(received.get(job)?.duration_since(*at).as_secs_f64() * 1000.0)
            })
            .collect();
        ensure!(took.len() == sent.len(), "{} of {} jobs arrived", took.len(), sent.len());
        for runner in runners {
            runner.abort();
        }
        let name = format!("submit → runner has it, {} parked, {}/s", self.runners, self.rate);
        let milliseconds = |value: f64| format!("{value:.2} ms");
        Ok(vec![
            figure(
                format!("{name}: p50"),
                milliseconds(percentile(&mut took, 0.5)),
                Some("≤ 5 ms"),
            ),
            figure(
                format!("{name}: p99"),
                milliseconds(percentile(&mut took, 0.99)),
                Some("≤ 25 ms"),
            ),
            figure(
                "  submit acknowledged: p50",
                milliseconds(percentile(&mut acknowledged, 0.5)),
                None,
            ),
            figure(
                "  submit acknowledged: p99",
                milliseconds(percentile(&mut acknowledged, 0.99)),
                None,
            ),
        ])
    }

    async fn parked(&self, server: &ServerProcess) -> anyhow::Result<u64> {
        let client =
            crate::client::Client::new(&format!("http://{}", server.address), &server.token, None)?;
        let status: api_rest::types::ServerStatus = client.get("status").await?;
        Ok(status.parked_polls)
    }
}

async fn wait_for_work(
    server: Arc<ServerProcess>,
    number: u64,
    received: Arc<Mutex<HashMap<u64, Instant>>>,
) -> anyhow::Result<()> {
    let mut connection = server.worker().await?;
    let name = format!("parked-{number}");
    let body = json!({ "executorName": name, "session": 1, "queues": ["batches"], "slots": 1 });
    connection.post("/.executors/phalanx/register", "", &serde_json::to_vec(&body)?).await?;
    let mut poll = 0;
    let mut reports = Vec::new();
    loop {
        poll += 1;
        let body = json!({ "executorName": name, "session": 1, "jobs": reports, "claim": { "poll": poll, "want": 1 } });
        let (status, answer) = connection
            .post("/.executors/phalanx/work", "Prefer: wait=60\r\n", &serde_json::to_vec(&body)?)
            .await?;
        ensure!(status == 200, "work: {status}");
        let at = Instant::now();
        let reply: WorkReply = serde_json::from_slice(&answer)?;
        reports = reply
            .claimed
            .iter()
            .map(|job| {
                received.lock().insert(job.id, at);
                json!({ "id": job.id, "token": job.token,
                    "complete": { "outcome": { "state": "succeeded" }, "logBytes": 0, "logCrc32": 0 } })
            })
            .collect();
    }
}
