//! Forms that work without scripts: a proof that they are ours, values kept after a mistake, the error at its field.

use maud::{Markup, html};

use super::text::{flat, shown};
use crate::backend::GraphError;
use crate::cx::{Cx, Fields};

/// What was sent, and what was wrong with it. Empty when the page is opened.
#[derive(Default)]
pub(crate) struct Sent {
    pub fields: Fields,
    pub errors: Vec<GraphError>,
}

impl Sent {
    pub fn new(fields: Fields, errors: Vec<GraphError>) -> Self {
        Self { fields, errors }
    }

    /// What was sent, or what is so now.
    pub fn value<'a>(&'a self, name: &str, now: &'a str) -> &'a str {
        if self.fields.has(name) { self.fields.get(name).unwrap_or_default() } else { now }
    }

    pub fn checked(&self, name: &str, now: bool) -> bool {
        if self.fields.0.is_empty() { now } else { self.fields.has(name) }
    }

    pub fn error(&self, name: &str) -> Option<&str> {
        let error = self.errors.iter().find(|error| error.field() == Some(name));
        error.map(|error| error.message.as_str())
    }

    /// Errors that no field of the form shows.
    pub fn summary(&self, fields: &[&str]) -> Markup {
        let of_form =
            |error: &&GraphError| !error.field().is_some_and(|field| fields.contains(&field));
        let mut errors = self.errors.iter().filter(of_form).peekable();
        html! {
            @if errors.peek().is_some() {
                div.note.bad role="alert" { @for error in errors { p { (shown(&error.message)) } } }
            }
        }
    }
}

/// A form that posts to `action`.
pub(crate) fn form(cx: &Cx, action: &str, body: Markup) -> Markup {
    html! {
        form method="post" action=(action) {
            input type="hidden" name="csrf" value=(cx.csrf());
            (body)
        }
    }
}

/// A button that does one operation and comes back; see `pages::operations`.
pub(crate) fn operation(
    cx: &Cx,
    name: &str,
    fields: &[(&str, &str)],
    label: Markup,
    class: &str,
) -> Markup {
    form(
        cx,
        &format!("/do/{name}"),
        html! {
            input type="hidden" name="back" value=(cx.with(&[]));
            @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
            button class=(class) { (label) }
        },
    )
}

/// The same behind a second click: what it does is said first.
pub(crate) fn grave(
    cx: &Cx,
    name: &str,
    fields: &[(&str, &str)],
    label: &str,
    says: &str,
) -> Markup {
    html! {
        details.grave {
            summary.button { (label) "…" }
            div.pop {
                p { (says) }
                (operation(cx, name, fields, html! { (label) }, "danger"))
            }
        }
    }
}

/// One line to fill in.
pub(crate) struct Line<'a> {
    pub name: &'a str,
    pub label: &'a str,
    pub hint: &'a str,
    pub value: &'a str,
    pub required: bool,
    pub kind: &'a str,
}

impl<'a> Line<'a> {
    pub fn new(name: &'a str, label: &'a str, value: &'a str) -> Self {
        Self { name, label, hint: "", value, required: false, kind: "text" }
    }

    pub fn hint(mut self, hint: &'a str) -> Self {
        self.hint = hint;
        self
    }

    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub fn secret(mut self) -> Self {
        self.kind = "password";
        self
    }

    pub fn show(self, sent: &Sent) -> Markup {
        let error = sent.error(self.name);
        let help = format!("{}-help", self.name);
        html! {
            div.field {
                label for=(self.name) { (self.label) }
                input id=(self.name) name=(self.name) type=(self.kind) value=(self.value)
                    required[self.required] aria-invalid=[error.map(|_| "true")] aria-describedby=(help)
                    autocomplete=(if self.kind == "password" { "new-password" } else { "off" }) spellcheck="false";
                p.hint id=(help) {
                    @if let Some(error) = error { span.error { (shown(error)) } " " }
                    (self.hint)
                }
            }
        }
    }
}

/// Several lines to fill in.
pub(crate) fn area(name: &str, label: &str, value: &str, hint: &str, sent: &Sent) -> Markup {
    let error = sent.error(name);
    let help = format!("{name}-help");
    html! {
        div.field {
            label for=(name) { (label) }
            // The first line end of a text area is not part of it.
            textarea id=(name) name=(name) rows="6" aria-invalid=[error.map(|_| "true")] aria-describedby=(help) { "\n" (value) }
            p.hint id=(help) {
                @if let Some(error) = error { span.error { (shown(error)) } " " }
                (hint)
            }
        }
    }
}

/// A choice; `options` are values and labels.
pub(crate) fn select(name: &str, label: &str, value: &str, options: &[(String, String)]) -> Markup {
    html! {
        div.field {
            label for=(name) { (label) }
            select id=(name) name=(name) {
                @for (option, label) in options {
                    option value=(option) selected[option == value] { (flat(label)) }
                }
            }
        }
    }
}

pub(crate) fn pairs(options: &[(&str, &str)]) -> Vec<(String, String)> {
    options.iter().map(|(value, label)| ((*value).to_owned(), (*label).to_owned())).collect()
}

pub(crate) fn check(name: &str, label: &str, checked: bool) -> Markup {
    html! { label.check { input type="checkbox" name=(name) value="true" checked[checked]; span { (label) } } }
}
