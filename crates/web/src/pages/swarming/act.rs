//! What the buttons of these pages do: each is a call or a few, and then the page it came from.

use axum::extract::Path;
use serde_json::{Value, json};

use super::{on, task_address};
use crate::cx::{Answer, Cx, Refusal, go};
use crate::session::Posted;

/// Most tasks that one call cancels.
const AT_ONCE: u32 = 1000;

pub(crate) async fn act(Path(name): Path<String>, posted: Posted) -> Answer {
    let Posted { cx, fields } = posted;
    on(&cx)?;
    let get = |name: &str| fields.get(name).unwrap_or_default().to_owned();
    let (task, bot) = (get("task"), get("bot"));
    let back = get("back");
    let call = |method: &'static str, request: Value| cx.call::<Value>(method, request);
    match name.as_str() {
        "cancel" | "kill" => {
            let request = json!({ "taskId": task, "killRunning": name == "kill" });
            call("swarming.v2.Tasks/CancelTask", request).await?;
        }
        "retry" => return Ok(go(&task_address(&retry(&cx, &task, &bot).await?))),
        "cancel-all" => {
            let tags = fields.all("tag");
            let (start, end) = (get("start"), get("end"));
            let request = json!({ "tags": tags, "start": start, "end": end, "killRunning": get("kill") == "true", "limit": AT_ONCE });
            let number = cancel_all(&cx, request).await?;
            let mark = if back.contains('?') { '&' } else { '?' };
            return Ok(go(&format!("{back}{mark}canceled={number}")));
        }
        "drain" => {
            let request = json!({ "botId": bot, "drain": get("drain") == "true" });
            call("phalanx.Swarming/SetDrain", request).await?;
        }
        "terminate" => {
            let reason = format!("asked for by {}", cx.caller.name);
            let reason: String = reason.chars().take(200).collect();
            let request = json!({ "botId": bot, "reason": reason });
            let made = call("swarming.v2.Bots/TerminateBot", request).await?;
            return Ok(go(&task_address(made["taskId"].as_str().unwrap_or_default())));
        }
        "delete" => {
            call("swarming.v2.Bots/DeleteBot", json!({ "botId": bot })).await?;
        }
        _ => return Err(cx.not_found("There is no such operation.")),
    }
    Ok(go(&back))
}

/// Until all that match are told to stop; how many that were.
async fn cancel_all(cx: &Cx, mut request: Value) -> Result<i64, Refusal> {
    let mut number = 0;
    loop {
        let done: Value = cx.call("swarming.v2.Tasks/CancelTasks", request.clone()).await?;
        number += done["matched"].as_i64().unwrap_or_default();
        match done["cursor"].as_str() {
            Some(cursor) if !cursor.is_empty() => request["cursor"] = json!(cursor),
            _ => return Ok(number),
        }
    }
}

/// Asks for the same once more, perhaps of one bot: the id of the new task.
async fn retry(cx: &Cx, task: &str, bot: &str) -> Result<String, Refusal> {
    let made: Value = cx.call("swarming.v2.Tasks/GetRequest", json!({ "taskId": task })).await?;
    let mut slices = made["taskSlices"].as_array().into_iter().flatten();
    let secret =
        |slice: &Value| slice["properties"]["secretBytes"].as_str().unwrap_or_default().to_owned();
    if slices.any(|slice| !secret(slice).is_empty()) {
        // What is shown in its place must not become the secret of another task.
        return Err(cx.not_found("A task with secret bytes cannot be asked for again from here."));
    }
    let new: Value = cx.call("swarming.v2.Tasks/NewTask", again(&made, bot)).await?;
    Ok(new["taskId"].as_str().unwrap_or_default().to_owned())
}

/// A request as it was made, from how it is shown.
fn again(made: &Value, bot: &str) -> Value {
    let mut slices = made["taskSlices"].clone();
    let mut own = Vec::new();
    for slice in slices.as_array_mut().into_iter().flatten() {
        let properties = &mut slice["properties"];
        // It shall run, not give the result that is there.
        properties["idempotent"] = json!(false);
        let Some(dimensions) = properties["dimensions"].as_array_mut() else { continue };
        for pair in dimensions.iter() {
            let (key, value) = (
                pair["key"].as_str().unwrap_or_default(),
                pair["value"].as_str().unwrap_or_default(),
            );
            own.extend(value.split('|').map(|value| format!("{key}:{value}")));
        }
        if !bot.is_empty() {
            dimensions.retain(|pair| pair["key"] != "id");
            dimensions.push(json!({ "key": "id", "value": bot }));
        }
    }
    let made_by_server = |tag: &str| {
        const PREFIXES: [&str; 8] = [
            "authenticated:",
            "parent_task_id:",
            "priority:",
            "rbe:",
            "realm:",
            "service_account:",
            "swarming.",
            "user:",
        ];
        PREFIXES.iter().any(|prefix| tag.starts_with(prefix)) || own.iter().any(|one| one == tag)
    };
    let tags = made["tags"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut tags: Vec<&str> = tags.filter(|tag| !made_by_server(tag)).collect();
    if !tags.contains(&"retry:1") {
        tags.push("retry:1");
    }
    json!({
        "name": made["name"], "priority": made["priority"], "taskSlices": slices, "tags": tags, "user": made["user"], "realm": made["realm"],
        "serviceAccount": made["serviceAccount"],
        // What the pool adds is in the request already.
        "poolTaskTemplate": "SKIP", "botPingToleranceSecs": made["botPingToleranceSecs"],
    })
}

#[cfg(test)]
mod tests {
    use super::again;
    use serde_json::json;

    #[test]
    fn a_retry_asks_for_the_same_without_what_the_server_added() {
        let made = json!({
            "taskId": "5f0e1", "name": "build", "priority": 50, "user": "joe", "realm": "a:b", "parentTaskId": "5f0e0",
            "tags": ["authenticated:user:joe", "build:7", "os:Linux", "os:Mac", "pool:p", "priority:50", "swarming.pool.version:1", "user:joe"],
            "taskSlices": [{ "expirationSecs": 60, "properties": { "idempotent": true, "command": ["x"], "dimensions": [{ "key": "os", "value": "Linux|Mac" }, { "key": "pool", "value": "p" }] } }],
        });
        let asked = again(&made, "");
        assert_eq!(asked["tags"], json!(["build:7", "retry:1"]));
        assert_eq!(asked["taskSlices"][0]["properties"]["idempotent"], false);
        assert_eq!(asked["poolTaskTemplate"], "SKIP");
        assert!(asked.get("parentTaskId").is_none() && asked.get("taskId").is_none());
        let pinned = again(&made, "b1");
        let dimensions = &pinned["taskSlices"][0]["properties"]["dimensions"];
        assert_eq!(dimensions[2], json!({ "key": "id", "value": "b1" }));
    }
}
