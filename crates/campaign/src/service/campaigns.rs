//! Campaigns: made, changed, published and closed. Requests say what is wanted; the workers do it.

use std::collections::BTreeMap;
use std::sync::Arc;

use dispatcher::StoreError;
use globset::GlobBuilder;
use model::{CampaignId, ChangesetId, PatchId, PatchSetId, WallMs};

use super::publish::events_between;
use super::{Caller, Changed, Refusal, Service};
use crate::changeset::{
    Actual, BulkKind, BulkOperation, Campaign, Changeset, EventKind, NewBulkOperation, Phase,
    PreviewRow, Publication, Work,
};
use crate::diff;
use crate::execution::DiffStat;
use crate::patch_set::{Coverage, NewPatchSet, PatchSet, WantedChangeset};
use crate::site::Role;

/// A patch that a client made by itself.
#[derive(Clone, Debug)]
pub struct NewPatch {
    pub repository: String,
    pub base_revision: String,
    pub base_ref: String,
    pub diff: String,
}

#[derive(Clone, Debug)]
pub struct NewCampaign {
    pub name: String,
    pub description: String,
    pub branch: Option<String>,
    pub patch_set: Option<PatchSetId>,
    /// Whether its changesets wait to be published. The prototype publishes at once otherwise.
    pub draft: bool,
}

/// `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct CampaignChange {
    pub name: Option<String>,
    pub description: Option<String>,
    pub branch: Option<String>,
    pub patch_set: Option<PatchSetId>,
}

/// Which changesets an operation is for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice<'a> {
    pub changesets: &'a [ChangesetId],
    /// Over `repository` or `repository@branch`.
    pub glob: Option<&'a str>,
    pub all: bool,
}

/// Most patches that one request may bring.
const PATCHES_MAX: usize = 50_000;

impl Service {
    pub async fn create_patch_set(
        self: &Arc<Self>,
        caller: &Caller,
        patches: Vec<NewPatch>,
    ) -> Result<PatchSet, Refusal> {
        caller.needs(Role::User)?;
        if patches.len() > PATCHES_MAX {
            return Err(Refusal::invalid(format!("{PATCHES_MAX} patches at most in one set")));
        }
        let (author, now) = (caller.name.clone(), self.now());
        self.blocking(move |it| {
            let mut all = Vec::with_capacity(patches.len());
            for (index, patch) in patches.into_iter().enumerate() {
                let wrong = |why: String| Refusal::invalid(format!("patches[{index}]: {why}"));
                if it.searcher.repositories().get(&patch.repository).is_none() {
                    return Err(wrong(format!("there is no repository `{}`", patch.repository)));
                }
                let files = diff::parse(patch.diff.as_bytes()).map_err(|e| wrong(e.to_string()))?;
                if files.is_empty() {
                    return Err(wrong("the patch is empty".to_owned()));
                }
                let kept = it.cas.put(patch.diff.as_bytes());
                let digest = kept.map_err(|error| Refusal::Conflict(error.to_string()))?;
                let wanted = WantedChangeset {
                    repository: patch.repository,
                    base_ref: patch.base_ref,
                    base_revision: patch.base_revision,
                    diff: digest.to_string(),
                    branch: None,
                    title: None,
                    body: String::new(),
                    commit_message: None,
                    author: None,
                    published: None,
                    labels: Vec::new(),
                    reviewers: Vec::new(),
                    job: None,
                };
                all.push((wanted, diff::stat(&files)));
            }
            let coverage = Coverage { whole: true, ..Coverage::default() };
            let new = NewPatchSet { of: None, author, coverage, patches: all, partial: None };
            Ok(it.store.create_patch_set(&new, now)?)
        })
        .await
    }

