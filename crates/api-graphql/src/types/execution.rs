//! Executions.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};
use campaign::action::{self, ExecutionRow};
use campaign::execution::Document;
use dispatcher::{GroupCounts, GroupView, JobFilter};
use model::{GroupState, JobId, WallMs};

use crate::convert::{BigInt, DateTime, JsoncString, Kind, caller, id, int, service};
use crate::loaders::{CountsOf, batch, unshare};
use crate::page::{Connection, cost, window};
use crate::status;
use crate::types::action::Action;
use crate::types::definition::ActionDefinition;
use crate::types::diff::DiffStat;
use crate::types::job::{ActionJob, ActionJobState};
use crate::types::patch::PatchSet;
use crate::types::site::User;

pub(crate) struct ActionExecution(pub ExecutionRow);

#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "campaign::action::Reason")]
pub(crate) enum ActionExecutionInvocationReason {
    Manual,
    Schedule,
    SavedSearch,
    Webhook,
}

#[derive(Enum, Clone, Copy, PartialEq, Eq, Debug)]
#[graphql(remote = "campaign::action::ExecutionState")]
pub(crate) enum BackgroundProcessState {
    Processing,
    Errored,
    Completed,
    Canceled,
}

#[derive(SimpleObject, Clone, Debug)]
pub(crate) struct BackgroundProcessStatus {
    pub completed_count: i32,
    pub pending_count: i32,
    pub state: BackgroundProcessState,
    pub errors: Vec<String>,
}

/// Where the jobs stand. `pending` have not begun.
#[derive(SimpleObject)]
pub(crate) struct JobCounts {
    total: i32,
    pending: i32,
    running: i32,
    completed: i32,
    errored: i32,
    timeout: i32,
    canceled: i32,
    with_patch: i32,
}

impl JobCounts {
    pub fn of(counts: &GroupCounts) -> Self {
        let sum = |state: ActionJobState| {
            let names = state.outcomes();
            names.iter().filter_map(|name| counts.finished.get(*name)).sum::<u64>()
        };
        let total = counts.queued + counts.running + counts.finished.values().sum::<u64>();
        Self {
            total: int(total),
            pending: int(counts.queued),
            running: int(counts.running),
            completed: int(sum(ActionJobState::Completed)),
            errored: int(sum(ActionJobState::Errored)),
            timeout: int(sum(ActionJobState::Timeout)),
            canceled: int(sum(ActionJobState::Canceled)),
            with_patch: int(counts.with_patch),
        }
    }
}

/// The state of an execution: a job that was canceled counts first, then what still runs, then what failed. A job that took
/// too long failed.
pub(crate) fn status_of(counts: &GroupCounts) -> BackgroundProcessStatus {
    let counted = JobCounts::of(counts);
    let pending = counted.pending + counted.running;
    let failed = counted.errored + counted.timeout;
    let state = if counted.canceled > 0 {
        BackgroundProcessState::Canceled
    } else if pending > 0 {
        BackgroundProcessState::Processing
    } else if failed > 0 {
        BackgroundProcessState::Errored
    } else {
        BackgroundProcessState::Completed
    };
    let mut errors = Vec::new();
    for (outcome, count) in &counts.finished {
        if outcome != "succeeded" {
            errors.push(format!("{count} {}", outcome.replace('_', " ")));
        }
    }
    BackgroundProcessStatus {
        completed_count: counted.total - pending,
        pending_count: pending,
        state,
        errors,
    }
}

#[derive(SimpleObject)]
pub(crate) struct PartialSubmit {
    by: User,
    at: DateTime,
    failed_jobs: i32,
}

impl ActionExecution {
    async fn group(&self, ctx: &Context<'_>) -> Result<Arc<GroupView>> {
        let found = batch(ctx).load_one(self.0.execution).await.map_err(unshare)?;
        found.ok_or_else(|| status::not_found(format!("execution {}", self.0.execution)))
    }

    async fn count(&self, ctx: &Context<'_>) -> Result<Arc<GroupCounts>> {
        let found = batch(ctx).load_one(CountsOf(self.0.execution)).await.map_err(unshare)?;
        Ok(found.unwrap_or_default())
    }

    async fn document(&self, ctx: &Context<'_>) -> Result<Document> {
        let group = self.group(ctx).await?;
        serde_json::from_slice(&group.group.document).map_err(|error| status::internal(&error))
    }
}

#[Object]
impl ActionExecution {
    pub async fn id(&self) -> ID {
        id(Kind::ActionExecution, self.0.execution)
    }

    /// Nothing for one that came with its own definition.
    async fn action(&self, ctx: &Context<'_>) -> Result<Option<Action>> {
        let Some(of) = self.0.action else { return Ok(None) };
        Ok(batch(ctx).load_one(of).await.map_err(unshare)?.map(Action))
    }

    /// Its own copy: a later change of the action changes nothing of it.
    async fn definition(&self, ctx: &Context<'_>) -> Result<ActionDefinition> {
        let document = self.document(ctx).await?;
        Ok(ActionDefinition { text: document.text, spec: document.spec })
    }

    async fn invocation_reason(&self) -> ActionExecutionInvocationReason {
        self.0.reason.into()
    }

