//! Campaigns.

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};
use campaign::changeset::{self, CampaignCounts, Phase, PreviewRow as Row};
use campaign::service::burndown;

use crate::convert::{DateTime, Kind, caller, id, int, number, service};
use crate::loaders::{batch, unshare};
use crate::page::{Connection, cost, window};
use crate::status;
use crate::types::action::Action;
use crate::types::changeset::{
    BulkOperation, CampaignChangeset, ChangesetCheckState, ChangesetOperation, ChangesetPhase,
    ChangesetReviewState, ChangesetState, ExternalChangeset, filter_of,
};
use crate::types::diff::DiffStat;
use crate::types::execution::{BackgroundProcessState, BackgroundProcessStatus};
use crate::types::patch::{Patch, PatchSet};
use crate::types::repository::Repository;
use crate::types::site::{Namespace, User};

pub(crate) struct Campaign(pub changeset::Campaign);

#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CampaignState {
    Open,
    Closed,
}

/// How many changesets stand where.
#[derive(SimpleObject)]
pub(crate) struct ChangesetTotals {
    total: i32,
    unpublished: i32,
    processing: i32,
    open: i32,
    draft: i32,
    merged: i32,
    closed: i32,
    failed: i32,
    diverged: i32,
    pushed_only: i32,
    /// Of the unpublished, those that stay so until somebody names them: their definition says `published: false`.
    kept_back: i32,
}

impl ChangesetTotals {
    fn of(counts: &CampaignCounts) -> Self {
        let sum = |phases: &[Phase]| {
            int(phases.iter().filter_map(|phase| counts.by_phase.get(phase)).sum())
        };
        let all: Vec<Phase> = Phase::ALL.into_iter().filter(|it| *it != Phase::Detached).collect();
        Self {
            total: sum(&all),
            unpublished: sum(&[Phase::Unpublished]),
            processing: sum(&[Phase::Queued, Phase::Waiting]),
            open: sum(&[Phase::Open]),
            draft: sum(&[Phase::Draft]),
            merged: sum(&[Phase::Merged]),
            closed: sum(&[Phase::Closed]),
            failed: sum(&[Phase::Failed]),
            diverged: sum(&[Phase::Diverged]),
            pushed_only: sum(&[Phase::Pushed]),
            kept_back: int(counts.kept_back),
        }
    }
}

/// The changesets at one time.
#[derive(SimpleObject)]
pub(crate) struct ChangesetCounts {
    date: DateTime,
    total: i32,
    merged: i32,
    closed: i32,
    open: i32,
    open_approved: i32,
    open_changes_requested: i32,
    open_pending: i32,
}

/// What applying a patch set would do.
#[derive(SimpleObject)]
pub(crate) struct CampaignPreview {
    total_count: i32,
    nodes: Vec<PreviewRow>,
    counts: Vec<OperationCount>,
}

#[derive(SimpleObject)]
pub(crate) struct OperationCount {
    operation: ChangesetOperation,
    count: i32,
}

#[derive(SimpleObject)]
pub(crate) struct PreviewRow {
    repository: Repository,
    branch: String,
    title: String,
    operations: Vec<ChangesetOperation>,
    reason: String,
    /// Why there can be no changeset.
    refused: Option<String>,
    diff_stat: Option<DiffStat>,
}

/// Rows of a preview that are given; the counts are of all.
const PREVIEW_ROWS: usize = 1000;

impl CampaignPreview {
    pub fn of(rows: Vec<Row>, all: &codehost::git::Repositories) -> Self {
        let mut counts: Vec<OperationCount> = Vec::new();
        for row in &rows {
            let operations = row.operations.iter().map(|it| ChangesetOperation::from(*it));
            let nothing = row.operations.is_empty().then_some(ChangesetOperation::Nothing);
            for operation in operations.chain(nothing) {
                match counts.iter_mut().find(|known| known.operation == operation) {
                    Some(known) => known.count += 1,
                    None => counts.push(OperationCount { operation, count: 1 }),
                }
            }
        }
        let total_count = int(rows.len() as u64);
        // What does something comes first.
        let (mut busy, quiet): (Vec<Row>, Vec<Row>) =
            rows.into_iter().partition(|row| !row.operations.is_empty() || row.refused.is_some());
        busy.extend(quiet);
        let nodes = busy.into_iter().take(PREVIEW_ROWS).map(|row| PreviewRow {
            repository: Repository::named(all, &row.repository),
            branch: row.branch,
            title: row.title,
            operations: row.operations.into_iter().map(ChangesetOperation::from).collect(),
            reason: row.reason,
            refused: row.refused,
            diff_stat: row.patch.map(|_| row.stat.into()),
        });
        Self { total_count, nodes: nodes.collect(), counts }
    }
}

