//! What a definition says, and what is wrong with it.

use async_graphql::{Object, SimpleObject};
use campaign::execution::{Plan, PlannedWorkspace};
use spec::{Run, Spec};

use crate::convert::{JsoncString, int};
use crate::page::PageInfo;
use crate::types::repository::Repository;

/// The steps of a definition, as they will be run.
pub(crate) struct ActionDefinition {
    pub text: String,
    pub spec: Spec,
}

#[Object]
impl ActionDefinition {
    /// As it was written.
    async fn steps(&self) -> JsoncString {
        JsoncString(self.text.clone())
    }

    async fn env(&self) -> Vec<ActionEnvVar> {
        let all = self.spec.steps.iter().flat_map(|step| &step.env);
        let all = all.filter_map(|variable| {
            let value = variable.value.clone()?;
            Some(ActionEnvVar { key: variable.name.clone(), value })
        });
        all.collect()
    }
}

#[derive(SimpleObject)]
pub(crate) struct ActionEnvVar {
    key: String,
    value: String,
}

/// A mistake, with its place; both count from 1.
#[derive(SimpleObject, Clone, Debug, serde::Serialize)]
pub(crate) struct Diagnostic {
    line: i32,
    column: i32,
    field: String,
    message: String,
    hint: Option<String>,
}

impl From<spec::Diagnostic> for Diagnostic {
    fn from(it: spec::Diagnostic) -> Self {
        Self {
            line: int(it.at.line.into()),
            column: int(it.at.column.into()),
            field: it.field,
            message: it.message,
            hint: it.hint,
        }
    }
}

pub(crate) fn diagnostics(all: Vec<spec::Diagnostic>) -> Vec<Diagnostic> {
    all.into_iter().map(Diagnostic::from).collect()
}

#[derive(SimpleObject)]
pub(crate) struct DefinitionValidation {
    pub ok: bool,
    pub name: Option<String>,
    pub diagnostics: Vec<Diagnostic>,
    pub warnings: Vec<Diagnostic>,
    pub steps: i32,
    pub has_changeset_template: bool,
}

/// What a definition would run on now.
#[derive(SimpleObject)]
pub(crate) struct ScopePreview {
    pub diagnostics: Vec<Diagnostic>,
    pub total_count: i32,
    pub page_info: PageInfo,
    pub nodes: Vec<ScopeWorkspace>,
    pub skipped: Vec<SkippedRepository>,
    pub notices: Vec<String>,
    pub took_ms: i32,
}

#[derive(SimpleObject)]
pub(crate) struct ScopeWorkspace {
    repository: Repository,
    path: String,
    branch: String,
    commit: String,
    matched_paths: Vec<String>,
}

impl ScopeWorkspace {
    pub fn new(planned: PlannedWorkspace, all: &codehost::git::Repositories) -> Self {
        let job = planned.job;
        Self {
            repository: Repository::named(all, &job.repository),
            path: job.path,
            branch: job.branch,
            commit: job.commit,
            matched_paths: job.search_result_paths,
        }
    }
}

#[derive(SimpleObject)]
pub(crate) struct SkippedRepository {
    pub repository: String,
    pub path: String,
    pub reason: String,
}

pub(crate) fn skipped(plan: &Plan) -> Vec<SkippedRepository> {
    let all = plan.skipped.iter().cloned();
    let all = all.map(|it| SkippedRepository {
        repository: it.repository,
        path: it.path,
        reason: it.why,
    });
    all.collect()
}

#[derive(SimpleObject)]
pub(crate) struct SchedulePreview {
    pub error: Option<String>,
    pub description: Option<String>,
    pub times: Vec<crate::convert::DateTime>,
}

/// What a step runs, for people.
pub(crate) fn run_of(run: &Run) -> String {
    match run {
        Run::Shell(text) => text.clone(),
        Run::Argv(words) => words.join(" "),
    }
}
