//! What is put into answers, where it follows from the request or from the end of a task alone.
//!
//! Facts: luci-go `swarming/server/model/{taskrequest,taskresult,utils}.go`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prost_types::Timestamp;

use super::task::{NewTask, Properties, Slice};
use super::task_id::TaskId;
use crate::proto::swarming::{
    CipdInput, Containment, ResultDbCfg, StringListPair, StringPair, TaskProperties,
    TaskRequestResponse, TaskSlice, TaskState,
};

/// Stands in answers where a secret was.
const REDACTED: Bytes = Bytes::from_static(b"<REDACTED>");

/// What a stored request has beside what was asked for.
#[derive(Clone, Debug)]
pub struct Stored<'a> {
    /// None for one that is only evaluated.
    pub id: Option<TaskId>,
    pub created: Timestamp,
    /// The identity of who asked.
    pub authenticated: &'a str,
    /// All tags; see [`NewTask::all_tags`].
    pub tags: &'a [String],
}

/// The request as `GetRequest` shows it: without the secret and the token of its topic.
pub fn task_request(task: &NewTask, stored: &Stored<'_>) -> TaskRequestResponse {
    let slices: Vec<TaskSlice> = task.slices.iter().map(slice).collect();
    TaskRequestResponse {
        task_id: stored.id.map(TaskId::summary).unwrap_or_default(),
        expiration_secs: i32::try_from(task.expiration_secs()).unwrap_or(i32::MAX),
        name: task.name.clone(),
        parent_task_id: task.parent.as_ref().map(|parent| parent.text.clone()).unwrap_or_default(),
        priority: i32::from(task.priority),
        // Old clients read the first slice here.
        properties: slices.first().and_then(|slice| slice.properties.clone()),
        tags: stored.tags.to_vec(),
        created_ts: Some(stored.created),
        user: task.user.clone(),
        authenticated: stored.authenticated.to_owned(),
        task_slices: slices,
        service_account: task.service_account.as_str().to_owned(),
        realm: task.realm.clone().unwrap_or_default(),
        resultdb: Some(ResultDbCfg { enable: task.resultdb }),
        pubsub_topic: task.pubsub.as_ref().map(|to| to.topic.clone()).unwrap_or_default(),
        pubsub_userdata: task.pubsub.as_ref().map(|to| to.userdata.clone()).unwrap_or_default(),
        bot_ping_tolerance_secs: seconds(task.bot_ping_tolerance_secs),
        rbe_instance: String::new(),
    }
}

fn seconds(seconds: u32) -> i32 {
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

fn slice(slice: &Slice) -> TaskSlice {
    TaskSlice {
        properties: Some(properties(&slice.properties)),
        expiration_secs: seconds(slice.expiration_secs),
        wait_for_capacity: slice.wait_for_capacity,
    }
}

fn properties(of: &Properties) -> TaskProperties {
    let mut dimensions: Vec<StringPair> = of
        .dimensions
        .iter()
        .flat_map(|(key, values)| values.iter().map(|value| pair(key, value)))
        .collect();
    dimensions.sort_by(|a, b| (&a.key, &a.value).cmp(&(&b.key, &b.value)));
    let containment_type = of.containment.containment_type;
    TaskProperties {
        caches: of.caches.clone(),
        cipd_input: (of.cipd_input != CipdInput::default()).then(|| of.cipd_input.clone()),
        command: of.command.clone(),
        relative_cwd: of.relative_cwd.clone(),
        dimensions,
        env: of.env.iter().map(|(key, value)| pair(key, value)).collect(),
        env_prefixes: of.env_prefixes.iter().map(|(key, values)| list(key, values)).collect(),
        execution_timeout_secs: seconds(of.execution_timeout_secs),
        grace_period_secs: seconds(of.grace_period_secs),
        idempotent: of.idempotent,
        cas_input_root: of.cas_input_root.clone(),
        io_timeout_secs: seconds(of.io_timeout_secs),
        outputs: of.outputs.clone(),
        secret_bytes: if of.has_secret { REDACTED } else { Bytes::new() },
        // The limits are never shown.
        containment: (containment_type != 0)
            .then(|| Containment { containment_type, ..Containment::default() }),
    }
}

fn pair(key: &str, value: &str) -> StringPair {
    StringPair { key: key.to_owned(), value: value.to_owned() }
}

fn list<'a>(key: &str, values: impl IntoIterator<Item = &'a String>) -> StringListPair {
    StringListPair { key: key.to_owned(), value: values.into_iter().cloned().collect() }
}

