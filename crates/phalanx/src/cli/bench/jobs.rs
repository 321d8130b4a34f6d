//! Jobs per second: submit, claim, one log chunk, complete; no process is run. Over HTTP, the load on the same machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::ensure;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use executor_protocol::{Job, WorkReply};
use serde_json::json;

use super::server::ServerProcess;
use super::{Figure, figure, median};

#[derive(Args)]
pub struct Jobs {
    /// Connected workers
    #[arg(long, default_value_t = 64)]
    workers: u64,
    /// Jobs in each measurement
    #[arg(long, default_value_t = 60_000)]
    jobs: u64,
    /// Measurements, of which the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// What one request carries.
#[derive(Clone, Copy, PartialEq)]
enum Style {
    /// Claim, log and complete in a request each.
    Full,
    /// The log, the completion and the next claim of one job in one request.
    Piggyback,
    /// The same of ten jobs.
    Ten,
}

impl Jobs {
    pub fn run(&self) -> anyhow::Result<Vec<Figure>> {
        let mut lines = Vec::new();
        let mut rates = Vec::new();
        for (style, name, goal) in [
            (Style::Full, "claim, log, complete: 3 requests a job", Some("≥ 10000/s")),
            (Style::Piggyback, "one request a job (log + complete + claim)", None),
            (Style::Ten, "one request for ten jobs", Some("≥ 20000/s")),
        ] {
            let (mut durable, mut null, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..self.rounds {
                let (rate, micros) = self.measure(style, false)?;
                durable.push(rate);
                cpu.push(micros);
                null.push(self.measure(style, true)?.0);
            }
            let (durable, null) = (median(&mut durable), median(&mut null));
            rates.push(durable);
            lines.push(figure(format!("{name}, durable"), format!("{durable:.0}/s"), goal));
            lines.push(figure(
                "  server processor time a job",
                format!("{:.1} µs", median(&mut cpu)),
                None,
            ));
            lines.push(figure(
                "  the same with a store that keeps nothing",
                format!("{null:.0}/s"),
                None,
            ));
            let goal = (style == Style::Full).then_some("≥ 0.40");
            lines.push(figure("  durable / keeps nothing", format!("{:.2}", durable / null), goal));
        }
        lines.push(figure(
            "one request a job / three requests",
            format!("{:.2}", rates[1] / rates[0]),
            None,
        ));
        Ok(lines)
    }

    /// Jobs per second, and microseconds of the server's processor time for each. The load comes from one thread, so that
    /// it takes as little as possible from the server beside it.
    fn measure(&self, style: Style, null_store: bool) -> anyhow::Result<(f64, f64)> {
        std::thread::scope(|scope| {
            let load = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(self.load(style, null_store))
            });
            load.join().expect("the load does not panic")
        })
    }

    async fn load(&self, style: Style, null_store: bool) -> anyhow::Result<(f64, f64)> {
        let data = tempfile::tempdir()?;
        let server = Arc::new(ServerProcess::start(data.path(), null_store, 60_000)?);
        let cpu = server.cpu();
        let began = Instant::now();
        let left = Arc::new(AtomicU64::new(self.jobs));
        let submitter = tokio::spawn(submit(server.clone(), self.jobs));
        let mut workers = Vec::new();
        for number in 0..self.workers {
            workers.push(tokio::spawn(work(server.clone(), number, style, left.clone())));
        }
        // The first error ends it: the others would wait for that worker's jobs.
        futures::future::try_join_all(workers.into_iter().map(|worker| async { worker.await? }))
            .await?;
        submitter.await??;
        let seconds = began.elapsed().as_secs_f64();
        let used = server.cpu() - cpu;
        Ok((self.jobs as f64 / seconds, used.as_micros() as f64 / self.jobs as f64))
    }
}

/// A thousand jobs a request, with a payload of 300 bytes each.
async fn submit(server: Arc<ServerProcess>, jobs: u64) -> anyhow::Result<()> {
    let mut connection = server.user().await?;
    let mut left = jobs;
    while left > 0 {
        let count = left.min(1000);
        let payload = json!({ "repositoryName": "", "files": {}, "note": "x".repeat(260) });
        let body = json!({ "queue": "batches", "payloads": vec![payload; count as usize] });
        let (status, answer) = connection
            .post("/api/v1/jobs", "Content-Type: application/json\r\n", &serde_json::to_vec(&body)?)
            .await?;
        ensure!(status == 200, "submit: {status} {}", String::from_utf8_lossy(&answer));
        left -= count;
    }
    Ok(())
}

