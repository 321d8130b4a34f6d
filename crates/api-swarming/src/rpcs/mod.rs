//! The calls of clients, by the names of the wire.

mod bot_tasks;
pub(crate) mod bots;
mod own;
mod swarming;
mod tasks;

use std::sync::Arc;

use http::HeaderMap;
use tokio::runtime::Handle;

use crate::prpc::{Incoming, Methods, Outgoing, Status, Writer, no_method, no_service};
use crate::server::{Caller, Role, Server};

/// All services.
pub(crate) struct Rpcs(pub Arc<Server>);

/// Who calls: still to be found out, or known.
#[derive(Clone, Copy)]
pub(crate) enum Asked<'a> {
    By(&'a HeaderMap),
    Known(&'a Caller),
}

impl Asked<'_> {
    async fn caller(self, server: &Server) -> Result<Caller, Status> {
        match self {
            Self::By(headers) => server.caller(headers).await,
            Self::Known(caller) => Ok(caller.clone()),
        }
    }
}

impl Methods for Rpcs {
    async fn call(
        &self,
        service: &str,
        method: &str,
        headers: &HeaderMap,
        message: Incoming,
        writer: Writer,
    ) -> Result<Outgoing, Status> {
        self.run(service, method, Asked::By(headers), message, writer).await
    }
}

impl Rpcs {
    pub async fn run(
        &self,
        service: &str,
        method: &str,
        asked: Asked<'_>,
        message: Incoming,
        writer: Writer,
    ) -> Result<Outgoing, Status> {
        /// The method's name decides what is read and written. What looks at many rows or bots does so where it keeps nobody
        /// waiting, and few do at once.
        macro_rules! methods {
            ($caller:expr, $($name:literal => $function:path),+ $(,)? $(; aside of $turns:ident: $($long:literal => $look:path),+ $(,)?)*) => {
                match method {
                    $($name => {
                        let request = message.decode()?;
                        let answer = $function(&self.0, &$caller, request).await?;
                        Ok(writer.write(&answer))
                    })+
                    $($($long => {
                        let request = message.decode()?;
                        let (server, caller) = (self.0.clone(), $caller);
                        let turn = self.0.$turns.clone().acquire_owned().await;
                        let look = move || {
                            // Held until it is done, also when nobody waits for it any more.
                            let _turn = turn;
                            Handle::current().block_on($look(&server, &caller, request))
                        };
                        let answer = tokio::task::spawn_blocking(look).await;
                        let answer = answer.map_err(|error| Status::internal(&error))??;
                        Ok(writer.write(&answer))
                    })+)*
                    _ => Err(no_method(service, method)),
                }
            };
        }
        match service {
            "swarming.v2.Tasks" => methods!(asked.caller(&self.0).await?,
                "GetResult" => tasks::get_result,
                "GetRequest" => tasks::get_request,
                "CancelTask" => tasks::cancel_task,
                "GetStdout" => tasks::get_stdout,
                "NewTask" => tasks::new_task,
                "ListTaskStates" => tasks::list_task_states,
                "CancelTasks" => tasks::cancel_tasks;
                aside of reading:
                "BatchGetResult" => tasks::batch_get_result,
                "ListTasks" => tasks::list_tasks,
                "ListTaskRequests" => tasks::list_task_requests;
                aside of looking:
                "CountTasks" => tasks::count_tasks,
            ),
            "swarming.v2.Bots" => methods!(asked.caller(&self.0).await?,
                "GetBot" => bots::get_bot,
                "DeleteBot" => bots::delete_bot,
                "TerminateBot" => bots::terminate_bot;
                aside of reading:
                "ListBotEvents" => bots::list_bot_events,
                "ListBotTasks" => bot_tasks::list_bot_tasks,
                "ListBots" => bots::list_bots,
                "CountBots" => bots::count_bots,
                "GetBotDimensions" => bots::get_bot_dimensions,
            ),
            "swarming.v2.Swarming" => methods!(asked.caller(&self.0).await?,
                "GetDetails" => swarming::get_details,
                "GetToken" => swarming::get_token,
                "GetPermissions" => swarming::get_permissions,
            ),
            "phalanx.Swarming" => methods!(asked.caller(&self.0).await?,
                "GetStanding" => own::get_standing,
                "SetDrain" => own::set_drain,
                "FindOutput" => own::find_output;
                aside of reading:
                "SearchBots" => own::search_bots,
                "GetHistory" => own::get_history;
                aside of looking:
                "WhyPending" => own::why_pending,
            ),
            _ => Err(no_service(service)),
        }
    }
}

/// Refuses a caller who has not the role that a permission needs.
fn needs(caller: &Caller, role: Role, permission: &str, of: &str) -> Result<(), Status> {
    if caller.role >= role { Ok(()) } else { Err(refusal(caller, permission, of)) }
}

/// `of` is what the permission is about, as luci-go words it; nothing for the server.
fn refusal(caller: &Caller, permission: &str, of: &str) -> Status {
    let identity = &caller.identity;
    Status::denied(match of {
        "" => format!(
            "the caller \"{identity}\" doesn't have server-level permission \"{permission}\""
        ),
        of => format!("the caller \"{identity}\" doesn't have permission \"{permission}\" {of}"),
    })
}

fn of_pool(pool: &str) -> String {
    format!("in the pool \"{pool}\" or the pool doesn't exist")
}

fn of_task(id: &str) -> String {
    format!("for the task \"{id}\"")
}

fn of_bot(id: &str) -> String {
    format!("in the pool that contains bot \"{id}\" or this bot doesn't exist")
}
