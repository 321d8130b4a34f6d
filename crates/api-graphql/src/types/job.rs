//! Jobs, their attempts, logs and diffs.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};
use campaign::execution::{JobDetail, WorkspaceJob, job_detail, job_order};
use campaign::page::{Page, Window};
use campaign::service::Service;
use dispatcher::{AttemptView, JobFilter, JobStanding, JobView};
use model::{AttemptNumber, JobId, JobState, LeaseToken, Outcome};

use crate::convert::{BigInt, DateTime, Kind, id, int, service};
use crate::loaders::{EndOf, Ended, RowOf, WhyOf, batch, unshare};
use crate::page::Connection;
use crate::status;
use crate::types::agent::Agent;
use crate::types::definition::{ActionDefinition, run_of};
use crate::types::diff::{DiffStat, PreviewRepositoryComparison};
use crate::types::execution::ActionExecution;
use crate::types::repository::{GitCommit, Repository};

/// A job; with a lease when it was just given to an agent.
pub(crate) struct ActionJob {
    pub view: JobView,
    pub lease: Option<LeaseToken>,
}

#[derive(Enum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ActionJobState {
    Pending,
    Running,
    Completed,
    Errored,
    Timeout,
    Canceled,
}

impl ActionJobState {
    /// The outcomes that it stands for.
    pub fn outcomes(self) -> &'static [&'static str] {
        match self {
            Self::Pending | Self::Running => &[],
            Self::Completed => &["succeeded"],
            Self::Errored => &["failed", "expired", "no_resource", "runner_lost", "rejected"],
            Self::Timeout => &["timed_out"],
            Self::Canceled => &["canceled", "killed"],
        }
    }

    fn of(state: &JobState) -> Self {
        match state {
            JobState::Queued { .. } => Self::Pending,
            JobState::Running { .. } => Self::Running,
            JobState::Finished { outcome, .. } => match outcome {
                Outcome::Succeeded => Self::Completed,
                Outcome::TimedOut { .. } => Self::Timeout,
                Outcome::Canceled | Outcome::Killed => Self::Canceled,
                Outcome::Failed { .. }
                | Outcome::Expired
                | Outcome::NoResource
                | Outcome::RunnerLost
                | Outcome::Rejected { .. } => Self::Errored,
            },
        }
    }
}

impl From<ActionJobState> for JobStanding {
    fn from(state: ActionJobState) -> Self {
        match state {
            ActionJobState::Pending => Self::Queued,
            ActionJobState::Running => Self::Running,
            state => Self::Finished(state.outcomes()),
        }
    }
}

#[derive(SimpleObject)]
pub(crate) struct ActionJobStep {
    number: i32,
    run: String,
    container: Option<String>,
    state: String,
    exit_code: Option<i32>,
    duration_ms: Option<BigInt>,
}

#[derive(SimpleObject)]
pub(crate) struct ActionJobAttempt {
    number: i32,
    agent: String,
    state: String,
    exit_code: Option<i32>,
    message: Option<String>,
    started_at: Option<DateTime>,
    ended_at: Option<DateTime>,
    log_bytes: BigInt,
    log_incomplete: bool,
    live: bool,
}

/// A piece of a log. Bytes that are no UTF-8 are shown as replacement characters; offsets count bytes.
#[derive(SimpleObject)]
pub(crate) struct LogRange {
    pub offset: BigInt,
    pub text: String,
    pub next_offset: BigInt,
    pub total_bytes: BigInt,
    /// Nothing will be added.
    pub closed: bool,
}

/// What the patch becomes on a code host.
#[derive(SimpleObject)]
pub(crate) struct RenderedChangeset {
    branch: String,
    title: String,
    body: String,
    commit_message: String,
    files: Vec<String>,
}

/// Longest log that the field `log` gives whole; the rest is asked for in ranges.
const LOG_WHOLE: usize = 1024 * 1024;
const LOG_RANGE_MAX: i32 = 1024 * 1024;

impl ActionJob {
    pub fn of(view: JobView) -> Self {
        Self { view, lease: None }
    }

    /// Where jobs of these states stand; `state` is the prototype's, for one.
    pub fn standings(
        state: Option<ActionJobState>,
        states: Option<Vec<ActionJobState>>,
    ) -> Vec<JobStanding> {
        state.into_iter().chain(states.into_iter().flatten()).map(JobStanding::from).collect()
    }