/// A bot's dimensions, sorted by key, then value.
pub fn dimension_pairs(dimensions: &BTreeMap<String, BTreeSet<String>>) -> Vec<StringListPair> {
    dimensions.iter().map(|(key, values)| list(key, values)).collect()
}

/// `TaskResultResponse.failure`: the task's own fault.
pub fn is_failure(state: TaskState, exit_code: i64) -> bool {
    exit_code != 0 || state == TaskState::TimedOut
}

/// Whether a bot told how the task ended: only then there are statistics.
pub fn ran_and_did_not_crash(state: TaskState) -> bool {
    match state {
        TaskState::Completed | TaskState::TimedOut | TaskState::Killed | TaskState::ClientError => {
            true
        }
        TaskState::Invalid
        | TaskState::Running
        | TaskState::Pending
        | TaskState::Expired
        | TaskState::BotDied
        | TaskState::Canceled
        | TaskState::NoResource => false,
    }
}

/// Whether the task still may change.
pub fn is_active(state: TaskState) -> bool {
    matches!(state, TaskState::Pending | TaskState::Running)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::task::{Pubsub, ServiceAccount};

    #[test]
    fn a_request_is_shown_without_its_secrets() {
        let mut task = NewTask::terminate("b", "");
        task.secret = Some(Bytes::from_static(b"hush"));
        task.service_account = ServiceAccount::Email("a@b".into());
        task.pubsub =
            Some(Pubsub { topic: "t".into(), auth_token: "hush".into(), userdata: "u".into() });
        let of = &mut task.slices[0].properties;
        of.has_secret = true;
        of.containment.limit_processes = 5;
        of.dimensions.insert("os".into(), vec!["b|a".into(), "a".into()]);
        task.slices.push(task.slices[0].clone());

        let created = Timestamp { seconds: 1, nanos: 2 };
        let id = TaskId::parse("6663cfc78b41fb11").ok();
        let tags = ["x:y".to_owned()];
        let stored = Stored { id, created, authenticated: "user:a@b", tags: &tags };
        let shown = task_request(&task, &stored);
        assert!(!format!("{shown:?}").contains("hush"));
        assert_eq!(shown.task_id, "6663cfc78b41fb10");
        assert_eq!(shown.expiration_secs, 864_000);
        assert_eq!(shown.properties, shown.task_slices[0].properties);
        let shown = shown.properties.unwrap();
        assert_eq!(shown.secret_bytes, REDACTED);
        assert_eq!(shown.containment, None);
        assert_eq!(shown.cipd_input, None);
        let pairs: Vec<_> =
            shown.dimensions.iter().map(|p| format!("{}={}", p.key, p.value)).collect();
        assert_eq!(pairs, ["id=b", "os=a", "os=b|a"]);
        assert_eq!(task_request(&task, &Stored { id: None, ..stored }).task_id, "");
    }

    #[test]
    fn ends() {
        assert!(is_failure(TaskState::Completed, 1));
        assert!(is_failure(TaskState::TimedOut, 0));
        assert!(!is_failure(TaskState::Completed, 0));
        assert!(ran_and_did_not_crash(TaskState::Killed));
        assert!(!ran_and_did_not_crash(TaskState::BotDied));
        assert!(is_active(TaskState::Pending) && !is_active(TaskState::Expired));
    }
}