    pub async fn create_campaign(
        self: &Arc<Self>,
        caller: &Caller,
        new: NewCampaign,
    ) -> Result<Campaign, Refusal> {
        caller.needs(Role::User)?;
        super::check_name("a campaign", &new.name)?;
        self.check_patch_set(new.patch_set, None).await?;
        let now = self.now();
        let publication = if new.draft { Publication::None } else { Publication::PullRequest };
        let campaign = Campaign {
            id: CampaignId(0),
            name: new.name.clone(),
            description: new.description,
            branch: new.branch.filter(|branch| !branch.is_empty()),
            patch_set: new.patch_set,
            applied: None,
            publication,
            author: caller.name.clone(),
            created: now,
            updated: now,
            published: (!new.draft).then_some(now),
            closed: None,
            refused: Vec::new(),
        };
        let made = self.blocking(move |it| it.store.create_campaign(&campaign)).await?;
        let made = made.ok_or_else(|| Refusal::name_taken("a campaign", &new.name))?;
        self.apply_now(made.id).await?;
        self.campaign(made.id).await
    }

    pub async fn update_campaign(
        self: &Arc<Self>,
        caller: &Caller,
        id: CampaignId,
        change: CampaignChange,
    ) -> Result<Campaign, Refusal> {
        caller.needs(Role::User)?;
        let known = self.open_campaign(id).await?;
        if let Some(name) = &change.name {
            super::check_name("a campaign", name)?;
        }
        self.check_patch_set(change.patch_set, Some(id)).await?;
        let branch = change.branch.filter(|branch| !branch.is_empty());
        if branch.is_some() && branch != known.branch && self.is_published(id).await? {
            return Err(Refusal::Conflict(
                "the branch cannot change once something is published; close the campaign and make another"
                    .to_owned(),
            ));
        }
        let changed = Campaign {
            name: change.name.unwrap_or(known.name),
            description: change.description.unwrap_or(known.description),
            branch: branch.or(known.branch),
            patch_set: change.patch_set.or(known.patch_set),
            updated: self.now(),
            ..known
        };
        let name = changed.name.clone();
        if !self.blocking(move |it| it.store.put_campaign(&changed)).await? {
            return Err(Refusal::name_taken("a campaign", &name));
        }
        self.apply_now(id).await?;
        self.campaign(id).await
    }

    async fn is_published(self: &Arc<Self>, id: CampaignId) -> Result<bool, Refusal> {
        let changesets = self.blocking(move |it| it.changesets_of(id)).await?;
        Ok(changesets.iter().any(|changeset| {
            !changeset.detached && !changeset.actual.imported && changeset.actual.pushed.is_some()
        }))
    }

    async fn check_patch_set(
        self: &Arc<Self>,
        set: Option<PatchSetId>,
        of: Option<CampaignId>,
    ) -> Result<(), Refusal> {
        let Some(set) = set else { return Ok(()) };
        let (known, user) = self
            .blocking(move |it| -> Result<_, Refusal> {
                Ok((it.store.patch_set(set)?, it.store.campaign_of_patch_set(set)?))
            })
            .await?;
        known.ok_or_else(|| Refusal::NotFound(format!("patch set {set}")))?;
        match user {
            Some(user) if Some(user.id) != of => {
                Err(Refusal::Conflict(format!("the campaign `{}` has this patch set", user.name)))
            }
            _ => Ok(()),
        }
    }

    pub async fn campaign(self: &Arc<Self>, id: CampaignId) -> Result<Campaign, Refusal> {
        let known = self.blocking(move |it| it.store.campaign(id)).await?;
        known.ok_or_else(|| Refusal::NotFound(format!("campaign {id}")))
    }

    async fn open_campaign(self: &Arc<Self>, id: CampaignId) -> Result<Campaign, Refusal> {
        let known = self.campaign(id).await?;
        if known.closed.is_some() {
            return Err(Refusal::Conflict(format!("the campaign `{}` is closed", known.name)));
        }
        Ok(known)
    }

    /// Makes the changesets of a campaign at once, so that whoever asked sees them in the answer.
    async fn apply_now(self: &Arc<Self>, id: CampaignId) -> Result<(), Refusal> {
        let campaign = self.campaign(id).await?;
        if let Some(set) = campaign.patch_set {
            let now = self.now();
            self.blocking(move |it| -> Result<(), Refusal> {
                let rows = it.rewired(&campaign, set)?;
                it.store.apply(id, set, &rows, now)?;
                Ok(())
            })
            .await?;
        }
        self.work.notify_one();
        self.tell(Changed::Campaign(id));
        Ok(())
    }

