//! The server itself.

use std::sync::OnceLock;

use async_graphql::{Context, Object, Result};
use campaign::changeset::CampaignFilter;
use campaign::page::Window;
use campaign::service::Service;
use campaign::site::Role;
use dispatcher::{JobFilter, JobStanding, StoreError};
use model::WallMs;

use crate::convert::{DateTime, caller, int, service};
use crate::status;
use crate::types::site::{AccessToken, Attention, Secret, ServerStatus, User};

#[derive(Default)]
pub(crate) struct SiteQueries;

/// How many misfires, hosts and campaigns are called to attention.
const ATTENTION: usize = 20;

#[Object]
impl SiteQueries {
    async fn viewer(&self, ctx: &Context<'_>) -> User {
        User::named(&caller(ctx).name)
    }

    /// For administrators; others see none.
    async fn access_tokens(&self, ctx: &Context<'_>) -> Result<Vec<AccessToken>> {
        if caller(ctx).role < Role::Admin {
            return Ok(Vec::new());
        }
        let all = service(ctx).blocking(|it| it.store.access_tokens()).await;
        Ok(all.map_err(status::store)?.into_iter().map(AccessToken).collect())
    }

    /// Names; values are never shown.
    async fn secrets(&self, ctx: &Context<'_>) -> Result<Vec<Secret>> {
        let all = service(ctx).blocking(|it| it.store.secrets()).await;
        Ok(all.map_err(status::store)?.into_iter().map(Secret).collect())
    }

    async fn server_status(&self, ctx: &Context<'_>) -> Result<ServerStatus> {
        static STARTED: OnceLock<WallMs> = OnceLock::new();
        let now = service(ctx).now();
        let started = *STARTED.get_or_init(|| now);
        let read = move |it: &Service| -> Result<ServerStatus, StoreError> {
            let (queued, running, _) = it.dispatcher.sizes();
            let runners = it.dispatcher.runners().len();
            let filter = JobFilter {
                standings: vec![JobStanding::Queued],
                limit: 1,
                ..JobFilter::default()
            };
            let oldest = match queued {
                0 => None,
                _ => it.dispatcher.reader().jobs(filter)?.into_iter().next(),
            };
            let waited = |created: WallMs| now.0.saturating_sub(created.0) / 1000;
            Ok(ServerStatus {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                started_at: DateTime(started),
                queued_jobs: int(queued as u64),
                running_jobs: int(running as u64),
                runners: int(runners as u64),
                oldest_queued_seconds: oldest.as_ref().map(|job| int(waited(job.created))),
                waiting_reason: oldest.map(|job| it.dispatcher.explain(job.id).to_string()),
                attention: attention(it)?,
            })
        };
        service(ctx).blocking(read).await.map_err(status::store)
    }
}

fn attention(it: &Service) -> Result<Vec<Attention>, StoreError> {
    let mut all = Vec::new();
    for host in it.store.code_hosts()? {
        if let Some(error) = host.sync_error {
            let since = host.last_sync.map(DateTime);
            let text = format!("The code host {} cannot be listed: {error}", host.name);
            all.push(Attention { text, url: "/code-hosts".to_owned(), since });
        }
    }
    for misfire in it.store.misfires(None, ATTENTION)? {
        // One that ran since is no news.
        let Some(action) = it.store.action(misfire.action)? else { continue };
        let filter = campaign::action::ExecutionFilter { action: Some(action.id), state: None };
        let last = it.store.executions(filter, Window { after: None, first: 1 })?;
        let last = last.items.first().map(|row| row.execution);
        let last = last.map(|id| it.dispatcher.reader().group(id)).transpose()?.flatten();
        if last.is_none_or(|last| last.created < misfire.at) {
            all.push(Attention {
                text: format!("The action {} did not run: {}", action.name, misfire.why),
                url: format!("/actions/{}", action.name),
                since: Some(DateTime(misfire.at)),
            });
        }
    }
    let open = CampaignFilter { closed: Some(false), query: String::new() };
    for campaign in it.store.campaigns(&open, Window { after: None, first: ATTENTION })?.items {
        let counts = it.store.counts(campaign.id)?;
        let count = |phase| counts.by_phase.get(&phase).copied().unwrap_or(0);
        let failed = count(campaign::changeset::Phase::Failed);
        let diverged = count(campaign::changeset::Phase::Diverged);
        if failed + diverged > 0 {
            let text = format!(
                "The campaign {} has {failed} failed and {diverged} diverged changesets",
                campaign.name
            );
            let url = format!("/campaigns/{}", campaign.name);
            all.push(Attention { text, url, since: None });
        }
    }
    all.truncate(ATTENTION);
    Ok(all)
}
