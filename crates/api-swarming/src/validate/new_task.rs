//! `Tasks.NewTask`: which pool, then whether every field is right.
//!
//! Facts: luci-go `swarming/server/rpcs/tasks_new_task.go`. The pool comes first and alone, so that a caller who may
//! not use it learns nothing else; the permission is checked between the two functions here.

use super::filter::Filter;
use super::properties::{self, between};
use super::task::{BOT_PING_TOLERANCE_SECS, NewTask, Parent, Pubsub, ServiceAccount, Slice};
use super::task_id::TaskId;
use super::text::{length, quote};
use super::{dimension, name};
use crate::config::Pool;
use crate::proto::swarming::{NewTaskRequest, TaskProperties, TaskSlice};
use crate::prpc::Status;

/// Upstream's shortest expiration and timeout.
pub const MIN_TIMEOUT_SECS: i32 = 30;
/// What scripts of the Python server's time count on.
pub const OLD_MIN_TIMEOUT_SECS: i32 = 1;

const MAX_SLICES: usize = 8;
const MAX_TAGS: usize = 256;
const MAX_EXPIRATION_SECS: i32 = 7 * 24 * 60 * 60;
const SECRET_BYTES: usize = 20 * 1024;
const USERDATA_BYTES: usize = 1024;

/// The one pool that all slices ask for.
pub fn find_pool(request: &NewTaskRequest) -> Result<&str, Status> {
    pool_of(request).map_err(bad_request)
}

fn bad_request(why: String) -> Status {
    Status::invalid(format!("bad request: {why}"))
}

fn pool_of(request: &NewTaskRequest) -> Result<&str, String> {
    let mut found: Option<&str> = None;
    for slice in &request.task_slices {
        let pairs = slice.properties.as_ref().map_or(&[][..], |properties| &properties.dimensions);
        match Filter::of_task(pairs)?.values_of("pool").len() {
            0 => return Err("pool is required".to_owned()),
            1 => {}
            _ => return Err("pool cannot be specified more than once".to_owned()),
        }
        let pool = pairs.iter().find(|pair| pair.key == "pool");
        let pool = pool.map_or("", |pair| pair.value.as_str());
        let first = *found.get_or_insert(pool);
        if first != pool {
            return Err(format!(
                "each task slice must use the same pool dimensions; {} != {}",
                quote(first),
                quote(pool)
            ));
        }
    }
    found.ok_or_else(|| "task_slices is required".to_owned())
}

/// Checks everything else. `pool` is the one that [`find_pool`] named.
///
/// `min_timeout_secs` is [`MIN_TIMEOUT_SECS`], or [`OLD_MIN_TIMEOUT_SECS`] for scripts that ask for less.
pub fn check(
    request: NewTaskRequest,
    pool: &Pool,
    min_timeout_secs: i32,
) -> Result<NewTask, Status> {
    let parent = fields(&request).map_err(bad_request)?;
    let filters = slices(&request, pool, min_timeout_secs).map_err(bad_request)?;
    Ok(convert(request, pool, parent, filters))
}

/// The fields around the slices, in the order that decides which mistake is told.
fn fields(request: &NewTaskRequest) -> Result<Option<Parent>, String> {
    if request.name.is_empty() {
        return Err("name is required".to_owned());
    }
    if request.properties.is_some() {
        return Err("properties is deprecated, use task_slices instead.".to_owned());
    }
    if request.expiration_secs != 0 {
        return Err("expiration_secs is deprecated, set it in task_slices instead.".to_owned());
    }
    if request.task_slices.len() > MAX_SLICES {
        return Err(format!("can have up to {MAX_SLICES} slices"));
    }
    let parent = parent(&request.parent_task_id).map_err(|why| format!("parent_task_id: {why}"))?;
    if !(1..=255).contains(&request.priority) {
        let priority = request.priority;
        return Err(format!("priority: invalid {priority}, must be between 1 and 255"));
    }
    if service_account(&request.service_account).is_none() {
        name::service_account(&request.service_account)
            .map_err(|why| format!("service_account: {why}"))?;
    }
    if request.pubsub_topic.is_empty() && !request.pubsub_auth_token.is_empty() {
        return Err("pubsub_auth_token requires pubsub_topic".to_owned());
    }
    if request.pubsub_topic.is_empty() && !request.pubsub_userdata.is_empty() {
        return Err("pubsub_userdata requires pubsub_topic".to_owned());
    }
    length(&request.pubsub_userdata, USERDATA_BYTES)
        .map_err(|why| format!("pubsub_userdata: {why}"))?;
    if !matches!(request.bot_ping_tolerance_secs, 0 | 60..=1200) {
        let seconds = request.bot_ping_tolerance_secs;
        return Err(format!("bot_ping_tolerance: invalid {seconds}, must be between 60 and 1200"));
    }
    if !request.realm.is_empty() {
        name::realm(&request.realm)?;
    }
    if request.tags.len() > MAX_TAGS {
        return Err(format!("up to {MAX_TAGS} tags"));
    }
    name::pubsub_topic(&request.pubsub_topic).map_err(|why| format!("pubsub_topic: {why}"))?;
    for (index, tag) in request.tags.iter().enumerate() {
        dimension::tag(tag).map_err(|why| format!("tag {index}: {why}"))?;
    }
    Ok(parent)
}

