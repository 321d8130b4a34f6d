//! `phalanx.Swarming`: calls of our own.

use std::sync::Arc;

use engine::ops::{DrainOp, DrainOutcome};
use model::{JobState, RunnerName};

use super::bots::{LIST, may_list};
use super::tasks::task;
use super::{needs, of_bot};
use crate::proto::own::{
    FindOutputRequest, FindOutputResponse, GetHistoryRequest, GetHistoryResponse,
    GetStandingRequest, SearchBotsRequest, SearchBotsResponse, SetDrainRequest, StandingResponse,
    WhyPendingRequest, WhyPendingResponse,
};
use crate::prpc::{Code, Status};
use crate::search::{self, Search};
use crate::series;
use crate::server::{Caller, Role, Server};
use crate::tasks::hand;
use crate::validate::bot_requests;
use crate::why::{self, Standing};

pub(super) async fn why_pending(
    server: &Arc<Server>,
    caller: &Caller,
    request: WhyPendingRequest,
) -> Result<WhyPendingResponse, Status> {
    let view = task(server, caller, &request.task_id, Role::Viewer, "swarming.tasks.get")?;
    // SECURITY: it names bots, which who owns a task need not be allowed to see.
    needs(caller, Role::Viewer, LIST, "")?;
    why::why(server, &view)
}

pub(super) async fn search_bots(
    server: &Arc<Server>,
    caller: &Caller,
    request: SearchBotsRequest,
) -> Result<SearchBotsResponse, Status> {
    let search = Search::read(&request)?;
    may_list(caller, &search.dimensions)?;
    Ok(search::search(server, &search))
}

pub(super) async fn get_standing(
    server: &Arc<Server>,
    caller: &Caller,
    request: GetStandingRequest,
) -> Result<StandingResponse, Status> {
    let id = bot_requests::bot_id(&request.bot_id)?;
    needs(caller, Role::Viewer, LIST, &of_bot(id))?;
    Ok(standing(server, id))
}

fn standing(server: &Server, id: &str) -> StandingResponse {
    let draining = server.dispatcher.is_draining(&hand(id));
    let seen = server.fleet.get(&RunnerName::new(id));
    let standing = seen.map_or("", |seen| Standing::of(&seen.record, draining).word());
    StandingResponse { draining, standing: standing.to_owned() }
}

pub(super) async fn set_drain(
    server: &Arc<Server>,
    caller: &Caller,
    request: SetDrainRequest,
) -> Result<StandingResponse, Status> {
    let id = bot_requests::bot_id(&request.bot_id)?;
    needs(caller, Role::Admin, "swarming.pools.terminateBot", &of_bot(id))?;
    let op = DrainOp { runner: hand(id), drain: request.drain };
    match server.dispatcher.drain_runner(op).await {
        DrainOutcome::Done { .. } => Ok(standing(server, id)),
        DrainOutcome::UnknownRunner => {
            let why = format!("the bot {id:?} has not asked for work yet");
            Err(Status::new(Code::FailedPrecondition, why))
        }
    }
}

pub(super) async fn get_history(
    server: &Arc<Server>,
    caller: &Caller,
    request: GetHistoryRequest,
) -> Result<GetHistoryResponse, Status> {
    needs(caller, Role::Viewer, LIST, "")?;
    let asked = series::Asked::read(&request)?;
    series::history(server, &asked)
}

pub(super) async fn find_output(
    server: &Arc<Server>,
    caller: &Caller,
    request: FindOutputRequest,
) -> Result<FindOutputResponse, Status> {
    let view = task(server, caller, &request.task_id, Role::Viewer, "swarming.tasks.get")?;
    let Some((job, attempt)) = view.output() else { return Ok(FindOutputResponse::default()) };
    let read = server.dispatcher.read_log(job, attempt, 0, 0)?;
    Ok(FindOutputResponse {
        job: job.0,
        attempt: attempt.0,
        bytes: read.map_or(0, |read| read.length),
        growing: matches!(view.job.state, JobState::Running { .. }),
    })
}
