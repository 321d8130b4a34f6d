//! Agents: the prototype's word for runners.

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};
use dispatcher::Dispatcher;
use engine::RunnerInfo;
use model::WallMs;

use crate::convert::{DateTime, Kind, id, int, service};
use crate::page::{Connection, length};
use crate::status;
use crate::types::job::ActionJob;

/// A runner; one that is known no more has a name only.
pub(crate) struct Agent {
    pub name: String,
    pub info: Option<RunnerInfo>,
}

#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AgentState {
    Online,
    Offline,
}

#[derive(SimpleObject)]
pub(crate) struct Dimension {
    key: String,
    values: Vec<String>,
}

/// One that was not heard of for longer is offline.
const OFFLINE_MS: u64 = 2 * 60 * 1000;

impl Agent {
    pub fn of(info: RunnerInfo) -> Self {
        Self { name: info.name.to_string(), info: Some(info) }
    }

    pub fn named(dispatcher: &Dispatcher, name: &str) -> Self {
        let info = dispatcher.runners().into_iter().find(|info| info.name.as_str() == name);
        Self { name: name.to_owned(), info }
    }

    pub fn is_online(&self, now: WallMs) -> bool {
        let waits = self.info.as_ref().is_some_and(|info| info.waiting);
        let seen = self.info.as_ref().map_or(0, |info| info.seen.0);
        waits || now.0.saturating_sub(seen) <= OFFLINE_MS
    }
}

#[Object]
impl Agent {
    pub async fn id(&self) -> ID {
        id(Kind::Agent, &self.name)
    }

    async fn name(&self) -> &str {
        &self.name
    }

    /// What it offers, as `key=value`.
    async fn specs(&self) -> String {
        let Some(info) = &self.info else { return String::new() };
        let pairs = info.dimensions.iter().map(|(key, values)| {
            let values: Vec<&str> = values.iter().map(|value| &**value).collect();
            format!("{key}={}", values.join("|"))
        });
        pairs.collect::<Vec<_>>().join(" ")
    }

    async fn state(&self, ctx: &Context<'_>) -> AgentState {
        if self.is_online(service(ctx).now()) { AgentState::Online } else { AgentState::Offline }
    }

    async fn running_jobs(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
    ) -> Result<Connection<ActionJob>> {
        let jobs = self.info.as_ref().map(|info| info.jobs.clone()).unwrap_or_default();
        let most = length(first)?;
        let read = move |it: &campaign::service::Service| {
            let reader = it.dispatcher.reader();
            jobs.into_iter().take(most).filter_map(|job| reader.job(job).transpose()).collect()
        };
        let found: Result<Vec<_>, _> = service(ctx).blocking(read).await;
        let found = found.map_err(status::store)?;
        Ok(Connection::whole(found.into_iter().map(ActionJob::of).collect()))
    }

    async fn url(&self) -> String {
        format!("/runners/{}", self.name)
    }

    async fn slots(&self) -> i32 {
        self.info.as_ref().map_or(0, |info| int(info.slots.into()))
    }

    /// It takes no more jobs.
    async fn draining(&self) -> bool {
        self.info.as_ref().is_some_and(|info| info.draining)
    }

    /// It waits for work now.
    async fn waiting(&self) -> bool {
        self.info.as_ref().is_some_and(|info| info.waiting)
    }

    async fn queues(&self) -> Vec<String> {
        self.info.as_ref().map(|info| info.queues.clone()).unwrap_or_default()
    }

    async fn dimensions(&self) -> Vec<Dimension> {
        let Some(info) = &self.info else { return Vec::new() };
        let all = info.dimensions.iter().map(|(key, values)| Dimension {
            key: key.to_string(),
            values: values.iter().map(ToString::to_string).collect(),
        });
        all.collect()
    }

    async fn last_seen_at(&self) -> DateTime {
        DateTime(self.info.as_ref().map_or(WallMs(0), |info| info.seen))
    }
}
