//! Actions, executions, saved searches.

use async_graphql::{Context, ID, InputObject, Object, Result};
use campaign::action::Reason;
use campaign::service::{NewRun, SettingsChange};
use campaign::site::Role;
use dispatcher::RetryReply;
use engine::ops::{CancelOp, CancelOutcome};
use model::{ActionId, CampaignId, GroupId, JobId, SavedSearchId};

use crate::convert::{JsoncString, Kind, caller, number, service};
use crate::loaders::{RowOf, batch, unshare};
use crate::status::{self, bad, refuse};
use crate::types::action::{Action, OverlapPolicy, SavedSearchTrigger};
use crate::types::execution::ActionExecution;
use crate::types::job::ActionJob;
use crate::types::search::SavedSearch;
use crate::types::site::EmptyResponse;

#[derive(Default)]
pub(crate) struct ActionMutations;

/// What is not named stays as it is.
#[derive(InputObject)]
pub(crate) struct ActionSettingsInput {
    schedule: Option<String>,
    time_zone: Option<String>,
    overlap_policy: Option<OverlapPolicy>,
    schedule_paused: Option<bool>,
    saved_search: Option<ID>,
    trigger: Option<SavedSearchTrigger>,
    only_new_repositories: Option<bool>,
    campaign: Option<ID>,
    autoupdate: Option<bool>,
    clear_schedule: Option<bool>,
    clear_saved_search: Option<bool>,
    clear_campaign: Option<bool>,
}

/// A field that is set, taken away, or left as it is.
fn change<T>(set: Option<T>, clear: Option<bool>) -> Option<Option<T>> {
    match (set, clear) {
        (Some(value), _) => Some(Some(value)),
        (None, Some(true)) => Some(None),
        (None, _) => None,
    }
}

#[Object]
impl ActionMutations {
    async fn create_action(
        &self,
        ctx: &Context<'_>,
        name: String,
        definition: JsoncString,
    ) -> Result<Action> {
        let made = service(ctx).create_action(caller(ctx), &name, &definition.0).await;
        made.map(Action).map_err(refuse)
    }

    /// Earlier executions keep their own copy.
    async fn update_action(
        &self,
        ctx: &Context<'_>,
        action: ID,
        new_definition: JsoncString,
    ) -> Result<Action> {
        let id = ActionId(number(&action, Kind::Action)?);
        let changed = service(ctx).update_action(caller(ctx), id, &new_definition.0).await;
        changed.map(Action).map_err(refuse)
    }

    async fn delete_action(&self, ctx: &Context<'_>, action: ID) -> Result<EmptyResponse> {
        let id = ActionId(number(&action, Kind::Action)?);
        service(ctx).delete_action(caller(ctx), id).await.map_err(refuse)?;
        Ok(EmptyResponse::new())
    }

    /// When it runs by itself, and which campaign takes its patches.
    async fn update_action_settings(
        &self,
        ctx: &Context<'_>,
        action: ID,
        settings: ActionSettingsInput,
    ) -> Result<Action> {
        let id = ActionId(number(&action, Kind::Action)?);
        let search = settings.saved_search.map(|id| number(&id, Kind::SavedSearch)).transpose()?;
        let campaign = settings.campaign.map(|id| number(&id, Kind::Campaign)).transpose()?;
        let settings = SettingsChange {
            schedule: change(settings.schedule, settings.clear_schedule),
            time_zone: settings.time_zone,
            overlap: settings.overlap_policy.map(Into::into),
            paused: settings.schedule_paused,
            saved_search: change(search.map(SavedSearchId), settings.clear_saved_search),
            trigger: settings.trigger.map(Into::into),
            only_new: settings.only_new_repositories,
            campaign: change(campaign.map(CampaignId), settings.clear_campaign),
            autoupdate: settings.autoupdate,
        };
        let changed = service(ctx).change_settings(caller(ctx), id, settings).await;
        changed.map(Action).map_err(refuse)
    }

    /// Runs an action now.
    async fn create_action_execution(
        &self,
        ctx: &Context<'_>,
        action: ID,
    ) -> Result<ActionExecution> {
        let id = ActionId(number(&action, Kind::Action)?);
        let run = NewRun {
            reason: Reason::Manual,
            detail: format!("{} asked", caller(ctx).name),
            only: None,
            key: None,
        };
        let made = service(ctx).run_action(caller(ctx), id, run).await.map_err(refuse)?;
        execution(ctx, made).await
    }

    /// Runs the actions of a saved search: of the one with this id, or, as the prototype had it, of those with this text.
    async fn create_action_executions_for_saved_search(
        &self,
        ctx: &Context<'_>,
        saved_search_query: Option<String>,
        saved_search: Option<ID>,
    ) -> Result<Option<EmptyResponse>> {
        let ids = match (saved_search, saved_search_query) {
            (Some(id), None) => vec![SavedSearchId(number(&id, Kind::SavedSearch)?)],
            (None, Some(query)) => {
                let found = service(ctx)
                    .blocking(move |it| it.store.saved_searches_with_query(&query))
                    .await
                    .map_err(status::store)?;
                if found.is_empty() {
                    return Err(status::not_found("saved search with this query"));
                }
                found.into_iter().map(|search| search.id).collect()
            }
            _ => return Err(bad("give either `savedSearch` or `savedSearchQuery`")),
        };
        for id in ids {
            service(ctx).run_actions_of(caller(ctx), id).await.map_err(refuse)?;
        }
        Ok(Some(EmptyResponse::new()))
    }

