//! The fields of the calls about bots.
//!
//! Facts: luci-go `swarming/server/rpcs/bots_*.go`.

use super::cursor::Cursor;
use super::filter::Filter;
use super::requests::{TimeRange, any_range, created_range, limit, state_query};
use crate::proto::swarming::{
    BotEventsRequest, BotTasksRequest, SortQuery, StateQuery, StringPair, TerminateRequest,
};
use crate::prpc::Status;

const REASON_BYTES: usize = 1000;

/// The bot that a call names.
pub fn bot_id(text: &str) -> Result<&str, Status> {
    if text.is_empty() {
        return Err(Status::invalid("bot_id is required"));
    }
    Ok(text)
}

/// The bot and why, as [`NewTask::terminate`](super::task::NewTask::terminate) takes them.
pub fn terminate_bot(request: &TerminateRequest) -> Result<(&str, &str), Status> {
    let bot = bot_id(&request.bot_id)?;
    let length = request.reason.len();
    if length > REASON_BYTES {
        let why = format!("reason is too long: {length} > {REASON_BYTES}");
        return Err(Status::invalid(why));
    }
    Ok((bot, &request.reason))
}

/// A search for bots by dimension, as `ListBots` and `CountBots` do.
pub fn bot_dimensions(pairs: &[StringPair]) -> Result<Filter, Status> {
    Filter::of_bots(pairs).map_err(|why| Status::invalid(format!("invalid dimensions: {why}")))
}

/// Which events of a bot a call is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BotEventSearch<'a> {
    pub bot: &'a str,
    pub time: TimeRange,
    pub limit: u32,
}

pub fn list_bot_events(request: &BotEventsRequest) -> Result<BotEventSearch<'_>, Status> {
    let bot = bot_id(&request.bot_id)?;
    let limit = limit(request.limit)?;
    let time = any_range(request.start.as_ref(), request.end.as_ref());
    Ok(BotEventSearch { bot, time, limit })
}

/// Which tasks of a bot a call is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BotTaskSearch<'a> {
    pub bot: &'a str,
    /// Of the time that `sort` names.
    pub time: TimeRange,
    pub state: StateQuery,
    /// Never `QUERY_ABANDONED_TS`.
    pub sort: SortQuery,
    pub limit: u32,
    pub after: Option<BotTasksAfter>,
}

/// Where the page before ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BotTasksAfter {
    /// What is left has ids below this one.
    pub below: u64,
    /// The task that ran when the first page was given; 0 for none.
    pub running: u64,
    /// Those of the window just below that are left. `None`: all of it.
    pub window: Option<Window>,
}

/// Tasks that are put in order of a time together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The lowest id in it.
    pub from: u64,
    /// Time (ms) and id of the last one that was given.
    pub last: (i64, u64),
}

impl BotTasksAfter {
    pub fn write(self) -> String {
        let Self { below, running, window } = self;
        let window = window.map(|Window { from, last: (ms, id) }| format!(" {from} {ms} {id}"));
        let text = format!("{below} {running}{}", window.unwrap_or_default());
        Cursor::write("ListBotTasks", &text)
    }

    fn read(cursor: &str) -> Result<Option<Self>, Status> {
        let Some(cursor) = Cursor::read("ListBotTasks", cursor)? else { return Ok(None) };
        let parse = || {
            let parts: Vec<&str> = cursor.text().split(' ').collect();
            let (below, running, window) = match parts[..] {
                [below, running] => (below, running, None),
                [below, running, from, at_ms, id] => {
                    let last = (at_ms.parse().ok()?, id.parse().ok()?);
                    (below, running, Some(Window { from: from.parse().ok()?, last }))
                }
                _ => return None,
            };
            Some(Self { below: below.parse().ok()?, running: running.parse().ok()?, window })
        };
        parse().map(Some).ok_or_else(|| Status::invalid("bad pagination cursor"))
    }
}

pub fn list_bot_tasks(request: &BotTasksRequest) -> Result<BotTaskSearch<'_>, Status> {
    let bot = bot_id(&request.bot_id)?;
    let limit = limit(request.limit)?;
    let state = state_query(request.state)?;
    if let Some(why) = never_on_a_bot(state) {
        return Err(Status::invalid(why));
    }
    let sort =
        SortQuery::try_from(request.sort).map_err(|_| Status::invalid("invalid sort order"))?;
    let (start, end) = (request.start.as_ref(), request.end.as_ref());
    let after = || BotTasksAfter::read(&request.cursor);
    let (after, time) = match sort {
        SortQuery::QueryCreatedTs => (after()?, created_range(start, end)?),
        SortQuery::QueryAbandonedTs => {
            let why = "sorting by abandoned time is not supported currently, open a bug if needed";
            return Err(Status::invalid(why));
        }
        SortQuery::QueryCompletedTs | SortQuery::QueryStartedTs => {
            if state != StateQuery::QueryAll {
                let why = "a state filter other than QUERY_ALL when using non-default sort order \
                           is not supported currently, open a bug if needed";
                return Err(Status::invalid(why));
            }
            (after()?, any_range(start, end))
        }
    };
    Ok(BotTaskSearch { bot, time, state, sort, limit, after })
}

