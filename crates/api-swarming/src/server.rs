//! What every endpoint of the door shares.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use dispatcher::{Dispatcher, StoreError};
use fleet::Fleet;
use http::{HeaderMap, header};
use model::WallMs;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, Semaphore};

use crate::config::Config;
use crate::prpc::{Code, Status};
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
    pub of_token: Box<dyn Fn(&str) -> Option<Caller> + Send + Sync>,
    /// Whether a token is a bot's, or one to fetch a bot's code with.
    pub is_bot_token: Box<dyn Fn(&str) -> bool + Send + Sync>,
}

/// What the door is made of.
pub struct Parts {
    pub dispatcher: Dispatcher,
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
}

/// See [`Parts`].
pub(crate) struct Server {
    pub dispatcher: Dispatcher,
    pub fleet: Arc<Fleet>,
    pub access: Access,
    pub url: String,
    pub version: String,
    pub min_timeout_secs: i32,
    pub ids: TaskIds,
    /// When a running task was last heard of.
    pub updates: Mutex<HashMap<TaskId, WallMs>>,
    /// Requests that are being made into tasks, by key, so that one made twice at once waits for the first.
    pub creating: Creating,
    pub parked: Semaphore,
    config: RwLock<Arc<Config>>,
}

impl Server {
    pub fn new(parts: Parts) -> Result<Self, StoreError> {
        let last = parts.dispatcher.reader().last_wire_id()?;
        Ok(Self {
            dispatcher: parts.dispatcher,
            fleet: parts.fleet,
            access: parts.access,
            url: parts.url,
            version: parts.version,
            min_timeout_secs: parts.min_timeout_secs,
            ids: TaskIds::after(last),
            updates: Mutex::default(),
            creating: Creating::default(),
            parked: Semaphore::new(parts.parked_polls_max),
            config: RwLock::new(Arc::new(parts.config)),
        })
    }

    pub fn config(&self) -> Arc<Config> {
        self.config.read().clone()
    }

    pub fn set_config(&self, config: Config) {
        *self.config.write() = Arc::new(config);
    }

    /// Who sent a request. A wrong token is refused, except where everybody may do everything.
    pub fn caller(&self, headers: &HeaderMap) -> Result<Caller, Status> {
        let anonymous = |role| Ok(Caller { identity: "anonymous:anonymous".to_owned(), role });
        let token = bearer(headers);
        match (token.map(|token| (self.access.of_token)(token)), self.access.open) {
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

impl Server {
    pub fn bot_version(&self) -> Option<String> {
        None
    }

    pub fn bootstrap_token(&self, _caller: &Caller) -> String {
        String::new()
    }
}