    async fn cancel_action_execution(
        &self,
        ctx: &Context<'_>,
        action_execution: ID,
    ) -> Result<Option<EmptyResponse>> {
        let id = GroupId(number(&action_execution, Kind::ActionExecution)?);
        service(ctx).cancel_execution(caller(ctx), id).await.map_err(refuse)?;
        Ok(Some(EmptyResponse::new()))
    }

    async fn cancel_action_job(&self, ctx: &Context<'_>, action_job: ID) -> Result<ActionJob> {
        caller(ctx).needs(Role::User).map_err(refuse)?;
        let id = JobId(number(&action_job, Kind::ActionJob)?);
        match service(ctx).dispatcher.cancel(CancelOp::Job(id)).await {
            CancelOutcome::Canceled { .. } => job(ctx, id).await,
            CancelOutcome::NotLive => {
                job(ctx, id).await?;
                Err(bad(format!("job {id} is over already")))
            }
        }
    }

    /// Runs a job again. What it did before stays to be seen.
    async fn retry_action_job(&self, ctx: &Context<'_>, action_job: ID) -> Result<ActionJob> {
        caller(ctx).needs(Role::User).map_err(refuse)?;
        let id = JobId(number(&action_job, Kind::ActionJob)?);
        match service(ctx).dispatcher.retry(id).await.map_err(status::store)? {
            RetryReply::Queued => job(ctx, id).await,
            RetryReply::AlreadyLive => Err(bad(format!("job {id} is not over"))),
            RetryReply::Unknown => Err(status::not_found(format!("job {id}"))),
            RetryReply::TooManyLive { max } => {
                Err(bad(format!("there are {max} live jobs already; try again later")))
            }
        }
    }

    /// Runs every job again that did not succeed.
    async fn retry_action_execution(
        &self,
        ctx: &Context<'_>,
        action_execution: ID,
    ) -> Result<ActionExecution> {
        caller(ctx).needs(Role::User).map_err(refuse)?;
        let id = GroupId(number(&action_execution, Kind::ActionExecution)?);
        let retried = service(ctx).dispatcher.retry_failed(id).await.map_err(status::store)?;
        if let Some(why) = retried.incomplete() {
            return Err(bad(why));
        }
        execution(ctx, id).await
    }

    /// Takes what succeeded though other jobs failed, and writes down who decided that.
    async fn submit_partial_execution(
        &self,
        ctx: &Context<'_>,
        action_execution: ID,
    ) -> Result<ActionExecution> {
        let id = GroupId(number(&action_execution, Kind::ActionExecution)?);
        service(ctx).submit_partial(caller(ctx), id).await.map_err(refuse)?;
        execution(ctx, id).await
    }

    async fn create_saved_search(
        &self,
        ctx: &Context<'_>,
        name: String,
        query: String,
        description: Option<String>,
    ) -> Result<SavedSearch> {
        let description = description.unwrap_or_default();
        let made = service(ctx).create_saved_search(caller(ctx), &name, &query, &description).await;
        made.map(SavedSearch).map_err(refuse)
    }

    async fn update_saved_search(
        &self,
        ctx: &Context<'_>,
        saved_search: ID,
        name: Option<String>,
        query: Option<String>,
        description: Option<String>,
    ) -> Result<SavedSearch> {
        let id = SavedSearchId(number(&saved_search, Kind::SavedSearch)?);
        let changed = service(ctx)
            .update_saved_search(
                caller(ctx),
                id,
                name.as_deref(),
                query.as_deref(),
                description.as_deref(),
            )
            .await;
        changed.map(SavedSearch).map_err(refuse)
    }

    async fn delete_saved_search(
        &self,
        ctx: &Context<'_>,
        saved_search: ID,
    ) -> Result<EmptyResponse> {
        let id = SavedSearchId(number(&saved_search, Kind::SavedSearch)?);
        service(ctx).delete_saved_search(caller(ctx), id).await.map_err(refuse)?;
        Ok(EmptyResponse::new())
    }

    /// Runs a saved search now; its actions run if the results changed.
    async fn run_saved_search(&self, ctx: &Context<'_>, saved_search: ID) -> Result<SavedSearch> {
        let id = SavedSearchId(number(&saved_search, Kind::SavedSearch)?);
        service(ctx).run_saved_search_now(caller(ctx), id).await.map_err(refuse)?;
        let found = service(ctx).blocking(move |it| it.store.saved_search(id)).await;
        let found = found.map_err(status::store)?;
        found.map(SavedSearch).ok_or_else(|| status::not_found(format!("saved search {id}")))
    }
}

async fn execution(ctx: &Context<'_>, id: GroupId) -> Result<ActionExecution> {
    let row = batch(ctx).load_one(RowOf(id)).await.map_err(unshare)?;
    row.map(ActionExecution).ok_or_else(|| status::not_found(format!("execution {id}")))
}

pub(super) async fn job(ctx: &Context<'_>, id: JobId) -> Result<ActionJob> {
    let view = service(ctx).blocking(move |it| it.dispatcher.reader().job(id)).await;
    let view = view.map_err(status::store)?;
    view.map(ActionJob::of).ok_or_else(|| status::not_found(format!("job {id}")))
}
