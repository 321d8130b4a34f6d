//! One operation on one changeset. Each may be repeated: before something is made, it is looked for.

use std::sync::Arc;

use codehost::git::{CommitError, GitError, NewCommit, PushError};
use codehost::{
    CheckState, GitAccess, HostError, MergeMethod, NewPullRequest, PullRequest, PullRequestState,
    PullRequestUpdate, ReviewState,
};
use dispatcher::StoreError;
use model::WallMs;

use super::hosts::Reached;
use super::{Refusal, Service};
use crate::changeset::{
    Changeset, EventKind, Operation, Publication, commit_key, description_key, short_base,
};
use crate::diff;
use crate::patch_set::WantedChangeset;

/// Who made a commit when neither the spec nor the campaign says it.
const AUTHOR: (&str, &str) = ("Phalanx", "phalanx@localhost");

/// Why an operation did not go well.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Host(HostError),
    /// The same again may go well.
    #[error("{0}")]
    Passing(String),
    /// The same again would end the same way.
    #[error("{0}")]
    Final(String),
    #[error("the branch has commits of somebody else; it is left as it is")]
    Diverged,
    #[error(transparent)]
    Store(Refusal),
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Store(_) => Self::Store(refusal),
            refusal => Self::Final(refusal.to_string()),
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error.into())
    }
}

impl From<HostError> for Trouble {
    fn from(error: HostError) -> Self {
        Self::Host(error)
    }
}

impl From<GitError> for Trouble {
    fn from(error: GitError) -> Self {
        match error {
            GitError::Refused(why) => Self::Final(why),
            error => Self::Passing(error.to_string()),
        }
    }
}

impl From<PushError> for Trouble {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Stale => Self::Passing(error.to_string()),
            PushError::Refused(_) => Self::Final(error.to_string()),
            PushError::Git(error) => error.into(),
        }
    }
}

impl Service {
    pub(super) async fn perform(
        self: &Arc<Self>,
        changeset: &mut Changeset,
        operation: Operation,
    ) -> Result<(), Trouble> {
        let reached = self.reach(&changeset.repository).await?;
        match operation {
            Operation::Push => self.push(changeset, &reached).await,
            Operation::Publish => self.publish(changeset, &reached, false).await,
            Operation::PublishDraft => self.publish(changeset, &reached, true).await,
            Operation::Update | Operation::Undraft => self.update(changeset, &reached).await,
            Operation::Close => {
                let id = external_id(changeset)?;
                let closed = reached.host.close(&reached.name, &id).await?;
                changeset.actual.pull_request = Some(closed);
                Ok(())
            }
            Operation::Reopen => {
                let id = external_id(changeset)?;
                let opened = reached.host.reopen(&reached.name, &id).await?;
                changeset.actual.pull_request = Some(opened);
                Ok(())
            }
        }
    }

    async fn push(
        self: &Arc<Self>,
        changeset: &mut Changeset,
        reached: &Reached,
    ) -> Result<(), Trouble> {
        if let Some(known) = changeset.actual.pull_request.clone() {
            // Somebody may have merged or closed it, and then something else is to be done.
            self.look(changeset).await?;
            if changeset.actual.pull_request.as_ref().map(|pull| pull.state) != Some(known.state) {
                return Ok(());
            }
        }
        let wanted = wanted(changeset)?;
        let commit = self.make_commit(changeset, &wanted).await?;
        let access = reached.host.git_access(&reached.clone_url).await?;
        if let Some(pushing) = changeset.actual.pushing.clone()
            && changeset.actual.pushed.as_ref() != Some(&pushing)
            && self.head(changeset, &access).await?.as_ref() == Some(&pushing)
        {
            // It arrived before the server ended, or before the answer was lost.
            changeset.actual.pushed = Some(pushing);
        }
        // Written down first: whatever happens to the answer, this commit is known to be ours.
        changeset.actual.pushing = Some(commit.clone());
        let kept = changeset.clone();
        self.blocking(move |it| it.store.put_changeset(&kept, &[])).await?;
        let accepted = changeset
            .work
            .overwrite
            .clone()
            .filter(|it| changeset.actual.found.as_ref() == Some(it));
        let expected = accepted.or_else(|| changeset.actual.pushed.clone());
        self.push_commit(changeset, &access, &commit, expected).await?;
        changeset.actual.pushed = Some(commit);
        changeset.actual.pushed_of = Some(commit_key(&wanted));
        changeset.actual.pushing = None;
        changeset.actual.found = None;
        Ok(())
    }

