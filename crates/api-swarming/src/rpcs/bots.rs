//! `swarming.v2.Bots`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::ops::{DeregisterOp, LoseOp};
use fleet::{Event, EventQuery, Seen, Update};
use model::{Dimensions, RunnerName, WallMs};

use super::{needs, of_bot, of_pool};
use crate::bot::said_of;
use crate::proto::swarming::{
    BotEventResponse, BotEventsRequest, BotEventsResponse, BotInfo, BotInfoListResponse,
    BotRequest, BotsCount, BotsCountRequest, BotsDimensions, BotsDimensionsRequest, BotsRequest,
    DeleteResponse, NullableBool, StringListPair, TerminateRequest, TerminateResponse,
};
use crate::prpc::Status;
use crate::server::{Caller, Role, Server, now};
use crate::tasks::view::wall;
use crate::tasks::{hand, terminate};
use crate::validate::bot_requests;
use crate::validate::cursor::Cursor;
use crate::validate::requests::{self, TimeRange};
use crate::validate::text::quote;
use crate::validate::{Filter, TaskId};

pub(super) const LIST: &str = "swarming.pools.listBots";

fn pairs(dimensions: &Dimensions) -> Vec<StringListPair> {
    let pair = |(key, values): (&str, &BTreeSet<String>)| StringListPair {
        key: key.to_owned(),
        value: values.iter().cloned().collect(),
    };
    dimensions.iter().map(pair).collect()
}

fn task_id(number: u64) -> Option<TaskId> {
    i64::try_from(number).ok().and_then(TaskId::of_number)
}

pub(crate) fn info(seen: &Seen) -> BotInfo {
    let record = &seen.record;
    let task = record.task.as_ref().and_then(|(id, name)| Some((task_id(*id)?, name)));
    BotInfo {
        bot_id: record.name.to_string(),
        task_id: task.map(|(id, _)| id.run()).unwrap_or_default(),
        task_name: task.map(|(_, name)| name.to_string()).unwrap_or_default(),
        external_ip: record.address.to_string(),
        authenticated_as: record.identity.to_string(),
        first_seen_ts: Some(wall(record.first_seen)),
        is_dead: record.dead,
        last_seen_ts: Some(wall(seen.last_seen)),
        quarantined: record.quarantined.is_some(),
        maintenance_msg: record.maintenance.as_deref().unwrap_or_default().to_owned(),
        dimensions: pairs(&record.dimensions),
        version: record.version.to_string(),
        state: record.state.to_string(),
        deleted: false,
        session_id: String::new(),
        termination_task_id: record
            .terminated_by
            .and_then(task_id)
            .map(TaskId::summary)
            .unwrap_or_default(),
    }
}

fn event(event: &Event) -> BotEventResponse {
    BotEventResponse {
        ts: Some(wall(event.at)),
        event_type: event.kind.to_string(),
        message: event.message.to_string(),
        dimensions: pairs(&event.dimensions),
        state: event.state.to_string(),
        external_ip: event.address.to_string(),
        authenticated_as: event.identity.to_string(),
        version: event.version.to_string(),
        quarantined: event.quarantined,
        maintenance_msg: event.maintenance.as_deref().unwrap_or_default().to_owned(),
        task_id: event.task.and_then(task_id).map(TaskId::run).unwrap_or_default(),
        session_id: String::new(),
    }
}

pub(super) async fn get_bot(
    server: &Arc<Server>,
    caller: &Caller,
    request: BotRequest,
) -> Result<BotInfo, Status> {
    let id = bot_requests::bot_id(&request.bot_id)?;
    needs(caller, Role::Viewer, LIST, &of_bot(id))?;
    let name = RunnerName::new(id);
    if let Some(seen) = server.fleet.get(&name) {
        return Ok(info(&seen));
    }
    // One that was deleted is known by its last event, which may not be written yet.
    server.fleet.flush()?;
    let query =
        EventQuery { runner: name, at: WallMs(0)..WallMs(u64::MAX), before: None, limit: 1 };
    let last = server.fleet.store().events(&query)?.pop();
    let (_, last) = last.ok_or_else(|| Status::not_found(format!("no such bot: {id}")))?;
    Ok(BotInfo {
        bot_id: id.to_owned(),
        external_ip: last.address.to_string(),
        authenticated_as: last.identity.to_string(),
        last_seen_ts: Some(wall(last.at)),
        quarantined: last.quarantined,
        maintenance_msg: last.maintenance.as_deref().unwrap_or_default().to_owned(),
        dimensions: pairs(&last.dimensions),
        version: last.version.to_string(),
        state: last.state.to_string(),
        deleted: true,
        task_id: last.task.and_then(task_id).map(TaskId::run).unwrap_or_default(),
        ..BotInfo::default()
    })
}

