//! Renders all templates of a step at once, and its outputs after it ran.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Scope, Template, TemplateError};
use crate::{OutputFormat, Run, Step, TemplateContext};

/// A step as it is run: nothing in it is a template any more.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderedStep {
    pub run: Run,
    pub container: Option<String>,
    pub env: Vec<(String, String)>,
    pub files: BTreeMap<String, String>,
    pub timeout_ms: Option<u64>,
}

/// A template that failed, and the field that holds it (`run`, `env.NAME`, `outputs.NAME.value`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}`: {error}")]
pub struct FieldError {
    pub field: String,
    pub error: TemplateError,
}

/// Renders the templates of a step. An argument vector and its image are taken as they are: actions have no templates.
pub fn render_step(step: &Step, context: &TemplateContext) -> Result<RenderedStep, FieldError> {
    let render =
        |field: &dyn Fn() -> String, text: &str| render_field(field, text, context, Scope::Step);
    let (run, container) = match &step.run {
        Run::Argv(arguments) => (Run::Argv(arguments.clone()), step.container.clone()),
        Run::Shell(text) => {
            let run = render(&|| "run".to_owned(), text)?;
            let container = step.container.as_deref();
            let container =
                container.map(|text| render(&|| "container".to_owned(), text)).transpose()?;
            (Run::Shell(run), container)
        }
    };
    let mut env = Vec::with_capacity(step.env.len());
    for variable in &step.env {
        let field = || format!("env.{}", variable.name);
        let Some(template) = &variable.value else {
            let message = format!(
                "the variable `{}` has no value: it is taken from where the command line runs, and was not",
                variable.name
            );
            return Err(FieldError { field: field(), error: TemplateError::whole(message) });
        };
        env.push((variable.name.clone(), render(&field, template)?));
    }
    let mut files = BTreeMap::new();
    for (path, template) in &step.files {
        files.insert(path.clone(), render(&|| format!("files.{path}"), template)?);
    }
    Ok(RenderedStep { run, container, env, files, timeout_ms: step.timeout_ms })
}

/// Renders the outputs of a step that just ran (`context.step`) into `outputs`; a later value replaces an earlier one.
pub fn render_outputs(
    step: &Step,
    context: &TemplateContext,
    outputs: &mut BTreeMap<String, Value>,
) -> Result<(), FieldError> {
    for (name, rule) in &step.outputs {
        let field = || format!("outputs.{name}.value");
        let text = render_field(&field, &rule.value, context, Scope::Output)?;
        let fail = |error: String| {
            let message = format!("the output is not what `format` says: {error}");
            FieldError { field: field(), error: TemplateError::whole(message) }
        };
        let value = match rule.format {
            OutputFormat::Text => Value::String(text),
            OutputFormat::Json => {
                serde_json::from_str(&text).map_err(|error| fail(error.to_string()))?
            }
            OutputFormat::Yaml => crate::parse::yaml_value(&text).map_err(fail)?,
        };
        outputs.insert(name.clone(), value);
    }
    Ok(())
}

pub(crate) fn render_field(
    field: &dyn Fn() -> String,
    text: &str,
    context: &TemplateContext,
    scope: Scope,
) -> Result<String, FieldError> {
    let render = || Template::parse(text)?.render(context, scope);
    render().map_err(|error| FieldError { field: field(), error })
}

/// A template that is this text, whatever stands in it.
pub fn literal(text: &str) -> String {
    text.replace("${{", "${{ \"${{\" }}")
}