    async fn push_commit(
        self: &Arc<Self>,
        changeset: &mut Changeset,
        access: &GitAccess,
        commit: &str,
        expected: Option<String>,
    ) -> Result<(), Trouble> {
        let all = self.searcher.repositories();
        let (name, branch) = (&changeset.repository, &changeset.branch);
        match all.push(name, access, commit, branch, expected.as_deref()).await {
            Err(PushError::Stale) => {}
            pushed => return Ok(pushed?),
        }
        match self.head(changeset, access).await? {
            // It was there already: a push whose answer was lost.
            Some(head) if head == commit => Ok(()),
            // Somebody removed the branch, as a merge or a clean-up does.
            None => Ok(all.push(name, access, commit, branch, None).await?),
            Some(head) if self.is_history(changeset, &head).await? => {
                Ok(all.push(name, access, commit, branch, Some(&head)).await?)
            }
            Some(head) => {
                changeset.actual.found = Some(head);
                Err(Trouble::Diverged)
            }
        }
    }

    /// Whether a commit on the branch was merged, or is ours, from an earlier changeset of the campaign.
    async fn is_history(
        self: &Arc<Self>,
        changeset: &Changeset,
        head: &str,
    ) -> Result<bool, Trouble> {
        let (of, name) = (changeset.campaign, changeset.repository.clone());
        let (branch, head) = (changeset.branch.clone(), head.to_owned());
        Ok(self.blocking(move |it| it.store.is_history(of, &name, &branch, &head)).await?)
    }

    async fn head(
        &self,
        changeset: &Changeset,
        access: &GitAccess,
    ) -> Result<Option<String>, Trouble> {
        let all = self.searcher.repositories();
        Ok(all.remote_head(&changeset.repository, access, &changeset.branch).await?)
    }

    async fn make_commit(
        self: &Arc<Self>,
        changeset: &Changeset,
        wanted: &WantedChangeset,
    ) -> Result<String, Trouble> {
        let digest = model::Digest::parse_hex(&wanted.diff)
            .map_err(|_| Trouble::Final("the patch has no digest".to_owned()))?;
        let (cas, patch, fallback) = (self.cas.clone(), changeset.patch, changeset.created);
        let (diff, at) = self
            .blocking(move |it| -> Result<(Vec<u8>, WallMs), Trouble> {
                let diff = cas.get(digest);
                let diff = diff.map_err(|error| Trouble::Final(error.to_string()))?;
                // The date of the patch, so that the same patch is the same commit however often it is made.
                let set = patch.map(|id| it.store.patch(id)).transpose()?.flatten();
                let set = set.map(|patch| it.store.patch_set(patch.set)).transpose()?.flatten();
                Ok((diff, set.map_or(fallback, |set| set.created)))
            })
            .await?;
        let author = wanted.author.as_ref();
        let new = NewCommit {
            base: &wanted.base_revision,
            strip: diff::strip(&diff),
            diff: &diff,
            message: wanted.commit_message.as_deref().unwrap_or("Change by a campaign"),
            author_name: author.map_or(AUTHOR.0, |author| &author.name),
            author_email: author.map_or(AUTHOR.1, |author| &author.email),
            date: at.0 / 1000,
        };
        match self.searcher.repositories().commit(&changeset.repository, &new).await {
            Ok(commit) => Ok(commit),
            Err(CommitError::Git(error)) => Err(error.into()),
            Err(error @ (CommitError::DoesNotApply { .. } | CommitError::Empty { .. })) => {
                Err(Trouble::Final(error.to_string()))
            }
        }
    }

