//! The two calls of the REST API of before 2023 that luci-go still serves.
//!
//! Facts: luci-go `swarming/server/rpcs/legacyapi.go`, `bots_count.go`, `bots_list.go`.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header, request};
use serde_json::{Value, json};

use crate::proto::swarming::{BotInfo, NullableBool, StringPair};
use crate::prpc::Status;
use crate::rpcs::bots::{self, BotFilter};
use crate::server::{Role, Server, now};
use crate::tasks::view::wall;
use crate::validate::{bot_requests, requests};

/// `None` when the path is another.
pub(crate) async fn answer(server: &Server, request: &request::Parts) -> Option<Response<Bytes>> {
    let call = request.uri.path().strip_prefix("/_ah/api/swarming/v1/bots/")?;
    let result = match call {
        "count" => count(server, request).await,
        "list" => list(server, request).await,
        _ => Err(Status::not_found("no such call")),
    };
    let (status, value) = match result {
        Ok(value) => (StatusCode::OK, value),
        Err(status) => (status.code.http(), json!({"error": {"message": status.message}})),
    };
    let text = serde_json::to_string_pretty(&value).unwrap_or_default();
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Some(response)
}

/// `dimensions=k:v` and the other parameters.
fn parameters(request: &request::Parts) -> (Vec<StringPair>, Vec<(String, String)>) {
    let query = request.uri.query().unwrap_or_default();
    let (mut dimensions, mut others) = (Vec::new(), Vec::new());
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if key == "dimensions" {
            let (key, value) = value.split_once(':').unwrap_or((&value, ""));
            dimensions.push(StringPair { key: key.to_owned(), value: value.to_owned() });
        } else {
            others.push((key.into_owned(), value.into_owned()));
        }
    }
    (dimensions, others)
}

async fn may_see(server: &Server, request: &request::Parts) -> Result<(), Status> {
    let caller = server.caller(&request.headers).await?;
    match caller.role >= Role::Viewer {
        true => Ok(()),
        false => Err(Status::denied("the caller may not list bots")),
    }
}

async fn count(server: &Server, request: &request::Parts) -> Result<Value, Status> {
    may_see(server, request).await?;
    let (dimensions, _) = parameters(request);
    let count = bots::count(server, &bot_requests::bot_dimensions(&dimensions)?);
    Ok(json!({
        "now": time(count.now.as_ref()),
        "count": count.count.to_string(),
        "quarantined": count.quarantined.to_string(),
        "maintenance": count.maintenance.to_string(),
        "dead": count.dead.to_string(),
        "busy": count.busy.to_string(),
    }))
}

async fn list(server: &Server, request: &request::Parts) -> Result<Value, Status> {
    may_see(server, request).await?;
    let (dimensions, others) = parameters(request);
    let get = |key: &str| others.iter().find(|(name, _)| name == key).map(|(_, v)| v.as_str());
    let three = |key: &str| match get(key) {
        None | Some("" | "NONE") => Ok(NullableBool::Null),
        Some("FALSE") => Ok(NullableBool::False),
        Some("TRUE") => Ok(NullableBool::True),
        Some(other) => Err(Status::invalid(format!("{key}: `{other}` is not NONE, FALSE or TRUE"))),
    };
    let limit = match get("limit") {
        None | Some("") => 0,
        Some(text) => {
            text.parse().map_err(|_| Status::invalid(format!("limit: `{text}` is not a number")))?
        }
    };
    let filter = BotFilter {
        dimensions: bot_requests::bot_dimensions(&dimensions)?,
        quarantined: three("quarantined")?,
        in_maintenance: three("in_maintenance")?,
        is_dead: three("is_dead")?,
        is_busy: three("is_busy")?,
    };
    let limit = requests::limit(limit)?;
    let after = bots::after(get("cursor").unwrap_or_default())?;
    let (items, cursor) = bots::page(server, &filter, after.as_ref(), limit);
    let mut out = json!({
        "now": time(Some(&wall(now()))),
        "death_timeout": server.config().settings.bot_death_timeout_secs.to_string(),
        "items": items.iter().map(item).collect::<Vec<_>>(),
    });
    if !cursor.is_empty() {
        out["cursor"] = cursor.into();
    }
    Ok(out)
}

fn item(bot: &BotInfo) -> Value {
    let dimensions = bot.dimensions.iter();
    json!({
        "authenticated_as": bot.authenticated_as,
        "bot_id": bot.bot_id,
        "deleted": bot.deleted,
        "dimensions": dimensions.map(|d| json!({"key": d.key, "value": d.value})).collect::<Vec<_>>(),
        "external_ip": bot.external_ip,
        "first_seen_ts": time(bot.first_seen_ts.as_ref()),
        "is_dead": bot.is_dead,
        "last_seen_ts": time(bot.last_seen_ts.as_ref()),
        "maintenance_msg": bot.maintenance_msg,
        "quarantined": bot.quarantined,
        "state": bot.state,
        "task_id": bot.task_id,
        "task_name": bot.task_name,
        "version": bot.version,
    })
}

/// Microseconds, and no zone.
fn time(at: Option<&prost_types::Timestamp>) -> String {
    let at = at.and_then(|at| jiff::Timestamp::new(at.seconds, at.nanos).ok());
    at.map(|at| at.strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string()).unwrap_or_default()
}
