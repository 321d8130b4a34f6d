//! What the store keeps of campaigns.

use std::collections::BTreeMap;

use codehost::{CheckState, PullRequestState, ReviewState};
use dispatcher::StoreError;
use model::{BulkOperationId, CampaignId, ChangesetId, PatchId, PatchSetId, WallMs};
use serde::{Deserialize, Serialize};

use super::{Campaign, Changeset, Phase, PreviewRow, Publication};
use crate::execution::DiffStat;
use crate::page::{Page, Window};

/// Which campaigns to list.
#[derive(Clone, Debug, Default)]
pub struct CampaignFilter {
    pub closed: Option<bool>,
    /// A part of the name.
    pub query: String,
}

/// Which changesets of a campaign to list.
#[derive(Clone, Debug, Default)]
pub struct ChangesetFilter {
    /// Only those that are on a code host.
    pub published: Option<bool>,
    /// In one of these; in any when there is none.
    pub phases: Vec<Phase>,
    pub state: Option<PullRequestState>,
    pub review: Option<ReviewState>,
    pub checks: Option<CheckState>,
    /// A part of the repository's name, the branch or the title.
    pub query: String,
}

/// How many changesets stand where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CampaignCounts {
    pub by_phase: BTreeMap<Phase, u64>,
    /// Of the unpublished, those whose spec says `published: false`.
    pub kept_back: u64,
    pub errors: Vec<String>,
    pub stat: DiffStat,
}

/// Something that happened to a changeset on its code host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangesetEvent {
    pub id: u64,
    pub changeset: ChangesetId,
    pub kind: EventKind,
    pub at: WallMs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    Opened,
    Closed,
    Reopened,
    Merged,
    ReviewPending,
    Approved,
    ChangesRequested,
    Commented,
    Dismissed,
    ChecksPending,
    ChecksPassed,
    ChecksFailed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BulkKind {
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
    Overwrite,
}

/// Something that is to be done to many changesets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBulkOperation {
    pub campaign: CampaignId,
    pub kind: BulkKind,
    pub by: String,
    /// A comment's text.
    pub text: String,
    pub changesets: Vec<ChangesetId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkOperation {
    pub id: BulkOperationId,
    pub campaign: CampaignId,
    pub kind: BulkKind,
    pub by: String,
    pub text: String,
    pub created: WallMs,
    pub finished: Option<WallMs>,
    pub total: u64,
    pub done: u64,
    pub failed: u64,
}

/// One changeset that an operation touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkItem {
    pub changeset: ChangesetId,
    /// `None` while it is to be done.
    pub done: Option<WallMs>,
    pub error: Option<String>,
}

pub trait CampaignStore: Send + Sync {
    /// `None` when the name is taken.
    fn create_campaign(&self, new: &Campaign) -> Result<Option<Campaign>, StoreError>;

    /// Everything but id, author and creation. Whether it is there and the name is free.
    fn put_campaign(&self, campaign: &Campaign) -> Result<bool, StoreError>;

    fn delete_campaign(&self, id: CampaignId) -> Result<bool, StoreError>;

    fn campaign(&self, id: CampaignId) -> Result<Option<Campaign>, StoreError>;

    fn campaign_named(&self, name: &str) -> Result<Option<Campaign>, StoreError>;

    fn campaign_of_patch_set(&self, id: PatchSetId) -> Result<Option<Campaign>, StoreError>;

    /// Newest first.
    fn campaigns(
        &self,
        filter: &CampaignFilter,
        window: Window<CampaignId>,
    ) -> Result<Page<Campaign>, StoreError>;

    /// Campaigns whose patch set is not applied yet.
    fn campaigns_to_apply(&self) -> Result<Vec<Campaign>, StoreError>;

    /// Applies what [`super::rewire`] decided, if the campaign still wants this patch set: all in one commit.
    fn apply(
        &self,
        id: CampaignId,
        set: PatchSetId,
        rows: &[PreviewRow],
        at: WallMs,
    ) -> Result<bool, StoreError>;