pub(super) async fn delete_bot(
    server: &Arc<Server>,
    caller: &Caller,
    request: BotRequest,
) -> Result<DeleteResponse, Status> {
    let id = bot_requests::bot_id(&request.bot_id)?;
    needs(caller, Role::Admin, "swarming.pools.deleteBot", &of_bot(id))?;
    let runner = RunnerName::new(id);
    let update = said_of("bot_deleted");
    if !server.delete_bot(&runner, &update).await {
        return Err(Status::not_found(format!("{} not found", quote(id))));
    }
    Ok(DeleteResponse { deleted: true })
}

impl Server {
    /// Forgets a bot, and that it could run anything. False when it is not there.
    pub(crate) async fn delete_bot(&self, bot: &RunnerName, update: &Update) -> bool {
        if self.fleet.get(bot).is_none() {
            return false;
        }
        // First, so that it is given nothing when it is not there any more.
        let (runner, why) = (hand(bot.as_str()), "the bot was deleted".to_owned());
        self.dispatcher.lose_runner(LoseOp { runner: runner.clone(), why }).await;
        self.dispatcher.deregister(DeregisterOp { runner }).await;
        self.fleet.delete(bot, update, now()).is_some()
    }
}

fn within(range: &TimeRange) -> std::ops::Range<WallMs> {
    let ms = |ms: i64| WallMs(u64::try_from(ms).unwrap_or(0));
    range.start_ms.map_or(WallMs(0), ms)..range.end_ms.map_or(WallMs(u64::MAX), ms)
}

pub(super) async fn list_bot_events(
    server: &Arc<Server>,
    caller: &Caller,
    request: BotEventsRequest,
) -> Result<BotEventsResponse, Status> {
    let search = bot_requests::list_bot_events(&request)?;
    needs(caller, Role::Viewer, LIST, &of_bot(search.bot))?;
    let before = Cursor::number("ListBotEvents", &request.cursor)?;
    let query = EventQuery {
        runner: RunnerName::new(search.bot),
        at: within(&search.time),
        before,
        limit: search.limit as usize,
    };
    // What happened a moment ago may not be written yet.
    server.fleet.flush()?;
    let found = server.fleet.store().events(&query)?;
    let cursor = match found.last() {
        Some((last, _)) if found.len() == query.limit => {
            Cursor::write("ListBotEvents", &last.to_string())
        }
        _ => String::new(),
    };
    let items = found.iter().map(|(_, found)| event(found)).collect();
    Ok(BotEventsResponse { cursor, items, now: Some(wall(now())) })
}

pub(super) async fn terminate_bot(
    server: &Arc<Server>,
    caller: &Caller,
    request: TerminateRequest,
) -> Result<TerminateResponse, Status> {
    let (bot, reason) = bot_requests::terminate_bot(&request)?;
    needs(caller, Role::Admin, "swarming.pools.terminateBot", &of_bot(bot))?;
    let task = terminate::terminate(server, caller, bot, reason).await?;
    Ok(TerminateResponse { task_id: task.summary() })
}

/// Whether a bot has all the dimensions.
pub(crate) fn matches_filter(filter: &Filter, dimensions: &Dimensions) -> bool {
    filter.constraints().iter().all(|constraint| {
        constraint.values.iter().any(|value| dimensions.offers(&constraint.key, value))
    })
}

fn is(wanted: NullableBool, value: bool) -> bool {
    match wanted {
        NullableBool::Null => true,
        NullableBool::False => !value,
        NullableBool::True => value,
    }
}

pub(crate) struct BotFilter {
    pub dimensions: Filter,
    pub quarantined: NullableBool,
    pub in_maintenance: NullableBool,
    pub is_dead: NullableBool,
    pub is_busy: NullableBool,
}

