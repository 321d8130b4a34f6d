//! What an expression of a template evaluates to, and how values compare. No text is rendered here.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A value. Collections are shared, so that passing one around costs nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Nil,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(Arc<str>),
    List(List),
    Map(Arc<BTreeMap<String, Value>>),
}

/// A list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct List {
    pub items: Arc<[Value]>,
    /// Printed with spaces between its items and no brackets: `search_result_paths`, and what is empty because there was no
    /// previous step.
    pub bare: bool,
}

impl Value {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn texts<'a>(texts: impl IntoIterator<Item = &'a str>, bare: bool) -> Self {
        Self::List(List { items: texts.into_iter().map(Self::text).collect(), bare })
    }

    /// As Go prints the type of the same value.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Integer(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(list) if list.items.iter().all(|item| matches!(item, Self::Text(_))) => {
                "[]string"
            }
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
        }
    }

    /// What it is, for people.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nothing (nil)",
            Self::Bool(_) => "true or false",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }

    /// What is empty or zero is not true.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Integer(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.items.is_empty(),
            Self::Map(map) => !map.is_empty(),
        }
    }

    /// Equality of two values of one basic type; comparing anything with nil is allowed.
    pub(crate) fn equals(&self, other: &Self) -> Result<bool, String> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Ok(a == b),
            (Self::Integer(a), Self::Integer(b)) => Ok(a == b),
            (Self::Float(a), Self::Float(b)) => Ok(a == b),
            (Self::Text(a), Self::Text(b)) => Ok(a == b),
            (Self::Nil, other) | (other, Self::Nil) => Ok(*other == Self::Nil),
            (Self::List(list), Self::Text(text)) | (Self::Text(text), Self::List(list))
                if list.bare =>
            {
                Ok(list.joined(" ") == **text)
            }
            _ => Err(self.cannot_compare(other)),
        }
    }

    /// Order of two numbers of one type, or two texts.
    pub(crate) fn less(&self, other: &Self) -> Result<bool, String> {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => Ok(a < b),
            (Self::Float(a), Self::Float(b)) => Ok(a < b),
            (Self::Text(a), Self::Text(b)) => Ok(a < b),
            _ => Err(self.cannot_compare(other)),
        }
    }

    fn cannot_compare(&self, other: &Self) -> String {
        format!("{} cannot be compared with {}", self.kind(), other.kind())
    }
}

impl List {
    /// The texts of a list of texts with something between them; other items count as empty.
    pub(crate) fn joined(&self, separator: &str) -> String {
        let texts = self.items.iter().map(|item| match item {
            Value::Text(text) => &**text,
            _ => "",
        });
        texts.collect::<Vec<_>>().join(separator)
    }
}

impl From<&serde_json::Value> for Value {
    fn from(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Nil,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(integer) => Self::Integer(integer),
                None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Self::text(text),
            serde_json::Value::Array(items) => {
                Self::List(List { items: items.iter().map(Self::from).collect(), bare: false })
            }
            serde_json::Value::Object(entries) => {
                let entries = entries.iter().map(|(key, value)| (key.clone(), value.into()));
                Self::Map(Arc::new(entries.collect()))
            }
        }
    }
}