    pub async fn list(
        ctx: &Context<'_>,
        filter: JobFilter,
        window: Window<JobId>,
        after: bool,
    ) -> Result<Connection<Self>> {
        let read = move |it: &campaign::service::Service| {
            let reader = it.dispatcher.reader();
            let total = reader.count_jobs(filter.clone())?;
            let filter = JobFilter { after: window.after, limit: window.first + 1, ..filter };
            let jobs = reader.jobs(filter.clone())?;
            let more = match jobs.last() {
                // A page of large jobs is cut short, though others follow.
                Some(last) if jobs.len() <= window.first => {
                    let rest = JobFilter { after: Some(last.id), limit: 1, ..filter };
                    !reader.jobs(rest)?.is_empty()
                }
                Some(_) => true,
                None => false,
            };
            Ok(Page { more, ..Page::cut(jobs, window.first, total) })
        };
        let page = service(ctx).blocking(read).await.map_err(status::store)?;
        Ok(Connection::new(page.map(Self::of), after, |it| it.view.id.to_string()))
    }

    fn workspace(&self) -> WorkspaceJob {
        job_order(&self.view.job.payload).unwrap_or_else(|| WorkspaceJob {
            repository: String::new(),
            branch: String::new(),
            commit: String::new(),
            path: String::new(),
            only_fetch_workspace: false,
            search_result_paths: Vec::new(),
        })
    }

    /// The last attempt that is over.
    async fn last(&self, ctx: &Context<'_>) -> Result<Option<Arc<Ended>>> {
        if self.view.attempts == 0 {
            return Ok(None);
        }
        batch(ctx).load_one(EndOf(self.view.id)).await.map_err(unshare)
    }

    async fn detail(&self, ctx: &Context<'_>) -> Result<JobDetail> {
        let last = self.last(ctx).await?;
        let last = last.as_deref().map(|ended| (&ended.attempt, &ended.result));
        Ok(job_detail(&self.view, last))
    }

    async fn execution_row(&self, ctx: &Context<'_>) -> Result<Option<ActionExecution>> {
        let Some(group) = self.view.group else { return Ok(None) };
        Ok(batch(ctx).load_one(RowOf(group)).await.map_err(unshare)?.map(ActionExecution))
    }

    async fn document(&self, ctx: &Context<'_>) -> Result<Option<campaign::execution::Document>> {
        let Some(group) = self.view.group else { return Ok(None) };
        let group = batch(ctx).load_one(group).await.map_err(unshare)?;
        Ok(group.and_then(|group| serde_json::from_slice(&group.group.document).ok()))
    }

    /// The attempt whose log is meant: the newest when none is named.
    fn attempt_number(&self, asked: Option<i32>) -> Option<AttemptNumber> {
        match asked {
            Some(number) => u32::try_from(number).ok().map(AttemptNumber),
            None => (self.view.attempts > 0).then_some(AttemptNumber(self.view.attempts)),
        }
    }

    pub async fn range(
        &self,
        ctx: &Context<'_>,
        attempt: Option<i32>,
        offset: u64,
        bytes: usize,
    ) -> Result<Option<LogRange>> {
        self.piece(service(ctx), attempt, offset, bytes).await
    }

    /// A piece of the log of an attempt; nothing when there is no such attempt.
    pub async fn piece(
        &self,
        service: &Arc<Service>,
        attempt: Option<i32>,
        offset: u64,
        bytes: usize,
    ) -> Result<Option<LogRange>> {
        let Some(number) = self.attempt_number(attempt) else { return Ok(None) };
        let job = self.view.id;
        let read = service
            .blocking(move |it| it.dispatcher.read_log(job, number, offset, bytes))
            .await
            .map_err(status::store)?;
        Ok(read.map(|read| LogRange {
            offset: BigInt(offset),
            next_offset: BigInt(offset + read.bytes.len() as u64),
            text: String::from_utf8_lossy(&read.bytes).into_owned(),
            total_bytes: BigInt(read.length),
            closed: read.over,
        }))
    }
}

#[Object]
impl ActionJob {
    /// An id that `pullActionJob` gave carries the lease: only with it may an agent write.
    pub async fn id(&self) -> ID {
        match &self.lease {
            Some(lease) => id(Kind::ActionJob, format!("{}:{}", self.view.id, lease.to_hex())),
            None => id(Kind::ActionJob, self.view.id),
        }
    }

    async fn definition(&self, ctx: &Context<'_>) -> Result<ActionDefinition> {
        let document = self.document(ctx).await?;
        let document = document.ok_or_else(|| status::not_found("definition of this job"))?;
        Ok(ActionDefinition { text: document.text, spec: document.spec })
    }

    async fn repository(&self, ctx: &Context<'_>) -> Repository {
        Repository::named(service(ctx).searcher.repositories(), &self.workspace().repository)
    }

