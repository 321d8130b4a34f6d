//! How fleet and queue stand, and stood.

use std::ops::Range;

use model::WallMs;
use serde::{Deserialize, Serialize};

use crate::proto::own::{GetHistoryRequest, GetHistoryResponse, Moment};
use crate::prpc::Status;
use crate::server::{Server, now};
use crate::tasks::view::wall;
use crate::validate::requests::any_range;

/// Numbers at one moment. Of the bots each is counted in `bots` and in one of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Stand {
    /// Jobs that wait, of all doors of the server.
    pub queued: u64,
    pub running: u64,
    /// All that are known.
    pub bots: u64,
    pub idle: u64,
    pub busy: u64,
    pub quarantined: u64,
    pub maintenance: u64,
    pub dead: u64,
}

pub(crate) fn stand(server: &Server) -> Stand {
    let (queued, running, _) = server.dispatcher.sizes();
    let mut stand = Stand { queued: queued as u64, running: running as u64, ..Stand::default() };
    for seen in server.fleet.after(None) {
        let record = &seen.record;
        stand.bots += 1;
        let counted = if record.dead {
            &mut stand.dead
        } else if record.quarantined.is_some() {
            &mut stand.quarantined
        } else if record.maintenance.is_some() {
            &mut stand.maintenance
        } else if record.task.is_some() {
            &mut stand.busy
        } else {
            &mut stand.idle
        };
        *counted += 1;
    }
    stand
}

/// Which moments a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    at: Range<WallMs>,
    limit: usize,
    /// Up to now.
    open: bool,
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const POINTS: usize = 500;
const POINTS_MAX: usize = 1000;

impl Asked {
    pub fn read(request: &GetHistoryRequest) -> Result<Self, Status> {
        let range = any_range(request.start.as_ref(), request.end.as_ref());
        let ms = |ms: i64| u64::try_from(ms).unwrap_or(0);
        let end = range.end_ms.map(ms).filter(|end| *end < now().0);
        let until = end.unwrap_or(now().0);
        let start = range.start_ms.map_or(until.saturating_sub(DAY_MS), ms);
        if start >= until {
            return Err(Status::invalid("the start of the history must be before its end"));
        }
        let limit = match usize::try_from(request.limit) {
            Ok(0) => POINTS,
            Ok(limit) if limit <= POINTS_MAX => limit,
            _ => {
                let why = format!("limit {} is not between 1 and {POINTS_MAX}", request.limit);
                return Err(Status::invalid(why));
            }
        };
        Ok(Self { at: WallMs(start)..WallMs(until), limit, open: end.is_none() })
    }
}

pub(crate) fn history(server: &Server, asked: &Asked) -> Result<GetHistoryResponse, Status> {
    let stored = server.house.samples(asked.at.clone(), asked.limit)?;
    let mut points = Vec::with_capacity(stored.len() + 1);
    for (at, record) in stored {
        match serde_json::from_str(&record) {
            Ok(stood) => points.push(moment(at, stood)),
            Err(error) => tracing::error!("what was noted at {} cannot be read: {error}", at.0),
        }
    }
    if asked.open {
        points.push(moment(now(), stand(server)));
    }
    Ok(GetHistoryResponse { points })
}

fn moment(at: WallMs, stood: Stand) -> Moment {
    let number = |value: u64| i32::try_from(value).unwrap_or(i32::MAX);
    Moment {
        at: Some(wall(at)),
        queued: number(stood.queued),
        running: number(stood.running),
        idle: number(stood.idle),
        busy: number(stood.busy),
        quarantined: number(stood.quarantined),
        maintenance: number(stood.maintenance),
        dead: number(stood.dead),
    }
}
