//! One slot: claim, run, report, again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use executor_protocol::{Claim, Completion, Job, JobReport, JobStatus, LogChunk, OutputReport};
use futures::FutureExt;
use model::Outcome;
use tokio_util::sync::CancellationToken;

use super::lease::Held;
use super::services::HttpServices;
use super::{Agent, CLAIM_WAIT_SECONDS, ClientError, convert, log_shipper};
use crate::job::{JobResult, Services};
use crate::logs::{Recorder, Spool};
use crate::steps;

/// A log's rest up to this size travels with the completion.
const PIGGYBACK_BYTES: usize = 256 * 1024;
/// The lease of a server that does not say how long its leases are.
const TERM: Duration = Duration::from_secs(25);
/// How long the log of a job that is given back may take to arrive.
const LOG_MAX: Duration = Duration::from_secs(10);
/// How long giving a job back is tried; after that its lease ends by itself.
const GIVE_BACK_MAX: Duration = Duration::from_secs(30);
/// How long a finished job's report is repeated while the server is silent.
const REPORT_MAX: Duration = Duration::from_secs(600);

pub(crate) async fn run(agent: Arc<Agent>) -> Result<(), ClientError> {
    let mut next = None;
    while !agent.stop.drain.is_cancelled() {
        let job = match next.take() {
            Some(job) => job,
            None => {
                if !agent.may_take() {
                    return Ok(());
                }
                match claim(&agent).await {
                    Ok(Some(job)) => job,
                    Ok(None) => {
                        agent.take_back();
                        if agent.config.once {
                            return Ok(());
                        }
                        continue;
                    }
                    Err(ClientError::Stopped) => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        };
        next = run_one(&agent, job).await;
    }
    if let Some(job) = next {
        // Claimed with the last report, but told to stop since.
        let why = "the runner was stopped before it began";
        let _ = agent.client.release(job.id, &job.token, why).await;
    }
    Ok(())
}

async fn claim(agent: &Agent) -> Result<Option<Job>, ClientError> {
    let poll = agent.next_poll();
    let wait = if agent.config.once { 0 } else { CLAIM_WAIT_SECONDS };
    loop {
        let ask = || agent.client.work(&[], Some(Claim { poll, want: 1 }), wait);
        match agent.client.until_answered(&agent.stop.drain, ask).await {
            Ok(mut reply) => return Ok(reply.claimed.pop()),
            Err(ClientError::NotRegistered) => {
                let register = || agent.client.register(&agent.config);
                agent.client.until_answered(&agent.stop.drain, register).await?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Runs a job to its end and reports it. The next job, when one came with the answer.
async fn run_one(agent: &Arc<Agent>, job: Job) -> Option<Job> {
    let (id, token, queue) = (job.id, job.token.clone(), job.queue.clone());
    let attempt = job.phalanx.as_ref().map_or(1, |ours| ours.attempt);
    let held = Held {
        queue,
        token: token.clone(),
        cancel: agent.stop.cancel.child_token(),
        fenced: CancellationToken::new(),
        term: job.phalanx.as_ref().map_or(TERM, |ours| Duration::from_millis(ours.lease_ms)),
        confirmed: Instant::now(),
        reporting: Arc::default(),
    };
    agent.leases.add(id, held.clone());
    let spool = Arc::new(Spool::new());
    let shipper = tokio::spawn(log_shipper::run(agent.clone(), id, held.clone(), spool.clone()));
    let services: Arc<dyn Services> = HttpServices::new(agent.clone(), held.clone());
    let order = convert::order(agent, job);
    let mut remains = None;
    let result = match order {
        Err(why) => rejected(&why),
        Ok(order) => {
            let recorder = Recorder::new(spool.clone(), &order.secrets, order.plain_log);
            let run = steps::run_job(
                &order,
                services.clone(),
                &recorder,
                &agent.runtimes,
                &agent.directories,
                held.cancel.clone(),
            );
            // A mistake of ours must end the job, and not keep its lease alive for ever.
            let ended = std::panic::AssertUnwindSafe(run).catch_unwind().await;
            recorder.finish();
            match ended {
                Ok((result, left)) => {
                    remains = Some(left);
                    result
                }
                Err(_) => rejected("the runner failed while it ran this job: see the runner's log"),
            }
        }
    };
    spool.close();
    let tell = async {
        if held.fenced.is_cancelled() {
            tracing::warn!("job {id}: stopped and not reported; another runner has it");
            None
        } else if result.try_again
            || (agent.stop.cancel.is_cancelled() && result.outcome == Outcome::Killed)
        {
            // Nobody wants the job to stop but this runner. Its log arrives first, to say why.
            let _ = tokio::time::timeout(LOG_MAX, shipper).await;
            if result.try_again {
                // What failed now would fail again at once; the lease is kept meanwhile.
                let pause = Duration::from_secs(1 << attempt.saturating_sub(1).min(5));
                let _ = tokio::time::timeout(pause, held.cancel.cancelled()).await;
            }
            let why = result.message.as_deref().filter(|_| result.try_again);
            let why = why.unwrap_or("the runner was stopped");
            let give_back = || agent.client.release(id, &token, why);
            let give_up = CancellationToken::new();
            let stop = give_up.clone();
            tokio::spawn(async move {
                tokio::time::sleep(GIVE_BACK_MAX).await;
                stop.cancel();
            });
            let _ = agent.client.until_answered(&give_up, give_back).await;
            None
        } else {
            report(agent, id, &held, &spool, shipper, services, result).await
        }
    };
    // The folder goes while the result is on its way.
    let sweep = async {
        if let Some(remains) = remains {
            remains.remove().await;
        }
    };
    let (next, ()) = tokio::join!(tell, sweep);
    agent.leases.remove(id, &token);
    next
}

fn rejected(why: &str) -> JobResult {
    JobResult {
        outcome: Outcome::Rejected { why: why.into() },
        message: None,
        try_again: false,
        patch: None,
        steps: Vec::new(),
        changed: Default::default(),
        diff_stat: Default::default(),
        outputs: Default::default(),
    }
}

/// Uploads what the job left, sends the rest of its log and its end, and claims the next job with it.
async fn report(
    agent: &Arc<Agent>,
    id: u64,
    held: &Held,
    spool: &Spool,
    shipper: tokio::task::JoinHandle<u64>,
    services: Arc<dyn Services>,
    result: JobResult,
) -> Option<Job> {
    // A report that nobody takes must not hold the slot for ever (I13).
    let give_up = CancellationToken::new();
    let timer = give_up.clone();
    let alarm = tokio::spawn(async move {
        tokio::time::sleep(REPORT_MAX).await;
        timer.cancel();
    });
    let outputs = upload(services, &result).await;
    let (mut outcome, mut message) = (result.outcome, result.message);
    let outputs = match outputs {
        Ok(outputs) => outputs,
        Err(error) => {
            message = Some(format!("the results could not be uploaded: {error}"));
            outcome = Outcome::Rejected { why: message.clone().unwrap_or_default().into() };
            Vec::new()
        }
    };
    // Most of the log is there already. A short rest goes with the completion; a long one is shipped first.
    let mut shipped = None;
    let mut shipper = shipper;
    if spool.len() > PIGGYBACK_BYTES as u64 {
        shipped = (&mut shipper).await.ok();
    } else {
        shipper.abort();
        let _ = shipper.await;
    }
    held.reporting.store(true, Ordering::Release);
    let mut offset = shipped.unwrap_or(0).min(spool.len());
    let mut incomplete = false;
    let mut claim = agent.may_take() && !agent.stop.drain.is_cancelled();
    let claimed = claim;
    let poll = agent.next_poll();
    let next = loop {
        offset = offset.max(spool.released());
        let rest = spool.read_from(offset, PIGGYBACK_BYTES);
        let reports = [JobReport {
            id,
            token: held.token.clone(),
            log: (!rest.is_empty()).then(|| LogChunk { offset, data: STANDARD.encode(&rest) }),
            complete: Some(Completion {
                outcome: convert::outcome(&outcome),
                log_bytes: spool.len(),
                log_crc32: spool.crc32(),
                log_incomplete: incomplete,
                outputs: outputs.clone(),
                message: message.clone(),
            }),
        }];
        let wanted = claim.then_some(Claim { poll, want: 1 });
        let answer = agent
            .client
            .until_answered(&give_up, || agent.client.work(&reports, wanted.clone(), 0))
            .await;
        let mut reply = match answer {
            Ok(reply) => reply,
            Err(ClientError::NotRegistered) if claim => {
                claim = false;
                continue;
            }
            Err(error) => {
                tracing::warn!("job {id}: its end could not be reported: {error}");
                break None;
            }
        };
        let log = reply.jobs.first().and_then(|job| job.log);
        match reply.jobs.first().map(|job| job.status) {
            Some(JobStatus::LogIncomplete | JobStatus::LogRefused) if !incomplete => {
                let received = log.map_or(0, |log| log.received);
                // Bytes that were released are gone: only a server that lost what it called durable asks for them.
                incomplete = received < spool.released() || received > spool.len();
                offset = received.min(spool.len());
                // What the answer claimed is kept: the same poll gives it again.
                continue;
            }
            Some(JobStatus::OutputMissing) => {
                // Its blob store lost what it acknowledged; the lease ends, and another attempt is made.
                tracing::error!("job {id}: the server lost an output of it");
                break reply.claimed.pop();
            }
            Some(JobStatus::Fenced) => tracing::warn!("job {id}: its end came too late"),
            Some(JobStatus::Conflict) => {
                tracing::error!("job {id}: ended before with another result")
            }
            _ => {}
        }
        break reply.claimed.pop();
    };
    alarm.abort();
    if claimed && next.is_none() {
        agent.take_back();
    }
    next
}

/// The files that a job leaves beside its log.
async fn upload(
    services: Arc<dyn Services>,
    result: &JobResult,
) -> Result<Vec<OutputReport>, crate::job::ServiceError> {
    let put = async |name: &str, bytes: Option<Vec<u8>>| {
        let Some(bytes) = bytes else { return Ok(None) };
        let size = bytes.len() as u64;
        let digest = services.blob_put(bytes).await?.to_string();
        Ok(Some(OutputReport { name: name.to_owned(), digest, size }))
    };
    let patch = result.patch.clone().filter(|patch| !patch.is_empty());
    let document = (!result.steps.is_empty()).then(|| {
        let document = serde_json::json!({
            "steps": result.steps,
            "diffStat": result.diff_stat,
            "changed": result.changed,
            "outputs": result.outputs,
        });
        document.to_string().into_bytes()
    });
    let (patch, document) = tokio::try_join!(put("patch", patch), put("result", document))?;
    Ok(patch.into_iter().chain(document).collect())
}
