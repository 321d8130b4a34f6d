//! Kills the real server with -9 under load, again and again, and compares what it acknowledged, as written down here, with
//! what it knows in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use api_rest::types::{CreatedJobs, JobDetail, ServerStatus};
use clap::Args;
use executor_protocol::{Job, JobStatus, WorkReply};
use parking_lot::Mutex;
use serde_json::json;

use super::http::Connection;
use super::server::ServerProcess;
use super::{Figure, figure, percentile};

#[derive(Args)]
pub struct Crash {
    /// How often to kill
    #[arg(long, default_value_t = 500)]
    kills: u64,
    /// Connected workers
    #[arg(long, default_value_t = 8)]
    workers: u64,
}

/// What the server acknowledged. Kept apart from it.
#[derive(Default)]
struct Ledger {
    /// First id and count of each submit, by idempotency key.
    submits: BTreeMap<u64, (u64, u64)>,
    /// The attempts under which each job was accepted as finished.
    finished: BTreeMap<u64, BTreeSet<String>>,
    canceled: BTreeSet<u64>,
    mismatches: Vec<String>,
}

struct Shared {
    address: String,
    user: String,
    worker: String,
    ledger: Mutex<Ledger>,
    stop: AtomicBool,
    drained: AtomicBool,
    requests: AtomicU64,
}

impl Crash {
    pub async fn run(&self) -> anyhow::Result<(Vec<Figure>, bool)> {
        let data = tempfile::tempdir()?;
        // Short leases, so that what a kill strands is taken up soon.
        let lease_ms = 2000;
        let mut server = ServerProcess::start(data.path(), false, lease_ms)?;
        let shared = Arc::new(Shared {
            address: server.address.clone(),
            user: format!("Bearer {}", server.token),
            worker: format!("token-executor {}", server.runner_token),
            ledger: Mutex::default(),
            stop: AtomicBool::new(false),
            drained: AtomicBool::new(false),
            requests: AtomicU64::new(0),
        });
        let submitters: Vec<_> = (0..2).map(|n| tokio::spawn(submit(shared.clone(), n))).collect();
        let workers: Vec<_> =
            (0..self.workers).map(|n| tokio::spawn(work(shared.clone(), n))).collect();
        let mut restarts = Vec::new();
        let began = Instant::now();
        for kill in 0..self.kills {
            // Any moment of a server's life, its start included.
            let alive = Duration::from_micros(rand::random_range(0..200_000));
            tokio::time::sleep(alive).await;
            server.kill();
            let restart = Instant::now();
            server = tokio::task::block_in_place(|| {
                ServerProcess::start_on(data.path(), false, lease_ms, &shared.address)
            })?;
            restarts.push(restart.elapsed().as_secs_f64() * 1000.0);
            if kill % 100 == 99 {
                tracing::info!("{} kills", kill + 1);
            }
        }
        shared.stop.store(true, Ordering::Relaxed);
        for submitter in submitters {
            submitter.await?;
        }
        let problems = self.settle(&shared, &server).await?;
        shared.drained.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.await?;
        }
        Ok(self.figures(&shared, problems, &mut restarts, began))
    }

    /// Waits until every accepted job is over, and compares.
    async fn settle(&self, shared: &Shared, server: &ServerProcess) -> anyhow::Result<Problems> {
        let client =
            crate::client::Client::new(&format!("http://{}", shared.address), &server.token, None)?;
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let status: ServerStatus = client.get("status").await?;
            if (status.queued, status.running) == (0, 0) || Instant::now() > deadline {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let mut stored = BTreeMap::new();
        let mut after = None;
        loop {
            let page = after.map(|id| format!("&after={id}")).unwrap_or_default();
            let jobs: Vec<JobDetail> = client.get(&format!("jobs?limit=1000{page}")).await?;
            let Some(last) = jobs.last() else { break };
            after = Some(last.job);
            stored.extend(jobs.into_iter().map(|job| (job.job, job)));
        }
        let ledger = shared.ledger.lock();
        let mut problems = Problems { texts: ledger.mismatches.clone(), ..Problems::default() };
        for (first, count) in ledger.submits.values() {
            for id in *first..first + count {
                problems.accepted += 1;
                match stored.get(&id) {
                    None => {
                        problems.lost += 1;
                        problems.texts.push(format!("accepted job {id} is not there"));
                    }
                    Some(job) if matches!(job.state.as_str(), "queued" | "running") => {
                        problems.texts.push(format!("job {id} did not end: {}", job.state));
                    }
                    Some(_) => {}
                }
            }
        }
        for (id, attempts) in &ledger.finished {
            problems.finished += 1;
            if attempts.len() > 1 {
                problems.twice += 1;
                problems.texts.push(format!("job {id} was accepted {} times", attempts.len()));
            }
            let state = stored.get(id).map_or("gone", |job| job.state.as_str());
            // A cancel that came first makes it `killed`.
            let fine = state == "succeeded" || (state == "killed" && ledger.canceled.contains(id));
            if !fine {
                problems.lost += 1;
                problems
                    .texts
                    .push(format!("job {id} was acknowledged as finished, and is {state}"));
            }
        }
        Ok(problems)
    }

    fn figures(
        &self,
        shared: &Shared,
        problems: Problems,
        restarts: &mut [f64],
        began: Instant,
    ) -> (Vec<Figure>, bool) {
        for text in problems.texts.iter().take(20) {
            eprintln!("{text}");
        }
        let requests = shared.requests.load(Ordering::Relaxed);
        let good = problems.texts.is_empty();
        let lines = vec![
            figure("kills of the server", self.kills.to_string(), Some("≥ 500")),
            figure("requests under load", requests.to_string(), None),
            figure("jobs accepted", problems.accepted.to_string(), None),
            figure("completions acknowledged", problems.finished.to_string(), None),
            figure("lost", problems.lost.to_string(), Some("0")),
            figure("accepted twice", problems.twice.to_string(), Some("0")),
            figure("mismatches of any kind", problems.texts.len().to_string(), Some("0")),
            figure("kill -9 → serving, p50", format!("{:.0} ms", percentile(restarts, 0.5)), None),
            figure("kill -9 → serving, p99", format!("{:.0} ms", percentile(restarts, 0.99)), None),
            figure("time", format!("{:.0} s", began.elapsed().as_secs_f64()), None),
        ];
        (lines, good)
    }
}

