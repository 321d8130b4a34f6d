//! Runners that only play: what they send is as after real work, and they do none.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use executor_protocol::{Job, JobStatus, WorkReply};
use serde_json::{Value, json};

use super::world;
use crate::cli::bench::http::Connection;
use crate::cli::bench::server::ServerProcess;

/// How a job ends.
enum Fate {
    Patch,
    Nothing,
    Failed,
    TimedOut,
}

/// The mix is the same in every hundred and in every team.
fn fate(number: u64) -> Fate {
    match (number / world::TEAMS + number) * 37 % 100 {
        0..70 => Fate::Patch,
        70..85 => Fate::Nothing,
        85..97 => Fate::Failed,
        _ => Fate::TimedOut,
    }
}

/// How each log begins: what was sent while the job ran stays.
const BEGUN: &str = "step 1: ./upgrade.sh\n";

fn all_finished(reply: &WorkReply) -> anyhow::Result<()> {
    let other = reply.jobs.iter().find(|job| job.status != JobStatus::Finished);
    ensure!(other.is_none(), "a completion was not taken: {other:?}");
    Ok(())
}

pub struct Player {
    name: String,
    connection: Connection,
    poll: u64,
    held: Vec<Job>,
}

impl Player {
    pub async fn new(server: &ServerProcess, number: u64) -> anyhow::Result<Self> {
        let mut connection = server.worker().await?;
        let name = format!("runner-{number}");
        let body = json!({ "executorName": name, "session": 1, "queues": ["batches"], "slots": 100,
            "dimensions": { "os": ["Linux"], "id": [name] } });
        let (status, answer) = connection
            .post("/.executors/phalanx/register", "", &serde_json::to_vec(&body)?)
            .await?;
        ensure!(status == 204, "register: {status} {}", String::from_utf8_lossy(&answer));
        Ok(Self { name, connection, poll: 0, held: Vec::new() })
    }

    /// Reports on the jobs that it holds, and takes others in the same request.
    async fn work(&mut self, reports: Vec<Value>, want: usize) -> anyhow::Result<WorkReply> {
        self.poll += 1;
        let body = json!({ "executorName": self.name, "session": 1, "jobs": reports,
            "claim": { "poll": self.poll, "want": want } });
        let (status, answer) = self
            .connection
            .post("/.executors/phalanx/work", "", &serde_json::to_vec(&body)?)
            .await?;
        ensure!(status == 200, "work: {status} {}", String::from_utf8_lossy(&answer));
        Ok(serde_json::from_slice(&answer)?)
    }

    /// Ends as many jobs as it gets of `left`, so many at once and that often, and keeps the last ones running.
    pub async fn play(
        &mut self,
        left: Arc<AtomicU64>,
        at_once: usize,
        pause: Duration,
    ) -> anyhow::Result<()> {
        let mut clock = tokio::time::interval(pause.max(Duration::from_micros(1)));
        loop {
            clock.tick().await;
            let held = std::mem::take(&mut self.held);
            let taken = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                Some(left.saturating_sub(held.len() as u64))
            });
            if taken == Ok(0) {
                // What is begun is seen as it runs.
                let logs = held.iter().map(|job| {
                    json!({ "id": job.id, "token": job.token,
                        "log": { "offset": 0, "data": STANDARD.encode(BEGUN) } })
                });
                self.work(logs.collect(), 0).await?;
                self.held = held;
                return Ok(());
            }
            let mut reports = Vec::new();
            for job in &held {
                reports.push(self.end(job).await?);
            }
            let reply = self.work(reports, at_once).await?;
            all_finished(&reply)?;
            ensure!(!reply.claimed.is_empty(), "the queue is empty too early");
            self.held = reply.claimed;
        }
    }

    /// Ends what it holds as a runner does that is told to stop.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let log = BEGUN.as_bytes();
        let reports = self.held.drain(..).map(|job| {
            json!({ "id": job.id, "token": job.token,
                "complete": { "outcome": { "state": "killed" }, "logBytes": log.len(), "logCrc32": crc32fast::hash(log) } })
        });
        let reports = reports.collect();
        let reply = self.work(reports, 0).await?;
        all_finished(&reply)
    }

    async fn end(&mut self, job: &Job) -> anyhow::Result<Value> {
        let order = job.phalanx.as_ref().and_then(|it| it.order.as_ref());
        let checkout = order.and_then(|order| order.checkout.as_ref());
        let repository = &checkout.context("the job has a checkout")?.name;
        let number: u64 =
            repository.rsplit('-').next().and_then(|it| it.parse().ok()).context("a number")?;
        let (outcome, first, second) = match fate(number) {
            Fate::Patch | Fate::Nothing => (json!({ "state": "succeeded" }), "succeeded", 0),
            Fate::Failed => (json!({ "state": "failed", "exitCode": 2 }), "failed", 2),
            Fate::TimedOut => (json!({ "state": "stepTimedOut" }), "timedOut", 124),
        };
        let mut log = BEGUN.to_owned();
        for line in 0..60 + number % 100 {
            log.push_str(&format!("  checked the file number {line} of {repository}\n"));
        }
        let mut outputs = Vec::new();
        let (mut changed, mut stat) = (json!({}), json!({}));
        if let Fate::Patch = fate(number) {
            let (patch, added) = world::patch(number);
            let lines =
                patch.lines().filter(|line| line.starts_with('+')).count() - added.len() - 1;
            stat = json!({ "files": added.len() + 1, "added": lines, "deleted": 0 });
            changed =
                json!({ "modified": ["README.md"], "added": added, "deleted": [], "renamed": [] });
            outputs.push(self.upload("patch", patch.as_bytes()).await?);
        }
        let mut result = json!({ "outputs": {}, "steps": [
            { "number": 1, "state": "succeeded", "exitCode": 0, "durationMs": 1200 + number % 900 },
            { "number": 2, "state": first, "exitCode": second, "durationMs": 30_000 + number } ] });
        if let Fate::Patch = fate(number) {
            result["changed"] = changed;
            result["diffStat"] = stat;
        }
        outputs.push(self.upload("result", result.to_string().as_bytes()).await?);
        Ok(json!({ "id": job.id, "token": job.token,
            "log": { "offset": 0, "data": STANDARD.encode(&log) },
            "complete": { "outcome": outcome, "logBytes": log.len(), "logCrc32": crc32fast::hash(log.as_bytes()),
                "outputs": outputs } }))
    }

    async fn upload(&mut self, name: &str, bytes: &[u8]) -> anyhow::Result<Value> {
        let digest = blobs::digest_of(bytes).to_string();
        let path = format!("/.executors/phalanx/blobs/{digest}");
        let (status, _) = self.connection.put(&path, bytes).await?;
        ensure!(status == 204, "an upload: {status}");
        Ok(json!({ "name": name, "digest": digest, "size": bytes.len() }))
    }
}
