//! What an execution came to: the same report for `exec`, the command line and the server.

use std::collections::BTreeMap;

use dispatcher::{AttemptView, Dispatcher, JobFilter, JobView, StoreError};
use model::{Digest, GroupId, GroupState, JobId, JobState, Outcome};
use serde::{Deserialize, Serialize};

use super::{Document, job_order};

/// `report.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub execution: u64,
    pub name: String,
    #[serde(default)]
    pub owner: String,
    /// `running`, `succeeded`, `failed` (some jobs did not succeed) or `canceled`.
    pub state: String,
    pub created_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_ms: Option<u64>,
    pub notices: Vec<String>,
    pub jobs: Vec<JobReport>,
}

/// One workspace.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobReport {
    pub job: u64,
    pub repository: String,
    pub path: String,
    pub branch: String,
    pub base_revision: String,
    /// `queued`, `running`, or how it ended: `succeeded`, `failed`, `timed_out`, `canceled`, `killed`, `expired`,
    /// `no_resource`, `runner_lost`, `rejected`.
    pub state: String,
    pub exit_code: Option<i32>,
    pub attempts: u32,
    /// Every step came from the cache.
    pub cached: bool,
    pub duration_ms: Option<u64>,
    /// With `-o DIR` the patch's file in it; else its digest. Absent when nothing changed or the job did not succeed.
    pub patch: Option<String>,
    pub diff_stat: Option<DiffStat>,
    pub error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepReport>,
    /// What the patch becomes on a code host: one changeset, or one per group of `transformChanges`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changesets: Vec<Changeset>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Changeset {
    #[serde(flatten)]
    pub spec: spec::ChangesetSpec,
    /// The files of the patch that belong to it.
    pub files: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiffStat {
    pub files: u64,
    pub added: u64,
    pub deleted: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepReport {
    pub number: u32,
    pub state: String,
    pub exit_code: Option<i32>,
    pub duration_ms: u64,
}

/// The output `result` of a workspace job, as our runner writes it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Result_ {
    pub steps: Vec<StepReport>,
    pub diff_stat: DiffStat,
    pub changed: spec::ChangedFiles,
    pub outputs: BTreeMap<String, serde_json::Value>,
}

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("there is no execution {0}")]
    Unknown(GroupId),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The name of the output that holds a job's patch, and of the one that holds its [`Result_`].
const PATCH: &str = "patch";
const RESULT: &str = "result";

/// Reads an execution's report from the store.
pub fn report(
    dispatcher: &Dispatcher,
    cas: &blobs::Cas,
    execution: GroupId,
) -> Result<Report, ReportError> {
    let reader = dispatcher.reader();
    let group = reader.group(execution)?.ok_or(ReportError::Unknown(execution))?;
    let document: Option<Document> = serde_json::from_slice(&group.group.document).ok();
    let mut jobs = Vec::new();
    let mut after = None;
    loop {
        let filter =
            JobFilter { group: Some(execution), after, limit: 500, ..JobFilter::default() };
        let page = reader.jobs(filter)?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for view in &page {
            jobs.push(job_report(dispatcher, cas, document.as_ref(), view)?);
        }
    }
    let state = match group.state {
        GroupState::Open { .. } => "running",
        GroupState::Finished { .. } if jobs.iter().all(|job| job.state == "succeeded") => {
            "succeeded"
        }
        GroupState::Finished { .. }
            if jobs.iter().any(|job| job.state == "canceled" || job.state == "killed") =>
        {
            "canceled"
        }
        GroupState::Finished { .. } => "failed",
    };
    Ok(Report {
        execution: execution.0,
        name: group.group.name.to_string(),
        owner: group.group.owner.to_string(),
        state: state.to_owned(),
        created_ms: group.created.0,
        finished_ms: match group.state {
            GroupState::Finished { at } => Some(at.0),
            GroupState::Open { .. } => None,
        },
        notices: document.map(|document| document.notices).unwrap_or_default(),
        jobs,
    })
}

/// What a job came to, beside its state.
#[derive(Clone, Debug, Default)]
pub struct JobDetail {
    pub exit_code: Option<i32>,
    pub error: Option<String>,
    /// Every step came from the cache.
    pub cached: bool,
    /// The patch's digest. Absent when nothing changed or the job did not succeed.
    pub patch: Option<String>,
    pub diff_stat: DiffStat,
    pub steps: Vec<StepReport>,
}

/// What a job came to, from its last attempt and what that left.
pub fn job_detail(view: &JobView, last: Option<(&AttemptView, &Result_)>) -> JobDetail {
    let result = last.map(|(_, result)| result.clone()).unwrap_or_default();
    let last = last.map(|(attempt, _)| attempt);
    let succeeded = matches!(view.state, JobState::Finished { outcome: Outcome::Succeeded, .. });
    let patch = last.and_then(|attempt| output(attempt, PATCH)).filter(|_| succeeded);
    JobDetail {
        exit_code: match &view.state {
            JobState::Finished { outcome: Outcome::Succeeded, .. } => Some(0),
            JobState::Finished { outcome: Outcome::Failed { exit }, .. } => Some(*exit),
            _ => None,
        },
        error: error_of(view.id, &view.state, last),
        cached: !result.steps.is_empty()
            && result.steps.iter().any(|step| step.state == "cached")
            && result.steps.iter().all(|step| step.state == "cached" || step.state == "skipped"),
        patch: patch.map(|digest| digest.to_string()),
        diff_stat: result.diff_stat,
        steps: result.steps,
    }
}

