//! `event`: what a bot tells of itself.

use std::sync::Arc;

use bytes::Bytes;
use engine::ops::LoseOp;
use fleet::{Health, Task, Update};
use http::Response;
use model::{RunnerName, limit};

use super::check::{self, Call};
use super::task::Event;
use super::wire::{BotRequest, Empty};
use super::{BotCaller, event_key, json, read, said_of};
use crate::prpc::Status;
use crate::server::{Server, now};
use crate::tasks::hand;
use crate::validate::text::shorten;

pub(super) async fn handle(
    server: &Arc<Server>,
    caller: &BotCaller,
    body: &[u8],
) -> Result<Response<Bytes>, Status> {
    let request: BotRequest = read(body)?;
    let kind = Event::parse(request.event.as_deref(), request.request_uuid.as_deref())?;
    let message = shorten(request.message.as_deref().unwrap_or_default(), limit::MESSAGE_BYTES);
    let session = request.session.clone();
    let key = event_key(kind.as_str(), request.request_uuid.as_deref());
    let has_state = request.state.as_ref().is_some_and(|state| !state.is_empty());
    let config = server.config();
    let group = super::group(server, &config, &request)?;
    let checked = check::check(request, Call::Event, &config.bots)?;
    let runner = RunnerName::new(&checked.bot_id);
    // A goodbye of an older process is not this one's.
    if server.session(&runner, session.as_deref()).is_err() {
        return json(&Empty {});
    }
    let stops = matches!(kind, Event::Shutdown | Event::Rebooting);
    if stops {
        let why = format!("the bot said {}", kind.as_str());
        server.dispatcher.lose_runner(LoseOp { runner: hand(&checked.bot_id), why }).await;
    }
    // What is wrong with an event says nothing of the bot, but it cannot show that a bot is well, either.
    let is_judged = has_state && (checked.is_sound || checked.quarantined.is_some());
    let is_known = server.fleet.get(&runner).is_some();
    let of_health = checked.maintenance.as_deref().or(checked.quarantined.as_deref());
    let message = match (&*message, of_health.filter(|_| has_state)) {
        ("", Some(why)) => why,
        (message, _) => message,
    };
    let state = serde_json::Value::Object(checked.state).to_string();
    let update = Update {
        message: message.into(),
        dimensions: (!is_known).then(|| server.group_dimensions(&checked.bot_id, group)),
        quarantined: is_judged.then(|| checked.quarantined.as_deref().map(Into::into)),
        maintenance: has_state.then(|| checked.maintenance.as_deref().map(Into::into)),
        state: is_judged.then(|| state.into()),
        version: Some(checked.version.as_str().into()).filter(|v: &Arc<str>| !v.is_empty()),
        address: Some(caller.address.clone()),
        identity: Some(caller.identity.into()),
        health: if kind == Event::Shutdown { Health::Dead } else { Health::Unchanged },
        task: if stops { Task::Clear } else { Task::Unchanged },
        // One that was deleted may still have something to say.
        makes_known: false,
        key,
        ..said_of(kind.as_str())
    };
    server.fleet.update(&runner, update, now());
    json(&Empty {})
}