    /// What another patch set, or the campaign's own, would do; nothing is done.
    pub async fn preview(
        self: &Arc<Self>,
        id: CampaignId,
        set: Option<PatchSetId>,
    ) -> Result<Vec<PreviewRow>, Refusal> {
        let campaign = self.campaign(id).await?;
        let Some(set) = set.or(campaign.patch_set) else { return Ok(Vec::new()) };
        self.blocking(move |it| it.rewired(&campaign, set)).await
    }

    /// Publishes all changesets, those to come too, but for what the spec keeps back.
    pub async fn publish_campaign(
        self: &Arc<Self>,
        caller: &Caller,
        id: CampaignId,
    ) -> Result<Campaign, Refusal> {
        caller.needs(Role::User)?;
        self.open_campaign(id).await?;
        let now = self.now();
        self.blocking(move |it| it.store.set_publication(id, Publication::PullRequest, now))
            .await?;
        self.work.notify_one();
        self.tell(Changed::Campaign(id));
        self.campaign(id).await
    }

    /// Publishes the changeset of one patch.
    pub async fn publish_patch(
        self: &Arc<Self>,
        caller: &Caller,
        patch: PatchId,
    ) -> Result<(), Refusal> {
        caller.needs(Role::User)?;
        let changeset = self
            .blocking(move |it| -> Result<_, Refusal> {
                let unknown = || Refusal::NotFound(format!("patch {patch}"));
                let known = it.store.patch(patch)?.ok_or_else(unknown)?;
                let mine = it.changesets_of_patches(known.set, &[patch])?.pop();
                mine.ok_or_else(|| Refusal::Conflict("the patch is in no campaign yet".to_owned()))
            })
            .await?;
        let campaign = changeset.campaign;
        self.open_campaign(campaign).await?;
        self.wish(vec![Changeset { publication: Publication::PullRequest, ..changeset }]).await?;
        self.tell(Changed::Campaign(campaign));
        Ok(())
    }

    /// The changesets that patches are wanted for, when their set is in a campaign. Blocks.
    pub fn changesets_of_patches(
        &self,
        set: PatchSetId,
        patches: &[PatchId],
    ) -> Result<Vec<Changeset>, StoreError> {
        let Some(campaign) = self.store.campaign_of_patch_set(set)? else { return Ok(Vec::new()) };
        self.store.changesets_of_patches(campaign.id, patches)
    }

    async fn wish(self: &Arc<Self>, mut changesets: Vec<Changeset>) -> Result<(), Refusal> {
        let now = self.now();
        for changeset in &mut changesets {
            changeset.updated = now;
        }
        self.blocking(move |it| it.store.put_wishes(&changesets)).await?;
        self.work.notify_one();
        Ok(())
    }

    /// Tries everything again that failed.
    pub async fn retry_campaign(
        self: &Arc<Self>,
        caller: &Caller,
        id: CampaignId,
    ) -> Result<Campaign, Refusal> {
        caller.needs(Role::User)?;
        let known = self.open_campaign(id).await?;
        let all = self.blocking(move |it| it.changesets_of(id)).await?;
        let failed = |it: &Changeset| matches!(it.phase, Phase::Failed | Phase::Waiting);
        self.wish(all.into_iter().filter(failed).collect()).await?;
        self.tell(Changed::Campaign(id));
        Ok(known)
    }

