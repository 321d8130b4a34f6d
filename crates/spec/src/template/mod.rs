//! The templates of a spec: Go's `text/template` between `${{` and `}}`, with an error for every unknown name.
//!
//! Whole numbers of JSON and YAML stay whole numbers (Go makes floats of JSON's, and prints a million as `1e+06`). Text is
//! always UTF-8: `slice` refuses to cut a character in two. Lists that print as text (`search_result_paths`, and those of a
//! previous step that there is not) can be compared with text. Everything else is as Go does it, which `tests/it/go_template.rs`
//! checks against Go itself. Not supported are complex numbers, hexadecimal floats, `call`, argument numbers in `printf`, and a
//! `range` that declares a variable but gives it no value.

mod condition;
mod context;
mod evaluator;
mod format;
mod functions;
mod lexer;
mod literal;
mod parser;
mod step;
mod syntax;
mod value;

pub(crate) use condition::static_error;
pub use condition::{StaticCondition, evaluate_condition, evaluate_statically};
pub(crate) use step::render_field;
pub use step::{FieldError, RenderedStep, literal, render_outputs, render_step};

use self::context::Known;
use self::syntax::Fault;
use self::value::Value;
use crate::TemplateContext;

/// What `batch_change_link` renders to; the link itself is only known when the changeset is published.
const LINK: &str = "${{ batch_change_link }}";

/// Which variables exist where the template stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `run`, `container`, `env`, `files` and `if` of a step.
    Step,
    /// `outputs.*.value`: also `step`, the one that just ran.
    Output,
    /// `changesetTemplate`.
    Changeset,
    /// `changesetTemplate.body`: also `batch_change_link`, which stays in the text until the link is known.
    ChangesetBody,
}

/// What is wrong with a template, and where inside it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (line {line}, column {column} of the template)")]
pub struct TemplateError {
    /// In bytes from the template's start.
    pub offset: usize,
    /// One based.
    pub line: u32,
    /// One based, in characters.
    pub column: u32,
    pub message: String,
}

impl TemplateError {
    fn new(text: &str, fault: Fault) -> Self {
        let Fault { offset, message, .. } = fault;
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            offset,
            line: 1 + before.matches('\n').count() as u32,
            column: 1 + before[line_start..].chars().count() as u32,
            message,
        }
    }

    /// An error of the value as a whole.
    pub(crate) fn whole(message: String) -> Self {
        Self { offset: 0, line: 1, column: 1, message }
    }
}

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    text: String,
    parsed: parser::Parsed,
}

impl Template {
    /// Parses a template. Whether its variables exist is only known with a scope.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let parsed = parser::parse(text).map_err(|fault| TemplateError::new(text, fault))?;
        Ok(Self { text: text.to_owned(), parsed })
    }

    /// Whether every variable that is named exists in the scope, even where it would not be evaluated.
    pub fn check(&self, scope: Scope) -> Result<(), TemplateError> {
        for mention in &self.parsed.mentions {
            if let Some(message) = scope.unknown(&mention.name) {
                return Err(self.error(Fault::new(mention.offset, message)));
            }
            let (Some(field), Some(known)) = (&mention.field, context::fields(&mention.name))
            else {
                continue;
            };
            if !known.contains(&&*field.name) {
                let near = crate::suggest::nearest(&field.name, known.iter().copied());
                let near =
                    near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
                let list: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
                let message = format!(
                    "there is no `{}` in `{}`{near}; there is {}",
                    field.name,
                    mention.name,
                    list.join(", ")
                );
                return Err(self.error(Fault::new(field.offset, message)));
            }
        }
        Ok(())
    }

    /// The outputs that are named as `outputs.NAME`, each with its place.
    pub(crate) fn outputs(&self) -> impl Iterator<Item = (&str, TemplateError)> {
        let mentions = self.parsed.mentions.iter().filter(|mention| &*mention.name == "outputs");
        let fields = mentions.filter_map(|mention| mention.field.as_ref());
        fields.map(|field| (&*field.name, self.error(Fault::new(field.offset, ""))))
    }

    /// Renders the template.
    pub fn render(&self, context: &TemplateContext, scope: Scope) -> Result<String, TemplateError> {
        for mention in &self.parsed.mentions {
            if let Some(message) = scope.unknown(&mention.name) {
                return Err(self.error(Fault::new(mention.offset, message)));
            }
        }
        let known = Known { context, scope };
        let dot = if self.parsed.uses_dot { known.dot() } else { Value::Nil };
        evaluator::render(&self.parsed, dot, &known).map_err(|fault| self.error(fault))
    }

    fn error(&self, fault: Fault) -> TemplateError {
        TemplateError::new(&self.text, fault)
    }
}

#[cfg(test)]
mod tests;
