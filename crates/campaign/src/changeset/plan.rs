//! Wanted against actual: the operations that lead from one to the other, in order. Pure, so that a preview and the worker
//! cannot disagree.

use codehost::PullRequestState;
use serde::{Deserialize, Serialize};

use super::{Changeset, Phase, Publication};
use crate::patch_set::WantedChangeset;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    Push,
    Publish,
    PublishDraft,
    Update,
    Undraft,
    Close,
    Reopen,
}

/// What is to be done for a changeset now. Empty when all is as wanted.
pub fn plan(changeset: &Changeset) -> Vec<Operation> {
    let mut operations = Vec::new();
    let actual = &changeset.actual;
    let state = actual.pull_request.as_ref().map(|pull| pull.state);
    if changeset.detached || actual.imported || actual.gone {
        return operations;
    }
    // What was merged stays; the next patch for its branch becomes another changeset.
    if state == Some(PullRequestState::Merged) {
        return operations;
    }
    if changeset.close {
        if state == Some(PullRequestState::Open) {
            operations.push(Operation::Close);
        }
        return operations;
    }
    let Some(wanted) = &changeset.wanted else { return operations };
    if changeset.publication == Publication::None && actual.pushed.is_none() {
        return operations;
    }
    // Where somebody else's commit is to be overwritten, ours is pushed again though it did not change.
    let overwrite = actual.found.is_some() && changeset.work.overwrite == actual.found;
    if overwrite || !is_pushed(changeset, wanted) {
        operations.push(Operation::Push);
    }
    match (&actual.pull_request, changeset.publication) {
        (None, _) if actual.branches_only => {}
        (None, Publication::Draft) => operations.push(Operation::PublishDraft),
        (None, Publication::PullRequest) => operations.push(Operation::Publish),
        (None, Publication::None | Publication::PushOnly) => {}
        (Some(pull), publication) => {
            if pull.state == PullRequestState::Closed {
                operations.push(Operation::Reopen);
            }
            if actual.described_as.as_deref() != Some(description_key(wanted).as_str()) {
                operations.push(Operation::Update);
            }
            if pull.draft && publication == Publication::PullRequest {
                operations.push(Operation::Undraft);
            }
        }
    }
    operations
}

/// Where a changeset stands.
pub fn phase(changeset: &Changeset) -> Phase {
    let actual = &changeset.actual;
    if changeset.detached {
        return Phase::Detached;
    }
    let work_left = !plan(changeset).is_empty();
    if work_left {
        if actual.found.is_some() && changeset.work.overwrite != actual.found {
            return Phase::Diverged;
        }
        if changeset.work.error_is_final {
            return Phase::Failed;
        }
        if changeset.work.waiting || changeset.work.attempts > 0 {
            return Phase::Waiting;
        }
        return Phase::Queued;
    }
    match &actual.pull_request {
        Some(pull) => match pull.state {
            PullRequestState::Merged => Phase::Merged,
            PullRequestState::Closed => Phase::Closed,
            PullRequestState::Open if actual.found.is_some() => Phase::Diverged,
            PullRequestState::Open if pull.draft => Phase::Draft,
            PullRequestState::Open => Phase::Open,
        },
        None if changeset.close => Phase::Closed,
        None if actual.found.is_some() => Phase::Diverged,
        None if actual.pushed.is_some() => Phase::Pushed,
        None => Phase::Unpublished,
    }
}

/// Names all that a commit is made of.
pub fn commit_key(wanted: &WantedChangeset) -> String {
    key(&(
        &wanted.base_revision,
        &wanted.diff,
        &wanted.commit_message,
        &wanted.title,
        &wanted.author,
    ))
}

/// Whether the branch is as this wants it, as far as we know.
pub fn is_pushed(changeset: &Changeset, wanted: &WantedChangeset) -> bool {
    changeset.actual.pushed_of.as_deref() == Some(commit_key(wanted).as_str())
}

/// Names all that is written on a pull request.
pub fn description_key(wanted: &WantedChangeset) -> String {
    key(&(
        &wanted.title,
        &wanted.body,
        short_base(&wanted.base_ref),
        &wanted.labels,
        &wanted.reviewers,
    ))
}

fn key(of: &impl Serialize) -> String {
    let text = serde_json::to_vec(of).expect("the parts of a changeset are JSON");
    blake3::hash(&text).to_hex()[..32].to_owned()
}

/// The branch that a pull request asks to go into. A code host wants its short name.
pub fn short_base(base_ref: &str) -> &str {
    base_ref.strip_prefix("refs/heads/").unwrap_or(base_ref)
}
