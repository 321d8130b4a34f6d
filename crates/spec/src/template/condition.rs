//! A step's `if`: evaluated before the step, and where it can be, before anything is run.
//!
//! The static evaluation runs the template with the few variables that are known, and gives up when it needs another one. It
//! therefore never says anything that the evaluation before the step would not say.

use super::context::Static;
use super::syntax::Fault;
use super::value::Value;
use super::{Scope, Template, TemplateError, evaluator};
use crate::{BatchChangeContext, Condition, RepositoryContext, TemplateContext};

/// What is known of a condition before anything is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaticCondition {
    Run,
    Skip,
    /// It depends on something that only a run can say.
    Dynamic,
}

/// Whether the step runs: exactly when the trimmed result is `true`.
pub fn evaluate_condition(
    condition: &Condition,
    context: &TemplateContext,
) -> Result<bool, TemplateError> {
    match condition {
        Condition::Always => Ok(true),
        Condition::Never => Ok(false),
        Condition::Template(text) => {
            Ok(is_true(&Template::parse(text)?.render(context, Scope::Step)?))
        }
    }
}

/// As far as it can be told from the repository's name, and the name and description of the batch change.
pub fn evaluate_statically(
    condition: &Condition,
    repository: &RepositoryContext,
    batch_change: &BatchChangeContext,
) -> StaticCondition {
    let text = match condition {
        Condition::Always => return StaticCondition::Run,
        Condition::Never => return StaticCondition::Skip,
        Condition::Template(text) => text,
    };
    let known = Static { repository: Some(&repository.name), batch_change };
    match Template::parse(text).map(|template| render(&template, &known)) {
        Ok(Ok(result)) if is_true(&result) => StaticCondition::Run,
        Ok(Ok(_)) => StaticCondition::Skip,
        // An error is told where the step would run.
        Ok(Err(_)) | Err(_) => StaticCondition::Dynamic,
    }
}

/// The error that a condition is sure to end in, whatever the repository.
pub(crate) fn static_error(
    template: &Template,
    batch_change: &BatchChangeContext,
) -> Option<TemplateError> {
    match render(template, &Static { repository: None, batch_change }) {
        Err(fault) if !fault.dynamic => Some(template.error(fault)),
        _ => None,
    }
}

fn render(template: &Template, known: &Static<'_>) -> Result<String, Fault> {
    if template.parsed.uses_dot {
        // The dot holds what is not known yet.
        return Err(Fault { dynamic: true, ..Fault::new(0, "") });
    }
    evaluator::render(&template.parsed, Value::Nil, known)
}

fn is_true(result: &str) -> bool {
    result.trim() == "true"
}
