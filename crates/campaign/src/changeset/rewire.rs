//! A patch set meets a campaign: which changesets get another patch, which are new, and which are no longer wanted.

use std::collections::{BTreeMap, BTreeSet};

use model::{ChangesetId, PatchId};

use super::{Campaign, Changeset, Operation, Phase, Publication, is_pushed, plan};
use crate::execution::DiffStat;
use crate::patch_set::{Coverage, Patch, WantedChangeset};

/// One changeset as it will be, and what that means for its code host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewRow {
    /// `None` for a new one.
    pub changeset: Option<ChangesetId>,
    pub repository: String,
    pub branch: String,
    pub title: String,
    pub patch: Option<PatchId>,
    /// With what the campaign adds.
    pub wanted: Option<WantedChangeset>,
    pub stat: DiffStat,
    pub publication: Publication,
    /// It is not wanted any more.
    pub close: bool,
    /// It was never published, so nothing is left of it.
    pub forget: bool,
    /// It is merged and becomes history; the patch gets a changeset of its own.
    pub archive: bool,
    /// Why it cannot be, in words.
    pub refused: Option<String>,
    pub operations: Vec<Operation>,
    /// Why, in words.
    pub reason: String,
}

/// What a patch wants, with what its campaign says where the patch says nothing.
pub fn effective(campaign: &Campaign, wanted: &WantedChangeset) -> WantedChangeset {
    let mut wanted = wanted.clone();
    let or = |text: &mut Option<String>, other: &str| {
        if text.as_deref().is_none_or(|text| text.trim().is_empty()) {
            *text = Some(other.to_owned());
        }
    };
    if wanted.branch.is_none() {
        wanted.branch.clone_from(&campaign.branch);
    }
    if wanted.title.is_none() && wanted.body.is_empty() {
        wanted.body.clone_from(&campaign.description);
    }
    or(&mut wanted.title, &campaign.name);
    let title = wanted.title.clone().unwrap_or_default();
    or(&mut wanted.commit_message, &title);
    wanted
}

/// Decides, and changes nothing. `taken` are branches that other campaigns have, as (repository, branch) → campaign's name.
pub fn rewire(
    campaign: &Campaign,
    existing: &[Changeset],
    patches: &[Patch],
    coverage: &Coverage,
    taken: &BTreeMap<(String, String), String>,
) -> Vec<PreviewRow> {
    let default = campaign.publication;
    let mut rows = Vec::new();
    let mut seen = BTreeSet::new();
    let live: BTreeMap<(&str, &str), &Changeset> = existing
        .iter()
        .filter(|changeset| !changeset.detached && !changeset.actual.imported)
        .map(|changeset| ((changeset.repository.as_str(), changeset.branch.as_str()), changeset))
        .collect();
    for patch in patches {
        let wanted = effective(campaign, &patch.wanted);
        let patch = &Patch { wanted: wanted.clone(), ..patch.clone() };
        let Some(name) = wanted.branch.as_deref() else {
            rows.push(refused(patch, "", "neither the patch nor the campaign names a branch"));
            continue;
        };
        if !seen.insert((wanted.repository.clone(), name.to_owned())) {
            let why = "two patches of this repository have the same branch; give each its own in `changesetTemplate.branch`, for instance with `${{ steps.path }}`";
            rows.push(refused(patch, name, why));
            continue;
        }
        if let Some(other) = taken.get(&(wanted.repository.clone(), name.to_owned())) {
            let why = format!("the campaign `{other}` has this branch");
            rows.push(refused(patch, name, &why));
            continue;
        }
        rows.push(match live.get(&(wanted.repository.as_str(), name)) {
            None => made(patch, name, None, default),
            Some(changeset) if changeset.phase == Phase::Merged => {
                // What is merged is what was pushed last; a later patch may have come when it was merged already.
                let merged = changeset.wanted.as_ref().filter(|it| is_pushed(changeset, it));
                if merged.is_some_and(|merged| merged.diff == wanted.diff) {
                    kept(changeset, "it is merged already")
                } else {
                    made(patch, name, Some(changeset.id), default)
                }
            }
            Some(changeset) => changed(changeset, patch, default),
        });
    }
    for ((repository, name), changeset) in &live {
        if seen.contains(&((*repository).to_owned(), (*name).to_owned())) {
            continue;
        }
        if !coverage.speaks_for(repository) {
            rows.push(kept(changeset, "this patch set says nothing of the repository"));
            continue;
        }
        rows.push(unwanted(changeset));
    }
    rows.sort_by(|one, two| {
        (&one.repository, &one.branch, one.changeset).cmp(&(
            &two.repository,
            &two.branch,
            two.changeset,
        ))
    });
    rows
}

