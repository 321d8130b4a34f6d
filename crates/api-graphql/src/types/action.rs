//! Actions.

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};
use campaign::action::{self, ActionVersion as Version, ExecutionFilter};
use campaign::service::Schedule;

use crate::convert::{DateTime, JsoncString, Kind, caller, id, int, service};
use crate::loaders::{LastOf, batch, unshare};
use crate::page::{Connection, cost, window};
use crate::status;
use crate::types::campaign::Campaign;
use crate::types::definition::ActionDefinition;
use crate::types::execution::ActionExecution;
use crate::types::search::SavedSearch;
use crate::types::site::User;

pub(crate) struct Action(pub action::Action);

/// What happens when it is time and the execution before is not over.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "campaign::action::Overlap")]
pub(crate) enum OverlapPolicy {
    Skip,
    Queue,
    CancelPrevious,
}

/// Which change of a saved search's results starts an action.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "campaign::action::Trigger")]
pub(crate) enum SavedSearchTrigger {
    Added,
    Removed,
    Any,
}

#[Object]
impl Action {
    pub async fn id(&self) -> ID {
        id(Kind::Action, self.0.id)
    }

    async fn name(&self) -> &str {
        &self.0.name
    }

    async fn definition(&self) -> Result<ActionDefinition> {
        let parsed = spec::parse_named("definition", self.0.text.as_bytes(), &self.0.name);
        let parsed =
            parsed.map_err(|_| async_graphql::Error::new("the definition no longer parses"))?;
        Ok(ActionDefinition { text: self.0.text.clone(), spec: parsed.spec })
    }

    async fn saved_search(&self, ctx: &Context<'_>) -> Result<Option<SavedSearch>> {
        let Some(of) = self.0.settings.saved_search else { return Ok(None) };
        Ok(batch(ctx).load_one(of).await.map_err(unshare)?.map(SavedSearch))
    }

    async fn schedule(&self) -> Option<&str> {
        self.0.settings.schedule.as_deref()
    }

    async fn cancel_previous_scheduled_execution(&self) -> bool {
        self.0.settings.overlap == action::Overlap::CancelPrevious
    }

    /// Whether its campaign takes the patches of an execution that completes.
    async fn autoupdate(&self) -> bool {
        self.0.settings.autoupdate
    }

    async fn campaign(&self, ctx: &Context<'_>) -> Result<Option<Campaign>> {
        let Some(of) = self.0.settings.campaign else { return Ok(None) };
        Ok(batch(ctx).load_one(of).await.map_err(unshare)?.map(Campaign))
    }

    /// Newest first.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn action_executions(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<ActionExecution>> {
        let window = window(first, after.as_deref())?;
        let filter = ExecutionFilter { action: Some(self.0.id), state: None };
        let page = service(ctx).blocking(move |it| it.store.executions(filter, window)).await;
        let page = page.map_err(status::store)?.map(ActionExecution);
        Ok(Connection::new(page, after.is_some(), |it| it.0.execution.to_string()))
    }

    async fn description(&self) -> &str {
        &self.0.description
    }

    async fn url(&self) -> String {
        format!("/actions/{}", self.0.name)
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created)
    }

    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated)
    }

    async fn author(&self) -> User {
        User::named(&self.0.owner)
    }

    /// As it was written.
    async fn text(&self) -> JsoncString {
        JsoncString(self.0.text.clone())
    }

    async fn version(&self) -> i32 {
        int(self.0.version.into())
    }

    /// Newest first.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn versions(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<ActionVersion>> {
        let (window, of) = (window(first, after.as_deref())?, self.0.id);
        let page = service(ctx).blocking(move |it| it.store.action_versions(of, window)).await;
        let page = page.map_err(status::store)?.map(ActionVersion::from);
        Ok(Connection::new(page, after.is_some(), |it| it.number.to_string()))
    }

    /// An IANA name; empty is UTC.
    async fn time_zone(&self) -> &str {
        &self.0.settings.time_zone
    }

    async fn overlap_policy(&self) -> OverlapPolicy {
        self.0.settings.overlap.into()
    }

    /// The next times of the schedule.
    async fn next_runs(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 5)] first: i32,
    ) -> Vec<DateTime> {
        let settings = &self.0.settings;
        let Some(text) = settings.schedule.as_ref().filter(|_| !settings.paused) else {
            return Vec::new();
        };
        let Ok(schedule) = Schedule::new(text, &settings.time_zone) else { return Vec::new() };
        let count = usize::try_from(first).unwrap_or(0).min(100);
        schedule.next(service(ctx).now(), count).into_iter().map(DateTime).collect()
    }

    async fn schedule_paused(&self) -> bool {
        self.0.settings.paused
    }

    async fn trigger(&self) -> SavedSearchTrigger {
        self.0.settings.trigger.into()
    }

    /// Whether a saved search runs it only on what is new in its results.
    async fn only_new_repositories(&self) -> bool {
        self.0.settings.only_new
    }

    /// A POST to it with a token runs the action.
    #[graphql(name = "webhookURL")]
    async fn webhook_url(&self, ctx: &Context<'_>) -> String {
        format!("{}/api/v1/actions/{}/run", service(ctx).url, self.0.name)
    }

    async fn last_execution(&self, ctx: &Context<'_>) -> Result<Option<ActionExecution>> {
        let last = batch(ctx).load_one(LastOf(self.0.id)).await.map_err(unshare)?;
        Ok(last.map(ActionExecution))
    }

    /// Times at which it was to run and did not, newest first.
    async fn misfires(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 10)] first: i32,
    ) -> Result<Vec<Misfire>> {
        let (of, count) = (self.0.id, usize::try_from(first).unwrap_or(0).min(100));
        let all = service(ctx).blocking(move |it| it.store.misfires(Some(of), count)).await;
        Ok(all.map_err(status::store)?.into_iter().map(Misfire::from).collect())
    }

    async fn viewer_can_administer(&self, ctx: &Context<'_>) -> bool {
        caller(ctx).role >= campaign::site::Role::User
    }
}

/// A run that did not happen, and why.
#[derive(SimpleObject)]
pub(crate) struct Misfire {
    at: DateTime,
    detail: String,
    why: String,
}

impl From<action::Misfire> for Misfire {
    fn from(it: action::Misfire) -> Self {
        Self { at: DateTime(it.at), detail: it.detail, why: it.why }
    }
}

#[derive(SimpleObject)]
pub(crate) struct ActionVersion {
    number: i32,
    text: JsoncString,
    created_at: DateTime,
    author: User,
}

impl From<Version> for ActionVersion {
    fn from(it: Version) -> Self {
        Self {
            number: int(it.number.into()),
            text: JsoncString(it.text),
            created_at: DateTime(it.created),
            author: User::named(&it.author),
        }
    }
}
