//! Which variables a template has, by scope, and their values out of a [`TemplateContext`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::evaluator::{Missing, Variables};
use super::value::Value;
use super::{LINK, Scope};
use crate::{BatchChangeContext, ChangedFiles, StepResult, TemplateContext};

const FILES: [&str; 4] = ["added_files", "deleted_files", "modified_files", "renamed_files"];
const RESULT: [&str; 6] =
    ["added_files", "deleted_files", "modified_files", "renamed_files", "stderr", "stdout"];

impl Scope {
    /// The variables that exist, in alphabetical order.
    pub(super) fn variables(self) -> &'static [&'static str] {
        match self {
            Self::Step => &["batch_change", "outputs", "previous_step", "repository", "steps"],
            Self::Output => {
                &["batch_change", "outputs", "previous_step", "repository", "step", "steps"]
            }
            Self::Changeset => &["batch_change", "outputs", "repository", "steps"],
            Self::ChangesetBody => {
                &["batch_change", "batch_change_link", "outputs", "repository", "steps"]
            }
        }
    }

    /// Why a name means nothing here; `None` when it does.
    pub(super) fn unknown(self, name: &str) -> Option<String> {
        let here = self.variables();
        if here.contains(&name) {
            return None;
        }
        let list = here.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let why = match name {
            "step" => "`step` exists only in `outputs`; for the step before it is `previous_step`",
            "previous_step" => "`previous_step` exists only in steps; in a changeset it is `steps`",
            "batch_change_link" => "`batch_change_link` exists only in `changesetTemplate.body`",
            "call" => "the function `call` is not supported",
            _ => {
                let near = crate::suggest::nearest(name, here.iter().copied());
                let near = near.map(|near| format!(" (did you mean `{near}`?)"));
                let near = near.unwrap_or_default();
                return Some(format!("there is no `{name}` here{near}; there is {list}"));
            }
        };
        Some(format!("{why}; there is {list}"))
    }
}

/// The fields of a variable that always has the same ones.
pub(super) fn fields(variable: &str) -> Option<&'static [&'static str]> {
    match variable {
        "repository" => Some(&["branch", "name", "search_result_paths"]),
        "batch_change" => Some(&["description", "name"]),
        "previous_step" | "step" => Some(&RESULT),
        "steps" => {
            Some(&["added_files", "deleted_files", "modified_files", "path", "renamed_files"])
        }
        _ => None,
    }
}

/// The variables of a template that is rendered for real.
pub(super) struct Known<'a> {
    pub context: &'a TemplateContext,
    pub scope: Scope,
}

impl Known<'_> {
    /// All variables as one map, which is the dot of the whole template.
    pub(super) fn dot(&self) -> Value {
        let variables = self.scope.variables().iter();
        let entries = variables.filter_map(|name| Some(((*name).to_owned(), self.get(name).ok()?)));
        Value::Map(Arc::new(entries.collect()))
    }
}

impl Variables for Known<'_> {
    fn get(&self, name: &str) -> Result<Value, Missing> {
        if let Some(message) = self.scope.unknown(name) {
            return Err(Missing::Unknown(message));
        }
        let context = self.context;
        Ok(match name {
            "repository" => {
                let repository = &context.repository;
                let paths = repository.search_result_paths.iter().map(String::as_str);
                map([
                    ("branch", Value::text(&repository.branch)),
                    ("name", Value::text(&repository.name)),
                    ("search_result_paths", Value::texts(paths, true)),
                ])
            }
            "batch_change" => batch_change(&context.batch_change),
            "previous_step" => result(context.previous_step.as_ref()),
            "step" => result(context.step.as_ref()),
            "steps" => {
                let mut entries = files(&context.steps_files);
                entries.insert("path".to_owned(), Value::text(&context.steps_path));
                Value::Map(Arc::new(entries))
            }
            "outputs" => {
                let entries = context.outputs.iter();
                let entries = entries.map(|(name, value)| (name.clone(), Value::from(value)));
                Value::Map(Arc::new(entries.collect()))
            }
            _ => Value::text(LINK),
        })
    }
}

/// The variables that are known before anything is run.
pub(super) struct Static<'a> {
    /// `None`: not even the repository is known.
    pub repository: Option<&'a str>,
    pub batch_change: &'a BatchChangeContext,
}

impl Variables for Static<'_> {
    fn get(&self, name: &str) -> Result<Value, Missing> {
        if let Some(message) = Scope::Step.unknown(name) {
            return Err(Missing::Unknown(message));
        }
        match name {
            "batch_change" => Ok(batch_change(self.batch_change)),
            _ => Err(Missing::Dynamic),
        }
    }

    fn get_field(&self, name: &str, field: &str) -> Option<Value> {
        match (name, field, self.repository) {
            ("repository", "name", Some(repository)) => Some(Value::text(repository)),
            _ => None,
        }
    }
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let entries = entries.into_iter().map(|(name, value)| (name.to_owned(), value));
    Value::Map(Arc::new(entries.collect()))
}

fn batch_change(context: &BatchChangeContext) -> Value {
    map([("description", Value::text(&context.description)), ("name", Value::text(&context.name))])
}

fn files(files: &ChangedFiles) -> BTreeMap<String, Value> {
    let ChangedFiles { modified, added, deleted, renamed } = files;
    let lists = [added, deleted, modified, renamed]
        .map(|names| Value::texts(names.iter().map(String::as_str), false));
    FILES.iter().map(|name| (*name).to_owned()).zip(lists).collect()
}

/// Without a step everything is there and empty, and its lists print as nothing.
fn result(step: Option<&StepResult>) -> Value {
    let Some(step) = step else {
        let empty = FILES.iter().map(|name| ((*name).to_owned(), Value::texts([], true)));
        let mut entries: BTreeMap<String, Value> = empty.collect();
        entries.insert("stderr".to_owned(), Value::text(""));
        entries.insert("stdout".to_owned(), Value::text(""));
        return Value::Map(Arc::new(entries));
    };
    let mut entries = files(&step.files);
    entries.insert("stderr".to_owned(), Value::text(&step.stderr));
    entries.insert("stdout".to_owned(), Value::text(&step.stdout));
    Value::Map(Arc::new(entries))
}
