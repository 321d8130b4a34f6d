//! What goes wrong, as GraphQL says it: a sentence, and a code for programs.

use async_graphql::{Error, ErrorExtensions, Value, to_value};
use campaign::service::Refusal;
use dispatcher::StoreError;

use crate::types::definition::Diagnostic;

/// A refusal with its code: `NOT_FOUND`, `FORBIDDEN`, `BAD_INPUT`, `CONFLICT` or `INTERNAL`; and `field`, the argument that is
/// wrong, when it is one.
pub(crate) fn refuse(refusal: Refusal) -> Error {
    let (code, diagnostics) = match &refusal {
        Refusal::NotFound(_) => ("NOT_FOUND", None),
        Refusal::Forbidden { .. } => ("FORBIDDEN", None),
        Refusal::Conflict(_) | Refusal::NameTaken { .. } => ("CONFLICT", None),
        Refusal::Invalid { diagnostics, .. } => ("BAD_INPUT", Some(diagnostics)),
        Refusal::Store(error) => return internal(error),
    };
    let diagnostics = diagnostics.filter(|all| !all.is_empty()).map(|all| {
        let all = all.iter().map(|one| Diagnostic::from(one.clone()).wire());
        Value::List(all.collect())
    });
    let field = match &refusal {
        Refusal::Invalid { field, .. } => *field,
        Refusal::NameTaken { .. } => Some("name"),
        _ => None,
    };
    Error::new(refusal.to_string()).extend_with(|_, extensions| {
        extensions.set("code", code);
        if let Some(field) = field {
            extensions.set("field", field);
        }
        if let Some(diagnostics) = diagnostics {
            extensions.set("diagnostics", diagnostics);
        }
    })
}

pub(crate) fn store(error: StoreError) -> Error {
    internal(&error)
}

pub(crate) fn bad(message: impl Into<String>) -> Error {
    refuse(Refusal::invalid(message))
}

/// What is wrong with one argument.
pub(crate) fn bad_field(field: &'static str, message: impl Into<String>) -> Error {
    refuse(Refusal::of_field(field, message))
}

pub(crate) fn not_found(what: impl Into<String>) -> Error {
    refuse(Refusal::NotFound(what.into()))
}

/// The cause is for the operator's eyes.
pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Error {
    tracing::error!(error, "a request failed");
    Error::new("the server failed; its log says why")
        .extend_with(|_, extensions| extensions.set("code", "INTERNAL"))
}

impl Diagnostic {
    fn wire(self) -> Value {
        to_value(self).unwrap_or(Value::Null)
    }
}
