//! What users and workers do to jobs.

use std::sync::Arc;

use blobs::{AppendError, Appended, LogError};
use engine::ops::{
    AppendLogOp, AppendLogOutcome, CancelOp, CancelOutcome, CompleteOp, CompleteOutcome, Fenced,
    ReleaseOp, ReleaseOutcome, RetryOp, RetryOutcome, SubmitOp, SubmitOutcome,
};
use engine::{Explanation, Lease};
use model::{AttemptNumber, Cancel, Evidence, GroupId, JobId, JobState, LeaseToken, Outcome};

use crate::{Dispatcher, JobFilter, StoreError};

/// A lease with what the runner is to do.
#[derive(Clone, Debug)]
pub struct GrantedJob {
    pub lease: Lease,
    /// `None`: read it from the store with [`Dispatcher::payload`].
    pub payload: Option<Arc<[u8]>>,
}

/// What became of a log chunk.
#[derive(Debug)]
pub enum AppendReply {
    Appended { appended: Appended, cancel: Cancel },
    Fenced(Fenced),
    Refused(AppendError),
}

/// What became of a completion.
#[derive(Debug)]
pub enum CompleteReply {
    Finished {
        recorded: Outcome,
    },
    /// It was complete already, with the same content (I14).
    Already {
        recorded: Outcome,
    },
    /// It was complete already, with another content. Nothing changed.
    Conflict {
        recorded: Outcome,
    },
    /// The log is not all here: send from `have`, or say that it is incomplete.
    LogIncomplete {
        have: u64,
        crc32: u32,
    },
    Fenced(Fenced),
}

/// What became of a retry.
#[derive(Debug, PartialEq, Eq)]
pub enum RetryReply {
    Queued,
    AlreadyLive,
    Unknown,
    TooManyLive { max: usize },
}

/// What became of a retry of all that failed in a group.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RetriedGroup {
    pub queued: Vec<JobId>,
    /// Some were left as they are, for there are so many live jobs already.
    pub too_many_live: Option<usize>,
}

impl RetriedGroup {
    /// Why not all that failed run again, in words.
    pub fn incomplete(&self) -> Option<String> {
        let (queued, max) = (self.queued.len(), self.too_many_live?);
        Some(format!(
            "{queued} jobs run again, and the others do not: there are {max} live jobs already; try again later"
        ))
    }
}

impl Dispatcher {
    pub async fn submit(&self, op: SubmitOp) -> SubmitOutcome {
        let payloads: Vec<_> = op.jobs.iter().map(|job| job.payload.clone()).collect();
        self.gated(|core, now| {
            let outcome = core.engine.submit(op, now);
            if let SubmitOutcome::Accepted { first_job, .. } = outcome {
                for (job, payload) in (first_job.0..).zip(payloads) {
                    // A job that a parked poll took already is answered with this payload, below.
                    core.payloads.put(JobId(job), payload);
                }
            }
            outcome
        })
        .await
    }

    /// The payload of a granted job.
    pub fn payload(&self, job: JobId) -> Result<Option<Arc<[u8]>>, StoreError> {
        self.shared.reader.payload(job)
    }

    /// Adds to the log. The reply says how much survives what; nothing waits for a sync here.
    pub async fn append_log(
        &self,
        job: JobId,
        token: LeaseToken,
        offset: u64,
        bytes: &[u8],
    ) -> AppendReply {
        let allowed =
            self.ungated(|core, now| core.engine.append_log(AppendLogOp { job, token }, now));
        let (attempt, cancel) = match allowed {
            AppendLogOutcome::Allowed { attempt, cancel } => (attempt, cancel),
            AppendLogOutcome::Fenced(fenced) => {
                self.settled().await;
                return AppendReply::Fenced(fenced);
            }
        };
        if cancel.is_requested() {
            self.settled().await;
        }
        match self.shared.logs.append(job, attempt, offset, bytes) {
            Ok(appended) => AppendReply::Appended { appended, cancel },
            Err(error) => AppendReply::Refused(error),
        }
    }

