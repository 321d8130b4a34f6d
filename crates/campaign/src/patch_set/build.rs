//! From the end of an execution to its patch set, exactly once for each end.

use std::collections::BTreeSet;

use blobs::Cas;
use dispatcher::{Dispatcher, StoreError};
use model::{Digest, GroupId, GroupState, WallMs};

use super::{Coverage, NewPatchSet, PatchSet, PatchSetStore, WantedChangeset};
use crate::action::{ActionStore, Partial};
use crate::diff;
use crate::execution::{self, DiffStat, Document, JobReport, Report, ReportError};

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("read the patch of job {job}: {why}")]
    Patch { job: u64, why: String },
    #[error("{0}")]
    Refused(String),
}

/// The patches of an execution as it stands.
#[derive(Clone, Debug)]
pub struct Draft {
    pub report: Report,
    pub ended: Option<WallMs>,
    pub patches: Vec<(WantedChangeset, DiffStat)>,
    pub coverage: Coverage,
    pub failed: u64,
}

/// Builds patch sets for all executions that ended well and have none. A reconciler: it may run at any time and twice.
pub fn finish_executions<S: ActionStore + PatchSetStore + ?Sized>(
    dispatcher: &Dispatcher,
    cas: &Cas,
    store: &S,
    now: WallMs,
) -> Result<Vec<PatchSet>, BuildError> {
    let mut built = Vec::new();
    for execution in store.executions_to_finish()? {
        let draft = match from_execution(dispatcher, cas, execution) {
            Ok(draft) => draft,
            // One that cannot be read must not keep the others waiting.
            Err(error @ (BuildError::Patch { .. } | BuildError::Refused(_))) => {
                tracing::error!("failed to finish execution {execution}: {error}");
                continue;
            }
            Err(error) => return Err(error),
        };
        // Whoever wants the good half of a failed execution says so.
        let Some(ended) = draft.ended.filter(|_| draft.failed == 0) else { continue };
        let new = new_patch_set(execution, ended, draft, None);
        built.push(store.create_patch_set(&new, now)?);
    }
    Ok(built)
}

/// Takes what succeeded of an execution though other jobs failed, and writes down who decided that.
pub fn submit_partial<S: ActionStore + PatchSetStore + ?Sized>(
    dispatcher: &Dispatcher,
    cas: &Cas,
    store: &S,
    execution: GroupId,
    by: &str,
    now: WallMs,
) -> Result<PatchSet, BuildError> {
    let draft = from_execution(dispatcher, cas, execution)?;
    let Some(ended) = draft.ended else {
        let running = "the execution still runs; cancel it, or wait for its end".to_owned();
        return Err(BuildError::Refused(running));
    };
    let failed = draft.failed;
    let partial = (failed > 0).then(|| Partial { by: by.to_owned(), at: now, failed });
    let mut new = new_patch_set(execution, ended, draft, partial);
    new.author = by.to_owned();
    Ok(store.create_patch_set(&new, now)?)
}

fn new_patch_set(
    execution: GroupId,
    ended: WallMs,
    draft: Draft,
    partial: Option<Partial>,
) -> NewPatchSet {
    NewPatchSet {
        of: Some((execution, ended)),
        author: draft.report.owner,
        coverage: draft.coverage,
        patches: draft.patches,
        partial,
    }
}

/// Reads what an execution came to.
pub fn from_execution(
    dispatcher: &Dispatcher,
    cas: &Cas,
    execution: GroupId,
) -> Result<Draft, BuildError> {
    let group = dispatcher.reader().group(execution)?;
    let group = group.ok_or(ReportError::Unknown(execution))?;
    let document: Option<Document> = serde_json::from_slice(&group.group.document).ok();
    let origin = document.and_then(|document| document.origin);
    let whole_scope = origin.as_ref().is_none_or(|origin| origin.whole_scope);
    let report = execution::report(dispatcher, cas, execution)?;
    let (mut ran, mut failed_in) = (BTreeSet::new(), BTreeSet::new());
    failed_in.extend(origin.into_iter().flat_map(|origin| origin.not_searched));
    let (mut patches, mut failed) = (Vec::new(), 0);
    for job in &report.jobs {
        if job.state != "succeeded" || job.error.is_some() {
            failed += 1;
            failed_in.insert(job.repository.clone());
            continue;
        }
        ran.insert(job.repository.clone());
        patches.extend(of_job(cas, job)?);
    }
    let coverage = Coverage {
        whole: whole_scope,
        ran: if whole_scope { Vec::new() } else { ran.difference(&failed_in).cloned().collect() },
        failed: failed_in.into_iter().collect(),
    };
    let ended = match group.state {
        GroupState::Finished { at } => Some(at),
        GroupState::Open { .. } => None,
    };
    Ok(Draft { report, ended, patches, coverage, failed })
}

fn of_job(cas: &Cas, job: &JobReport) -> Result<Vec<(WantedChangeset, DiffStat)>, BuildError> {
    let Some(patch) = &job.patch else { return Ok(Vec::new()) };
    let fail = |why: String| BuildError::Patch { job: job.job, why };
    let digest = Digest::parse_hex(patch).map_err(|_| fail(format!("`{patch}` is no digest")))?;
    let wanted = WantedChangeset {
        repository: job.repository.clone(),
        base_ref: job.branch.clone(),
        base_revision: job.base_revision.clone(),
        diff: digest.to_string(),
        branch: None,
        title: None,
        body: String::new(),
        commit_message: None,
        author: None,
        published: None,
        labels: Vec::new(),
        reviewers: Vec::new(),
        job: Some(job.job),
    };
    let stat = job.diff_stat.clone().unwrap_or_default();
    if job.changesets.is_empty() {
        return Ok(vec![(wanted, stat)]);
    }
    let mut all = Vec::new();
    for changeset in &job.changesets {
        let spec = changeset.spec.clone();
        let mut one = WantedChangeset {
            branch: Some(spec.branch),
            title: Some(spec.title),
            body: spec.body,
            commit_message: Some(spec.commit_message),
            author: spec.author,
            published: spec.published,
            labels: spec.labels,
            reviewers: spec.reviewers,
            ..wanted.clone()
        };
        let mut stat = stat.clone();
        if job.changesets.len() > 1 {
            let whole = cas.get(digest).map_err(|error| fail(error.to_string()))?;
            let part = diff::only(&whole, &changeset.files);
            let part = part.map_err(|error| fail(error.to_string()))?;
            let files = diff::parse(&part).map_err(|error| fail(error.to_string()))?;
            stat = diff::stat(&files);
            let kept = cas.put(&part).map_err(|error| fail(error.to_string()))?;
            one.diff = kept.to_string();
        }
        all.push((one, stat));
    }
    Ok(all)
}