const LOG: &[u8] = &[b'x'; 1024];

async fn work(
    server: Arc<ServerProcess>,
    number: u64,
    style: Style,
    left: Arc<AtomicU64>,
) -> anyhow::Result<()> {
    let mut connection = server.worker().await?;
    let name = format!("worker-{number}");
    let want = if style == Style::Ten { 10 } else { 1 };
    let body = json!({ "executorName": name, "session": 1, "queues": ["batches"], "slots": want });
    connection.post("/.executors/phalanx/register", "", &serde_json::to_vec(&body)?).await?;
    if style == Style::Full {
        return full(&mut connection, &name, &left).await;
    }
    let log = STANDARD.encode(LOG);
    let crc = crc32(LOG);
    let mut held: Vec<Job> = Vec::new();
    let mut poll = 0;
    while left.load(Ordering::Relaxed) > 0 {
        poll += 1;
        let reports: Vec<_> = held
            .iter()
            .map(|job| {
                json!({ "id": job.id, "token": job.token, "log": { "offset": 0, "data": log },
                    "complete": { "outcome": { "state": "succeeded" }, "logBytes": LOG.len(), "logCrc32": crc } })
            })
            .collect();
        let reported = reports.len() as u64;
        let body = json!({ "executorName": name, "session": 1, "jobs": reports,
            "claim": { "poll": poll, "want": want } });
        let wait = if reported == 0 { "Prefer: wait=1\r\n" } else { "" };
        let (status, answer) =
            connection.post("/.executors/phalanx/work", wait, &serde_json::to_vec(&body)?).await?;
        ensure!(status == 200, "work: {status} {}", String::from_utf8_lossy(&answer));
        let reply: WorkReply = serde_json::from_slice(&answer)?;
        ensure!(reply.jobs.iter().all(|job| job.status == executor_protocol::JobStatus::Finished));
        left.fetch_sub(reported, Ordering::Relaxed);
        held = reply.claimed;
    }
    Ok(())
}

async fn full(
    connection: &mut super::http::Connection,
    name: &str,
    left: &AtomicU64,
) -> anyhow::Result<()> {
    let crc = crc32(LOG);
    let mut poll = 0;
    while left.load(Ordering::Relaxed) > 0 {
        poll += 1;
        let body = format!(
            "{{\"executorName\":\"{name}\",\"version\":\"0.0.0+dev\",\"phalanx\":{{\"session\":1,\"poll\":{poll}}}}}"
        );
        let (status, answer) = connection
            .post("/.executors/queue/batches/dequeue", "Prefer: wait=1\r\n", body.as_bytes())
            .await?;
        if status == 204 {
            continue;
        }
        ensure!(status == 200, "dequeue: {status} {}", String::from_utf8_lossy(&answer));
        let job: Job = serde_json::from_slice(&answer)?;
        let headers = format!(
            "X-Sourcegraph-Job-ID: {}\r\nX-Sourcegraph-Executor-Name: {name}\r\nX-Phalanx-Session: 1\r\n",
            job.id
        );
        let bearer = format!("Bearer {}", job.token);
        let (status, answer) = connection
            .post_as("/.executors/phalanx/log?offset=0", Some(&bearer), &headers, LOG)
            .await?;
        ensure!(status == 200, "log: {status} {}", String::from_utf8_lossy(&answer));
        let body = json!({ "executorName": name, "session": 1, "jobs": [{ "id": job.id, "token": job.token,
            "complete": { "outcome": { "state": "succeeded" }, "logBytes": LOG.len(), "logCrc32": crc } }] });
        let (status, answer) =
            connection.post("/.executors/phalanx/work", "", &serde_json::to_vec(&body)?).await?;
        ensure!(status == 200, "complete: {status} {}", String::from_utf8_lossy(&answer));
        left.fetch_sub(1, Ordering::Relaxed);
    }
    Ok(())
}

pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}
