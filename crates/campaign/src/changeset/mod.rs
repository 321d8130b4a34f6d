//! Campaigns and their changesets: what is wanted, what is there, and the operations between the two.

mod plan;
mod rewire;
mod store;

use codehost::PullRequest;
use model::{CampaignId, ChangesetId, PatchId, PatchSetId, WallMs};
use serde::{Deserialize, Serialize};

use crate::execution::DiffStat;
use crate::patch_set::WantedChangeset;

pub use plan::{Operation, commit_key, description_key, is_pushed, phase, plan, short_base};
pub use rewire::{PreviewRow, effective, rewire};
pub use store::{
    BulkItem, BulkKind, BulkOperation, CampaignCounts, CampaignFilter, CampaignStore,
    ChangesetEvent, ChangesetFilter, EventKind, NewBulkOperation,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaign {
    pub id: CampaignId,
    pub name: String,
    pub description: String,
    /// Stands for the branch of patches that name none.
    pub branch: Option<String>,
    pub patch_set: Option<PatchSetId>,
    /// The patch set that its changesets were made from; another one than `patch_set` is still to be applied.
    pub applied: Option<PatchSetId>,
    /// What becomes of changesets whose spec leaves it open.
    pub publication: Publication,
    pub author: String,
    pub created: WallMs,
    pub updated: WallMs,
    pub published: Option<WallMs>,
    pub closed: Option<WallMs>,
    /// Patches that can have no changeset, and why.
    pub refused: Vec<String>,
}

/// How far a changeset is to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Publication {
    #[default]
    None,
    /// A branch without a pull request.
    PushOnly,
    Draft,
    PullRequest,
}

impl Publication {
    pub fn of(state: spec::PublishedState) -> Self {
        match state {
            spec::PublishedState::No => Self::None,
            spec::PublishedState::PushedOnly => Self::PushOnly,
            spec::PublishedState::Draft => Self::Draft,
            spec::PublishedState::Yes => Self::PullRequest,
        }
    }
}

/// A changeset: the wanted half above, the actual one below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changeset {
    pub id: ChangesetId,
    pub campaign: CampaignId,
    pub repository: String,
    /// Short name.
    pub branch: String,
    /// `None` when no patch wants it any more, or when it was imported.
    pub patch: Option<PatchId>,
    pub wanted: Option<WantedChangeset>,
    pub publication: Publication,
    /// It is to be closed, or stays closed.
    pub close: bool,
    /// It is no longer the campaign's, and only history.
    pub detached: bool,
    pub actual: Actual,
    pub work: Work,
    pub phase: Phase,
    /// Of what is wanted.
    pub stat: DiffStat,
    pub created: WallMs,
    pub updated: WallMs,
}

/// What we know to be so on the code host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Actual {
    /// Somebody else made it; we look, and change nothing.
    pub imported: bool,
    /// The commit on the branch that is ours.
    pub pushed: Option<String>,
    /// The patch that it was made from, by the digest of all that the commit is made of.
    pub pushed_of: Option<String>,
    /// A commit that is on its way to the branch: when a push's answer was lost, this tells it from a human's.
    pub pushing: Option<String>,
    /// A commit on the branch that is not ours.
    pub found: Option<String>,
    /// The pull request as the host last showed it.
    pub pull_request: Option<PullRequest>,
    /// Title, body and the like as we last wrote them, so that a human's change of them stays.
    pub described_as: Option<String>,
    /// The code host does not know the pull request any more.
    pub gone: bool,
    /// The code host has branches only.
    pub branches_only: bool,
}

/// How the work on it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// When it is to be looked at next; nothing when all is as wanted.
    pub due: Option<WallMs>,
    /// Tries since the last that went well.
    pub attempts: u32,
    /// The code host asked us to wait.
    pub waiting: bool,
    pub error: Option<String>,
    /// Trying again would end the same way.
    pub error_is_final: bool,
    /// When the host is to be asked how it stands.
    pub next_sync: Option<WallMs>,
    /// Somebody accepts that a human's commits on the branch are overwritten: exactly this one.
    pub overwrite: Option<String>,
}

/// Where a changeset stands, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Unpublished,
    /// Something is to be done, or being done.
    Queued,
    /// For a rate limit, or for another try.
    Waiting,
    Pushed,
    Draft,
    Open,
    Merged,
    Closed,
    /// The branch has commits of somebody else.
    Diverged,
    Failed,
    Detached,
}

impl Phase {
    pub const ALL: [Self; 11] = [
        Self::Unpublished,
        Self::Queued,
        Self::Waiting,
        Self::Pushed,
        Self::Draft,
        Self::Open,
        Self::Merged,
        Self::Closed,
        Self::Diverged,
        Self::Failed,
        Self::Detached,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Unpublished => "unpublished",
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::Pushed => "pushed",
            Self::Draft => "draft",
            Self::Open => "open",
            Self::Merged => "merged",
            Self::Closed => "closed",
            Self::Diverged => "diverged",
            Self::Failed => "failed",
            Self::Detached => "detached",
        }
    }
}

#[cfg(test)]
mod tests;
