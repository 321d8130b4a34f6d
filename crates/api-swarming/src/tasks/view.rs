//! A task as clients see it. Facts: luci-go `swarming/server/model/{taskrequest,taskresult}.go`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use dispatcher::{AttemptView, JobView};
use model::{AttemptNumber, Cancel, JobId, JobState, NewJob, Outcome, WallMs};
use prost::Message;
use prost_types::Timestamp;

use crate::proto::stored::{BotFacts, Report, StoredTask};
use crate::proto::swarming::{TaskRequestResponse, TaskResultResponse, TaskState};
use crate::prpc::Status;
use crate::server::{Caller, Role, Server};
use crate::tasks::bot_of;
use crate::validate::TaskId;
use crate::validate::fill::{is_failure, ran_and_did_not_crash};

/// A task and what is stored of it.
#[derive(Clone, Debug)]
pub(crate) struct TaskView {
    pub id: TaskId,
    pub job: JobView,
    pub stored: StoredTask,
    /// The attempt that is over, if there is one.
    pub attempt: Option<AttemptView>,
    /// Whose result it took, and that one's attempt.
    pub original: Option<Box<TaskView>>,
}

pub(crate) fn timestamp(ms: i64) -> Timestamp {
    Timestamp {
        seconds: ms.div_euclid(1000),
        nanos: i32::try_from(ms.rem_euclid(1000) * 1_000_000).unwrap_or_default(),
    }
}

pub(crate) fn wall(at: WallMs) -> Timestamp {
    timestamp(i64::try_from(at.0).unwrap_or(i64::MAX))
}

pub(crate) fn state_of(state: &JobState) -> TaskState {
    match state {
        JobState::Queued { .. } => TaskState::Pending,
        JobState::Running { .. } => TaskState::Running,
        JobState::Finished { outcome, .. } => match outcome {
            Outcome::Succeeded | Outcome::Failed { .. } => TaskState::Completed,
            Outcome::TimedOut { .. } => TaskState::TimedOut,
            Outcome::Canceled => TaskState::Canceled,
            Outcome::Killed => TaskState::Killed,
            Outcome::Expired => TaskState::Expired,
            Outcome::NoResource => TaskState::NoResource,
            Outcome::RunnerLost => TaskState::BotDied,
            Outcome::Rejected { .. } => TaskState::ClientError,
        },
    }
}

fn decode<T: Message + Default>(what: &'static str, bytes: &[u8]) -> Result<T, Status> {
    T::decode(bytes).map_err(|error| {
        tracing::error!(what, "{error}");
        Status::new(crate::prpc::Code::Internal, "the server failed")
    })
}

impl TaskView {
    /// A task by its id. `None` when there is none.
    pub fn find(server: &Server, id: TaskId) -> Result<Option<Self>, Status> {
        Ok(Self::find_all(server, &[id])?.remove(&id))
    }

    /// Those of many that are there.
    pub fn find_all(server: &Server, ids: &[TaskId]) -> Result<HashMap<TaskId, Self>, Status> {
        let numbers: Vec<u64> =
            ids.iter().filter_map(|id| u64::try_from(id.number()).ok()).collect();
        let jobs = server.dispatcher.reader().jobs_by_wire_id(&numbers)?;
        let views = Self::of_jobs(server, jobs)?;
        Ok(views.into_iter().map(|view| (view.id, view)).collect())
    }

    /// One that was made just now.
    pub fn pending(id: TaskId, job: JobId, made: Arc<NewJob>, stored: StoredTask) -> Self {
        let state = JobState::Queued { slice: 0 };
        let created = WallMs(u64::try_from(id.created_ms()).unwrap_or_default());
        let job = JobView { id: job, group: None, job: made, created, state, attempts: 0 };
        Self { id, job, stored, attempt: None, original: None }
    }

    pub fn of_job(server: &Server, job: JobView) -> Result<Self, Status> {
        let mut views = Self::of_jobs(server, vec![job])?;
        Ok(views.pop().expect("a view for each job"))
    }

    /// With as many reads for many jobs as for one.
    pub fn of_jobs(server: &Server, jobs: Vec<JobView>) -> Result<Vec<Self>, Status> {
        let reader = server.dispatcher.reader();
        let mut originals: BTreeMap<JobId, JobView> = BTreeMap::new();
        for job in &jobs {
            if let Some(reuse) = job.job.terms.reuses
                && !originals.contains_key(&reuse.job)
                && let Some(view) = reader.job(reuse.job)?
            {
                originals.insert(reuse.job, view);
            }
        }
        let tried = jobs.iter().chain(originals.values()).filter(|job| job.attempts > 0);
        let tried: Vec<JobId> = tried.map(|job| job.id).collect();
        let attempts = match tried.is_empty() {
            true => Vec::new(),
            false => reader.last_attempts(&tried)?,
        };
        let mut attempts: HashMap<JobId, AttemptView> =
            attempts.into_iter().map(|attempt| (attempt.job, attempt)).collect();
        let mut done = BTreeMap::new();
        for (id, job) in originals {
            done.insert(id, Self::new(job, attempts.get(&id).cloned(), None)?);
        }
        jobs.into_iter()
            .map(|job| {
                let original = job.job.terms.reuses.and_then(|reuse| done.get(&reuse.job).cloned());
                let attempt = attempts.remove(&job.id);
                Self::new(job, attempt, original.map(Box::new))
            })
            .collect()
    }