    /// Nothing of a closed campaign is worked on, but for the closing itself.
    pub async fn close_campaign(
        self: &Arc<Self>,
        caller: &Caller,
        id: CampaignId,
        close_changesets: bool,
    ) -> Result<Campaign, Refusal> {
        caller.needs(Role::User)?;
        let known = self.open_campaign(id).await?;
        let now = self.now();
        let closed = Campaign { closed: Some(now), updated: now, ..known };
        self.blocking(move |it| it.store.put_campaign(&closed)).await?;
        let all = self.blocking(move |it| it.changesets_of(id)).await?;
        let mine = all.into_iter().filter(|it| !it.detached && !it.actual.imported);
        let wished = mine.map(|it| {
            let published = it.actual.pushed.is_some() || it.actual.pull_request.is_some();
            // What was never published never will be.
            Changeset { close: it.close || close_changesets || !published, ..it }
        });
        self.wish(wished.collect()).await?;
        self.tell(Changed::Campaign(id));
        self.campaign(id).await
    }

    /// Closes what is to be closed first, and forgets the campaign.
    pub async fn delete_campaign(
        self: &Arc<Self>,
        caller: &Caller,
        id: CampaignId,
        close_changesets: bool,
    ) -> Result<(), Refusal> {
        caller.needs(Role::User)?;
        let known = self.campaign(id).await?;
        if close_changesets {
            if known.closed.is_none() {
                self.close_campaign(caller, id, true).await?;
            }
            let all = self.blocking(move |it| it.changesets_of(id)).await?;
            if all.iter().any(|it| it.work.due.is_some()) {
                return Err(Refusal::Conflict(
                    "its changesets are being closed; delete it when that is done".to_owned(),
                ));
            }
        }
        self.blocking(move |it| it.store.delete_campaign(id)).await?;
        self.tell(Changed::Campaign(id));
        Ok(())
    }

    /// Makes pull requests known that somebody else made.
    pub async fn import_changesets(
        self: &Arc<Self>,
        caller: &Caller,
        wanted: &[(String, String)],
    ) -> Result<Vec<Changeset>, Refusal> {
        caller.needs(Role::User)?;
        let mut made = Vec::new();
        for (repository, external_id) in wanted {
            let reached = self.reach(repository).await?;
            let pull = reached.host.pull_request(&reached.name, external_id).await;
            let pull = pull.map_err(|error| Refusal::Conflict(error.to_string()))?;
            let now = self.now();
            let mut changeset = Changeset {
                id: ChangesetId(0),
                campaign: CampaignId(0),
                repository: repository.clone(),
                branch: pull.head.clone(),
                patch: None,
                wanted: None,
                publication: Publication::None,
                close: false,
                detached: false,
                actual: Actual { imported: true, pull_request: Some(pull), ..Actual::default() },
                work: Work::default(),
                phase: Phase::Open,
                stat: DiffStat::default(),
                created: now,
                updated: now,
            };
            changeset.phase = crate::changeset::phase(&changeset);
            changeset.work.next_sync = self.next_sync(&changeset, now);
            let imported = self.blocking(move |it| {
                it.store.import_changeset(None, &changeset, &history(&changeset, now))
            });
            made.push(imported.await?);
        }
        Ok(made)
    }

    /// Puts changesets that were imported into a campaign, which then tracks them.
    pub async fn add_changesets(
        self: &Arc<Self>,
        caller: &Caller,
        id: CampaignId,
        changesets: Vec<ChangesetId>,
    ) -> Result<Campaign, Refusal> {
        caller.needs(Role::User)?;
        let known = self.open_campaign(id).await?;
        self.blocking(move |it| -> Result<(), Refusal> {
            for of in changesets {
                let unknown = || Refusal::NotFound(format!("changeset {of}"));
                let known = it.store.changeset(of)?.ok_or_else(unknown)?;
                let imported = Changeset {
                    actual: Actual { imported: true, ..known.actual.clone() },
                    ..known
                };
                it.store.import_changeset(Some(id), &imported, &history(&imported, it.now()))?;
            }
            Ok(())
        })
        .await?;
        self.tell(Changed::Campaign(id));
        Ok(known)
    }

