//! Live state: each subscription tells how something is now, and again whenever that changes.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::Subscription as Derive;
use async_graphql::{Context, Error, ID, Result};
use campaign::service::{Changed, Service};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};
use model::{CampaignId, GroupId, JobId};

use crate::convert::{BigInt, Kind, number, service};
use crate::loaders::{self, RowOf, unshare};
use crate::status;
use crate::types::campaign::Campaign;
use crate::types::execution::ActionExecution;
use crate::types::job::{ActionJob, LogRange};

pub(crate) struct Subscription;

/// How often a live log is looked at, and how much is told at once.
const LOG_PAUSE: Duration = Duration::from_millis(250);
const LOG_BYTES: usize = 64 * 1024;

/// Rings at once, and whenever something fits; what was missed rings too.
fn rings(
    service: &Arc<Service>,
    fits: impl Fn(Changed) -> bool + Send + 'static,
) -> BoxStream<'static, ()> {
    let first = stream::once(async {});
    first.chain(service.rings(fits)).boxed()
}

async fn view(service: &Arc<Service>, id: JobId) -> Result<ActionJob> {
    let view = service.blocking(move |it| it.dispatcher.reader().job(id)).await;
    let view = view.map_err(status::store)?;
    view.map(ActionJob::of).ok_or_else(|| status::not_found(format!("job {id}")))
}

#[Derive]
impl Subscription {
    async fn action_execution_changed(
        &self,
        ctx: &Context<'_>,
        action_execution: ID,
    ) -> Result<impl Stream<Item = Result<ActionExecution>>> {
        let id = GroupId(number(&action_execution, Kind::ActionExecution)?);
        let service = service(ctx).clone();
        let rings = rings(&service, move |changed| changed == Changed::Execution(id));
        Ok(rings.then(move |()| {
            let service = service.clone();
            async move {
                // A loader remembers, so that each look has its own.
                let batch = loaders::new(service);
                let row = batch.load_one(RowOf(id)).await.map_err(unshare)?;
                let unknown = || status::not_found(format!("execution {id}"));
                row.map(ActionExecution).ok_or_else(unknown)
            }
        }))
    }

    async fn action_job_changed(
        &self,
        ctx: &Context<'_>,
        action_job: ID,
    ) -> Result<impl Stream<Item = Result<ActionJob>>> {
        let id = JobId(number(&action_job, Kind::ActionJob)?);
        let service = service(ctx).clone();
        let group = view(&service, id).await?.view.group;
        let rings = rings(
            &service,
            move |changed| matches!(changed, Changed::Execution(of) if Some(of) == group),
        );
        Ok(rings.then(move |()| {
            let service = service.clone();
            async move { view(&service, id).await }
        }))
    }

    async fn campaign_changed(
        &self,
        ctx: &Context<'_>,
        campaign: ID,
    ) -> Result<impl Stream<Item = Result<Campaign>>> {
        let id = CampaignId(number(&campaign, Kind::Campaign)?);
        let service = service(ctx).clone();
        let rings = rings(&service, move |changed| changed == Changed::Campaign(id));
        Ok(rings.then(move |()| {
            let service = service.clone();
            async move { service.campaign(id).await.map(Campaign).map_err(status::refuse) }
        }))
    }

    /// A log from `offset` on, piece by piece, until it is whole.
    async fn log(
        &self,
        ctx: &Context<'_>,
        action_job: ID,
        attempt: Option<i32>,
        #[graphql(default_with = "BigInt(0)")] offset: BigInt,
    ) -> Result<impl Stream<Item = Result<LogRange>>> {
        let id = JobId(number(&action_job, Kind::ActionJob)?);
        let service = service(ctx).clone();
        let start = (service, offset.0, false);
        Ok(stream::unfold(start, move |(service, offset, over)| async move {
            if over {
                return None;
            }
            loop {
                let piece = match piece(&service, id, attempt, offset).await {
                    Ok(piece) => piece,
                    Err(error) => return Some((Err(error), (service, offset, true))),
                };
                if piece.next_offset.0 > offset || piece.closed {
                    let next = piece.next_offset.0;
                    let over = piece.closed && next >= piece.total_bytes.0;
                    return Some((Ok(piece), (service, next, over)));
                }
                tokio::time::sleep(LOG_PAUSE).await;
            }
        }))
    }
}

async fn piece(
    service: &Arc<Service>,
    id: JobId,
    attempt: Option<i32>,
    offset: u64,
) -> Result<LogRange, Error> {
    let job = view(service, id).await?;
    let piece = job.piece(service, attempt, offset, LOG_BYTES).await?;
    Ok(piece.unwrap_or(LogRange {
        offset: BigInt(offset),
        text: String::new(),
        next_offset: BigInt(offset),
        total_bytes: BigInt(0),
        closed: false,
    }))
}