#[derive(Default)]
struct Problems {
    accepted: u64,
    finished: u64,
    lost: u64,
    twice: u64,
    texts: Vec<String>,
}

/// A request that is asked again, on a new connection, until it is answered.
async fn ask(
    shared: &Shared,
    connection: &mut Option<Connection>,
    authorization: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> (u16, Vec<u8>) {
    loop {
        if connection.is_none() {
            *connection = Connection::open(&shared.address, authorization).await.ok();
        }
        if let Some(open) = connection {
            shared.requests.fetch_add(1, Ordering::Relaxed);
            let answer =
                tokio::time::timeout(Duration::from_secs(10), open.post(path, headers, body)).await;
            if let Ok(Ok(answer)) = answer {
                return answer;
            }
        }
        *connection = None;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn submit(shared: Arc<Shared>, number: u64) {
    let mut connection = None;
    let mut key = number << 40;
    while !shared.stop.load(Ordering::Relaxed) {
        key += 1;
        let count = rand::random_range(1..20u64);
        let body = json!({ "queue": "batches", "count": count, "lostRunnerRetries": 1_000_000 })
            .to_string();
        let headers = format!("Content-Type: application/json\r\nIdempotency-Key: {key}\r\n");
        // Twice now and then: the same key must give the same jobs.
        for _ in 0..1 + u64::from(key.is_multiple_of(7)) {
            let (status, answer) = ask(
                &shared,
                &mut connection,
                &shared.user,
                "/api/v1/jobs",
                &headers,
                body.as_bytes(),
            )
            .await;
            let created: Option<CreatedJobs> = serde_json::from_slice(&answer).ok();
            let mut ledger = shared.ledger.lock();
            match created.filter(|_| status == 200) {
                Some(created) => {
                    let now = (created.first_job, created.jobs);
                    let known = *ledger.submits.entry(key).or_insert(now);
                    if known != now || created.jobs != count {
                        ledger.mismatches.push(format!("key {key}: {known:?} and then {now:?}"));
                    }
                }
                None => ledger
                    .mismatches
                    .push(format!("submit: {status} {}", String::from_utf8_lossy(&answer))),
            }
        }
        if key.is_multiple_of(5) {
            let id = shared.ledger.lock().submits.get(&key).map(|(first, _)| *first);
            if let Some(id) = id {
                let path = format!("/api/v1/jobs/{id}/cancel");
                ask(
                    &shared,
                    &mut connection,
                    &shared.user,
                    &path,
                    "Content-Type: application/json\r\n",
                    b"null",
                )
                .await;
                shared.ledger.lock().canceled.insert(id);
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn work(shared: Arc<Shared>, number: u64) {
    let mut connection = None;
    let name = format!("worker-{number}");
    let register = json!({ "executorName": name, "session": 1, "queues": ["batches"], "slots": 4 })
        .to_string();
    let mut held: Vec<Job> = Vec::new();
    let mut poll = 0;
    while !(shared.drained.load(Ordering::Relaxed) && held.is_empty()) {
        poll += 1;
        let log = format!("0.000 out job of {name}\n");
        let crc = super::jobs::crc32(log.as_bytes());
        let data = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &log);
        let reports: Vec<_> = held
            .iter()
            .map(|job| json!({ "id": job.id, "token": job.token, "log": { "offset": 0, "data": data },
                "complete": { "outcome": { "state": "succeeded" }, "logBytes": log.len(), "logCrc32": crc } }))
            .collect();
        let body = json!({ "executorName": name, "session": 1, "jobs": reports,
            "claim": { "poll": poll, "want": 4 } })
        .to_string();
        let wait = if held.is_empty() { "Prefer: wait=0.2\r\n" } else { "" };
        let (status, answer) = ask(
            &shared,
            &mut connection,
            &shared.worker,
            "/.executors/phalanx/work",
            wait,
            body.as_bytes(),
        )
        .await;
        if status == 412 {
            ask(
                &shared,
                &mut connection,
                &shared.worker,
                "/.executors/phalanx/register",
                "",
                register.as_bytes(),
            )
            .await;
            continue;
        }
        let Ok(reply) = serde_json::from_slice::<WorkReply>(&answer) else {
            let text = format!("work: {status} {}", String::from_utf8_lossy(&answer));
            shared.ledger.lock().mismatches.push(text);
            continue;
        };
        let mut ledger = shared.ledger.lock();
        for (job, reply) in held.iter().zip(&reply.jobs) {
            match reply.status {
                JobStatus::Finished => {
                    ledger.finished.entry(job.id).or_default().insert(job.token.clone());
                }
                // Its lease ended while the server was down for long, or it was cancelled by force.
                JobStatus::Fenced => {}
                other => ledger.mismatches.push(format!("job {}: {other:?}", job.id)),
            }
        }
        held = reply.claimed;
    }
}
