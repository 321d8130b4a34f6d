//! `poll`: a bot asks what to do, and waits for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dispatcher::{GrantedJob, Poll, PollReply};
use engine::ops::{LoseOp, RegisterOp, RegisterOutcome, RunnerSpec};
use fleet::{Health, Idleness, Seen, Task, Update};
use http::{HeaderValue, Response, header};
use model::{Dimensions, RunnerName, Session, limit};
use prost::Message;
use rand::RngExt;

use super::check::{self, Call, Checked};
use super::manifest::{Facts, manifest};
use super::wire::{BotRequest, Command, PollResponse};
use super::{BotCaller, json, read, said_of, short_hash};
use crate::proto::stored::{BotFacts, StoredTask};
use crate::prpc::{Code, Status};
use crate::server::{Server, now};
use crate::tasks::{TERMINATION_QUEUE, bot_of, hand, queue_of};
use crate::validate::fill::dimension_pairs;
use crate::validate::task::ServiceAccount;
use crate::validate::{TaskId, properties};

/// How long a poll waits. Bots give up on a reply after 60 seconds of silence.
const WAIT: Duration = Duration::from_secs(45);

pub(super) async fn handle(
    server: &Arc<Server>,
    caller: &BotCaller,
    body: Bytes,
) -> Result<Response<Bytes>, Status> {
    let poll = match prepare(server, caller, body).await? {
        Prepared::Told(response) => return Ok(response),
        Prepared::Asks(poll) => poll,
    };
    let hand = poll.runner.clone();
    let permit = server.parked.try_acquire().ok();
    let wait = if permit.is_some() { WAIT } else { Duration::ZERO };
    let began = Instant::now();
    let reply = server.dispatcher.poll(poll, wait).await;
    let waited = began.elapsed() >= WAIT / 2;
    drop(permit);
    match reply {
        PollReply::Jobs(jobs) => match jobs.into_iter().next() {
            Some(job) => run(server, caller, &RunnerName::new(bot_of(&hand)), job),
            // Whoever waited comes back at once, the others when there may be room: a bot that drains does not wait either.
            None if !waited => {
                // Not the whole time: a fleet is to be back within it when the server was away.
                let most = f64::from(server.config().settings.max_bot_sleep_secs.max(1));
                let mut response =
                    sleep(rand::rng().random_range(most / 4.0..=most * 0.75), false)?;
                // Its connection is another's place.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
                Ok(response)
            }
            None => sleep(0.0, false),
        },
        PollReply::UnknownRunner => sleep(1.0, false),
        PollReply::SessionSuperseded => {
            respond(Command::BotRestart { message: "another process speaks for this bot" })
        }
    }
}

/// What a poll comes to before it waits.
enum Prepared {
    /// It is answered at once.
    Told(Response<Bytes>),
    Asks(Poll),
}

