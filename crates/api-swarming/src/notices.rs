//! Tells those who asked for it that a task began, was asked to stop, or ended.
//!
//! Upstream publishes to a topic of Google's PubSub (luci-go `swarming/server/notifications`). Here an operator says which
//! address stands for a topic, and gets what PubSub's push subscriptions send: whoever received those needs no change. What
//! is to be told waits in the store, written with the change itself, and is told at least once, in no certain order.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dispatcher::Notice;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream;
use model::WallMs;
use prost::Message;
use serde_json::json;

use crate::proto::stored::StoredTask;
use crate::server::{Server, now};

/// Sends a JSON text to an address; `Err` says why it was not taken.
pub type Post = Box<dyn Fn(String, String) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// How many are told in one round, and at once.
const ROUND: usize = 256;
const AT_ONCE: usize = 16;
/// The first pause after a refusal; each later one is twice as long, up to the longest.
const FIRST_PAUSE_MS: u64 = 5_000;
const LONGEST_PAUSE_MS: u64 = 10 * 60 * 1000;
/// Not tried any longer than PubSub keeps a message.
const GIVEN_UP_MS: u64 = 7 * 24 * 60 * 60 * 1000;

enum Told {
    /// Or there is nobody to tell.
    Done,
    Later(WallMs),
}

/// Tells what is due. Gives back whether there may be more.
pub(crate) async fn tell(server: &Arc<Server>) -> bool {
    let of = server.clone();
    let due = blocking(move || of.house.due_notices(now(), ROUND)).await;
    let Some(due) = due.filter(|due| !due.is_empty()) else { return false };
    let more = due.len() == ROUND;
    let told: Vec<(u64, Told)> = stream::iter(due)
        .map(|notice| async move { (notice.id, tell_one(server, notice).await) })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let (mut done, mut later) = (Vec::new(), Vec::new());
    for (id, told) in told {
        match told {
            Told::Done => done.push(id),
            Told::Later(due) => later.push((id, due)),
        }
    }
    let of = server.clone();
    let noted = blocking(move || {
        of.house.drop_notices(&done)?;
        of.house.put_off_notices(&later)
    });
    // When that failed everything is told again: at the next round, not at once.
    noted.await.is_some() && more
}

/// An address that took nothing the last time: until then nothing else is tried there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Silent {
    until: WallMs,
    failures: u32,
}

/// What to tell, and to whom.
struct Letter {
    topic: String,
    task: String,
    text: String,
}

async fn tell_one(server: &Arc<Server>, notice: Notice) -> Told {
    let of = server.clone();
    let letter = match blocking(move || letter(&of, notice)).await {
        // The store could not be read, which is in the log.
        None => return Told::Later(WallMs(now().0 + FIRST_PAUSE_MS)),
        Some(None) => return Told::Done,
        Some(Some(letter)) => letter,
    };
    let Letter { topic, task, text } = letter;
    let Some(url) = server.config().ours.topics.get(&topic).cloned() else {
        tracing::warn!(
            "nobody is told of task {task}: no address stands for the topic `{topic}` in `swarming.topics`"
        );
        return Told::Done;
    };
    if now().0.saturating_sub(notice.at.0) > GIVEN_UP_MS {
        tracing::warn!("gave up telling the topic `{topic}` of task {task}, after a week");
        return Told::Done;
    }
    if let Some(silent) = server.silent.lock().get(&url).filter(|silent| silent.until > now()) {
        return Told::Later(silent.until);
    }
    let Err(why) = (server.post)(url.clone(), text).await else {
        if server.silent.lock().remove(&url).is_some() {
            tracing::info!("the address of the topic `{topic}` is back");
        }
        return Told::Done;
    };
    // SECURITY: the address itself may hold a secret, and stays out of the log.
    let mut silent = server.silent.lock();
    let known = silent.entry(url).or_insert_with(|| {
        tracing::warn!(
            "the address of the topic `{topic}` takes nothing, and is tried again: {why}"
        );
        Silent { until: WallMs(0), failures: 0 }
    });
    // Others that were under way at the same time failed with the same pause.
    if known.until <= now() {
        let pause_ms = FIRST_PAUSE_MS << known.failures.min(16);
        known.until = WallMs(now().0 + pause_ms.min(LONGEST_PAUSE_MS));
        known.failures += 1;
    }
    Told::Later(known.until)
}

/// `None` when there is nothing to tell: the task was deleted, or cannot be understood.
fn letter(server: &Server, notice: Notice) -> Result<Option<Letter>, dispatcher::StoreError> {
    let Some(job) = server.dispatcher.reader().job(notice.job)? else { return Ok(None) };
    let stored = StoredTask::decode(&job.job.payload[..]);
    let stored = stored.ok().and_then(|stored| Some((stored.request?, stored.pubsub_auth_token)));
    let Some((request, auth_token)) = stored else {
        tracing::error!("nobody is told of job {}: what is stored of it is no task", notice.job);
        return Ok(None);
    };
    let what = json!({"task_id": request.task_id, "userdata": request.pubsub_userdata});
    let text = message(notice, &request.pubsub_topic, &what, &auth_token);
    Ok(Some(Letter { topic: request.pubsub_topic, task: request.task_id, text }))
}

/// What a push subscription sends. Facts: PubSub's documentation, "Receive messages using Push"; luci-go
/// `swarming/server/notifications/pubsub.go` for data and attributes.
fn message(notice: Notice, topic: &str, what: &serde_json::Value, auth_token: &str) -> String {
    let data = serde_json::to_string_pretty(what).unwrap_or_default();
    let mut attributes = BTreeMap::new();
    if !auth_token.is_empty() {
        attributes.insert("auth_token", auth_token);
    }
    let id = notice.id.to_string();
    let at =
        i64::try_from(notice.at.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let at = at.unwrap_or_default().to_string();
    json!({
        "message": {
            "attributes": attributes,
            "data": STANDARD.encode(data),
            "messageId": id,
            "message_id": id,
            "publishTime": at,
            "publish_time": at,
        },
        "subscription": topic,
    })
    .to_string()
}

/// Runs what reads or writes the store. `None` when it failed, which is in the log then.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, dispatcher::StoreError> + Send + 'static,
) -> Option<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Some(value),
        Ok(Err(error)) => {
            tracing::warn!("failed to {error}: {:?}", error.source);
            None
        }
        Err(error) => {
            tracing::error!("{error}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_what_a_push_subscription_sends() {
        let notice =
            Notice { id: 7, job: model::JobId(1), at: WallMs(1_790_000_000_000), tries: 0 };
        let what = json!({"task_id": "6663cfc78b41fb10", "userdata": "u"});
        let text = message(notice, "projects/p/topics/t", &what, "hush");
        let sent: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(sent["subscription"], "projects/p/topics/t");
        let of = &sent["message"];
        assert_eq!(of["attributes"], json!({"auth_token": "hush"}));
        assert_eq!(
            (&of["messageId"], &of["publishTime"]),
            (&json!("7"), &json!("2026-09-21T14:13:20Z"))
        );
        let data = STANDARD.decode(of["data"].as_str().unwrap()).unwrap();
        let data = String::from_utf8(data).unwrap();
        assert_eq!(data, "{\n  \"task_id\": \"6663cfc78b41fb10\",\n  \"userdata\": \"u\"\n}");
        let without = message(notice, "t", &what, "");
        assert!(without.contains(r#""attributes":{}"#), "{without}");
    }
}
