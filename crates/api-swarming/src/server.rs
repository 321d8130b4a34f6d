//! What every endpoint of the door shares.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dispatcher::{Dispatcher, House, StoreError};
use engine::Lease;
use fleet::Fleet;
use futures::future::BoxFuture;
use http::{HeaderMap, header};
use model::{Dimensions, JobId, LeaseToken, RunnerName, WallMs};
use parking_lot::{Mutex, RwLock};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, Semaphore};

use crate::archive::{Archive, hooks_without_cipd};
use crate::bot::caches::CacheSizes;
use crate::bot::manifest::Shape;
use crate::config::{BotGroup, Config};
use crate::notices::{Post, Silent};
use crate::prpc::{Code, Status};
use crate::tasks::TERMINATION_QUEUE;
use crate::tasks::ids::TaskIds;
use crate::validate::TaskId;

/// Who may do what, from little to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Nothing but to ask what it may do.
    Nobody,
    /// See bots and tasks.
    Viewer,
    /// Create tasks and cancel them.
    User,
    /// Everything.
    Admin,
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Such as `user:joe@example.com`.
    pub identity: String,
    pub role: Role,
}

/// How callers prove who they are.
pub struct Access {
    /// Everybody may do everything, and no token is looked at: for a server on loopback.
    pub open: bool,
    /// Who has a token.
    pub of_token: Box<dyn Fn(String) -> BoxFuture<'static, Option<Caller>> + Send + Sync>,
    /// What bots show.
    pub bot_token: String,
}

/// What the door is made of.
pub struct Parts {
    pub dispatcher: Dispatcher,
    pub house: Arc<dyn House>,
    /// How people who want to hear of tasks are told.
    pub post: Post,
    pub fleet: Arc<Fleet>,
    pub config: Config,
    pub access: Access,
    /// Where clients find the server, without a slash at the end.
    pub url: String,
    /// Of this program.
    pub version: String,
    /// The shortest expiration and timeout that a task may ask for.
    pub min_timeout_secs: i32,
    /// Most polls that wait at once; further bots are told when to come back.
    pub parked_polls_max: usize,
    /// The bot to hand out. Without one every bot is let be as it is.
    pub archive: Option<Archive>,
    /// Tasks that ask for no packages are run without CIPD, from which a bot would fetch a client before each of them.
    pub without_cipd: bool,
    /// A built copy of upstream's pages.
    pub ui: Option<PathBuf>,
    /// Whether there is such a door at all.
    pub enabled: bool,
    /// SECURITY: makes tokens to fetch a bot's code with.
    pub key: [u8; 32],
}

/// See [`Parts`].
pub(crate) struct Server {
    pub dispatcher: Dispatcher,
    pub house: Arc<dyn House>,
    pub post: Post,
    pub fleet: Arc<Fleet>,
    pub access: Access,
    pub url: String,
    pub version: String,
    pub min_timeout_secs: i32,
    pub ids: TaskIds,
    /// Running tasks, so that an update need not look for its job in the store.
    running: Mutex<HashMap<TaskId, RunningTask>>,
    /// Requests that are being made into tasks, by key, so that one made twice at once waits for the first.
    pub creating: Creating,
    pub parked: Semaphore,
    config: RwLock<Arc<Config>>,
    archive: RwLock<Option<Arc<Archive>>>,
    without_cipd: bool,
    ui: Option<PathBuf>,
    pub enabled: bool,
    key: [u8; 32],
    cache_sizes: RwLock<CacheSizes>,
    /// When output was deleted last, and whether there was a reason since then.
    logs_deleted: Mutex<(Option<Instant>, bool)>,
    /// Addresses that took nothing the last time.
    pub silent: Mutex<HashMap<String, Silent>>,
    /// Turns for what reads a page, and for what may look at everything: few of those at once, or nobody else gets anything
    /// done.
    pub reading: Arc<Semaphore>,
    pub looking: Arc<Semaphore>,
}

impl Server {
    pub fn new(parts: Parts) -> Result<Self, StoreError> {
        let last = parts.dispatcher.reader().last_wire_id()?;
        Ok(Self {
            dispatcher: parts.dispatcher,
            house: parts.house,
            post: parts.post,
            fleet: parts.fleet,
            access: parts.access,
            url: parts.url,
            version: parts.version,
            min_timeout_secs: parts.min_timeout_secs,
            ids: TaskIds::after(last),
            running: Mutex::default(),
            creating: Creating::default(),
            parked: Semaphore::new(parts.parked_polls_max),
            config: RwLock::new(Arc::new(parts.config)),
            archive: RwLock::new(parts.archive.map(Arc::new)),
            without_cipd: parts.without_cipd,
            ui: parts.ui,
            enabled: parts.enabled,
            key: blake3::derive_key("phalanx swarming bootstrap v1", &parts.key),
            cache_sizes: RwLock::default(),
            logs_deleted: Mutex::default(),
            silent: Mutex::default(),
            reading: Arc::new(Semaphore::new(READING)),
            looking: Arc::new(Semaphore::new(LOOKING)),
        })
    }

