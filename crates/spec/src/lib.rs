//! What a spec says: the old action definition and the batch spec, their templates, and the cache key of a step.
//!
//! Pure: no I/O, no clock. `campaign` reads specs with it, `runner` renders the templates of each step with it, so that a
//! spec means the same on a laptop and on a server.

#![forbid(unsafe_code)]

mod cache_key;
mod changeset;
mod glob;
mod parse;
mod suggest;
mod template;
mod types;

pub use cache_key::{CachedStep, StepKeyInput, step_key};
pub use changeset::{
    ChangesetGroup, ChangesetSpec, Recipient, published_for, render_changeset, render_changesets,
    split_files,
};
pub use parse::{Parsed, parse, parse_named};
pub use template::{
    FieldError, RenderedStep, Scope, StaticCondition, Template, TemplateError, evaluate_condition,
    evaluate_statically, literal, render_outputs, render_step,
};
pub use types::*;
