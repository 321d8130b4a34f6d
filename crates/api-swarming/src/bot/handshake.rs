//! `handshake`: a bot's process begins.

use std::sync::Arc;

use bytes::Bytes;
use engine::ops::LoseOp;
use fleet::{Health, Idleness, Task, Update};
use http::Response;
use model::RunnerName;

use super::check::{self, Call};
use super::wire::{BotGroupCfg, BotRequest, HandshakeResponse};
use super::{BotCaller, event_key, json, read, said_of};
use crate::prpc::Status;
use crate::server::{Server, now};
use crate::tasks::hand;

pub(super) async fn handle(
    server: &Arc<Server>,
    caller: &BotCaller,
    body: &[u8],
) -> Result<Response<Bytes>, Status> {
    let request: BotRequest = read(body)?;
    let config = server.config();
    let group = super::group(server, &config, &request)?;
    let said = request.dimensions.clone();
    let key = event_key("bot_connected", request.session_id.as_deref());
    let checked = check::check(request, Call::Handshake, &config.bots)?;
    let runner = RunnerName::new(&checked.bot_id);
    // A new process runs nothing of what an older one ran.
    let why = "the bot started anew".to_owned();
    server.dispatcher.lose_runner(LoseOp { runner: hand(&checked.bot_id), why }).await;
    let session = server.next_session(&runner);
    let mut state = checked.state;
    state.insert("handshaking".to_owned(), true.into());
    // Not believed before the first poll, but good to know.
    if let Some(said) = said {
        state.insert("initial_dimensions".to_owned(), serde_json::json!(said));
    }
    let update = Update {
        state: Some(serde_json::Value::Object(state).to_string().into()),
        version: Some(checked.version.as_str().into()),
        address: Some(caller.address.clone()),
        identity: Some(caller.identity.into()),
        quarantined: Some(checked.quarantined.as_deref().map(Into::into)),
        maintenance: Some(checked.maintenance.as_deref().map(Into::into)),
        // Until its first poll it is known by what the server says of it.
        dimensions: match server.fleet.get(&runner) {
            Some(_) => None,
            None => {
                checked.dimensions.as_ref().map(|_| server.group_dimensions(&checked.bot_id, group))
            }
        },
        session: Some(session),
        terminated_by: Some(None),
        health: Health::Alive,
        idleness: Idleness::Unchanged,
        task: Task::Clear,
        message: checked.maintenance.or(checked.quarantined).unwrap_or_default().into(),
        key,
        ..said_of("bot_connected")
    };
    server.fleet.update(&runner, update, now());
    let hooks = server.hooks(group);
    // Without an archive every bot is as it should be.
    let bot_version = server.bot_version().unwrap_or(checked.version);
    json(&HandshakeResponse {
        bot_version: &bot_version,
        server_version: &server.version,
        bot_group_cfg: BotGroupCfg { dimensions: &group.dimensions },
        bot_config: &hooks.source,
        bot_config_name: &hooks.name,
        bot_config_rev: &hooks.revision,
        session: Some(&session.to_string()),
    })
}