/// How far a patch's changeset is to go: as the spec says, else as far as the campaign. `known` is how far it went already,
/// which nothing takes back.
fn publication(patch: &Patch, known: Publication, default: Publication) -> Publication {
    match patch.wanted.published {
        Some(state) => Publication::of(state).max(known),
        None => known.max(default),
    }
}

fn title(patch: &Patch) -> String {
    patch.wanted.title.clone().unwrap_or_default()
}

fn made(
    patch: &Patch,
    branch: &str,
    archive: Option<ChangesetId>,
    default: Publication,
) -> PreviewRow {
    let publication = publication(patch, Publication::None, default);
    let operations = match publication {
        Publication::None => vec![],
        Publication::PushOnly => vec![Operation::Push],
        Publication::Draft => vec![Operation::Push, Operation::PublishDraft],
        Publication::PullRequest => vec![Operation::Push, Operation::Publish],
    };
    let reason = match (archive, publication) {
        (Some(_), _) => "the one before it is merged, and there is more to change",
        (None, Publication::None) => "it is new and waits to be published",
        (None, _) => "it is new",
    };
    PreviewRow {
        changeset: archive,
        repository: patch.wanted.repository.clone(),
        branch: branch.to_owned(),
        title: title(patch),
        patch: Some(patch.id),
        wanted: Some(patch.wanted.clone()),
        stat: patch.stat.clone(),
        publication,
        close: false,
        forget: false,
        archive: archive.is_some(),
        refused: None,
        operations,
        reason: reason.to_owned(),
    }
}

fn changed(changeset: &Changeset, patch: &Patch, default: Publication) -> PreviewRow {
    let known = changeset.publication;
    // Somebody decided for this changeset alone: the campaign does not go further with it.
    let default = if known == Publication::None { default } else { known };
    let mut next = changeset.clone();
    next.patch = Some(patch.id);
    next.wanted = Some(patch.wanted.clone());
    next.publication = publication(patch, known, default);
    // Closed because nothing wanted it; by people, it stays closed.
    if changeset.patch.is_none() {
        next.close = false;
    }
    let operations = plan(&next);
    let reason = if next.close {
        "somebody closed it"
    } else if operations.is_empty() && next.publication == Publication::None {
        "it waits to be published"
    } else if operations.is_empty() {
        "nothing changed"
    } else if changeset.patch.is_none() {
        "it is wanted again"
    } else {
        "the patch or its description changed"
    };
    PreviewRow {
        changeset: Some(changeset.id),
        repository: changeset.repository.clone(),
        branch: changeset.branch.clone(),
        title: title(patch),
        patch: next.patch,
        wanted: next.wanted,
        stat: patch.stat.clone(),
        publication: next.publication,
        close: next.close,
        forget: false,
        archive: false,
        refused: None,
        operations,
        reason: reason.to_owned(),
    }
}

fn kept(changeset: &Changeset, reason: &str) -> PreviewRow {
    PreviewRow {
        changeset: Some(changeset.id),
        repository: changeset.repository.clone(),
        branch: changeset.branch.clone(),
        title: changeset.wanted.as_ref().and_then(|w| w.title.clone()).unwrap_or_default(),
        patch: changeset.patch,
        wanted: changeset.wanted.clone(),
        stat: changeset.stat.clone(),
        publication: changeset.publication,
        close: changeset.close,
        forget: false,
        archive: false,
        refused: None,
        operations: Vec::new(),
        reason: reason.to_owned(),
    }
}

fn unwanted(changeset: &Changeset) -> PreviewRow {
    let mut next = changeset.clone();
    next.close = true;
    let actual = &changeset.actual;
    // One whose push had no answer may be there.
    let published =
        actual.pushed.is_some() || actual.pushing.is_some() || actual.pull_request.is_some();
    PreviewRow {
        patch: None,
        wanted: None,
        stat: DiffStat::default(),
        close: true,
        forget: !published,
        operations: plan(&next),
        ..kept(changeset, "its repository needs no change any more")
    }
}

fn refused(patch: &Patch, branch: &str, why: &str) -> PreviewRow {
    PreviewRow {
        changeset: None,
        repository: patch.wanted.repository.clone(),
        branch: branch.to_owned(),
        title: title(patch),
        patch: Some(patch.id),
        wanted: Some(patch.wanted.clone()),
        stat: patch.stat.clone(),
        publication: Publication::None,
        close: false,
        forget: false,
        archive: false,
        refused: Some(why.to_owned()),
        operations: Vec::new(),
        reason: why.to_owned(),
    }
}