    async fn base_revision(&self) -> GitCommit {
        GitCommit { oid: self.workspace().commit }
    }

    async fn state(&self) -> ActionJobState {
        ActionJobState::of(&self.view.state)
    }

    /// Who runs it, or ran it last.
    async fn agent(&self, ctx: &Context<'_>) -> Result<Option<Agent>> {
        let name = match &self.view.state {
            JobState::Running { runner, .. } => Some(runner.to_string()),
            _ => self.last(ctx).await?.map(|last| last.attempt.record.runner.to_string()),
        };
        Ok(name.map(|name| Agent::named(&service(ctx).dispatcher, &name)))
    }

    async fn diff(&self, ctx: &Context<'_>) -> Result<Option<PreviewRepositoryComparison>> {
        let detail = self.detail(ctx).await?;
        let repository = self.workspace().repository;
        Ok(detail.patch.map(|digest| PreviewRepositoryComparison { repository, digest }))
    }

    async fn execution_start_at(&self, ctx: &Context<'_>) -> Result<Option<DateTime>> {
        Ok(self.last(ctx).await?.map(|last| DateTime(last.attempt.record.started)))
    }

    async fn execution_end_at(&self) -> Option<DateTime> {
        match &self.view.state {
            JobState::Finished { at, .. } => Some(DateTime(*at)),
            JobState::Queued { .. } | JobState::Running { .. } => None,
        }
    }

    /// The newest attempt's, when it is not longer than 1 MiB; else its end. `logRange` gives any piece.
    async fn log(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        let Some(size) = self.range(ctx, None, 0, 0).await? else { return Ok(None) };
        let start = size.total_bytes.0.saturating_sub(LOG_WHOLE as u64);
        Ok(self.range(ctx, None, start, LOG_WHOLE).await?.map(|range| range.text))
    }

    async fn number(&self) -> BigInt {
        BigInt(self.view.id.0)
    }

    async fn url(&self) -> String {
        format!("/jobs/{}", self.view.id)
    }

    /// The workspace in the repository; empty for its root.
    async fn path(&self) -> String {
        self.workspace().path
    }

    async fn branch(&self) -> String {
        self.workspace().branch
    }

    async fn execution(&self, ctx: &Context<'_>) -> Result<Option<ActionExecution>> {
        self.execution_row(ctx).await
    }

