//! What the commands over GraphQL share.

use serde_json::{Value, json};

use super::connect::{Connect, Local};
use super::output;
use crate::client::{Client, Refused};
use crate::config::File;

/// Runs `work` with a client of the server.
pub async fn with<T>(
    connect: &Connect,
    file: &File,
    work: impl AsyncFnOnce(&Client) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let local = Local::open(connect, file).await?;
    let done = work(local.client()).await;
    local.close().await;
    done
}

/// The id of what has a name; `what` is the query's field: `action`, `campaign`.
pub async fn id_of(client: &Client, what: &str, name: &str) -> anyhow::Result<String> {
    let query = format!("query($name: String!) {{ {what}(name: $name) {{ id }} }}");
    let data = client.graph(&query, json!({ "name": name })).await?;
    match data[what]["id"].as_str() {
        Some(id) => Ok(id.to_owned()),
        None => Err(missing(what, name)),
    }
}

/// As [`id_of`] for lists without a query by name; `what` is the connection's field.
pub async fn id_in(client: &Client, what: &str, name: &str) -> anyhow::Result<String> {
    let query = format!("{{ {what}(first: 1000) {{ nodes {{ id name }} }} }}");
    let data = client.graph(&query, json!({})).await?;
    let found = nodes(&data[what]).iter().find(|node| node["name"] == name);
    match found.and_then(|node| node["id"].as_str()) {
        Some(id) => Ok(id.to_owned()),
        None => Err(missing(what.trim_end_matches('s'), name)),
    }
}

fn missing(what: &str, name: &str) -> anyhow::Error {
    let error = format!("there is no {} `{name}`", words(what));
    let problem = api_rest::types::Problem { error, diagnostics: Vec::new() };
    Refused { status: 404, problem }.into()
}

/// `codeHost` as people write it.
fn words(name: &str) -> String {
    let mut words = String::new();
    for c in name.chars() {
        if c.is_uppercase() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words
}

pub fn nodes(connection: &Value) -> &[Value] {
    connection["nodes"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A field as text; empty when it is not there.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// `OPEN` as people write it.
pub fn word(value: &Value) -> String {
    text(value).to_lowercase().replace('_', " ")
}

/// A time as `3 min ago`.
pub fn ago(value: &Value) -> String {
    let at: Option<jiff::Timestamp> = value.as_str().and_then(|text| text.parse().ok());
    at.map_or_else(|| "never".to_owned(), |at| output::ago(at.as_millisecond().max(0) as u64))
}

/// `+3 −1 in 2 files`
pub fn stat(value: &Value) -> String {
    if value.is_null() {
        return String::new();
    }
    let count = |field: &str| value[field].as_i64().unwrap_or(0);
    let (added, deleted) = (count("added") + count("changed"), count("deleted") + count("changed"));
    format!("+{added} -{deleted} in {}", count("files"))
}
