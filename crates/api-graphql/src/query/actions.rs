//! Actions, executions, jobs, agents, definitions.

use std::time::Instant;

use async_graphql::{Context, ID, Object, Result};
use campaign::action::ExecutionFilter;
use campaign::service::{Refusal, Schedule};
use dispatcher::JobFilter;
use model::JobId;

use crate::convert::{DateTime, JsoncString, int, service};
use crate::page::{Connection, PageInfo, cost, slice, window};
use crate::status;
use crate::types::action::Action;
use crate::types::agent::{Agent, AgentState};
use crate::types::definition::{
    DefinitionValidation, SchedulePreview, ScopePreview, ScopeWorkspace, diagnostics, skipped,
};
use crate::types::execution::{ActionExecution, BackgroundProcessState};
use crate::types::job::{ActionJob, ActionJobState};
use crate::types::node::{self, Node};

#[derive(Default)]
pub(crate) struct ActionQueries;

#[Object]
impl ActionQueries {
    /// Whatever has this id; nothing when it is not there.
    async fn node(&self, ctx: &Context<'_>, id: ID) -> Result<Option<Node>> {
        node::node(ctx, &id).await
    }

    /// In order of name; `query` is a part of it.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn actions(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        query: Option<String>,
    ) -> Result<Connection<Action>> {
        let window = window(first, after.as_deref())?;
        let query = query.unwrap_or_default();
        let page = service(ctx).blocking(move |it| it.store.actions(&query, window)).await;
        let page = page.map_err(status::store)?.map(Action);
        Ok(Connection::new(page, after.is_some(), |it| it.0.name.clone()))
    }

    async fn action(&self, ctx: &Context<'_>, name: String) -> Result<Option<Action>> {
        let found = service(ctx).blocking(move |it| it.store.action_named(&name)).await;
        Ok(found.map_err(status::store)?.map(Action))
    }

    /// Newest first.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn action_executions(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        state: Option<BackgroundProcessState>,
    ) -> Result<Connection<ActionExecution>> {
        let window = window(first, after.as_deref())?;
        let filter = ExecutionFilter { action: None, state: state.map(Into::into) };
        let page = service(ctx).blocking(move |it| it.store.executions(filter, window)).await;
        let page = page.map_err(status::store)?.map(ActionExecution);
        Ok(Connection::new(page, after.is_some(), |it| it.0.execution.to_string()))
    }

    /// Of all executions, oldest first unless it is said otherwise; in one of `states`, or in `state`.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn action_jobs(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        state: Option<ActionJobState>,
        states: Option<Vec<ActionJobState>>,
        #[graphql(default = false)] newest_first: bool,
    ) -> Result<Connection<ActionJob>> {
        let window = window::<JobId>(first, after.as_deref())?;
        let standings = ActionJob::standings(state, states);
        let filter = JobFilter { standings, newest_first, ..JobFilter::default() };
        ActionJob::list(ctx, filter, window, after.is_some()).await
    }

    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn agents(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        state: Option<AgentState>,
    ) -> Result<Connection<Agent>> {
        let now = service(ctx).now();
        let mut all: Vec<Agent> =
            service(ctx).dispatcher.runners().into_iter().map(Agent::of).collect();
        all.sort_by(|one, two| one.name.cmp(&two.name));
        all.retain(|agent| {
            state.is_none_or(|state| agent.is_online(now) == (state == AgentState::Online))
        });
        Connection::sliced(all, first, after.as_deref())
    }

    /// Mistakes in a definition, with their places.
    async fn validate_definition(
        &self,
        definition: JsoncString,
        name: Option<String>,
    ) -> DefinitionValidation {
        let name = name.unwrap_or_else(|| "action".to_owned());
        match campaign::service::parse_definition(&name, &definition.0) {
            Ok(parsed) => DefinitionValidation {
                ok: true,
                name: Some(parsed.spec.name).filter(|name| !name.is_empty()),
                diagnostics: Vec::new(),
                warnings: diagnostics(parsed.warnings),
                steps: int(parsed.spec.steps.len() as u64),
                has_changeset_template: parsed.spec.changeset_template.is_some(),
            },
            Err(refusal) => DefinitionValidation {
                ok: false,
                name: None,
                diagnostics: of(refusal),
                warnings: Vec::new(),
                steps: 0,
                has_changeset_template: false,
            },
        }
    }

    /// What a definition would run on now; nothing is run.
    #[graphql(complexity = "500 + child_complexity")]
    async fn preview_scope(
        &self,
        ctx: &Context<'_>,
        definition: JsoncString,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<ScopePreview> {
        let started = Instant::now();
        let planned = service(ctx).preview_scope("action", &definition.0).await;
        let took_ms = int(started.elapsed().as_millis() as u64);
        let plan = match planned {
            Ok(plan) => plan,
            Err(Refusal::Store(error)) => return Err(status::store(error)),
            Err(refusal) => {
                return Ok(ScopePreview {
                    diagnostics: of(refusal),
                    total_count: 0,
                    page_info: PageInfo::default(),
                    nodes: Vec::new(),
                    skipped: Vec::new(),
                    notices: Vec::new(),
                    took_ms,
                });
            }
        };
        let (skipped, notices) = (skipped(&plan), plan.notices.clone());
        let (page, start) = slice(plan.workspaces, first, after.as_deref())?;
        let last = start + page.items.len();
        let all = service(ctx).searcher.repositories();
        Ok(ScopePreview {
            diagnostics: Vec::new(),
            total_count: int(page.total),
            page_info: PageInfo {
                has_next_page: page.more,
                end_cursor: (last > start).then(|| crate::convert::cursor(last - 1)),
                has_previous_page: start > 0,
                start_cursor: (last > start).then(|| crate::convert::cursor(start)),
            },
            nodes: page.items.into_iter().map(|it| ScopeWorkspace::new(it, all)).collect(),
            skipped,
            notices,
            took_ms,
        })
    }

    /// The next times of a schedule, or what is wrong with it.
    async fn preview_schedule(
        &self,
        ctx: &Context<'_>,
        schedule: String,
        time_zone: Option<String>,
        #[graphql(default = 5)] first: i32,
    ) -> SchedulePreview {
        let count = usize::try_from(first).unwrap_or(0).min(100);
        match Schedule::new(&schedule, time_zone.as_deref().unwrap_or_default()) {
            Ok(schedule) => {
                let times: Vec<DateTime> =
                    schedule.next(service(ctx).now(), count).into_iter().map(DateTime).collect();
                let never = times.is_empty().then(|| "it never fires".to_owned());
                SchedulePreview { error: never, description: Some(schedule.describe()), times }
            }
            Err(error) => SchedulePreview {
                error: Some(error.to_string()),
                description: None,
                times: Vec::new(),
            },
        }
    }
}

fn of(refusal: Refusal) -> Vec<crate::types::definition::Diagnostic> {
    match refusal {
        Refusal::Invalid { diagnostics: all, .. } if !all.is_empty() => diagnostics(all),
        refusal => diagnostics(vec![spec::Diagnostic {
            file: String::new(),
            at: spec::Position::default(),
            field: String::new(),
            message: refusal.to_string(),
            hint: None,
        }]),
    }
}
