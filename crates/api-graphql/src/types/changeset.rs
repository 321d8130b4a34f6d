//! Changesets: as a campaign wants them, and as a code host has them.

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};
use campaign::changeset::{self as domain, Changeset, ChangesetFilter};
use codehost::{CheckState, PullRequest, PullRequestState, ReviewState};
use model::WallMs;

use crate::convert::{DateTime, Kind, id, int, service};
use crate::loaders::{batch, unshare};
use crate::page::{Connection, length};
use crate::status;
use crate::types::campaign::{Campaign, CampaignState};
use crate::types::diff::{DiffStat, PreviewRepositoryComparison};
use crate::types::patch::Patch;
use crate::types::repository::{GitRef, Repository};
use crate::types::site::User;

#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangesetState {
    Open,
    Closed,
    Merged,
    Deleted,
}

#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "codehost::ReviewState")]
pub(crate) enum ChangesetReviewState {
    Approved,
    ChangesRequested,
    Pending,
    Commented,
    Dismissed,
}

#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangesetCheckState {
    Pending,
    Passed,
    Failed,
}

/// Where a changeset stands, in one word.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "campaign::changeset::Phase")]
pub(crate) enum ChangesetPhase {
    Unpublished,
    /// Something is to be done, or being done.
    Queued,
    Waiting,
    Pushed,
    Draft,
    Open,
    Merged,
    Closed,
    Diverged,
    Failed,
    Detached,
}

#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangesetOperation {
    Push,
    Publish,
    PublishDraft,
    Update,
    Undraft,
    Close,
    Reopen,
    Nothing,
}

impl From<domain::Operation> for ChangesetOperation {
    fn from(it: domain::Operation) -> Self {
        match it {
            domain::Operation::Push => Self::Push,
            domain::Operation::Publish => Self::Publish,
            domain::Operation::PublishDraft => Self::PublishDraft,
            domain::Operation::Update => Self::Update,
            domain::Operation::Undraft => Self::Undraft,
            domain::Operation::Close => Self::Close,
            domain::Operation::Reopen => Self::Reopen,
        }
    }
}

/// How far a changeset is to go.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "campaign::changeset::Publication")]
pub(crate) enum Publication {
    None,
    #[graphql(name = "PUSH_ONLY")]
    PushOnly,
    Draft,
    PullRequest,
}

#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "campaign::changeset::BulkKind")]
pub(crate) enum BulkKind {
    Publish,
    PublishDraft,
    PushOnly,
    Close,
    Reopen,
    Detach,
    Retry,
    Sync,
    Merge,
    Comment,
    /// Takes the branch though somebody else's commit is on it: exactly the commit that is shown.
    Overwrite,
}

pub(crate) fn filter_of(
    state: Option<ChangesetState>,
    review: Option<ChangesetReviewState>,
    checks: Option<ChangesetCheckState>,
) -> ChangesetFilter {
    ChangesetFilter {
        state: state.map(|state| match state {
            ChangesetState::Open => PullRequestState::Open,
            ChangesetState::Closed | ChangesetState::Deleted => PullRequestState::Closed,
            ChangesetState::Merged => PullRequestState::Merged,
        }),
        review: review.map(ReviewState::from),
        checks: checks.map(|checks| match checks {
            ChangesetCheckState::Pending => CheckState::Pending,
            ChangesetCheckState::Passed => CheckState::Passed,
            ChangesetCheckState::Failed => CheckState::Failed,
        }),
        ..ChangesetFilter::default()
    }
}

/// A changeset of a campaign, published or not.
pub(crate) struct CampaignChangeset(pub Changeset);

#[Object]
impl CampaignChangeset {
    pub async fn id(&self) -> ID {
        id(Kind::CampaignChangeset, self.0.id)
    }

    async fn repository(&self, ctx: &Context<'_>) -> Repository {
        Repository::named(service(ctx).searcher.repositories(), &self.0.repository)
    }

    async fn branch(&self) -> &str {
        &self.0.branch
    }

    async fn title(&self) -> String {
        let wanted = self.0.wanted.as_ref().and_then(|wanted| wanted.title.clone());
        let there = || self.0.actual.pull_request.as_ref().map(|pull| pull.title.clone());
        wanted.or_else(there).unwrap_or_default()
    }

    async fn body(&self) -> String {
        let wanted = self.0.wanted.as_ref().map(|wanted| wanted.body.clone());
        let there = || self.0.actual.pull_request.as_ref().map(|pull| pull.body.clone());
        wanted.or_else(there).unwrap_or_default()
    }

    async fn phase(&self) -> ChangesetPhase {
        self.0.phase.into()
    }

    /// What is wanted.
    async fn publication(&self) -> Publication {
        self.0.publication.into()
    }

    /// What is still to be done, in order.
    async fn operations(&self) -> Vec<ChangesetOperation> {
        domain::plan(&self.0).into_iter().map(ChangesetOperation::from).collect()
    }

    async fn patch(&self, ctx: &Context<'_>) -> Result<Option<Patch>> {
        let Some(of) = self.0.patch else { return Ok(None) };
        Ok(batch(ctx).load_one(of).await.map_err(unshare)?.map(Patch))
    }

