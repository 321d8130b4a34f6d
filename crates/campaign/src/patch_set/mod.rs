//! Patch sets: what an execution, or a client, wants changed in which repositories. Never changed once it is there.

mod build;

use std::collections::BTreeMap;

use dispatcher::StoreError;
use model::{GroupId, PatchId, PatchSetId, WallMs};
use serde::{Deserialize, Serialize};

use crate::execution::DiffStat;
use crate::page::{Page, Window};

pub use build::{BuildError, Draft, finish_executions, from_execution, submit_partial};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchSet {
    pub id: PatchSetId,
    pub execution: Option<GroupId>,
    pub created: WallMs,
    pub author: String,
    pub coverage: Coverage,
    pub patches: u64,
}

/// For which repositories a patch set speaks. About the others it says nothing, so that their changesets stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Coverage {
    /// It speaks for every repository but those that failed: one that has no patch is to have no changeset.
    pub whole: bool,
    /// Repositories whose job succeeded; only with `whole` false.
    #[serde(default)]
    pub ran: Vec<String>,
    /// Repositories whose job did not succeed, though others did, or that could not be searched.
    #[serde(default)]
    pub failed: Vec<String>,
}

impl Coverage {
    /// Whether the patch set says what a repository is to have.
    pub fn speaks_for(&self, repository: &str) -> bool {
        let is = |names: &[String]| names.iter().any(|name| name == repository);
        !is(&self.failed) && (self.whole || is(&self.ran))
    }
}

/// What one changeset is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    pub id: PatchId,
    pub set: PatchSetId,
    pub wanted: WantedChangeset,
    pub stat: DiffStat,
}

/// A patch with everything that its changeset needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WantedChangeset {
    pub repository: String,
    /// As it was given: a short or full name of a branch, a tag, or a commit.
    pub base_ref: String,
    pub base_revision: String,
    /// The unified diff, in the blob store.
    pub diff: String,
    /// `None` when whoever sent the patch left it to the campaign.
    pub branch: Option<String>,
    pub title: Option<String>,
    #[serde(default)]
    pub body: String,
    pub commit_message: Option<String>,
    pub author: Option<spec::Author>,
    /// What the spec says of publishing; `None` leaves it to people.
    pub published: Option<spec::PublishedState>,
    #[serde(default)]
    pub labels: Vec<String>,
    #[serde(default)]
    pub reviewers: Vec<String>,
    /// The job that made it.
    pub job: Option<u64>,
}

/// A patch set that is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPatchSet {
    /// The execution, and which of its ends this is: an execution whose jobs are retried ends again.
    pub of: Option<(GroupId, WallMs)>,
    pub author: String,
    pub coverage: Coverage,
    pub patches: Vec<(WantedChangeset, DiffStat)>,
    pub partial: Option<crate::action::Partial>,
}

/// What the store keeps of patch sets.
pub trait PatchSetStore: Send + Sync {
    /// Stores it, hangs it on its execution, and gives it to the campaign of the execution's action if that is to update itself:
    /// all in one commit. The patch set that is there already when this end of the execution has one.
    fn create_patch_set(&self, new: &NewPatchSet, at: WallMs) -> Result<PatchSet, StoreError>;

    fn patch_set(&self, id: PatchSetId) -> Result<Option<PatchSet>, StoreError>;

    fn patch(&self, id: PatchId) -> Result<Option<Patch>, StoreError>;

    fn patches_by_id(&self, ids: &[PatchId]) -> Result<BTreeMap<PatchId, Patch>, StoreError>;

    /// In order of id.
    fn patches(&self, set: PatchSetId, window: Window<PatchId>) -> Result<Page<Patch>, StoreError>;

    fn patch_set_stat(&self, set: PatchSetId) -> Result<DiffStat, StoreError>;
}
