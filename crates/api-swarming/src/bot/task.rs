//! What a bot says of a task, and of itself in events.
//!
//! Facts: luci-go `botapi/{task_update,task_error,event}.go`.

use super::wire::{CipdPackage, TaskErrorRequest, TaskUpdateRequest};
use crate::proto::swarming as proto;
use crate::prpc::Status;
use crate::validate::TaskId;
use crate::validate::name;
use crate::validate::text::quote;

/// Output that is kept: 1024 chunks of 100 KiB. What comes behind is dropped.
pub const MAX_OUTPUT_BYTES: i64 = 1024 * 102_400;

/// The task that a bot names: in the path, in the body, or in both alike.
pub fn task_id(in_path: Option<&str>, in_body: Option<&str>) -> Result<TaskId, Status> {
    let text = match (in_path, in_body) {
        (Some(path), Some(body)) if path != body => {
            let (path, body) = (quote(path), quote(body));
            return Err(Status::invalid(format!("the path names task {path}, the body {body}")));
        }
        (Some(text), _) | (None, Some(text)) if !text.is_empty() => text,
        _ => return Err(Status::invalid("task ID is required")),
    };
    TaskId::parse(text).map_err(|why| Status::invalid(format!("task ID {}: {why}", quote(text))))
}

/// Whether numbers and their combinations make sense.
pub fn check_update(update: &TaskUpdateRequest) -> Result<(), Status> {
    let invalid = |why: String| Err(Status::invalid(why));
    // What clients are told has 32 bits, and no word for what does not fit.
    for (what, number) in [
        ("cost", update.cost_usd),
        ("duration", update.duration),
        ("bot overhead", update.bot_overhead),
    ] {
        if number.is_some_and(|number| !(number as f32).is_finite()) {
            return invalid(format!("{what} is not a number that can be stored"));
        }
    }
    if let Some(cost) = update.cost_usd.filter(|cost| *cost < 0.0) {
        return invalid(format!("negative cost {cost:.6}"));
    }
    if let Some(duration) = update.duration.filter(|duration| *duration < 0.0) {
        return invalid(format!("negative duration {duration:.6}"));
    }
    if update.duration.is_some() != update.exit_code.is_some() {
        let show = |number: Option<String>| number.unwrap_or_else(|| "<nil>".to_owned());
        let duration = show(update.duration.map(|number| number.to_string()));
        let exit_code = show(update.exit_code.map(|number| number.to_string()));
        return invalid(format!(
            "expected to have both duration and exit code or neither, \
             got duration {duration}, exit code {exit_code}"
        ));
    }
    if update.bot_overhead.is_some() && update.duration.is_none() {
        return invalid("duration must be set when bot overhead is set".to_owned());
    }
    if let Some(overhead) = update.bot_overhead.filter(|overhead| *overhead < 0.0) {
        return invalid(format!("negative bot overhead {overhead:.6}"));
    }
    if let Some(start) = update.output_chunk_start.filter(|start| *start < 0) {
        return invalid(format!("negative output_chunk_start {start}"));
    }
    Ok(())
}

/// Whether the bot is done with the task.
pub fn is_completion(update: &TaskUpdateRequest) -> bool {
    update.exit_code.is_some()
        || [update.canceled, update.hard_timeout, update.io_timeout].contains(&Some(true))
}

/// What a task named that is not there: not the bot's fault.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Missing {
    pub cas: Vec<proto::CasReference>,
    pub cipd: Vec<proto::CipdPackage>,
}

/// `None` when the bot itself is to blame. Bots send empty lists for that.
pub fn client_error(error: TaskErrorRequest) -> Result<Option<Missing>, Status> {
    let given = error.client_error.unwrap_or_default();
    let mut missing = Missing::default();
    for one in given.missing_cas.unwrap_or_default() {
        let digest = digest(&one.digest)
            .ok_or_else(|| Status::invalid(format!("invalid CAS digest {}", quote(&one.digest))))?;
        let reference = proto::CasReference { cas_instance: one.instance, digest: Some(digest) };
        missing.cas.push(reference);
    }
    let packages = given.missing_cipd.unwrap_or_default();
    missing.cipd.extend(packages.into_iter().map(<CipdPackage as Into<proto::CipdPackage>>::into));
    Ok((missing != Missing::default()).then_some(missing))
}

/// `hash/size`.
fn digest(text: &str) -> Option<proto::Digest> {
    let (hash, size) = text.split_once('/')?;
    Some(proto::Digest { hash: hash.to_owned(), size_bytes: size.parse().ok()? })
}

/// What bots may report; all other events are the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Error,
    Log,
    Rebooting,
    Shutdown,
}