/// Everything that needs the request. Nothing of that is kept while the bot waits: there are thousands.
async fn prepare(
    server: &Arc<Server>,
    caller: &BotCaller,
    body: Bytes,
) -> Result<Prepared, Status> {
    let request: BotRequest = read(&body)?;
    let (uuid, session) = (request.request_uuid.clone(), request.session.clone());
    let config = server.config();
    super::group(server, &config, &request)?;
    let checked = check::check(request, Call::Poll, &config.bots)?;
    let runner = RunnerName::new(&checked.bot_id);
    let hand = hand(&checked.bot_id);
    let session = match server.session(&runner, session.as_deref()) {
        Ok(session) => session,
        Err(why) => {
            let update = Update { message: why.into(), ..said_of("request_restart") };
            server.fleet.update(&runner, update, now());
            return respond(Command::BotRestart { message: why }).map(Prepared::Told);
        }
    };
    let told = Told { server, caller, checked: &checked, session };
    // An outdated bot is brought up to date before anything of it is believed.
    if let Some(version) = server.bot_version()
        && version != checked.version
    {
        let message = format!("Updating to {version}");
        told.event("request_update", &message, Idleness::Unchanged);
        server.idle(&hand).await;
        return respond(Command::Update { version: &version }).map(Prepared::Told);
    }
    if checked.quarantined.is_some() || checked.maintenance.is_some() {
        // As upstream: one that may get nothing does not wait for something.
        told.event("request_sleep", "", Idleness::Busy);
        server.idle(&hand).await;
        // It counts for those who ask for its like, and can be drained.
        if let Some(dimensions) = &checked.offered
            && let Err(why) = register(server, &hand, session, dimensions).await
        {
            tracing::debug!(
                "bot `{runner}`, which may get nothing, is not registered: {}",
                why.message
            );
        }
        let asleep = match checked.quarantined.is_some() {
            true => sleep(rand::rng().random_range(60.0..240.0), true),
            false => sleep(rand::rng().random_range(10.0..60.0), false),
        };
        return asleep.map(Prepared::Told);
    }
    if config.settings.force_bots_to_sleep {
        told.event("request_sleep", "", Idleness::Idle);
        server.idle(&hand).await;
        return sleep(60.0, true).map(Prepared::Told);
    }
    let Some(dimensions) = &checked.offered else {
        return sleep(60.0, true).map(Prepared::Told);
    };
    // A bot that does not name its polls cannot ask for the same again.
    let named = uuid.filter(|uuid| !uuid.is_empty());
    let poll = named.map_or_else(rand::random, |uuid| short_hash(&uuid)).max(1);
    // Whoever asks again for what it was given, because the answer was lost, keeps it.
    let is_again = server.dispatcher.holds(&hand, Session(session), poll);
    let seen = match server.fleet.get(&runner).filter(|seen| is_again && !seen.record.dead) {
        Some(seen) => {
            server.fleet.touch(&runner, now());
            seen
        }
        None => told.event("bot_polling", "", Idleness::Idle),
    };
    register(server, &hand, session, dimensions).await?;
    let facts = facts(&seen, &checked).encode_to_vec();
    if facts.len() > limit::FACTS_BYTES {
        return Err(Status::invalid("the dimensions and version of the bot are too long"));
    }
    Ok(Prepared::Asks(Poll {
        runner: hand,
        session: Session(session),
        poll,
        want: 1,
        facts: Some(facts.into()),
        idle: true,
    }))
}

fn sleep(seconds: f64, quarantined: bool) -> Result<Response<Bytes>, Status> {
    respond(Command::Sleep { duration: seconds, quarantined })
}

fn respond(command: Command<'_>) -> Result<Response<Bytes>, Status> {
    json(&PollResponse { command, session: None })
}

/// What one poll says of its bot.
struct Told<'a> {
    server: &'a Server,
    caller: &'a BotCaller,
    checked: &'a Checked,
    session: u64,
}

impl Told<'_> {
    fn event(&self, kind: &'static str, message: &str, idleness: Idleness) -> Seen {
        let checked = self.checked;
        let message = match message {
            "" => checked.maintenance.as_deref().or(checked.quarantined.as_deref()).unwrap_or(""),
            message => message,
        };
        let update = Update {
            message: message.into(),
            dimensions: checked.offered.clone(),
            state: Some(serde_json::Value::Object(checked.state.clone()).to_string().into()),
            version: Some(checked.version.as_str().into()),
            address: Some(self.caller.address.clone()),
            identity: Some(self.caller.identity.into()),
            quarantined: Some(checked.quarantined.as_deref().map(Into::into)),
            maintenance: Some(checked.maintenance.as_deref().map(Into::into)),
            session: Some(self.session),
            terminated_by: Some(None),
            health: Health::Alive,
            idleness,
            task: Task::Clear,
            frequent: matches!(kind, "bot_polling" | "request_sleep"),
            ..said_of(kind)
        };
        self.server.fleet.update(&RunnerName::new(&checked.bot_id), update, now()).1
    }
}

fn facts(seen: &Seen, checked: &Checked) -> BotFacts {
    BotFacts {
        dimensions: checked.dimensions.as_ref().map(dimension_pairs).unwrap_or_default(),
        version: checked.version.clone(),
        idle_since_ms: seen
            .record
            .idle_since
            .and_then(|at| i64::try_from(at.0).ok())
            .unwrap_or_default(),
    }
}