    async fn publish(
        self: &Arc<Self>,
        changeset: &mut Changeset,
        reached: &Reached,
        draft: bool,
    ) -> Result<(), Trouble> {
        let wanted = wanted(changeset)?;
        // Maybe it was made and its answer lost.
        let open = match self.open_one(changeset, reached).await {
            Err(Trouble::Host(HostError::Unsupported { .. })) => {
                changeset.actual.branches_only = true;
                return Ok(());
            }
            open => open?,
        };
        if let Some(open) = open {
            changeset.actual.pull_request = Some(open);
            return Ok(());
        }
        let new = NewPullRequest {
            head: changeset.branch.clone(),
            base: self.base(changeset, &wanted).await?,
            title: wanted.title.clone().unwrap_or_default(),
            body: self.body(&wanted, changeset).await?,
            draft,
            labels: wanted.labels.clone(),
            reviewers: wanted.reviewers.clone(),
        };
        match reached.host.create(&reached.name, &new).await {
            Ok(made) => {
                changeset.actual.pull_request = Some(made);
                changeset.actual.described_as = Some(description_key(&wanted));
                Ok(())
            }
            Err(HostError::Exists { host, message }) => {
                let open = self.open_one(changeset, reached).await?;
                let missing = HostError::Exists { host, message };
                changeset.actual.pull_request = Some(open.ok_or(Trouble::Host(missing))?);
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn open_one(
        &self,
        changeset: &Changeset,
        reached: &Reached,
    ) -> Result<Option<PullRequest>, Trouble> {
        let found = reached.host.find(&reached.name, &changeset.branch).await?;
        Ok(found.into_iter().find(|pull| pull.state == PullRequestState::Open))
    }

    async fn update(
        self: &Arc<Self>,
        changeset: &mut Changeset,
        reached: &Reached,
    ) -> Result<(), Trouble> {
        let wanted = wanted(changeset)?;
        let id = external_id(changeset)?;
        let ready = changeset.publication == Publication::PullRequest;
        let update = PullRequestUpdate {
            title: wanted.title.clone(),
            body: Some(self.body(&wanted, changeset).await?),
            base: Some(self.base(changeset, &wanted).await?),
            draft: ready.then_some(false),
            labels: (!wanted.labels.is_empty()).then(|| wanted.labels.clone()),
            reviewers: (!wanted.reviewers.is_empty()).then(|| wanted.reviewers.clone()),
        };
        let updated = reached.host.update(&reached.name, &id, &update).await?;
        changeset.actual.pull_request = Some(updated);
        changeset.actual.described_as = Some(description_key(&wanted));
        Ok(())
    }

    /// The branch that a pull request asks to go into. A tag or a commit is none: then it is the default branch.
    async fn base(
        &self,
        changeset: &Changeset,
        wanted: &WantedChangeset,
    ) -> Result<String, Trouble> {
        let all = self.searcher.repositories();
        let short = short_base(&wanted.base_ref);
        let full = format!("refs/heads/{short}");
        let known = all.references(&changeset.repository).await?;
        if known.iter().any(|(name, _)| *name == full) {
            return Ok(short.to_owned());
        }
        let default = all.resolve(&changeset.repository, None).await?;
        Ok(default.branch)
    }

    async fn body(
        self: &Arc<Self>,
        wanted: &WantedChangeset,
        changeset: &Changeset,
    ) -> Result<String, Trouble> {
        let campaign = self.campaign(changeset.campaign).await?;
        let link = format!("{}/campaigns/{}", self.url, campaign.name);
        Ok(wanted.body.replace("${{ batch_change_link }}", &link))
    }

    /// Asks the host how a changeset stands, and looks whether the branch is still ours.
    pub(super) async fn look(self: &Arc<Self>, changeset: &mut Changeset) -> Result<(), Trouble> {
        let reached = self.reach(&changeset.repository).await?;
        let mut head = None;
        let may_have_one = changeset.actual.pushed.is_some()
            && !changeset.actual.branches_only
            && changeset.publication >= Publication::Draft;
        if changeset.actual.pull_request.is_none() && may_have_one {
            // It may have been made, and its answer lost.
            changeset.actual.pull_request = self.open_one(changeset, &reached).await?;
        }
        if let Some(pull) = &changeset.actual.pull_request {
            let id = pull.external_id.clone();
            match reached.host.pull_request(&reached.name, &id).await {
                Ok(pull) => {
                    head = Some(pull.head_commit.clone()).filter(|head| !head.is_empty());
                    changeset.actual.pull_request = Some(pull);
                }
                Err(HostError::NotFound { .. }) => {
                    changeset.actual.gone = true;
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        } else if changeset.actual.pushed.is_some() {
            let access = reached.host.git_access(&reached.clone_url).await?;
            head = self.head(changeset, &access).await?;
        }
        let open = changeset
            .actual
            .pull_request
            .as_ref()
            .is_none_or(|pull| pull.state == PullRequestState::Open);
        if let (Some(head), Some(pushed), true) = (head, &changeset.actual.pushed, open) {
            let ours = head == *pushed || Some(&head) == changeset.actual.pushing.as_ref();
            changeset.actual.found = (!ours).then_some(head);
        }
        changeset.work.error =
            changeset.work.error.take().filter(|_| changeset.work.error_is_final);
        Ok(())
    }

    pub(super) async fn merge(self: &Arc<Self>, mut changeset: Changeset) -> Result<(), Trouble> {
        let reached = self.reach(&changeset.repository).await?;
        let id = external_id(&changeset)?;
        let before = changeset.actual.pull_request.clone();
        let merged = reached.host.merge(&reached.name, &id, MergeMethod::Merge).await?;
        changeset.actual.pull_request = Some(merged);
        changeset.updated = self.now();
        let after = changeset.actual.pull_request.as_ref();
        let events = events_between(before.as_ref(), after, self.now());
        self.blocking(move |it| it.store.put_changeset(&changeset, &events)).await?;
        Ok(())
    }

    pub(super) async fn comment(
        self: &Arc<Self>,
        changeset: &Changeset,
        text: &str,
    ) -> Result<(), Trouble> {
        let reached = self.reach(&changeset.repository).await?;
        let id = external_id(changeset)?;
        Ok(reached.host.comment(&reached.name, &id, text).await?)
    }
}

fn wanted(changeset: &Changeset) -> Result<WantedChangeset, Trouble> {
    let gone = || Trouble::Final("no patch wants it any more".to_owned());
    changeset.wanted.clone().ok_or_else(gone)
}

fn external_id(changeset: &Changeset) -> Result<String, Trouble> {
    let pull = changeset.actual.pull_request.as_ref();
    let none = || Trouble::Final("it has no pull request".to_owned());
    pull.map(|pull| pull.external_id.clone()).ok_or_else(none)
}

/// What happened between two looks at a pull request.
pub(super) fn events_between(
    before: Option<&PullRequest>,
    after: Option<&PullRequest>,
    now: WallMs,
) -> Vec<(EventKind, WallMs)> {
    let Some(after) = after else { return Vec::new() };
    let mut events = Vec::new();
    let at = |ms: Option<u64>| ms.map_or(now, WallMs);
    if before.is_none() {
        events.push((EventKind::Opened, WallMs(after.created_ms)));
    }
    let was = before.map_or(PullRequestState::Open, |before| before.state);
    match (was, after.state) {
        (PullRequestState::Open, PullRequestState::Closed) => {
            events.push((EventKind::Closed, at(after.closed_ms)));
        }
        (PullRequestState::Open | PullRequestState::Closed, PullRequestState::Merged) => {
            events.push((EventKind::Merged, at(after.merged_ms)));
        }
        (PullRequestState::Closed | PullRequestState::Merged, PullRequestState::Open) => {
            events.push((EventKind::Reopened, now));
        }
        _ => {}
    }
    let review = before.map_or(ReviewState::Pending, |before| before.review);
    if review != after.review {
        events.push((
            match after.review {
                ReviewState::Pending => EventKind::ReviewPending,
                ReviewState::Commented => EventKind::Commented,
                ReviewState::Approved => EventKind::Approved,
                ReviewState::ChangesRequested => EventKind::ChangesRequested,
                ReviewState::Dismissed => EventKind::Dismissed,
            },
            now,
        ));
    }
    let checks = before.map_or(CheckState::Unknown, |before| before.checks);
    if checks != after.checks {
        events.extend(match after.checks {
            CheckState::Unknown => None,
            CheckState::Pending => Some((EventKind::ChecksPending, now)),
            CheckState::Failed => Some((EventKind::ChecksFailed, now)),
            CheckState::Passed => Some((EventKind::ChecksPassed, now)),
        });
    }
    events
}