    /// Ends an attempt, when its log is here whole or said to be incomplete.
    pub async fn complete(
        &self,
        job: JobId,
        token: LeaseToken,
        outcome: Outcome,
        evidence: Evidence,
    ) -> CompleteReply {
        let attempt = token.attempt();
        let wanted = (outcome.clone(), evidence.clone());
        let logs = self.shared.logs.clone();
        let reply = self
            .gated(|core, now| {
                let mut evidence = evidence;
                let allowed = core.engine.append_log(AppendLogOp { job, token }, now);
                if let AppendLogOutcome::Fenced(fenced) = allowed {
                    return CompleteReply::Fenced(fenced);
                }
                let (have, crc32) = logs.summary(job, attempt);
                if evidence.log_incomplete {
                    (evidence.log_bytes, evidence.log_crc32) = (have, crc32);
                } else if (have, crc32) != (evidence.log_bytes, evidence.log_crc32) {
                    return CompleteReply::LogIncomplete { have, crc32 };
                }
                evidence.log_extents = logs.close(job, attempt).extents.encode().into();
                match core.engine.complete(CompleteOp { job, token, outcome, evidence }, now) {
                    CompleteOutcome::Finished { recorded } => CompleteReply::Finished { recorded },
                    CompleteOutcome::Fenced(fenced) => CompleteReply::Fenced(fenced),
                }
            })
            .await;
        match reply {
            CompleteReply::Fenced(fenced) => self.compare_with_stored(job, attempt, wanted, fenced),
            reply => reply,
        }
    }

    /// A completion that came too late: the same again, or another.
    fn compare_with_stored(
        &self,
        job: JobId,
        attempt: AttemptNumber,
        (outcome, evidence): (Outcome, Evidence),
        fenced: Fenced,
    ) -> CompleteReply {
        let Ok(Some(stored)) = self.shared.reader.attempt(job, attempt) else {
            return CompleteReply::Fenced(fenced);
        };
        let recorded = stored.record.outcome;
        if recorded == Outcome::RunnerLost {
            return CompleteReply::Fenced(fenced);
        }
        let same_outcome = recorded == outcome || recorded == Outcome::Killed;
        let stored = stored.record.evidence;
        let same = same_outcome
            && stored.outputs == evidence.outputs
            && (evidence.log_incomplete
                || (stored.log_bytes, stored.log_crc32)
                    == (evidence.log_bytes, evidence.log_crc32));
        if same {
            CompleteReply::Already { recorded }
        } else {
            CompleteReply::Conflict { recorded }
        }
    }

    pub async fn release(&self, op: ReleaseOp) -> ReleaseOutcome {
        let (job, attempt) = (op.job, op.token.attempt());
        let outcome = self.gated(|core, now| core.engine.release(op, now)).await;
        if outcome == ReleaseOutcome::Released {
            self.shared.logs.close(job, attempt);
        }
        outcome
    }

    pub async fn cancel(&self, op: CancelOp) -> CancelOutcome {
        self.gated(|core, now| core.engine.cancel(op, now)).await
    }

    /// Queues a finished job again. The store is read under the lock, when nothing of the job is on its way there: so what is
    /// retried is what is true.
    pub async fn retry(&self, id: JobId) -> Result<RetryReply, StoreError> {
        let reader = self.shared.reader.clone();
        loop {
            let reply = self
                .gated(|core, now| {
                    if core.engine.is_live(id) {
                        return Ok(Some(RetryReply::AlreadyLive));
                    }
                    if core.gate.is_finishing(id) {
                        return Ok(None);
                    }
                    let Some(view) = reader.job(id)? else { return Ok(Some(RetryReply::Unknown)) };
                    // A door that names its jobs has them asked for anew, and deletes them when they are old.
                    if view.job.terms.wire_id.is_some() {
                        return Ok(Some(RetryReply::Unknown));
                    }
                    let JobState::Finished { .. } = view.state else {
                        return Ok(Some(RetryReply::AlreadyLive));
                    };
                    let payload = view.job.payload.clone();
                    let op = RetryOp {
                        id,
                        job: view.job,
                        group: view.group,
                        created: view.created,
                        attempts: view.attempts,
                    };
                    let outcome = core.engine.retry(op, now);
                    Ok(Some(match outcome {
                        RetryOutcome::Queued => {
                            core.payloads.put(id, payload);
                            RetryReply::Queued
                        }
                        RetryOutcome::AlreadyLive => RetryReply::AlreadyLive,
                        RetryOutcome::TooManyLive { max } => RetryReply::TooManyLive { max },
                    }))
                })
                .await?;
            if let Some(reply) = reply {
                return Ok(reply);
            }
        }
    }

