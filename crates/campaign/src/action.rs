//! Actions: a definition with a name that is run when asked, on a schedule, or when a search finds something new.

use dispatcher::StoreError;
use model::{ActionId, CampaignId, GroupId, PatchSetId, SavedSearchId, WallMs};
use serde::{Deserialize, Serialize};

use crate::page::{Page, Window};

/// An action as it is now. Executions keep their own copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    pub id: ActionId,
    pub name: String,
    /// Of the newest version.
    pub description: String,
    pub version: u32,
    /// As it was written.
    pub text: String,
    pub settings: Settings,
    pub owner: String,
    pub created: WallMs,
    pub updated: WallMs,
    /// The tick that the schedule waits for.
    pub next_tick: Option<WallMs>,
}

/// What starts an action, and what becomes of its patches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Five fields, or `@daily` and the like. An action has a schedule or a saved search, not both.
    pub schedule: Option<String>,
    /// An IANA name; empty is UTC.
    pub time_zone: String,
    pub overlap: Overlap,
    pub paused: bool,
    pub saved_search: Option<SavedSearchId>,
    pub trigger: Trigger,
    /// Whether a saved search runs the action only on the repositories that are new in its results.
    pub only_new: bool,
    /// The campaign that takes the patches when an execution completes.
    pub campaign: Option<CampaignId>,
    pub autoupdate: bool,
}

/// What happens when it is time and the execution before is not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// The tick is left out. What a saved search found waits as with [`Self::Queue`]: it would never be new again.
    #[default]
    Skip,
    /// It runs when the one before is over; many missed ticks are one.
    Queue,
    CancelPrevious,
}

/// Which change of a saved search's results starts an action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    #[default]
    Added,
    Removed,
    Any,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionVersion {
    pub number: u32,
    pub text: String,
    pub author: String,
    pub created: WallMs,
}

/// Why an execution is there. Part of its document, so that it is never lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    pub action: u64,
    pub version: u32,
    pub reason: Reason,
    /// The evidence in words: who asked, which tick it was, what the search found.
    pub detail: String,
    /// Whether the whole scope was run; else only repositories that were new.
    pub whole_scope: bool,
    /// Repositories that could not be searched: nothing is known of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_searched: Vec<String>,
    /// What it was run for, when the same must not run twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    Manual,
    Schedule,
    SavedSearch,
    Webhook,
}

impl Reason {
    pub const ALL: [Self; 4] = [Self::Manual, Self::Schedule, Self::SavedSearch, Self::Webhook];

    pub fn name(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Schedule => "schedule",
            Self::SavedSearch => "saved_search",
            Self::Webhook => "webhook",
        }
    }
}

/// What is known of an execution beside its jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionRow {
    pub execution: GroupId,
    pub action: Option<ActionId>,
    pub version: Option<u32>,
    pub reason: Reason,
    pub detail: String,
    pub owner: String,
    /// The newest one.
    pub patch_set: Option<PatchSetId>,
    pub partial: Option<Partial>,
}

/// Somebody took the good results though some jobs failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partial {
    pub by: String,
    pub at: WallMs,
    pub failed: u64,
}

/// A time at which an action was to run and did not, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfire {
    pub action: ActionId,
    pub at: WallMs,
    pub reason: Reason,
    pub detail: String,
    pub why: String,
}

/// Which executions to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExecutionFilter {
    pub action: Option<ActionId>,
    pub state: Option<ExecutionState>,
}

/// Where an execution stands: a job that was canceled counts first, then what still runs, then what failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecutionState {
    Processing,
    Errored,
    Completed,
    Canceled,
}

/// What the store keeps of actions and their executions.
pub trait ActionStore: Send + Sync {
    /// `None` when the name is taken.
    fn create_action(
        &self,
        name: &str,
        description: &str,
        text: &str,
        owner: &str,
        at: WallMs,
    ) -> Result<Option<Action>, StoreError>;

    /// A new version; the same text again changes nothing.
    fn put_action_version(
        &self,
        id: ActionId,
        description: &str,
        text: &str,
        author: &str,
        at: WallMs,
    ) -> Result<Option<Action>, StoreError>;

    /// `next_tick` is the settings' own: both change in one commit.
    fn put_action_settings(
        &self,
        id: ActionId,
        settings: &Settings,
        next_tick: Option<WallMs>,
        at: WallMs,
    ) -> Result<Option<Action>, StoreError>;

    /// Moves the schedule on, if it still waits for `from`.
    fn put_next_tick(
        &self,
        id: ActionId,
        from: WallMs,
        to: Option<WallMs>,
    ) -> Result<bool, StoreError>;

    fn delete_action(&self, id: ActionId) -> Result<bool, StoreError>;

    fn action(&self, id: ActionId) -> Result<Option<Action>, StoreError>;

    fn action_named(&self, name: &str) -> Result<Option<Action>, StoreError>;

    /// In order of name; `query` is a part of it.
    fn actions(&self, query: &str, window: Window<String>) -> Result<Page<Action>, StoreError>;

    /// Those whose schedule is due.
    fn actions_due(&self, now: WallMs) -> Result<Vec<Action>, StoreError>;

    /// The soonest tick of all schedules.
    fn next_tick(&self) -> Result<Option<WallMs>, StoreError>;

    fn actions_of_saved_search(&self, id: SavedSearchId) -> Result<Vec<Action>, StoreError>;

    fn actions_of_campaign(&self, id: CampaignId) -> Result<Vec<Action>, StoreError>;

    /// Newest first.
    fn action_versions(
        &self,
        id: ActionId,
        window: Window<u32>,
    ) -> Result<Page<ActionVersion>, StoreError>;

    fn action_version(
        &self,
        id: ActionId,
        number: u32,
    ) -> Result<Option<ActionVersion>, StoreError>;

    /// Writes down an execution that the engine has. The same again is fine.
    fn put_execution(&self, row: &ExecutionRow) -> Result<(), StoreError>;

    fn execution(&self, id: GroupId) -> Result<Option<ExecutionRow>, StoreError>;

    fn executions_by_id(&self, ids: &[GroupId]) -> Result<Vec<ExecutionRow>, StoreError>;

    /// Newest first.
    fn executions(
        &self,
        filter: ExecutionFilter,
        window: Window<GroupId>,
    ) -> Result<Page<ExecutionRow>, StoreError>;

    /// Executions that the engine has and that are not written down yet.
    fn executions_to_write(&self) -> Result<Vec<GroupId>, StoreError>;

    /// Executions that are over in the engine and whose last end has no patch set.
    fn executions_to_finish(&self) -> Result<Vec<GroupId>, StoreError>;

    fn put_misfire(&self, misfire: &Misfire) -> Result<(), StoreError>;

    /// Newest first; of all actions when none is given.
    fn misfires(&self, of: Option<ActionId>, limit: usize) -> Result<Vec<Misfire>, StoreError>;
}
