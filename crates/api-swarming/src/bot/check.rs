//! Whether a bot is what it should be. One that is not is put into quarantine, with the reason, instead of refused, so
//! that somebody sees it.
//!
//! Facts: luci-py `handlers_bot.py` (`_BotBaseHandler.process`, `_validate_dimensions`); luci-go `botapi/helpers.go`,
//! `botapi/poll.go`, `model/quarantine.go`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::wire::BotRequest;
use crate::config::BotGroups;
use crate::prpc::Status;
use crate::validate::dimension;
use crate::validate::text::quote;

/// Said of a bot that gives no reason for its own quarantine.
pub const SELF_QUARANTINED: &str = "Bot self-quarantined.";

/// Key → values.
pub type Dimensions = BTreeMap<String, BTreeSet<String>>;

/// Which call a [`BotRequest`] came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Handshake,
    Poll,
    Event,
}

/// What a bot's request means.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    pub bot_id: String,
    /// The bot's, under those that the server says. `None` when they are broken: keep those of before.
    pub dimensions: Option<Dimensions>,
    /// The same for the engine. `None` as well when there are too many.
    pub offered: Option<model::Dimensions>,
    /// As the bot said it, with the reason of the quarantine in it.
    pub state: Map<String, Value>,
    /// SHA-256 of the bot's archive, or empty.
    pub version: String,
    /// Why the bot gets no task, one reason a line.
    pub quarantined: Option<String>,
    /// Why the bot wants no task just now.
    pub maintenance: Option<String>,
    /// Nothing is wrong with the request.
    pub is_sound: bool,
}

/// Who asks, before anything else is believed.
pub fn bot_id(request: &BotRequest) -> Result<&str, Status> {
    let values = request.dimensions.as_ref().and_then(|dimensions| dimensions.get("id"));
    let first = values.and_then(Value::as_array).and_then(|values| values.first());
    let Some(id) = first else {
        return Err(Status::invalid("no `id` dimension reported"));
    };
    let Some(id) = id.as_str() else {
        return Err(Status::invalid(format!("bad bot `id` {id}: it is not a string")));
    };
    dimension::value("id", id)
        .map_err(|why| Status::invalid(format!("bad bot `id` {}: {why}", quote(id))))?;
    Ok(id)
}

/// Judges a whole request. The bot has shown before that it is who it says.
pub fn check(request: BotRequest, call: Call, groups: &BotGroups) -> Result<Checked, Status> {
    let bot_id = bot_id(&request)?.to_owned();
    let mut mistakes = Vec::new();
    mistakes.extend(keys(&request, call));
    mistakes.extend(request.state.as_ref().and_then(state_keys));
    if request.version.as_deref() == Some("") {
        mistakes.push("no `version` in the request".to_owned());
    }
    let said = request.dimensions.unwrap_or_default();
    let dimensions = match dimensions(&said) {
        Ok(dimensions) => Some(merge(dimensions, &bot_id, groups)),
        Err(broken) => {
            mistakes.extend(broken);
            None
        }
    };
    let offered = dimensions
        .as_ref()
        .and_then(|dimensions| offered(dimensions).map_err(|why| mistakes.push(why)).ok());
    let is_sound = mistakes.is_empty();
    if call == Call::Event {
        // It is about something else, and often says little of its bot.
        mistakes.clear();
    }
    let mut state = request.state.unwrap_or_default();
    let lines: Vec<String> = self_quarantine(&state, &said).into_iter().chain(mistakes).collect();
    let quarantined = (!lines.is_empty()).then(|| lines.join("\n"));
    if let Some(why) = &quarantined
        && reason(state.get("quarantined").unwrap_or(&Value::Null)).is_none_or(is_generic)
    {
        state.insert("quarantined".to_owned(), Value::String(why.clone()));
    }
    let maintenance = state.get("maintenance").and_then(Value::as_str);
    let maintenance = maintenance.filter(|why| !why.is_empty()).map(str::to_owned);
    let version = request.version.unwrap_or_default();
    Ok(Checked { bot_id, dimensions, offered, state, version, quarantined, maintenance, is_sound })
}

fn offered(said: &Dimensions) -> Result<model::Dimensions, String> {
    let mut offered = model::Dimensions::default();
    for (key, values) in said {
        for value in values {
            offered.add(key, value).map_err(|error| error.to_string())?;
        }
    }
    Ok(offered)
}

/// Keys too many or too few. `null` is not there.
fn keys(request: &BotRequest, call: Call) -> Option<String> {
    let given = [
        ("dimensions", request.dimensions.is_some()),
        ("event", request.event.is_some()),
        ("force", request.force.is_some()),
        ("message", request.message.is_some()),
        ("request_uuid", request.request_uuid.is_some()),
        ("session", request.session.is_some()),
        ("session_id", request.session_id.is_some()),
        ("state", request.state.is_some()),
        ("version", request.version.is_some()),
    ];
    let mut missing = Vec::new();
    let mut superfluous: Vec<&str> = request.unknown.keys().map(String::as_str).collect();
    for (key, is_given) in given {
        let (needed, known) = match key {
            "dimensions" | "state" | "version" => (true, true),
            "event" | "message" => (false, call == Call::Event),
            // Any call may have one: what is new in one bot is old in the next.
            _ => (false, true),
        };
        if needed && !is_given {
            missing.push(key);
        }
        if is_given && !known {
            superfluous.push(key);
        }
    }
    superfluous.sort_unstable();
    unexpected("keys", &missing, &superfluous)
}