    /// Queues every job of a group again that ended otherwise than well.
    pub async fn retry_failed(&self, group: GroupId) -> Result<RetriedGroup, StoreError> {
        let mut retried = RetriedGroup::default();
        let mut after = None;
        loop {
            let filter =
                JobFilter { group: Some(group), after, limit: 1000, ..JobFilter::default() };
            let page = self.reader().jobs(filter)?;
            let Some(last) = page.last() else { return Ok(retried) };
            after = Some(last.id);
            let failed = page.iter().filter(|view| {
                matches!(&view.state, JobState::Finished { outcome, .. } if !outcome.is_success())
            });
            // Together, so that a commit carries many of them.
            let replies = futures::future::join_all(
                failed.map(async |view| Ok::<_, StoreError>((view.id, self.retry(view.id).await?))),
            );
            for reply in replies.await {
                match reply? {
                    (id, RetryReply::Queued) => retried.queued.push(id),
                    (_, RetryReply::TooManyLive { max }) => retried.too_many_live = Some(max),
                    (_, RetryReply::AlreadyLive | RetryReply::Unknown) => {}
                }
            }
            if retried.too_many_live.is_some() {
                return Ok(retried);
            }
        }
    }

    /// Whether a job is queued or running.
    pub fn is_live(&self, job: JobId) -> bool {
        self.shared.core.lock().engine.is_live(job)
    }

    /// Why a job does not run, or where it does.
    pub fn explain(&self, job: JobId) -> Explanation {
        self.shared.core.lock().engine.explain(job)
    }

    /// See [`engine::Engine::slice_left_ms`].
    pub fn slice_left_ms(&self, job: JobId) -> Option<u64> {
        let now = self.shared.clock.now();
        self.shared.core.lock().engine.slice_left_ms(job, now)
    }

    /// Reads a log, live or finished: bytes from `offset`, and whether more may come.
    pub fn read_log(
        &self,
        job: JobId,
        attempt: AttemptNumber,
        offset: u64,
        max: usize,
    ) -> Result<Option<LogRead>, StoreError> {
        let wrap = |error: LogError| StoreError::new(format!("read the log of job {job}"), error);
        // Live first, then stored: a log that is closed in between is found in the second look.
        if let Some(state) = self.shared.logs.state(job, attempt) {
            let bytes = self.shared.logs.read_extents(&state.extents, offset, max).map_err(wrap)?;
            return Ok(Some(LogRead { bytes, length: state.length, over: false }));
        }
        if let Some(stored) = self.shared.reader.attempt(job, attempt)? {
            let evidence = stored.record.evidence;
            let extents = blobs::Extents::decode(&evidence.log_extents).unwrap_or_default();
            let bytes = self.shared.logs.read_extents(&extents, offset, max).map_err(wrap)?;
            return Ok(Some(LogRead { bytes, length: evidence.log_bytes, over: true }));
        }
        let running = self.shared.reader.job(job)?.map(|view| view.state);
        Ok(match running {
            Some(JobState::Running { attempt: live, .. }) if live == attempt => {
                Some(LogRead { bytes: Vec::new(), length: 0, over: false })
            }
            _ => None,
        })
    }
}

/// A piece of a log.
#[derive(Clone, Debug)]
pub struct LogRead {
    pub bytes: Vec<u8>,
    /// The whole log's length now.
    pub length: u64,
    /// Nothing will be added.
    pub over: bool,
}