/// What a job's patch becomes on a code host; nothing when it has none, or when a template cannot be rendered.
pub fn changesets_of(
    cas: &blobs::Cas,
    document: &Document,
    view: &JobView,
    last: Option<&AttemptView>,
) -> Vec<Changeset> {
    let Some(workspace) = job_order(&view.job.payload) else { return Vec::new() };
    let Some(last) = last else { return Vec::new() };
    let result = result_of(cas, last);
    if job_detail(view, Some((last, &result))).patch.is_none() {
        return Vec::new();
    }
    render(document, &workspace, &result).unwrap_or_default()
}

fn job_report(
    dispatcher: &Dispatcher,
    cas: &blobs::Cas,
    document: Option<&Document>,
    view: &JobView,
) -> Result<JobReport, ReportError> {
    let workspace = job_order(&view.job.payload);
    let (repository, path, branch, base_revision) = match &workspace {
        Some(w) => (w.repository.clone(), w.path.clone(), w.branch.clone(), w.commit.clone()),
        None => Default::default(),
    };
    let (state, last) = match &view.state {
        JobState::Queued { .. } => ("queued".to_owned(), None),
        JobState::Running { .. } => ("running".to_owned(), None),
        JobState::Finished { outcome, .. } => {
            let number = model::AttemptNumber(view.attempts);
            let attempt = dispatcher.reader().attempt(view.id, number)?;
            (outcome.name().to_owned(), attempt)
        }
    };
    let result = last.as_ref().map(|attempt| result_of(cas, attempt)).unwrap_or_default();
    let JobDetail { exit_code, mut error, cached, patch, diff_stat, steps } =
        job_detail(view, last.as_ref().map(|attempt| (attempt, &result)));
    let mut changesets = Vec::new();
    if let (Some(document), Some(workspace)) = (document, &workspace)
        && patch.is_some()
    {
        match render(document, workspace, &result) {
            Ok(rendered) => changesets = rendered,
            // The steps are done and their patch is good; what to call it is not known.
            Err(why) => error = Some(format!("no changeset can be made of the patch: {why}")),
        }
    }
    Ok(JobReport {
        job: view.id.0,
        repository,
        path,
        branch,
        base_revision,
        error,
        state,
        exit_code,
        attempts: view.attempts,
        cached,
        duration_ms: last.as_ref().map(|a| a.record.ended.0.saturating_sub(a.record.started.0)),
        diff_stat: patch.is_some().then_some(diff_stat),
        patch,
        runner: match &view.state {
            JobState::Running { runner, .. } => Some(runner.to_string()),
            _ => last.as_ref().map(|attempt| attempt.record.runner.to_string()),
        },
        steps,
        changesets,
    })
}

fn render(
    document: &Document,
    workspace: &super::WorkspaceJob,
    result: &Result_,
) -> Result<Vec<Changeset>, spec::FieldError> {
    let context = spec::TemplateContext {
        repository: spec::RepositoryContext {
            name: workspace.repository.clone(),
            branch: workspace.branch.clone(),
            search_result_paths: workspace.search_result_paths.clone(),
        },
        batch_change: spec::BatchChangeContext {
            name: document.spec.name.clone(),
            description: document.spec.description.clone(),
        },
        steps_files: result.changed.clone(),
        steps_path: workspace.path.clone(),
        outputs: result.outputs.clone(),
        ..spec::TemplateContext::default()
    };
    let Some(template) = &document.spec.changeset_template else { return Ok(Vec::new()) };
    let spec::ChangedFiles { modified, added, deleted, renamed } = &result.changed;
    let files: Vec<String> =
        [modified, added, deleted, renamed].into_iter().flatten().cloned().collect();
    let groups = &document.spec.transform_changes;
    let rendered = spec::render_changesets(template, groups, &files, &context)?;
    Ok(rendered.into_iter().map(|(spec, files)| Changeset { spec, files }).collect())
}

fn output(attempt: &AttemptView, name: &str) -> Option<Digest> {
    let mut outputs = attempt.record.evidence.outputs.iter();
    outputs.find(|output| &*output.name == name).map(|output| output.digest)
}

/// Reads what an attempt left beside its log; nothing when it left nothing that can be read.
pub fn result_of(cas: &blobs::Cas, attempt: &AttemptView) -> Result_ {
    let bytes = output(attempt, RESULT).and_then(|digest| cas.get(digest).ok());
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn error_of(job: JobId, state: &JobState, last: Option<&AttemptView>) -> Option<String> {
    let JobState::Finished { outcome, .. } = state else { return None };
    let said = last.and_then(|attempt| attempt.record.evidence.message.as_deref());
    let words = match outcome {
        Outcome::Succeeded => return None,
        Outcome::Rejected { why } => why.to_string(),
        _ if said.is_some() => return said.map(str::to_owned),
        Outcome::Failed { exit } => format!("exit code {exit}"),
        Outcome::TimedOut { .. } => "it took longer than it may".to_owned(),
        Outcome::Canceled => "it was cancelled before it began".to_owned(),
        Outcome::Killed => "it was cancelled".to_owned(),
        Outcome::Expired => "no runner took it in time".to_owned(),
        Outcome::NoResource => "no runner could ever take it".to_owned(),
        Outcome::RunnerLost => format!("its runners vanished; see `phalanx job show {job}`"),
    };
    Some(words)
}