    pub fn config(&self) -> Arc<Config> {
        self.config.read().clone()
    }

    pub fn ui(&self) -> Option<&Path> {
        self.ui.as_deref()
    }

    pub fn set_config(&self, config: Config) {
        *self.config.write() = Arc::new(config);
    }

    pub fn set_archive(&self, archive: Option<Archive>) {
        *self.archive.write() = archive.map(Arc::new);
    }

    /// Who sent a request. A wrong token is refused, except where everybody may do everything.
    pub async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Status> {
        let anonymous = |role| Ok(Caller { identity: "anonymous:anonymous".to_owned(), role });
        let known = match bearer(headers) {
            None => None,
            Some(token) => Some((self.access.of_token)(token.to_owned()).await),
        };
        match (known, self.access.open) {
            (Some(Some(caller)), _) => Ok(caller),
            (_, true) => anonymous(Role::Admin),
            (Some(None), false) => {
                Err(Status::new(Code::Unauthenticated, "the token is not one of this server"))
            }
            (None, false) => anonymous(Role::Nobody),
        }
    }
}

/// The token of an `Authorization: Bearer` header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Milliseconds since 1970.
pub(crate) fn now() -> WallMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallMs(since.as_millis() as u64)
}

/// Keys that are being worked on.
#[derive(Default)]
pub(crate) struct Creating {
    keys: Mutex<HashSet<[u8; 16]>>,
    done: Notify,
}

/// A key that nobody else works on.
pub(crate) struct Claimed<'a> {
    of: &'a Creating,
    key: [u8; 16],
}

impl Creating {
    pub async fn claim(&self, key: [u8; 16]) -> Claimed<'_> {
        loop {
            let done = self.done.notified();
            tokio::pin!(done);
            // Listening before looking, or the end in between is missed.
            done.as_mut().enable();
            if self.keys.lock().insert(key) {
                return Claimed { of: self, key };
            }
            done.await;
        }
    }
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        self.of.keys.lock().remove(&self.key);
        self.of.done.notify_waiters();
    }
}

/// Python source that a bot gets when it connects.
pub(crate) struct Hooks {
    pub source: String,
    pub name: String,
    /// SHA-256 of the source in hex.
    pub revision: String,
}

/// Bots.
impl Server {
    pub fn is_bot_token(&self, token: &str) -> bool {
        // SECURITY: digests are compared, so that the duration tells nothing of the right one.
        blake3::hash(token.as_bytes()) == blake3::hash(self.access.bot_token.as_bytes())
    }

    pub fn archive(&self) -> Option<Arc<Archive>> {
        self.archive.read().clone()
    }

    /// What bots should be; `None` where they may be anything.
    pub fn bot_version(&self) -> Option<String> {
        self.archive().map(|archive| archive.version.clone())
    }

    pub fn manifest_shape(&self) -> Shape {
        self.archive().map_or(Shape::WithBotDimensions, |archive| archive.shape)
    }

    pub fn hooks(&self, group: &BotGroup) -> Hooks {
        let own = group.script.as_ref();
        let body = own.map(|script| script.body.as_str());
        let source = match self.without_cipd {
            true => hooks_without_cipd(body),
            false => body.unwrap_or_default().to_owned(),
        };
        Hooks {
            revision: hex::encode(Sha256::digest(&source)),
            name: own.map_or_else(|| "bot_config.py".to_owned(), |script| script.name.clone()),
            source,
        }
    }

    /// What the server says of a bot that has not spoken yet.
    pub fn group_dimensions(&self, bot: &str, group: &BotGroup) -> Dimensions {
        let mut dimensions = Dimensions::default();
        let pairs = group.dimensions.iter().flat_map(|(key, values)| {
            values.iter().map(move |value| (key.as_str(), value.as_str()))
        });
        for (key, value) in pairs.chain([("id", bot)]) {
            if let Err(error) = dimensions.add(key, value) {
                tracing::warn!("a dimension of bot `{bot}` is left out: {error}");
            }
        }
        dimensions
    }

    /// A number for a new process of a bot, higher than those of all before it.
    pub fn next_session(&self, runner: &RunnerName) -> u64 {
        let last = self.fleet.get(runner).map_or(0, |seen| seen.record.session);
        now().0.max(last.saturating_add(1))
    }