impl Campaign {
    async fn count(&self, ctx: &Context<'_>) -> Result<CampaignCounts> {
        let of = self.0.id;
        service(ctx).blocking(move |it| it.store.counts(of)).await.map_err(status::store)
    }
}

#[Object]
impl Campaign {
    pub async fn id(&self) -> ID {
        id(Kind::Campaign, self.0.id)
    }

    async fn patch_set(&self, ctx: &Context<'_>) -> Result<Option<PatchSet>> {
        let Some(of) = self.0.patch_set else { return Ok(None) };
        Ok(batch(ctx).load_one(of).await.map_err(unshare)?.map(PatchSet))
    }

    async fn status(&self, ctx: &Context<'_>) -> Result<BackgroundProcessStatus> {
        let counts = self.count(ctx).await?;
        let totals = ChangesetTotals::of(&counts);
        let applying = self.0.closed.is_none() && self.0.applied != self.0.patch_set;
        let failed = totals.failed + totals.diverged;
        let state = if totals.processing > 0 || applying {
            BackgroundProcessState::Processing
        } else if failed > 0 || !self.0.refused.is_empty() {
            BackgroundProcessState::Errored
        } else {
            BackgroundProcessState::Completed
        };
        let errors = counts.errors.into_iter().chain(self.0.refused.clone()).collect();
        Ok(BackgroundProcessStatus {
            completed_count: totals.total - totals.processing,
            pending_count: totals.processing,
            state,
            errors,
        })
    }

    async fn namespace(&self) -> Namespace {
        User::named(&self.0.author).into()
    }

    async fn name(&self) -> &str {
        &self.0.name
    }

    async fn description(&self) -> Option<&str> {
        Some(&*self.0.description).filter(|text| !text.is_empty())
    }

    async fn branch(&self) -> Option<&str> {
        self.0.branch.as_deref()
    }

    async fn author(&self) -> User {
        User::named(&self.0.author)
    }

    async fn viewer_can_administer(&self, ctx: &Context<'_>) -> bool {
        caller(ctx).role >= campaign::site::Role::User
    }