    /// Branches that open campaigns other than this have, with the campaign's name.
    fn branches_of_others(
        &self,
        id: CampaignId,
    ) -> Result<BTreeMap<(String, String), String>, StoreError>;

    /// A code host calls a repository otherwise now. Changesets, patches and results of searches go with it.
    fn rename_repository(&self, from: &str, to: &str) -> Result<(), StoreError>;

    /// Whether a commit is one that an earlier changeset of the campaign, which is history now, had on this branch.
    fn is_history(
        &self,
        id: CampaignId,
        repository: &str,
        branch: &str,
        commit: &str,
    ) -> Result<bool, StoreError>;

    /// The one that is there already when the campaign, or none, has this pull request; else with what happened to it.
    fn import_changeset(
        &self,
        campaign: Option<CampaignId>,
        changeset: &Changeset,
        events: &[(EventKind, WallMs)],
    ) -> Result<Changeset, StoreError>;

    fn changeset(&self, id: ChangesetId) -> Result<Option<Changeset>, StoreError>;

    /// In order of id.
    fn changesets(
        &self,
        campaign: CampaignId,
        filter: &ChangesetFilter,
        window: Window<ChangesetId>,
    ) -> Result<Page<Changeset>, StoreError>;

    /// Changesets with this pull request, of whatever campaign.
    fn changesets_of_pull_request(
        &self,
        repository: &str,
        external_id: &str,
    ) -> Result<Vec<Changeset>, StoreError>;

    /// Changesets of a campaign that want one of these patches.
    fn changesets_of_patches(
        &self,
        campaign: CampaignId,
        patches: &[PatchId],
    ) -> Result<Vec<Changeset>, StoreError>;

    fn changesets_of_branch(
        &self,
        repository: &str,
        branch: Option<&str>,
    ) -> Result<Vec<Changeset>, StoreError>;

    /// Those that are to be worked on, the longest due first.
    fn changesets_due(&self, now: WallMs, limit: usize) -> Result<Vec<Changeset>, StoreError>;

    /// Those whose code host is to be asked.
    fn changesets_to_sync(&self, now: WallMs, limit: usize) -> Result<Vec<Changeset>, StoreError>;

    /// Writes the actual half, the work and the phase, with what happened.
    fn put_changeset(
        &self,
        changeset: &Changeset,
        events: &[(EventKind, WallMs)],
    ) -> Result<(), StoreError>;

    /// Writes the wanted half: publication, closing, detaching.
    fn put_wishes(&self, changesets: &[Changeset]) -> Result<(), StoreError>;

    fn set_publication(
        &self,
        campaign: CampaignId,
        publication: Publication,
        at: WallMs,
    ) -> Result<(), StoreError>;

    fn counts(&self, campaign: CampaignId) -> Result<CampaignCounts, StoreError>;

    /// In order of time.
    fn events(&self, campaign: CampaignId) -> Result<Vec<ChangesetEvent>, StoreError>;

    fn events_of(&self, changeset: ChangesetId) -> Result<Vec<ChangesetEvent>, StoreError>;

    fn create_bulk(&self, new: &NewBulkOperation, at: WallMs) -> Result<BulkOperation, StoreError>;

    fn bulk(&self, id: BulkOperationId) -> Result<Option<BulkOperation>, StoreError>;

    /// Newest first.
    fn bulks(&self, campaign: CampaignId, limit: usize) -> Result<Vec<BulkOperation>, StoreError>;

    fn bulk_items(&self, id: BulkOperationId) -> Result<Vec<BulkItem>, StoreError>;

    /// Items that are not done, of all operations, oldest first.
    fn bulk_to_do(&self, limit: usize) -> Result<Vec<(BulkOperation, ChangesetId)>, StoreError>;

    fn put_bulk_item(
        &self,
        id: BulkOperationId,
        changeset: ChangesetId,
        error: Option<&str>,
        at: WallMs,
    ) -> Result<(), StoreError>;
}