fn parent(text: &str) -> Result<Option<Parent>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    Ok(Some(Parent { id: TaskId::parse(text)?, text: text.to_owned() }))
}

/// One that is no address.
fn service_account(text: &str) -> Option<ServiceAccount> {
    match text {
        "" | "none" => Some(ServiceAccount::None),
        "bot" => Some(ServiceAccount::Bot),
        _ => None,
    }
}

/// The dimensions of every slice.
fn slices(
    request: &NewTaskRequest,
    pool: &Pool,
    min_timeout_secs: i32,
) -> Result<Vec<Filter>, String> {
    let mut secret: &[u8] = &[];
    let mut filters = Vec::new();
    for (index, slice) in request.task_slices.iter().enumerate() {
        let own = slice.properties.as_ref().map_or(&[][..], |properties| &properties.secret_bytes);
        if own.len() > SECRET_BYTES {
            let size = own.len();
            return Err(format!(
                "secret_bytes of slice {index} has size {size}, exceeding limit {SECRET_BYTES}"
            ));
        }
        if secret.is_empty() {
            secret = own;
        } else if !own.is_empty() && own != secret {
            return Err("when using secret_bytes multiple times, all values must match".to_owned());
        }
        between(slice.expiration_secs, min_timeout_secs, MAX_EXPIRATION_SECS)
            .map_err(|why| format!("invalid expiration_secs of slice {index}: {why}"))?;
        let filter = slice
            .properties
            .as_ref()
            .ok_or_else(|| "required".to_owned())
            .and_then(|properties| properties::check(properties, pool, min_timeout_secs))
            .map_err(|why| format!("invalid properties of slice {index}: {why}"))?;
        filters.push(filter);
    }
    let all: Vec<Option<&TaskProperties>> =
        request.task_slices.iter().map(|slice| slice.properties.as_ref()).collect();
    if all.iter().enumerate().any(|(index, one)| all[..index].contains(one)) {
        return Err("cannot request duplicate task slice".to_owned());
    }
    Ok(filters)
}

/// The typed form of a request that passed [`fields`] and [`slices`].
fn convert(
    request: NewTaskRequest,
    pool: &Pool,
    parent: Option<Parent>,
    filters: Vec<Filter>,
) -> NewTask {
    let template = request.pool_task_template();
    let tolerance = request.bot_ping_tolerance_secs;
    let mut secret = None;
    let mut slices = Vec::new();
    for (slice, filter) in request.task_slices.into_iter().zip(filters) {
        let TaskSlice { properties, expiration_secs, wait_for_capacity } = slice;
        let properties = properties.unwrap_or_default();
        if !properties.secret_bytes.is_empty() {
            secret = Some(properties.secret_bytes.clone());
        }
        slices.push(Slice {
            properties: properties::convert(properties, filter),
            expiration_secs: u32::try_from(expiration_secs).unwrap_or_default(),
            wait_for_capacity,
        });
    }
    NewTask {
        pool: pool.name.clone(),
        name: request.name,
        parent,
        priority: u8::try_from(request.priority).unwrap_or(u8::MAX),
        slices,
        secret,
        tags: request.tags,
        user: request.user,
        service_account: service_account(&request.service_account)
            .unwrap_or(ServiceAccount::Email(request.service_account)),
        pubsub: (!request.pubsub_topic.is_empty()).then_some(Pubsub {
            topic: request.pubsub_topic,
            auth_token: request.pubsub_auth_token,
            userdata: request.pubsub_userdata,
        }),
        evaluate_only: request.evaluate_only,
        template,
        bot_ping_tolerance_secs: match u32::try_from(tolerance).unwrap_or_default() {
            0 => BOT_PING_TOLERANCE_SECS,
            seconds => seconds,
        },
        request_uuid: (!request.request_uuid.is_empty()).then_some(request.request_uuid),
        resultdb: request.resultdb.is_some_and(|resultdb| resultdb.enable),
        realm: (!request.realm.is_empty()).then_some(request.realm),
    }
}

#[cfg(test)]
#[path = "new_task_tests.rs"]
mod tests;