    async fn url(&self) -> String {
        format!("/campaigns/{}", self.0.name)
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created)
    }

    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated)
    }

    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn repository_diffs(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
    ) -> Result<Connection<Patch>> {
        patches(ctx, self.0.patch_set, first, None).await
    }

    /// Those that are on a code host.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn changesets(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        state: Option<ChangesetState>,
        review_state: Option<ChangesetReviewState>,
        check_state: Option<ChangesetCheckState>,
    ) -> Result<Connection<ExternalChangeset>> {
        let mut filter = filter_of(state, review_state, check_state);
        filter.published = Some(true);
        let (window, of) = (window(first, after.as_deref())?, self.0.id);
        let page = service(ctx).blocking(move |it| it.store.changesets(of, &filter, window)).await;
        let page = page.map_err(status::store)?.map(ExternalChangeset);
        Ok(Connection::new(page, after.is_some(), |it| it.0.id.to_string()))
    }

    /// One point for each day, from the campaign's creation until now if nothing else is said.
    async fn changeset_counts_over_time(
        &self,
        ctx: &Context<'_>,
        from: Option<DateTime>,
        to: Option<DateTime>,
    ) -> Result<Vec<ChangesetCounts>> {
        let of = self.0.id;
        let events = service(ctx).blocking(move |it| it.store.events(of)).await;
        let events = events.map_err(status::store)?;
        // An imported pull request may be older than the campaign.
        let from = from.map_or(self.0.created, |from| from.0);
        let to = to.map_or_else(|| service(ctx).now(), |to| to.0);
        let points = burndown(&events, from, to).into_iter().map(|point| ChangesetCounts {
            date: DateTime(point.at),
            total: int(point.total),
            merged: int(point.merged),
            closed: int(point.closed),
            open: int(point.approved + point.changes_requested + point.pending),
            open_approved: int(point.approved),
            open_changes_requested: int(point.changes_requested),
            open_pending: int(point.pending),
        });
        Ok(points.collect())
    }

    async fn closed_at(&self) -> Option<DateTime> {
        self.0.closed.map(DateTime)
    }

    async fn published_at(&self) -> Option<DateTime> {
        self.0.published.map(DateTime)
    }

    /// Those that are not published yet.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn patches(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<Patch>> {
        let filter =
            changeset::ChangesetFilter { phases: vec![Phase::Unpublished], ..Default::default() };
        let (window, of) = (window(first, after.as_deref())?, self.0.id);
        let read = move |it: &campaign::service::Service| {
            let page = it.store.changesets(of, &filter, window)?;
            let ids: Vec<_> = page.items.iter().filter_map(|it| it.patch).collect();
            let known = it.store.patches_by_id(&ids)?;
            let items =
                page.items.iter().filter_map(|it| Some((it.id, known.get(&it.patch?)?.clone())));
            let items = items.collect();
            Ok(campaign::page::Page { items, more: page.more, total: page.total })
        };
        let page = service(ctx).blocking(read).await.map_err(status::store)?;
        let last = page.items.last().map(|(id, _)| id.to_string()).unwrap_or_default();
        let page = page.map(|(_, patch)| Patch(patch));
        Ok(Connection::new(page, after.is_some(), |_| last.clone()))
    }

    async fn state(&self) -> CampaignState {
        if self.0.closed.is_some() { CampaignState::Closed } else { CampaignState::Open }
    }

    /// Every changeset that is wanted or there, published or not.
    #[graphql(complexity = "cost(first, child_complexity)")]
    #[expect(clippy::too_many_arguments, reason = "they are the arguments of the field")]
    async fn campaign_changesets(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        phases: Option<Vec<ChangesetPhase>>,
        state: Option<ChangesetState>,
        review_state: Option<ChangesetReviewState>,
        check_state: Option<ChangesetCheckState>,
        query: Option<String>,
    ) -> Result<Connection<CampaignChangeset>> {
        let mut filter = filter_of(state, review_state, check_state);
        filter.phases = phases.into_iter().flatten().map(Phase::from).collect();
        filter.query = query.unwrap_or_default();
        let (window, of) = (window(first, after.as_deref())?, self.0.id);
        let page = service(ctx).blocking(move |it| it.store.changesets(of, &filter, window)).await;
        let page = page.map_err(status::store)?.map(CampaignChangeset);
        Ok(Connection::new(page, after.is_some(), |it| it.0.id.to_string()))
    }

    /// What applying a patch set would do: the campaign's own when none is named. Nothing is done.
    #[graphql(complexity = "200 + child_complexity")]
    async fn preview(&self, ctx: &Context<'_>, patch_set: Option<ID>) -> Result<CampaignPreview> {
        let set = patch_set.map(|id| number(&id, Kind::PatchSet)).transpose()?;
        let set = set.map(model::PatchSetId);
        let rows = service(ctx).preview(self.0.id, set).await.map_err(status::refuse)?;
        Ok(CampaignPreview::of(rows, service(ctx).searcher.repositories()))
    }

    async fn counts(&self, ctx: &Context<'_>) -> Result<ChangesetTotals> {
        Ok(ChangesetTotals::of(&self.count(ctx).await?))
    }

    async fn diff_stat(&self, ctx: &Context<'_>) -> Result<DiffStat> {
        Ok(self.count(ctx).await?.stat.into())
    }

    /// Actions whose patches it takes.
    async fn actions(&self, ctx: &Context<'_>) -> Result<Vec<Action>> {
        let of = self.0.id;
        let all = service(ctx).blocking(move |it| it.store.actions_of_campaign(of)).await;
        Ok(all.map_err(status::store)?.into_iter().map(Action).collect())
    }

    /// Newest first.
    async fn bulk_operations(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
    ) -> Result<Vec<BulkOperation>> {
        let (of, count) = (self.0.id, crate::page::length(first)?);
        let all = service(ctx).blocking(move |it| it.store.bulks(of, count)).await;
        Ok(all.map_err(status::store)?.into_iter().map(BulkOperation).collect())
    }
}

async fn patches(
    ctx: &Context<'_>,
    set: Option<model::PatchSetId>,
    first: Option<i32>,
    after: Option<&str>,
) -> Result<Connection<Patch>> {
    let Some(set) = set else { return Ok(Connection::whole(Vec::new())) };
    let window = window(first, after)?;
    let page = service(ctx).blocking(move |it| it.store.patches(set, window)).await;
    let page = page.map_err(status::store)?.map(Patch);
    Ok(Connection::new(page, after.is_some(), |it| it.0.id.to_string()))
}