    /// Whose poll this is. A process that another has taken the place of has to start anew.
    pub fn session(&self, runner: &RunnerName, said: Option<&str>) -> Result<u64, &'static str> {
        let known = self.fleet.get(runner).map(|seen| seen.record.session);
        match (known, said) {
            (known, Some(said)) => match said.parse::<u64>() {
                // One that is not given yet would shut out all that come after it.
                Ok(session) if session > now().0.saturating_add(SESSION_AHEAD_MS) => {
                    Err("Bot session is not one of this server")
                }
                Ok(session) if known.is_none_or(|known| session >= known) => Ok(session),
                _ => Err("Bot session expired"),
            },
            // Bots of before 2024-11 have no sessions.
            (Some(known), None) => Ok(known),
            (None, None) => Ok(now().0),
        }
    }

    /// Usual sizes of named caches on bots like this one, in bytes.
    pub fn cache_sizes(&self, runner: &RunnerName) -> BTreeMap<String, u64> {
        let Some(seen) = self.fleet.get(runner) else { return BTreeMap::new() };
        self.cache_sizes.read().for_bot(&seen.record.dimensions)
    }

    /// Looks at what all bots report of their caches.
    pub fn measure_caches(&self) {
        let bots = self.fleet.after(None);
        let records = bots.iter().map(|seen| (&seen.record.dimensions, &*seen.record.state));
        let sizes = CacheSizes::of(records);
        *self.cache_sizes.write() = sizes;
    }

    /// A token to fetch a bot's code with, for an hour. It is stored nowhere.
    pub fn bootstrap_token(&self) -> String {
        let until_ms = now().0 + BOOTSTRAP_MS;
        format!("{until_ms:x}-{}", self.bootstrap_mac(until_ms))
    }

    pub fn is_bootstrap_token(&self, token: &str) -> bool {
        let Some((until, mac)) = token.split_once('-') else { return false };
        let Ok(until_ms) = u64::from_str_radix(until, 16) else { return false };
        // SECURITY: digests are compared, so that the duration tells nothing of the right one.
        let same =
            blake3::hash(mac.as_bytes()) == blake3::hash(self.bootstrap_mac(until_ms).as_bytes());
        same && until_ms > now().0
    }

    fn bootstrap_mac(&self, until_ms: u64) -> String {
        let text = format!("swarming bootstrap {until_ms}");
        blake3::keyed_hash(&self.key, text.as_bytes()).to_hex().to_string()
    }
}

/// To find what output is nobody's takes a look at every task.
const LOGS: Duration = Duration::from_secs(24 * 60 * 60);
/// Pages, and long looks, at once.
const READING: usize = 8;
const LOOKING: usize = 2;

impl Server {
    /// Whether it is time to look for output of tasks that were deleted.
    pub fn logs_may_go(&self, tasks_went: bool) -> bool {
        let mut state = self.logs_deleted.lock();
        let (last, reason) = &mut *state;
        *reason |= tasks_went;
        let due = *reason && last.is_none_or(|last| last.elapsed() >= LOGS);
        if due {
            *state = (Some(Instant::now()), false);
        }
        due
    }
}

/// Sessions are times; a clock may have gone back by this much since one was given.
const SESSION_AHEAD_MS: u64 = 60 * 60 * 1000;
const BOOTSTRAP_MS: u64 = 60 * 60 * 1000;

/// A task that a bot runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunningTask {
    pub job: JobId,
    /// It asks its bot to stop.
    pub is_termination: bool,
    heard: Option<WallMs>,
}

impl RunningTask {
    fn new(job: JobId, queue: &str) -> Self {
        Self { job, is_termination: queue == TERMINATION_QUEUE, heard: None }
    }
}

/// Running tasks.
impl Server {
    pub fn began(&self, task: TaskId, lease: &Lease) {
        self.running.lock().insert(task, RunningTask::new(lease.job, &lease.queue));
    }

    pub fn heard(&self, task: TaskId) {
        if let Some(running) = self.running.lock().get_mut(&task) {
            running.heard = Some(now());
        }
    }

    /// When a running task was heard of last.
    pub fn last_heard(&self, task: TaskId) -> Option<WallMs> {
        self.running.lock().get(&task)?.heard
    }

    pub fn ended(&self, task: TaskId) {
        self.running.lock().remove(&task);
    }

    /// Forgets tasks that ended without a word of their bots.
    pub fn forget_ended(&self) {
        let known: Vec<(TaskId, JobId)> =
            self.running.lock().iter().map(|(task, running)| (*task, running.job)).collect();
        for (task, job) in known {
            if !self.dispatcher.is_live(job) {
                self.ended(task);
            }
        }
    }

    /// A task, and the right to write to it, when this bot runs it.
    pub fn running(
        &self,
        task: TaskId,
        hand: &RunnerName,
    ) -> Result<Option<(RunningTask, LeaseToken)>, Status> {
        let known = self.running.lock().get(&task).copied();
        let running = match known {
            Some(running) => running,
            // It began under a process before this one.
            None => {
                let number = u64::try_from(task.number()).unwrap_or_default();
                let jobs = self.dispatcher.reader().jobs_by_wire_id(&[number])?;
                let Some(view) = jobs.first() else { return Ok(None) };
                RunningTask::new(view.id, &view.job.queue)
            }
        };
        let Some(token) = self.dispatcher.token_of(running.job, hand) else { return Ok(None) };
        self.running.lock().entry(task).or_insert(running);
        Ok(Some((running, token)))
    }
}
