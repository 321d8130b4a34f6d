//! A parsed spec. Both formats end here, so that nothing behind the parser knows which one was written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A spec that parsed without an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    pub format: Format,
    /// 1 or 2; 0 for an action definition.
    pub version: u32,
    pub name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub on: Vec<On>,
    #[serde(default)]
    pub workspaces: Vec<WorkspaceRule>,
    #[serde(default)]
    pub steps: Vec<Step>,
    #[serde(default)]
    pub import_changesets: Vec<ImportChangeset>,
    #[serde(default)]
    pub transform_changes: Vec<TransformGroup>,
    #[serde(default)]
    pub changeset_template: Option<ChangesetTemplate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Format {
    /// `scopeQuery` and `steps` of `command` and `docker`.
    Action,
    Batch,
}

/// Which repositories.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum On {
    /// A search. Also an action definition's `scopeQuery`.
    Query { query: String, at: Position },
    /// A repository by name; no branches means its default branch.
    Repository { name: String, branches: Vec<String>, at: Position },
}

/// One based, as editors count. Column counts characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkspaceRule {
    /// A file name; each folder that holds such a file is a workspace.
    pub root_at_location_of: String,
    /// Which repositories, as a glob over their names.
    pub r#in: String,
    pub only_fetch_workspace: bool,
    pub at: Position,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub run: Run,
    /// The image to run in; `None` runs as a process (our extension).
    pub container: Option<String>,
    /// In the order in which they are written.
    #[serde(default)]
    pub env: Vec<EnvVar>,
    /// Files written beside the step, read-only: absolute path in the step → template of the content.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    #[serde(default)]
    pub mount: Vec<Mount>,
    #[serde(default)]
    pub outputs: BTreeMap<String, OutputRule>,
    #[serde(default)]
    pub r#if: Condition,
    /// Our extension: the longest that this step may run.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// Where the step stands in its file, for messages.
    pub at: Position,
}

/// What a step runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Run {
    /// Shell text, a template (batch spec).
    Shell(String),
    /// Exactly this argument vector, no shell, no templates (action definition). In a container these replace the
    /// image's command, and may be empty.
    Argv(Vec<String>),
}

impl Spec {
    /// Variables of steps that have no value here, with the step's index.
    pub fn variables_from_outside(&self) -> impl Iterator<Item = (usize, &str)> {
        let steps = self.steps.iter().enumerate();
        steps.flat_map(|(index, step)| {
            let open = step.env.iter().filter(|variable| variable.value.is_none());
            open.map(move |variable| (index, variable.name.as_str()))
        })
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnvVar {
    pub name: String,
    /// A template; `None` takes the value from where the command line runs, or from the server's secret of this name.
    pub value: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mount {
    /// Relative to the spec's folder.
    pub path: String,
    pub mountpoint: String,
    pub at: Position,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputRule {
    pub value: String,
    #[serde(default)]
    pub format: OutputFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OutputFormat {
    #[default]
    Text,
    Json,
    Yaml,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Condition {
    #[default]
    Always,
    Never,
    /// Runs when the trimmed result is exactly `true`.
    Template(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImportChangeset {
    pub repository: String,
    pub external_ids: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransformGroup {
    pub directory: String,
    pub branch: String,
    pub repository: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangesetTemplate {
    pub title: String,
    #[serde(default)]
    pub body: String,
    pub branch: String,
    pub commit_message: String,
    pub author: Option<Author>,
    pub fork: Option<bool>,
    pub published: Published,
    /// Our extension: templates, as are the reviewers.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Our extension: users, or teams as `team:NAME`.
    #[serde(default)]
    pub reviewers: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    pub name: String,
    pub email: String,
}

/// `published`: one value, or globs over `repository[@branch]` of which the last match wins. Empty: decided in the UI.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Published(pub Vec<(String, PublishedState)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PublishedState {
    No,
    Yes,
    Draft,
    PushedOnly,
}

/// Something wrong in a spec, for a person: `batch.yaml:3:7: steps[0].run: …`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    pub file: String,
    pub at: Position,
    /// The field's path, `steps[0].env`; empty for the whole file.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// The names of files that a set of steps changed. Renamed files report their new name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedFiles {
    pub modified: Vec<String>,
    pub added: Vec<String>,
    pub deleted: Vec<String>,
    pub renamed: Vec<String>,
}

/// What is known of a step that ran, for templates after it and for the cache.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepResult {
    /// Cumulative over the steps so far.
    pub files: ChangedFiles,
    pub stdout: String,
    pub stderr: String,
}

/// Everything that a template may name. Built by the caller; what is `None` is an error to name ("no previous step" renders
/// as empty, as upstream does).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TemplateContext {
    pub repository: RepositoryContext,
    pub batch_change: BatchChangeContext,
    pub previous_step: Option<StepResult>,
    /// The step that just ran; only in `outputs.*.value`.
    pub step: Option<StepResult>,
    /// Cumulative files of all steps so far, and the workspace's path.
    pub steps_files: ChangedFiles,
    pub steps_path: String,
    /// `outputs.NAME`: text, or parsed JSON or YAML.
    pub outputs: BTreeMap<String, serde_json::Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryContext {
    pub name: String,
    pub branch: String,
    pub search_result_paths: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchChangeContext {
    pub name: String,
    pub description: String,
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:", self.file)?;
        if self.at != Position::default() {
            write!(f, "{}:{}:", self.at.line, self.at.column)?;
        }
        if !self.field.is_empty() {
            write!(f, " {}:", self.field)?;
        }
        write!(f, " {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}
