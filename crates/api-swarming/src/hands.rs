//! Tasks for hands that are no bots: what remains of one when there is neither CIPD nor CAS.

use std::collections::BTreeMap;

use prost::Message;

use crate::proto::stored::StoredTask;
use crate::proto::swarming::TaskProperties;
use crate::validate::TaskId;

/// A command, and where and how it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub arguments: Vec<String>,
    /// Below the work directory; may be empty.
    pub directory: String,
    /// An empty value takes the variable away.
    pub env: BTreeMap<String, String>,
    pub timeout_secs: u32,
}

/// The command of a task, by the payload of its job. `None` when it is the job of another door.
pub fn command(payload: &[u8], slice: u32, server: &str) -> Option<Result<Command, String>> {
    let stored = StoredTask::decode(payload).ok()?;
    let request = stored.request?;
    let id = TaskId::parse(&request.task_id).ok()?;
    let slice = request.task_slices.into_iter().nth(slice as usize)?;
    let properties = slice.properties.unwrap_or_default();
    if let Some(what) = beyond(&properties) {
        return Some(Err(format!("the task {what}, which only Swarming's own bots can do")));
    }
    let mut env: BTreeMap<String, String> =
        properties.env.into_iter().map(|pair| (pair.key, pair.value)).collect();
    // So that a command that makes tasks of its own makes them this one's children.
    env.insert("SWARMING_TASK_ID".to_owned(), id.run());
    env.insert("SWARMING_SERVER".to_owned(), server.to_owned());
    Some(Ok(Command {
        arguments: properties.command,
        directory: properties.relative_cwd,
        env,
        timeout_secs: u32::try_from(properties.execution_timeout_secs).unwrap_or_default(),
    }))
}

/// What a task asks for that is more than a command.
fn beyond(properties: &TaskProperties) -> Option<&'static str> {
    let packages = properties.cipd_input.as_ref().is_some_and(|input| !input.packages.is_empty());
    [
        (packages, "asks for CIPD packages"),
        (properties.cas_input_root.is_some(), "has its files in a CAS"),
        (!properties.outputs.is_empty(), "has outputs for a CAS"),
        (!properties.caches.is_empty(), "asks for named caches"),
        (!properties.env_prefixes.is_empty(), "has paths for its environment"),
        (!properties.secret_bytes.is_empty(), "has secret bytes"),
    ]
    .into_iter()
    .find_map(|(is, what)| is.then_some(what))
}