    /// `queued`, `running`, or how it ended: `succeeded`, `failed`, `timed_out`, `canceled`, `killed`, `expired`,
    /// `no_resource`, `runner_lost`, `rejected`.
    async fn outcome(&self) -> &'static str {
        match &self.view.state {
            JobState::Queued { .. } => "queued",
            JobState::Running { .. } => "running",
            JobState::Finished { outcome, .. } => outcome.name(),
        }
    }

    async fn exit_code(&self, ctx: &Context<'_>) -> Result<Option<i32>> {
        Ok(self.detail(ctx).await?.exit_code)
    }

    async fn error(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        Ok(self.detail(ctx).await?.error)
    }

    /// Every step came from the cache.
    async fn cached(&self, ctx: &Context<'_>) -> Result<bool> {
        Ok(self.detail(ctx).await?.cached)
    }

    /// Somebody asked it to stop.
    async fn canceling(&self) -> bool {
        matches!(&self.view.state, JobState::Running { cancel: model::Cancel::Requested(_), .. })
    }

    async fn queued_at(&self) -> DateTime {
        DateTime(self.view.created)
    }

    async fn priority(&self) -> i32 {
        self.view.job.priority.0.into()
    }

    async fn steps(&self, ctx: &Context<'_>) -> Result<Vec<ActionJobStep>> {
        let (detail, document) = (self.detail(ctx).await?, self.document(ctx).await?);
        let Some(document) = document else { return Ok(Vec::new()) };
        let steps = (1u32..).zip(&document.spec.steps).map(|(number, step)| {
            let done = detail.steps.iter().find(|done| done.number == number);
            ActionJobStep {
                number: int(number.into()),
                run: run_of(&step.run),
                container: step.container.clone(),
                state: done.map_or_else(|| "waiting".to_owned(), |done| done.state.clone()),
                exit_code: done.and_then(|done| done.exit_code),
                duration_ms: done.map(|done| BigInt(done.duration_ms)),
            }
        });
        Ok(steps.collect())
    }

    /// Newest first, a live one included.
    async fn attempts(&self, ctx: &Context<'_>) -> Result<Vec<ActionJobAttempt>> {
        let job = self.view.id;
        let over = service(ctx).blocking(move |it| it.dispatcher.reader().attempts(job)).await;
        let mut all: Vec<ActionJobAttempt> =
            over.map_err(status::store)?.into_iter().map(ActionJobAttempt::from).collect();
        if let JobState::Running { attempt, runner, .. } = &self.view.state {
            let size = self.range(ctx, None, 0, 0).await?;
            all.push(ActionJobAttempt {
                number: int(attempt.0.into()),
                agent: runner.to_string(),
                state: "running".to_owned(),
                exit_code: None,
                message: None,
                started_at: None,
                ended_at: None,
                log_bytes: size.map_or(BigInt(0), |size| size.total_bytes),
                log_incomplete: false,
                live: true,
            });
        }
        all.reverse();
        Ok(all)
    }

    /// A piece of the log of an attempt; of the newest when none is named.
    async fn log_range(
        &self,
        ctx: &Context<'_>,
        attempt: Option<i32>,
        #[graphql(default_with = "BigInt(0)")] offset: BigInt,
        #[graphql(default = 65536)] bytes: i32,
    ) -> Result<Option<LogRange>> {
        let bytes = usize::try_from(bytes.min(LOG_RANGE_MAX))
            .map_err(|_| status::bad("`bytes` is not negative"))?;
        self.range(ctx, attempt, offset.0, bytes).await
    }

    async fn diff_stat(&self, ctx: &Context<'_>) -> Result<Option<DiffStat>> {
        let detail = self.detail(ctx).await?;
        Ok(detail.patch.map(|_| detail.diff_stat.into()))
    }

    /// Why it waits, or why it ended as it did.
    async fn explain(&self, ctx: &Context<'_>) -> Result<String> {
        match &self.view.state {
            JobState::Finished { .. } => {
                let detail = self.detail(ctx).await?;
                Ok(detail.error.unwrap_or_else(|| "it succeeded".to_owned()))
            }
            JobState::Queued { .. } | JobState::Running { .. } => {
                let why = batch(ctx).load_one(WhyOf(self.view.id)).await.map_err(unshare)?;
                Ok(why.unwrap_or_default())
            }
        }
    }

    /// A shell command that does the same on one's own machine.
    async fn reproduce_command(&self, ctx: &Context<'_>) -> Result<String> {
        let workspace = self.workspace();
        let all = service(ctx).searcher.repositories();
        let place = match all.get(&workspace.repository) {
            Some(known) => match (&known.host, &known.source) {
                (Some(link), _) => link.clone_url.clone(),
                (None, codehost::git::Source::Url(url)) => codehost::git::split_credentials(url).0,
                (None, codehost::git::Source::Path(path)) => path.display().to_string(),
                (None, codehost::git::Source::Uploaded) => ".".to_owned(),
            },
            None => workspace.repository.clone(),
        };
        let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
        let execution = self.view.group.map_or_else(String::new, |group| group.to_string());
        Ok(format!(
            "phalanx execution spec {execution} | phalanx exec -f - --repo {} --branch {}",
            quoted(&place),
            workspace.commit
        ))
    }

    async fn changesets(&self, ctx: &Context<'_>) -> Result<Vec<RenderedChangeset>> {
        let Some(document) = self.document(ctx).await? else { return Ok(Vec::new()) };
        let (last, view) = (self.last(ctx).await?, self.view.clone());
        let rendered = service(ctx).blocking(move |it| {
            campaign::execution::changesets_of(
                &it.cas,
                &document,
                &view,
                last.as_deref().map(|it| &it.attempt),
            )
        });
        let all = rendered.await.into_iter().map(|changeset| RenderedChangeset {
            branch: changeset.spec.branch,
            title: changeset.spec.title,
            body: changeset.spec.body,
            commit_message: changeset.spec.commit_message,
            files: changeset.files,
        });
        Ok(all.collect())
    }
}

impl From<AttemptView> for ActionJobAttempt {
    fn from(it: AttemptView) -> Self {
        let record = it.record;
        Self {
            number: int(record.number.0.into()),
            agent: record.runner.to_string(),
            state: record.outcome.name().to_owned(),
            exit_code: match record.outcome {
                Outcome::Succeeded => Some(0),
                Outcome::Failed { exit } => Some(exit),
                _ => None,
            },
            message: record.evidence.message.map(|message| message.to_string()),
            started_at: Some(DateTime(record.started)),
            ended_at: Some(DateTime(record.ended)),
            log_bytes: BigInt(record.evidence.log_bytes),
            log_incomplete: record.evidence.log_incomplete,
            live: false,
        }
    }
}