    fn new(
        job: JobView,
        attempt: Option<AttemptView>,
        original: Option<Box<Self>>,
    ) -> Result<Self, Status> {
        let number = job.job.terms.wire_id.and_then(|id| i64::try_from(id).ok());
        let id = number.and_then(TaskId::of_number);
        let id = id.ok_or_else(|| Status::not_found("no such task"))?;
        let stored: StoredTask = decode("task", &job.job.payload)?;
        // A job that is tried again has an attempt before the one that is live.
        let attempt = attempt.filter(|_| matches!(job.state, JobState::Finished { .. }));
        Ok(Self { id, job, stored, attempt, original })
    }

    /// The request as it is stored: without `properties`.
    pub fn request(&self) -> &TaskRequestResponse {
        static NONE: std::sync::LazyLock<TaskRequestResponse> =
            std::sync::LazyLock::new(TaskRequestResponse::default);
        self.stored.request.as_ref().unwrap_or(&NONE)
    }

    /// Whether it is the caller's own. Who is nobody owns nothing: what was made while everybody was nobody is not
    /// every stranger's.
    pub fn is_of(&self, caller: &Caller) -> bool {
        caller.role > Role::Nobody && self.request().authenticated == caller.identity
    }

    /// The request as clients see it.
    pub fn shown_request(&self) -> TaskRequestResponse {
        let mut request = self.request().clone();
        request.properties = request.task_slices.first().and_then(|slice| slice.properties.clone());
        request
    }

    pub fn state(&self) -> TaskState {
        state_of(&self.job.state)
    }

    /// Whose output is its own: the job and attempt to read.
    pub fn output(&self) -> Option<(JobId, AttemptNumber)> {
        match (&self.job.state, &self.attempt, &self.original) {
            (_, _, Some(original)) => original.output(),
            (JobState::Running { attempt, .. }, ..) => Some((self.job.id, *attempt)),
            (_, Some(attempt), None) => Some((self.job.id, attempt.record.number)),
            (_, None, None) => None,
        }
    }

    /// The result as clients see it.
    pub fn result(&self, server: &Server, with_stats: bool) -> Result<TaskResultResponse, Status> {
        let request = self.request();
        let state = self.state();
        let created_ms = self.id.created_ms();
        let mut out = TaskResultResponse {
            task_id: self.id.summary(),
            created_ts: Some(timestamp(created_ms)),
            modified_ts: Some(timestamp(created_ms)),
            name: request.name.clone(),
            tags: request.tags.clone(),
            user: request.user.clone(),
            server_versions: vec![server.version.clone()],
            state: state as i32,
            ..TaskResultResponse::default()
        };
        match &self.job.state {
            JobState::Queued { slice } => {
                out.current_task_slice = i32::try_from(*slice).unwrap_or_default();
            }
            JobState::Running { runner, slice, since, cancel, facts, .. } => {
                out.current_task_slice = i32::try_from(*slice).unwrap_or_default();
                out.bot_id = bot_of(runner).to_owned();
                out.run_id = self.id.run();
                out.started_ts = Some(wall(*since));
                self.fill_facts(facts.as_deref(), *since, &mut out)?;
                let heard = server.last_heard(self.id);
                let mut modified = heard.unwrap_or(*since).max(*since);
                if let Cancel::Requested(at) = cancel {
                    out.abandoned_ts = Some(wall(*at));
                    modified = modified.max(*at);
                }
                out.modified_ts = Some(wall(modified));
            }
            JobState::Finished { slice, at, .. } => {
                // One that nobody took has been passed on to its last slice.
                let slice = match (state, self.request().task_slices.len()) {
                    (TaskState::NoResource | TaskState::Expired, count @ 1..) => count - 1,
                    _ => *slice as usize,
                };
                out.current_task_slice = i32::try_from(slice).unwrap_or_default();
                out.modified_ts = Some(wall(*at));
                out.completed_ts = Some(wall(*at));
                // One that its bot refused to begin was given up when somebody asked for that.
                if abandoned(state) && (state != TaskState::Canceled || self.attempt.is_none()) {
                    out.abandoned_ts = Some(wall(*at));
                }
                match (&self.original, &self.attempt) {
                    (Some(original), _) => {
                        self.fill_reused(original, server, with_stats, &mut out)?
                    }
                    (None, Some(attempt)) => self.fill_attempt(attempt, with_stats, &mut out)?,
                    (None, None) => {}
                }
            }
        }
        Ok(out)
    }