/// What a scheduler has to know of a bot. An empty state says nothing and is let pass.
fn state_keys(state: &Map<String, Value>) -> Option<String> {
    let missing: Vec<&str> = ["running_time", "sleep_streak"]
        .into_iter()
        .filter(|key| !state.is_empty() && !state.contains_key(*key))
        .collect();
    unexpected("state", &missing, &[])
}

fn unexpected(what: &str, missing: &[&str], superfluous: &[&str]) -> Option<String> {
    /// A bot can send any number.
    const SHOWN: usize = 20;
    let list = |label: &str, keys: &[&str]| {
        if keys.is_empty() {
            return String::new();
        }
        let shown = &keys[..keys.len().min(SHOWN)];
        format!(" {label}: {shown:?}")
    };
    if missing.is_empty() && superfluous.is_empty() {
        return None;
    }
    let (missing, superfluous) = (list("missing", missing), list("superfluous", superfluous));
    Some(format!("Unexpected {what}{missing}{superfluous}; did you make a typo?"))
}

/// The dimensions that a bot reports, or everything that is wrong with them.
fn dimensions(said: &BTreeMap<String, Value>) -> Result<Dimensions, Vec<String>> {
    let mut out = Dimensions::new();
    let mut mistakes = Vec::new();
    for (key, values) in said {
        if dimension::key(key).is_err() {
            mistakes.push(format!("Invalid dimension key: {}", cut(key)));
        }
        let Value::Array(values) = values else {
            let shown = cut(&values.to_string());
            mistakes
                .push(format!("Dimension values must be list. key: {}, values: {shown}", cut(key)));
            continue;
        };
        if values.is_empty() {
            mistakes.push(format!("Dimension values should not be empty. key: {}", cut(key)));
        }
        let mut seen = BTreeSet::new();
        for value in values {
            match value.as_str().filter(|value| dimension::value(key, value).is_ok()) {
                None => mistakes.push(format!(
                    "Invalid dimension value. key: {}, value: {}",
                    cut(key),
                    cut(value.as_str().unwrap_or(&value.to_string()))
                )),
                Some(value) => {
                    if !seen.insert(value.to_owned()) {
                        mistakes.push(format!(
                            "Dimension values include duplication. key: {}, values: {}",
                            cut(key),
                            cut(value)
                        ));
                    }
                }
            }
        }
        if key == "id" && values.len() > 1 {
            mistakes.push("Dimension id must have only one value".to_owned());
        }
        out.insert(key.clone(), seen);
    }
    if mistakes.is_empty() { Ok(out) } else { Err(mistakes) }
}

/// What the server says of a bot goes before what the bot says.
///
/// SECURITY: a bot that could choose its pool would get the tasks, and the secrets, of any pool.
fn merge(mut dimensions: Dimensions, bot_id: &str, groups: &BotGroups) -> Dimensions {
    let group = groups.find(bot_id);
    dimensions.retain(|key, _| !groups.trusted_dimensions.contains(key));
    dimensions.extend(group.dimensions.iter().map(|(key, values)| (key.clone(), values.clone())));
    dimensions
        .entry("pool".to_owned())
        .or_insert_with(|| group.pools().into_iter().map(str::to_owned).collect());
    dimensions
}

/// Why the bot itself wants no tasks: its state says it better than its dimension.
fn self_quarantine(
    state: &Map<String, Value>,
    dimensions: &BTreeMap<String, Value>,
) -> Option<String> {
    let from_state = state.get("quarantined").and_then(reason);
    if from_state.is_some_and(|why| !is_generic(why)) {
        return from_state.map(str::to_owned);
    }
    let first = match dimensions.get("quarantined") {
        Some(Value::Array(values)) => values.first(),
        other => other,
    };
    let from_dimension = first.and_then(reason).map(|why| match why.to_lowercase().as_str() {
        "true" | "1" => SELF_QUARANTINED,
        _ => why,
    });
    from_dimension.or(from_state).map(str::to_owned)
}

/// What a `quarantined` means; `None` when the bot is well.
fn reason(value: &Value) -> Option<&str> {
    let is_set = match value {
        Value::Null => false,
        Value::String(why) => return (!why.is_empty()).then_some(why),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Bool(set) => *set,
        Value::Array(values) => !values.is_empty(),
        Value::Object(_) => true,
    };
    is_set.then_some(SELF_QUARANTINED)
}

fn is_generic(why: &str) -> bool {
    why == SELF_QUARANTINED
}

/// The start of what a bot sent, for a message.
fn cut(text: &str) -> String {
    crate::validate::text::shorten(text, 300)
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