    /// Asks the host soon how a changeset stands.
    pub async fn sync_changeset(
        self: &Arc<Self>,
        caller: &Caller,
        id: ChangesetId,
    ) -> Result<(), Refusal> {
        caller.needs(Role::User)?;
        let known = self.blocking(move |it| it.store.changeset(id)).await?;
        let mut known = known.ok_or_else(|| Refusal::NotFound(format!("changeset {id}")))?;
        known.work.next_sync = Some(self.now());
        self.wish(vec![known]).await
    }

    /// As [`Self::sync_changeset`] for all of a repository, or of one pull request.
    pub(super) async fn look_soon(
        self: &Arc<Self>,
        repository: &str,
        external_id: Option<String>,
    ) -> Result<(), Refusal> {
        let (of, now) = (repository.to_owned(), self.now());
        let mut found = self
            .blocking(move |it| match external_id {
                Some(id) => it.store.changesets_of_pull_request(&of, &id),
                None => it.store.changesets_of_branch(&of, None),
            })
            .await?;
        found.retain(|it| it.actual.pushed.is_some() || it.actual.pull_request.is_some());
        for changeset in &mut found {
            changeset.work.next_sync = Some(now);
        }
        let changed: Vec<CampaignId> = found.iter().map(|it| it.campaign).collect();
        self.wish(found).await?;
        changed.into_iter().for_each(|id| self.tell(Changed::Campaign(id)));
        Ok(())
    }

    /// Begins an operation over many changesets.
    pub async fn bulk(
        self: &Arc<Self>,
        caller: &Caller,
        id: CampaignId,
        kind: BulkKind,
        choice: Choice<'_>,
        text: &str,
    ) -> Result<BulkOperation, Refusal> {
        let Choice { changesets, glob, all } = choice;
        caller.needs(Role::User)?;
        match kind {
            BulkKind::Publish
            | BulkKind::PublishDraft
            | BulkKind::PushOnly
            | BulkKind::Reopen
            | BulkKind::Retry
            | BulkKind::Overwrite => self.open_campaign(id).await?,
            BulkKind::Close
            | BulkKind::Detach
            | BulkKind::Sync
            | BulkKind::Merge
            | BulkKind::Comment => self.campaign(id).await?,
        };
        if kind == BulkKind::Comment && text.trim().is_empty() {
            return Err(Refusal::of_field("text", "a comment has a text"));
        }
        let matcher = glob.map(|glob| {
            let built = GlobBuilder::new(glob).literal_separator(false).build();
            built
                .map(|glob| glob.compile_matcher())
                .map_err(|e| Refusal::of_field("glob", e.to_string()))
        });
        let matcher = matcher.transpose()?;
        let of_campaign = self.blocking(move |it| it.changesets_of(id)).await?;
        let known: BTreeMap<ChangesetId, &Changeset> =
            of_campaign.iter().filter(|it| !it.detached).map(|it| (it.id, it)).collect();
        if let Some(strange) = changesets.iter().find(|id| !known.contains_key(id)) {
            return Err(Refusal::NotFound(format!("changeset {strange} in this campaign")));
        }
        let chosen = known.values().filter(|it| {
            let fits = |matcher: &globset::GlobMatcher| {
                matcher.is_match(&it.repository)
                    || matcher.is_match(format!("{}@{}", it.repository, it.branch))
            };
            all || changesets.contains(&it.id) || matcher.as_ref().is_some_and(fits)
        });
        let chosen: Vec<ChangesetId> = chosen.map(|it| it.id).collect();
        if chosen.is_empty() {
            return Err(Refusal::invalid("no changeset is chosen by this"));
        }
        let new = NewBulkOperation {
            campaign: id,
            kind,
            by: caller.name.clone(),
            text: text.to_owned(),
            changesets: chosen,
        };
        let now: WallMs = self.now();
        let made = self.blocking(move |it| it.store.create_bulk(&new, now)).await?;
        self.work.notify_one();
        self.tell(Changed::Campaign(id));
        Ok(made)
    }
}

/// What happened to a pull request before we knew it.
fn history(changeset: &Changeset, now: WallMs) -> Vec<(EventKind, WallMs)> {
    events_between(None, changeset.actual.pull_request.as_ref(), now)
}