async fn register(
    server: &Server,
    runner: &RunnerName,
    session: u64,
    dimensions: &Dimensions,
) -> Result<(), Status> {
    let pools = dimensions.iter().filter(|(key, _)| *key == "pool").flat_map(|(_, pools)| pools);
    let queues = pools.map(|pool| Arc::from(queue_of(pool)));
    let spec = RunnerSpec {
        name: runner.clone(),
        session: Session(session),
        queues: queues.chain([Arc::from(TERMINATION_QUEUE)]).collect(),
        dimensions: dimensions.clone(),
        slots: 1,
        keep: true,
    };
    if server.dispatcher.is_registered(&spec) {
        return Ok(());
    }
    match server.dispatcher.register(RegisterOp { runner: spec }).await {
        RegisterOutcome::Registered => Ok(()),
        RegisterOutcome::SessionSuperseded => {
            Err(Status::new(Code::FailedPrecondition, "another process speaks for this bot"))
        }
        RegisterOutcome::Refused { what } => Err(Status::invalid(what)),
    }
}

/// Tells a bot what it was given.
fn run(
    server: &Server,
    caller: &BotCaller,
    runner: &RunnerName,
    job: GrantedJob,
) -> Result<Response<Bytes>, Status> {
    let payload = match job.payload {
        Some(payload) => Some(payload),
        None => server.dispatcher.payload(job.lease.job)?,
    };
    let stored = payload.and_then(|payload| StoredTask::decode(&payload[..]).ok());
    let task = stored.as_ref().and_then(|stored| stored.request.as_ref());
    let id = task.and_then(|request| TaskId::parse(&request.task_id).ok());
    let (Some(stored), Some(request), Some(id)) = (&stored, task, id) else {
        // A job of another door, for which this bot is no hand. Its lease ends with the bot's next poll.
        tracing::error!("job {} in a pool of bots is no task", job.lease.job);
        return sleep(1.0, false);
    };
    server.began(id, &job.lease);
    let wire_id = u64::try_from(id.number()).unwrap_or_default();
    let is_termination = &*job.lease.queue == TERMINATION_QUEUE;
    let event = Update {
        health: Health::Alive,
        idleness: Idleness::Busy,
        task: Task::Set(wire_id, request.name.as_str().into()),
        ..said_of(if is_termination { "bot_terminate" } else { "request_task" })
    };
    // Whoever was told before, and did not hear it, is told no other thing.
    let again = server.fleet.get(runner).filter(|seen| seen.record.runs(wire_id));
    let seen = again.unwrap_or_else(|| server.fleet.update(runner, event, now()).1);
    if is_termination {
        return respond(Command::Terminate { task_id: &id.run() });
    }
    let slice = request.task_slices.get(job.lease.slice as usize);
    let of_slice = slice.and_then(|slice| slice.properties.clone()).unwrap_or_default();
    let of_slice = properties::stored(of_slice);
    let account = match request.service_account.as_str() {
        "" | "none" => ServiceAccount::None,
        "bot" => ServiceAccount::Bot,
        address => ServiceAccount::Email(address.to_owned()),
    };
    let caches = match of_slice.caches.is_empty() {
        true => BTreeMap::new(),
        false => server.cache_sizes(runner),
    };
    let config = server.config();
    let manifest = manifest(
        server.manifest_shape(),
        &of_slice,
        &Facts {
            task: id,
            bot_id: runner.as_str(),
            bot_dimensions: &seen.record.dimensions,
            bot_authenticated_as: caller.identity,
            server_url: &server.url,
            realm: (!request.realm.is_empty()).then_some(request.realm.as_str()),
            system_service_account: config
                .bots
                .find(runner.as_str())
                .system_service_account
                .as_deref(),
            service_account: &account,
            secret: Some(&stored.secret[..]).filter(|secret| !secret.is_empty()),
            cache_sizes: &caches,
        },
    );
    respond(Command::Run { manifest: &manifest })
}

impl Server {
    /// The bot says that it does nothing, and shall not be given anything either.
    async fn idle(&self, runner: &RunnerName) {
        let why = "the bot asked for other work".to_owned();
        self.dispatcher.lose_runner(LoseOp { runner: runner.clone(), why }).await;
    }
}