impl BotFilter {
    fn matches(&self, seen: &Seen) -> bool {
        let record = &seen.record;
        is(self.quarantined, record.quarantined.is_some())
            && is(self.in_maintenance, record.maintenance.is_some())
            && is(self.is_dead, record.dead)
            && is(self.is_busy, record.idle_since.is_none())
            && matches_filter(&self.dimensions, &record.dimensions)
    }
}

/// A page of bots in the order of their ids, and the cursor of the next.
pub(crate) fn page(
    server: &Server,
    filter: &BotFilter,
    after: Option<&RunnerName>,
    limit: u32,
) -> (Vec<BotInfo>, String) {
    let bots = server.fleet.after(after);
    let items: Vec<BotInfo> =
        bots.iter().filter(|seen| filter.matches(seen)).take(limit as usize).map(info).collect();
    let next = match items.last() {
        Some(last) if items.len() == limit as usize => Cursor::write("ListBots", &last.bot_id),
        _ => String::new(),
    };
    (items, next)
}

/// The last bot of the page before.
pub(crate) fn after(cursor: &str) -> Result<Option<RunnerName>, Status> {
    Ok(Cursor::read("ListBots", cursor)?.map(|last| RunnerName::new(last.text())))
}

pub(super) async fn list_bots(
    server: &Arc<Server>,
    caller: &Caller,
    request: BotsRequest,
) -> Result<BotInfoListResponse, Status> {
    let limit = requests::limit(request.limit)?;
    let after = after(&request.cursor)?;
    let dimensions = bot_requests::bot_dimensions(&request.dimensions)?;
    may_list(caller, &dimensions)?;
    let filter = BotFilter {
        dimensions,
        quarantined: request.quarantined(),
        in_maintenance: request.in_maintenance(),
        is_dead: request.is_dead(),
        is_busy: request.is_busy(),
    };
    let (items, cursor) = page(server, &filter, after.as_ref(), limit);
    let death_timeout = server.config().settings.bot_death_timeout_secs;
    Ok(BotInfoListResponse {
        cursor,
        items,
        now: Some(wall(now())),
        death_timeout: i32::try_from(death_timeout).unwrap_or(i32::MAX),
    })
}

pub(super) fn may_list(caller: &Caller, filter: &Filter) -> Result<(), Status> {
    match filter.pools().first() {
        Some(pool) => needs(caller, Role::Viewer, LIST, &of_pool(pool)),
        None => needs(caller, Role::Viewer, LIST, ""),
    }
}

pub(crate) fn count(server: &Server, filter: &Filter) -> BotsCount {
    let mut count = BotsCount { now: Some(wall(now())), ..BotsCount::default() };
    for seen in server.fleet.after(None) {
        let record = &seen.record;
        if !matches_filter(filter, &record.dimensions) {
            continue;
        }
        count.count += 1;
        count.quarantined += i32::from(record.quarantined.is_some());
        count.maintenance += i32::from(record.maintenance.is_some());
        count.dead += i32::from(record.dead);
        count.busy += i32::from(record.idle_since.is_none());
    }
    count
}

pub(super) async fn count_bots(
    server: &Arc<Server>,
    caller: &Caller,
    request: BotsCountRequest,
) -> Result<BotsCount, Status> {
    let dimensions = bot_requests::bot_dimensions(&request.dimensions)?;
    may_list(caller, &dimensions)?;
    Ok(count(server, &dimensions))
}

pub(super) async fn get_bot_dimensions(
    server: &Arc<Server>,
    caller: &Caller,
    request: BotsDimensionsRequest,
) -> Result<BotsDimensions, Status> {
    let pool = request.pool;
    let of = if pool.is_empty() { String::new() } else { of_pool(&pool) };
    needs(caller, Role::Viewer, LIST, &of)?;
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for seen in server.fleet.after(None) {
        let dimensions = &seen.record.dimensions;
        if !pool.is_empty() && !dimensions.offers("pool", &pool) {
            continue;
        }
        for (key, values) in dimensions.iter().filter(|(key, _)| *key != "id") {
            match all.get_mut(key) {
                Some(known) => {
                    for value in values {
                        if !known.contains(value) {
                            known.insert(value.clone());
                        }
                    }
                }
                None => {
                    all.insert(key.to_owned(), values.clone());
                }
            }
        }
    }
    let bots_dimensions = all
        .into_iter()
        .map(|(key, values)| StringListPair { key, value: values.into_iter().collect() })
        .collect();
    Ok(BotsDimensions { bots_dimensions, ts: Some(wall(now())) })
}
