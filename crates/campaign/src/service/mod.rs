//! What doors may ask for: actions, campaigns and the server's own settings, with every rule that holds on all doors.
//!
//! Requests change what is wanted and return. The rest is reconcilers, which compare what is with what should be, and may run at
//! any time, twice, after any crash.

mod actions;
mod burndown;
mod campaigns;
mod finish;
mod hosts;
mod publish;
mod rings;
mod saved_searches;
mod schedule;
mod site;
mod triggers;
mod vault;
mod work;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use blobs::Cas;
use dispatcher::{Clock, Dispatcher, StoreError};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use model::{CampaignId, ChangesetId, GroupId, WallMs};
use parking_lot::Mutex;
use spec::Diagnostic;
use tokio::sync::{Notify, Semaphore, broadcast};
use tokio_util::task::AbortOnDropHandle;

use crate::action::ActionStore;
use crate::changeset::CampaignStore;
use crate::patch_set::PatchSetStore;
use crate::saved_search::SavedSearchStore;
use crate::scope::Searcher;
use crate::site::{Role, SiteStore};

pub use actions::{NewRun, SettingsChange, parse_definition};
pub use burndown::{Burndown, burndown};
pub use campaigns::{CampaignChange, Choice, NewCampaign, NewPatch};
pub use hosts::{CodeHostChange, Connect};
pub use schedule::{Schedule, ScheduleError};
pub use site::NewToken;
pub use triggers::SEARCH_TIME;
pub use vault::Vault;

/// All of the campaigns' half of the store.
pub trait Store:
    ActionStore + SavedSearchStore + PatchSetStore + CampaignStore + SiteStore
{
}

impl<T: ActionStore + SavedSearchStore + PatchSetStore + CampaignStore + SiteStore> Store for T {}

/// What blocks at the same time: reads and writes of the store, which take milliseconds, and searches, which take seconds.
const BLOCKING_MAX: usize = 8;
const SEARCHES_MAX: usize = 4;

/// How soon a reconciler that failed starts again.
const RESTART_PAUSE: Duration = Duration::from_secs(5);

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub name: String,
    pub role: Role,
}

/// Why a request changes nothing.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("there is no {0}")]
    NotFound(String),
    #[error("{message}")]
    Invalid {
        message: String,
        /// The argument that is wrong, when it is one.
        field: Option<&'static str>,
        /// Where in a definition.
        diagnostics: Vec<Diagnostic>,
    },
    #[error("there is {what} `{name}` already")]
    NameTaken { what: &'static str, name: String },
    #[error("{0}")]
    Conflict(String),
    #[error("this needs the role `{}`; yours is `{}`", .needs.name(), .has.name())]
    Forbidden { needs: Role, has: Role },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Refusal {
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into(), field: None, diagnostics: Vec::new() }
    }

    /// What is wrong with one argument.
    pub fn of_field(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into(), field: Some(field), diagnostics: Vec::new() }
    }

    fn name_taken(what: &'static str, name: &str) -> Self {
        Self::NameTaken { what, name: name.to_owned() }
    }
}

/// Something that a person may be looking at has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    Execution(GroupId),
    Campaign(CampaignId),
    Actions,
    Site,
}

/// Everything that requests and reconcilers share.
pub struct Service {
    pub dispatcher: Dispatcher,
    pub cas: Arc<Cas>,
    pub store: Arc<dyn Store>,
    pub searcher: Arc<Searcher>,
    /// Where people find the server, for links.
    pub url: String,
    vault: Vault,
    clock: Box<dyn Clock>,
    connect: Connect,
    connected: hosts::Connected,
    changed: broadcast::Sender<Changed>,
    /// Rung when a patch set, a campaign or a changeset may need work.
    work: Notify,
    /// Rung when a schedule or a saved search changed.
    triggers: Notify,
    /// Rung when repositories may need a fetch.
    fetch: Notify,
    /// Changesets that a worker has.
    in_hand: Mutex<HashSet<ChangesetId>>,
    repositories_bytes_max: u64,
    turns: Arc<Semaphore>,
    searches: Arc<Semaphore>,
}

/// What a [`Service`] is made of.
pub struct Parts {
    pub dispatcher: Dispatcher,
    pub cas: Arc<Cas>,
    pub store: Arc<dyn Store>,
    pub searcher: Arc<Searcher>,
    pub url: String,
    pub vault: Vault,
    pub clock: Box<dyn Clock>,
    pub connect: Connect,
    /// Most bytes of mirrors.
    pub repositories_bytes_max: u64,
}