impl Event {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "bot_error",
            Self::Log => "bot_log",
            Self::Rebooting => "bot_rebooting",
            Self::Shutdown => "bot_shutdown",
        }
    }

    /// `request_uuid` names the event, so that a repeated one counts once.
    pub fn parse(event: Option<&str>, request_uuid: Option<&str>) -> Result<Self, Status> {
        let event = match event.unwrap_or_default() {
            "bot_error" => Self::Error,
            "bot_log" => Self::Log,
            "bot_rebooting" => Self::Rebooting,
            "bot_shutdown" => Self::Shutdown,
            "" => return Err(Status::invalid("event type is required")),
            other => {
                let why = format!("unsupported event type {}", quote(other));
                return Err(Status::invalid(why));
            }
        };
        let uuid = request_uuid.unwrap_or_default();
        name::bot_request_uuid(uuid)
            .map_err(|why| Status::invalid(format!("bad request_uuid {}: {why}", quote(uuid))))?;
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn tasks() {
        let id = |path, body| task_id(path, body).map(TaskId::run).map_err(|status| status.message);
        assert_eq!(id(Some("1011"), Some("1011")), Ok("1011".into()));
        assert_eq!(id(None, Some("1010")), Ok("1011".into()));
        assert_eq!(id(Some("1010"), None), Ok("1011".into()));
        assert_eq!(id(None, None), Err("task ID is required".into()));
        assert_eq!(id(None, Some("")), Err("task ID is required".into()));
        assert!(id(Some("10"), Some("20")).unwrap_err().starts_with("the path names"));
        assert!(id(None, Some("x")).unwrap_err().starts_with(r#"task ID "x": bad task ID"#));
    }

    fn update(value: Value) -> TaskUpdateRequest {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn updates() {
        for (value, why) in [
            (json!({}), ""),
            (json!({"duration": 0, "exit_code": 0, "bot_overhead": 0}), ""),
            (json!({"cost_usd": -1}), "negative cost -1.000000"),
            (json!({"duration": -1, "exit_code": 0}), "negative duration -1.000000"),
            (
                json!({"duration": 1}),
                "expected to have both duration and exit code or neither, got duration 1, exit code <nil>",
            ),
            (
                json!({"exit_code": 1}),
                "expected to have both duration and exit code or neither, got duration <nil>, exit code 1",
            ),
            (json!({"bot_overhead": 1}), "duration must be set when bot overhead is set"),
            (
                json!({"duration": 1, "exit_code": 1, "bot_overhead": -1}),
                "negative bot overhead -1.000000",
            ),
            (json!({"output_chunk_start": -1}), "negative output_chunk_start -1"),
        ] {
            let said = check_update(&update(value))
                .map_or_else(|status| status.message, |()| String::new());
            assert_eq!(said, why);
        }
        for (value, done) in [
            (json!({}), false),
            (json!({"exit_code": 0}), true),
            (json!({"canceled": true}), true),
            (json!({"io_timeout": true}), true),
            (json!({"hard_timeout": false}), false),
        ] {
            assert_eq!(is_completion(&update(value)), done);
        }
    }

    #[test]
    fn errors() {
        let error = |value: Value| {
            client_error(serde_json::from_value(json!({"client_error": value})).unwrap())
        };
        assert_eq!(error(Value::Null), Ok(None));
        assert_eq!(error(json!({"missing_cas": [], "missing_cipd": []})), Ok(None));
        let missing = error(json!({
            "missing_cas": [{"instance": "i", "digest": "h/5"}],
            "missing_cipd": [{"package_name": "p", "version": "v", "path": "a"}],
        }));
        let missing = missing.unwrap().unwrap();
        assert_eq!(missing.cas[0].digest.as_ref().unwrap().size_bytes, 5);
        assert_eq!(missing.cipd[0].path, "a");
        for bad in ["h", "h/x", "a/b/c", "h/"] {
            let status = error(json!({"missing_cas": [{"digest": bad}]})).unwrap_err();
            assert_eq!(status.message, format!("invalid CAS digest \"{bad}\""));
        }
    }

    #[test]
    fn events() {
        let parse = |event, uuid| Event::parse(event, uuid).map_err(|status| status.message);
        for event in [Event::Error, Event::Log, Event::Rebooting, Event::Shutdown] {
            assert_eq!(parse(Some(event.as_str()), Some("u-1")), Ok(event));
        }
        assert_eq!(parse(None, None), Err("event type is required".into()));
        assert_eq!(
            parse(Some("bot_missing"), None),
            Err(r#"unsupported event type "bot_missing""#.into())
        );
        assert_eq!(
            parse(Some("bot_log"), Some("a b")),
            Err(r#"bad request_uuid "a b": should match ^[a-zA-Z0-9\-_/]{0,50}$"#.into())
        );
    }
}