    /// As the code host has it; nothing while it is not published.
    async fn changeset(&self) -> Option<ExternalChangeset> {
        self.0.actual.pull_request.as_ref().map(|_| ExternalChangeset(self.0.clone()))
    }

    /// Why it does not go on.
    async fn error(&self) -> Option<&str> {
        let diverged = self.0.phase == domain::Phase::Diverged;
        let others = "the branch has commits of somebody else; it is left as it is";
        self.0.work.error.as_deref().or(diverged.then_some(others))
    }

    /// Tries since the last that went well.
    async fn attempts(&self) -> i32 {
        int(self.0.work.attempts.into())
    }

    /// When it is tried again; with a rate limit, when the host allows it.
    async fn waiting_until(&self) -> Option<DateTime> {
        let waits = self.0.phase == domain::Phase::Waiting;
        self.0.work.due.filter(|_| waits).map(DateTime)
    }

    async fn updated_at(&self) -> DateTime {
        DateTime(self.0.updated)
    }

    async fn diff_stat(&self) -> Option<DiffStat> {
        self.0.patch.map(|_| self.0.stat.clone().into())
    }

    /// The commit on the branch that is ours.
    async fn pushed_commit(&self) -> Option<&str> {
        self.0.actual.pushed.as_deref()
    }

    /// A commit on the branch that is somebody else's.
    async fn found_commit(&self) -> Option<&str> {
        self.0.actual.found.as_deref()
    }

    #[graphql(name = "externalURL")]
    async fn external_url(&self) -> Option<&str> {
        self.0.actual.pull_request.as_ref().map(|pull| &*pull.url)
    }
}

/// A pull request, or what the code host calls one.
pub(crate) struct ExternalChangeset(pub Changeset);

impl ExternalChangeset {
    fn pull(&self) -> Result<&PullRequest> {
        let none = || status::not_found(format!("pull request of changeset {}", self.0.id));
        self.0.actual.pull_request.as_ref().ok_or_else(none)
    }
}

#[derive(SimpleObject)]
pub(crate) struct ExternalLink {
    url: String,
    service_type: String,
}

#[derive(SimpleObject)]
pub(crate) struct ChangesetLabel {
    text: String,
    color: String,
    description: Option<String>,
}

#[Object]
impl ExternalChangeset {
    pub async fn id(&self) -> ID {
        id(Kind::ExternalChangeset, self.0.id)
    }

    #[graphql(name = "externalID")]
    async fn external_id(&self) -> Result<&str> {
        Ok(&self.pull()?.external_id)
    }

    async fn repository(&self, ctx: &Context<'_>) -> Repository {
        Repository::named(service(ctx).searcher.repositories(), &self.0.repository)
    }

    async fn campaigns(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        state: Option<CampaignState>,
        has_patch_set: Option<bool>,
    ) -> Result<Connection<Campaign>> {
        let (repository, external) = (self.0.repository.clone(), self.pull()?.external_id.clone());
        let read = move |it: &campaign::service::Service| {
            let all = it.store.changesets_of_pull_request(&repository, &external)?;
            let all = all.into_iter().filter(|it| !it.detached && it.campaign.0 != 0);
            Ok(all.map(|it| it.campaign).collect::<Vec<_>>())
        };
        let ids = service(ctx).blocking(read).await.map_err(status::store)?;
        let known = batch(ctx).load_many(ids).await.map_err(unshare)?;
        let mut all: Vec<_> = known.into_values().collect();
        all.sort_by_key(|campaign| campaign.id);
        all.retain(|campaign| {
            let closed = campaign.closed.is_some();
            state.is_none_or(|state| closed == (state == CampaignState::Closed))
                && has_patch_set.is_none_or(|has| has == campaign.patch_set.is_some())
        });
        all.truncate(length(first)?);
        Ok(Connection::whole(all.into_iter().map(Campaign).collect()))
    }

    async fn events(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
    ) -> Result<ChangesetEventConnection> {
        let of = self.0.id;
        let events = service(ctx).blocking(move |it| it.store.events_of(of)).await;
        let events = events.map_err(status::store)?;
        let total_count = int(events.len() as u64);
        let nodes = events.into_iter().take(length(first)?);
        let nodes = nodes.map(|event| ChangesetEvent { event, of: self.0.clone() }).collect();
        Ok(ChangesetEventConnection { total_count, nodes })
    }

    async fn created_at(&self) -> Result<DateTime> {
        Ok(DateTime(WallMs(self.pull()?.created_ms)))
    }

    async fn updated_at(&self) -> Result<DateTime> {
        Ok(DateTime(WallMs(self.pull()?.updated_ms)))
    }

    async fn next_sync(&self) -> Option<DateTime> {
        self.0.work.next_sync.map(DateTime)
    }

    async fn title(&self) -> Result<&str> {
        Ok(&self.pull()?.title)
    }

    async fn body(&self) -> Result<&str> {
        Ok(&self.pull()?.body)
    }