impl Service {
    pub fn new(parts: Parts) -> Arc<Self> {
        let (changed, _) = broadcast::channel(1024);
        Arc::new(Self {
            dispatcher: parts.dispatcher,
            cas: parts.cas,
            store: parts.store,
            searcher: parts.searcher,
            url: parts.url,
            vault: parts.vault,
            clock: parts.clock,
            connect: parts.connect,
            connected: hosts::Connected::default(),
            changed,
            work: Notify::new(),
            triggers: Notify::new(),
            fetch: Notify::new(),
            in_hand: Mutex::default(),
            repositories_bytes_max: parts.repositories_bytes_max,
            turns: Arc::new(Semaphore::new(BLOCKING_MAX)),
            searches: Arc::new(Semaphore::new(SEARCHES_MAX)),
        })
    }

    /// Starts the reconcilers. They end when `stop` does.
    pub fn start(self: &Arc<Self>, stop: &tokio_util::sync::CancellationToken) {
        let spawn = |name: &'static str, run: fn(Arc<Self>) -> BoxFuture<'static, ()>| {
            let (stop, service) = (stop.clone(), self.clone());
            tokio::spawn(async move {
                loop {
                    let task = AbortOnDropHandle::new(tokio::spawn(run(service.clone())));
                    let Some(ended) = stop.run_until_cancelled(task).await else { return };
                    // A mistake of ours must not stop the work for good; what it left is looked at anew.
                    if ended.is_err_and(|error| error.is_panic()) {
                        tracing::error!("the reconciler of {name} failed and starts again");
                    }
                    tokio::time::sleep(RESTART_PAUSE).await;
                }
            });
        };
        spawn("executions", |it| Box::pin(finish::run(it)));
        spawn("campaigns", |it| Box::pin(work::run(it)));
        spawn("triggers", |it| Box::pin(triggers::run(it)));
        spawn("code hosts", |it| Box::pin(hosts::run(it)));
    }

    /// Rings when something that fits has changed, from now on.
    pub fn rings(&self, fits: impl Fn(Changed) -> bool + Send + 'static) -> BoxStream<'static, ()> {
        rings::rings(self.changed.subscribe(), fits).boxed()
    }

    pub fn now(&self) -> WallMs {
        self.clock.now().wall
    }

    fn tell(&self, changed: Changed) {
        // Nobody looks: that is fine.
        let _ = self.changed.send(changed);
    }

    /// Runs what blocks, as every call of the store does. As many as ask get their turn, not a thread and a connection each:
    /// what a thread has freed stays with it, and with hundreds of them that is gigabytes.
    pub async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        run: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> T {
        self.in_turn(&self.turns, run).await
    }

    /// The same for what may take seconds: nothing short waits behind it.
    pub async fn searching<T: Send + 'static>(
        self: &Arc<Self>,
        run: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> T {
        self.in_turn(&self.searches, run).await
    }

    async fn in_turn<T: Send + 'static>(
        self: &Arc<Self>,
        turns: &Arc<Semaphore>,
        run: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> T {
        let turn = turns.clone().acquire_owned().await.expect("it is never closed");
        let service = self.clone();
        // The turn ends with the work: whoever asked may be gone before it.
        let done = tokio::task::spawn_blocking(move || {
            let done = run(&service);
            drop(turn);
            done
        })
        .await;
        done.expect("what runs here does not panic, and the runtime outlives it")
    }
}

impl Caller {
    /// Whoever has the server's own token.
    pub fn operator() -> Self {
        Self { name: "local".to_owned(), role: Role::Admin }
    }

    /// Refuses whoever has a smaller role.
    pub fn needs(&self, role: Role) -> Result<(), Refusal> {
        if self.role >= role {
            return Ok(());
        }
        Err(Refusal::Forbidden { needs: role, has: self.role })
    }
}

/// A name that people type and that stands in URLs.
fn check_name(what: &str, name: &str) -> Result<(), Refusal> {
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    // Where others have their page, this is the form.
    if name == "new" {
        return Err(Refusal::of_field("name", "`new` is reserved; use another name"));
    }
    if !name.is_empty() && name.len() <= 128 && name.chars().all(fine) {
        return Ok(());
    }
    let shown: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
    let message = format!(
        "`{shown}` is not a name of {what}: use up to 128 letters, digits, `.`, `_` and `-`"
    );
    Err(Refusal::of_field("name", message))
}