/// Why no task of a bot is ever found in this state.
fn never_on_a_bot(state: StateQuery) -> Option<&'static str> {
    match state {
        StateQuery::QueryPending => Some(
            "default QUERY_PENDING state filter will always result in empty response, \
             since pending tasks are not associated with bots: \
             use a different filter (perhaps QUERY_ALL?)",
        ),
        StateQuery::QueryPendingRunning => Some(
            "QUERY_PENDING_RUNNING state filter is equivalent to QUERY_RUNNING, \
             since pending tasks are not associated with bots: use QUERY_RUNNING filter explicitly",
        ),
        StateQuery::QueryExpired => Some(
            "QUERY_EXPIRED state filter will always result in empty response, \
             since expired tasks are not associated with bots",
        ),
        StateQuery::QueryDeduped => Some(
            "QUERY_DEDUPED state filter will always result in empty response, \
             since dedupped tasks are not associated with bots",
        ),
        StateQuery::QueryNoResource => Some(
            "QUERY_NO_RESOURCE state filter will always result in empty response, \
             since NO_RESOURCE tasks are not associated with bots",
        ),
        StateQuery::QueryCanceled => Some(
            "QUERY_CANCELED state filter will always result in empty response, \
             since canceled tasks are not associated with bots: \
             use a different filter (perhaps QUERY_KILLED?)",
        ),
        StateQuery::QueryRunning
        | StateQuery::QueryCompleted
        | StateQuery::QueryCompletedSuccess
        | StateQuery::QueryCompletedFailure
        | StateQuery::QueryTimedOut
        | StateQuery::QueryBotDied
        | StateQuery::QueryAll
        | StateQuery::QueryKilled
        | StateQuery::QueryClientError => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<T: std::fmt::Debug>(result: Result<T, Status>) -> String {
        let status = result.unwrap_err();
        assert_eq!(status.code, crate::prpc::Code::InvalidArgument);
        status.message
    }

    #[test]
    fn bots() {
        let terminate = |bot: &str, reason: String| {
            terminate_bot(&TerminateRequest { bot_id: bot.into(), reason }).map(|_| ())
        };
        assert_eq!(message(bot_id("")), "bot_id is required");
        assert_eq!(message(terminate("", String::new())), "bot_id is required");
        assert_eq!(message(terminate("b", "r".repeat(1001))), "reason is too long: 1001 > 1000");
        assert_eq!(terminate("b", "r".repeat(1000)), Ok(()));
        let pair = StringPair { key: "9".into(), value: "v".into() };
        assert!(
            message(bot_dimensions(&[pair])).starts_with(r#"invalid dimensions: bad key "9": the"#)
        );
    }

    #[test]
    fn tasks_of_a_bot() {
        let list = |state: StateQuery, sort: i32| {
            let request = BotTasksRequest {
                bot_id: "b".into(),
                state: state as i32,
                sort,
                ..Default::default()
            };
            list_bot_tasks(&request).map(|search| search.sort)
        };
        for state in [
            StateQuery::QueryPending,
            StateQuery::QueryPendingRunning,
            StateQuery::QueryExpired,
            StateQuery::QueryDeduped,
            StateQuery::QueryNoResource,
            StateQuery::QueryCanceled,
        ] {
            let why = message(list(state, 0));
            assert!(why.contains("not associated with bots"), "{why}");
            assert!(why.contains(state.as_str_name()), "{why}");
        }
        assert_eq!(list(StateQuery::QueryKilled, 0), Ok(SortQuery::QueryCreatedTs));
        assert_eq!(list(StateQuery::QueryAll, 4), Ok(SortQuery::QueryStartedTs));
        assert!(message(list(StateQuery::QueryKilled, 2)).contains("other than QUERY_ALL"));
        assert!(message(list(StateQuery::QueryAll, 3)).contains("sorting by abandoned time"));
        assert_eq!(message(list(StateQuery::QueryAll, 1)), "invalid sort order");
        assert_eq!(
            message(list_bot_tasks(&BotTasksRequest { limit: -1, ..Default::default() })),
            "bot_id is required"
        );
    }
}