    async fn state(&self) -> Result<ChangesetState> {
        if self.0.actual.gone {
            return Ok(ChangesetState::Deleted);
        }
        Ok(match self.pull()?.state {
            PullRequestState::Open => ChangesetState::Open,
            PullRequestState::Closed => ChangesetState::Closed,
            PullRequestState::Merged => ChangesetState::Merged,
        })
    }

    async fn labels(&self) -> Result<Vec<ChangesetLabel>> {
        let labels = self.pull()?.labels.iter().cloned();
        let labels = labels.map(|label| ChangesetLabel {
            text: label.text,
            color: label.color,
            description: label.description,
        });
        Ok(labels.collect())
    }

    #[graphql(name = "externalURL")]
    async fn external_url(&self, ctx: &Context<'_>) -> Result<ExternalLink> {
        let all = service(ctx).searcher.repositories();
        let link = all.get(&self.0.repository).and_then(|known| known.host.clone());
        let host = match link {
            Some(link) => service(ctx).code_host(model::CodeHostId(link.code_host)).await.ok(),
            None => None,
        };
        Ok(ExternalLink {
            url: self.pull()?.url.clone(),
            service_type: host.map_or("git", |host| host.settings.kind.name()).to_owned(),
        })
    }

    async fn review_state(&self) -> Result<ChangesetReviewState> {
        Ok(self.pull()?.review.into())
    }

    async fn head(&self) -> Result<Option<GitRef>> {
        let pull = self.pull()?;
        Ok(Some(GitRef::branch(&pull.head, &pull.head_commit)))
    }

    async fn base(&self) -> Result<Option<GitRef>> {
        let pull = self.pull()?;
        let commit = self.0.wanted.as_ref().map_or("", |wanted| &wanted.base_revision);
        Ok(Some(GitRef::branch(&pull.base, commit)))
    }

    async fn diff(&self) -> Option<PreviewRepositoryComparison> {
        let wanted = self.0.wanted.as_ref()?;
        Some(PreviewRepositoryComparison {
            repository: self.0.repository.clone(),
            digest: wanted.diff.clone(),
        })
    }

    /// Nothing when there are no checks.
    async fn check_state(&self) -> Result<Option<ChangesetCheckState>> {
        Ok(match self.pull()?.checks {
            CheckState::Unknown => None,
            CheckState::Pending => Some(ChangesetCheckState::Pending),
            CheckState::Failed => Some(ChangesetCheckState::Failed),
            CheckState::Passed => Some(ChangesetCheckState::Passed),
        })
    }

    async fn is_draft(&self) -> Result<bool> {
        Ok(self.pull()?.draft)
    }
}

#[derive(SimpleObject)]
pub(crate) struct ChangesetEventConnection {
    total_count: i32,
    nodes: Vec<ChangesetEvent>,
}

pub(crate) struct ChangesetEvent {
    event: domain::ChangesetEvent,
    of: Changeset,
}

#[Object]
impl ChangesetEvent {
    async fn id(&self) -> ID {
        id(Kind::ChangesetEvent, self.event.id)
    }

    async fn changeset(&self) -> ExternalChangeset {
        ExternalChangeset(self.of.clone())
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.event.at)
    }

    /// `opened`, `closed`, `reopened`, `merged`, `approved`, `changes_requested` and the like.
    async fn kind(&self) -> String {
        let word = serde_json::to_value(self.event.kind).unwrap_or_default();
        word.as_str().unwrap_or_default().to_owned()
    }
}

pub(crate) struct BulkOperation(pub domain::BulkOperation);

#[Object]
impl BulkOperation {
    pub async fn id(&self) -> ID {
        id(Kind::BulkOperation, self.0.id)
    }

    async fn kind(&self) -> BulkKind {
        self.0.kind.into()
    }

    async fn by(&self) -> User {
        User::named(&self.0.by)
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created)
    }

    async fn finished_at(&self) -> Option<DateTime> {
        self.0.finished.map(DateTime)
    }

    async fn total(&self) -> i32 {
        int(self.0.total)
    }

    async fn done(&self) -> i32 {
        int(self.0.done)
    }

    async fn failed(&self) -> i32 {
        int(self.0.failed)
    }

    /// What it touches, one by one.
    async fn items(&self, ctx: &Context<'_>, first: Option<i32>) -> Result<Vec<BulkOperationItem>> {
        let (of, count) = (self.0.id, length(first)?);
        let read = move |it: &campaign::service::Service| {
            let mut items = Vec::new();
            for item in it.store.bulk_items(of)?.into_iter().take(count) {
                if let Some(changeset) = it.store.changeset(item.changeset)? {
                    items.push(BulkOperationItem {
                        changeset: CampaignChangeset(changeset),
                        state: match (&item.done, &item.error) {
                            (None, _) => "waiting",
                            (Some(_), None) => "done",
                            (Some(_), Some(_)) => "failed",
                        }
                        .to_owned(),
                        error: item.error,
                    });
                }
            }
            Ok(items)
        };
        service(ctx).blocking(read).await.map_err(status::store)
    }
}

#[derive(SimpleObject)]
pub(crate) struct BulkOperationItem {
    changeset: CampaignChangeset,
    /// `waiting`, `done` or `failed`.
    state: String,
    error: Option<String>,
}