    /// In one of `states`, or in `state`.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn jobs(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        state: Option<ActionJobState>,
        states: Option<Vec<ActionJobState>>,
        query: Option<String>,
    ) -> Result<Connection<ActionJob>> {
        let window = window::<JobId>(first, after.as_deref())?;
        let filter = JobFilter {
            group: Some(self.0.execution),
            standings: ActionJob::standings(state, states),
            workspace: query.unwrap_or_default(),
            ..JobFilter::default()
        };
        ActionJob::list(ctx, filter, window, after.is_some()).await
    }

    async fn status(&self, ctx: &Context<'_>) -> Result<BackgroundProcessStatus> {
        Ok(status_of(&*self.count(ctx).await?))
    }

    async fn execution_start_at(&self, ctx: &Context<'_>) -> Result<Option<DateTime>> {
        let counts = self.count(ctx).await?;
        let waits = counts.running == 0 && counts.finished.is_empty();
        Ok((!waits).then_some(DateTime(self.group(ctx).await?.created)))
    }

    async fn execution_end_at(&self, ctx: &Context<'_>) -> Result<Option<DateTime>> {
        let group = self.group(ctx).await?;
        Ok(match group.state {
            GroupState::Finished { at } => Some(DateTime(at)),
            GroupState::Open { .. } => None,
        })
    }

    async fn patch_set(&self, ctx: &Context<'_>) -> Result<Option<PatchSet>> {
        let Some(of) = self.0.patch_set else { return Ok(None) };
        Ok(batch(ctx).load_one(of).await.map_err(unshare)?.map(PatchSet))
    }

    async fn number(&self) -> BigInt {
        BigInt(self.0.execution.0)
    }

    async fn name(&self, ctx: &Context<'_>) -> Result<String> {
        Ok(self.group(ctx).await?.group.name.to_string())
    }

    async fn url(&self) -> String {
        format!("/executions/{}", self.0.execution)
    }

    /// The definition as it was written.
    async fn text(&self, ctx: &Context<'_>) -> Result<JsoncString> {
        Ok(JsoncString(self.document(ctx).await?.text))
    }

    async fn created_at(&self, ctx: &Context<'_>) -> Result<DateTime> {
        Ok(DateTime(self.group(ctx).await?.created))
    }

    /// Why it ran: who asked, which tick it was, or what the saved search found.
    async fn reason_detail(&self) -> &str {
        &self.0.detail
    }

    /// What was left out, and warnings.
    async fn notices(&self, ctx: &Context<'_>) -> Result<Vec<String>> {
        Ok(self.document(ctx).await?.notices)
    }

    async fn counts(&self, ctx: &Context<'_>) -> Result<JobCounts> {
        Ok(JobCounts::of(&*self.count(ctx).await?))
    }

    /// Of the patch set; zeros before there is one.
    async fn diff_stat(&self, ctx: &Context<'_>) -> Result<DiffStat> {
        let Some(set) = self.0.patch_set else { return Ok(DiffStat::default()) };
        let stat = service(ctx).blocking(move |it| it.store.patch_set_stat(set)).await;
        Ok(stat.map_err(status::store)?.into())
    }

    /// The version of its action.
    async fn version(&self) -> Option<i32> {
        self.0.version.map(|version| int(version.into()))
    }

    /// Somebody took the good results though others failed.
    async fn partial_submit(&self) -> Option<PartialSubmit> {
        self.0.partial.as_ref().map(|partial: &action::Partial| PartialSubmit {
            by: User::named(&partial.by),
            at: DateTime(partial.at),
            failed_jobs: int(partial.failed),
        })
    }

    async fn author(&self) -> User {
        User::named(&self.0.owner)
    }

    async fn viewer_can_administer(&self, ctx: &Context<'_>) -> bool {
        caller(ctx).role >= campaign::site::Role::User
    }

    /// How long it has taken so far, or took.
    async fn duration_ms(&self, ctx: &Context<'_>) -> Result<BigInt> {
        let group = self.group(ctx).await?;
        let WallMs(end) = match group.state {
            GroupState::Finished { at } => at,
            GroupState::Open { .. } => service(ctx).now(),
        };
        Ok(BigInt(end.saturating_sub(group.created.0)))
    }
}

#[cfg(test)]
mod tests {
    use model::Outcome;

    use super::*;

    fn state(queued: u64, finished: &[(&str, u64)]) -> BackgroundProcessState {
        let finished = finished.iter().map(|(name, count)| ((*name).to_owned(), *count));
        let counts = GroupCounts { queued, finished: finished.collect(), ..GroupCounts::default() };
        status_of(&counts).state
    }

    #[test]
    fn only_success_is_success() {
        use BackgroundProcessState::{Canceled, Completed, Errored, Processing};
        assert!(state(0, &[("succeeded", 2)]) == Completed);
        assert!(state(0, &[("succeeded", 1), ("timed_out", 1)]) == Errored);
        assert!(state(1, &[("timed_out", 1)]) == Processing);
        assert!(state(0, &[("canceled", 1), ("timed_out", 1)]) == Canceled);
        for name in Outcome::NAMES.into_iter().filter(|name| *name != "succeeded") {
            assert!(state(0, &[("succeeded", 1), (name, 1)]) != Completed, "{name}");
        }
    }
}