    fn fill_facts(
        &self,
        facts: Option<&[u8]>,
        claimed: WallMs,
        out: &mut TaskResultResponse,
    ) -> Result<(), Status> {
        let facts: BotFacts = decode("facts", facts.unwrap_or_default())?;
        out.bot_dimensions = facts.dimensions;
        out.bot_version = facts.version;
        out.bot_idle_since_ts = Some(match facts.idle_since_ms {
            0 => wall(claimed),
            ms => timestamp(ms),
        });
        Ok(())
    }

    fn fill_attempt(
        &self,
        attempt: &AttemptView,
        with_stats: bool,
        out: &mut TaskResultResponse,
    ) -> Result<(), Status> {
        let record = &attempt.record;
        let state = self.state();
        out.bot_id = bot_of(&record.runner).to_owned();
        out.run_id = self.id.run();
        out.started_ts = Some(wall(record.started));
        self.fill_facts(record.facts.as_deref(), record.started, out)?;
        let has_report = record.evidence.report.is_some();
        let report: Report =
            decode("report", record.evidence.report.as_deref().unwrap_or_default())?;
        if let Some(at) = record.cancel_requested {
            out.abandoned_ts = Some(wall(at));
        }
        // Hands that are no bots report by the outcome alone.
        let by_outcome = match &record.outcome {
            _ if has_report => None,
            Outcome::Succeeded => Some(0),
            Outcome::Failed { exit } => Some(i64::from(*exit)),
            Outcome::TimedOut { .. }
            | Outcome::Canceled
            | Outcome::Killed
            | Outcome::Expired
            | Outcome::NoResource
            | Outcome::RunnerLost
            | Outcome::Rejected { .. } => None,
        };
        // Nobody told how it ended.
        let vanished = !has_report && matches!(state, TaskState::Killed | TaskState::BotDied);
        let died = vanished || matches!(state, TaskState::BotDied | TaskState::ClientError);
        let numberless = died || state == TaskState::TimedOut;
        let elapsed = record.ended.0.saturating_sub(record.started.0) as f32 / 1000.0;
        let timed = numberless || by_outcome.is_some();
        let unknown = if numberless { -1 } else { 0 };
        out.exit_code = report.exit_code.or(by_outcome).unwrap_or(unknown);
        out.duration =
            report.duration.map_or(if timed { elapsed } else { 0.0 }, |seconds| seconds as f32);
        out.failure = !died && is_failure(state, out.exit_code);
        out.internal_failure = died;
        if report.cost_usd > 0.0 {
            out.costs_usd = vec![report.cost_usd as f32];
        }
        out.cas_output_root = report.cas_output_root;
        out.cipd_pins = report.cipd_pins;
        out.missing_cas = report.missing_cas;
        out.missing_cipd = report.missing_cipd;
        if with_stats && ran_and_did_not_crash(state) {
            out.performance_stats = report.performance_stats;
        }
        Ok(())
    }

    /// The other's result; name, tags, user and time of creation stay its own.
    fn fill_reused(
        &self,
        original: &Self,
        server: &Server,
        with_stats: bool,
        out: &mut TaskResultResponse,
    ) -> Result<(), Status> {
        let other = original.result(server, with_stats)?;
        out.modified_ts = Some(timestamp(self.id.created_ms()));
        out.started_ts = other.started_ts;
        out.completed_ts = other.completed_ts;
        out.exit_code = other.exit_code;
        out.duration = other.duration;
        out.bot_id = other.bot_id;
        out.bot_version = other.bot_version;
        out.bot_dimensions = other.bot_dimensions;
        out.bot_idle_since_ts = other.bot_idle_since_ts;
        out.bot_logs_cloud_project = other.bot_logs_cloud_project;
        out.cas_output_root = other.cas_output_root;
        out.cipd_pins = other.cipd_pins;
        out.resultdb_info = other.resultdb_info;
        out.performance_stats = other.performance_stats;
        out.run_id.clone_from(&other.run_id);
        out.deduped_from = other.run_id;
        out.cost_saved_usd = other.costs_usd.first().copied().unwrap_or_default();
        Ok(())
    }
}

/// Whether the end of a task in this state is also when it was given up.
fn abandoned(state: TaskState) -> bool {
    match state {
        TaskState::Expired
        | TaskState::NoResource
        | TaskState::BotDied
        | TaskState::ClientError
        | TaskState::Canceled => true,
        TaskState::Invalid
        | TaskState::Running
        | TaskState::Pending
        | TaskState::TimedOut
        | TaskState::Completed
        | TaskState::Killed => false,
    }
}
