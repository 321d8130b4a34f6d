//! Code hosts: connected when needed, their repositories listed and mirrored.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use codehost::git::{AddError, Facts, HostLink, Repository, Source};
use codehost::{
    CodeHost, ConnectError, Credential, GitAccess, HostError, HostEvent, Kind, ListedRepository,
    Settings,
};
use futures::StreamExt;
use model::{CodeHostId, WallMs};
use parking_lot::Mutex;

use super::{Caller, Changed, Refusal, Service};
use crate::site::{CodeHostRow, Role};

/// How settings and a credential become a code host. The wiring passes [`codehost`]'s own.
pub type Connect =
    Box<dyn Fn(&Settings, Credential) -> Result<Arc<dyn CodeHost>, ConnectError> + Send + Sync>;

/// How often a host is listed, and a mirror fetched, when no webhook says that it must be.
const LIST_EVERY_MS: u64 = 30 * 60 * 1000;
const FETCH_EVERY_MS: u64 = 5 * 60 * 1000;
/// How long after a fetch that failed another is tried.
const FETCH_AGAIN_MS: u64 = 60 * 1000;
const FETCHES_AT_ONCE: usize = 4;
const LOOK_EVERY: Duration = Duration::from_secs(20);

type KnownHost = (CodeHostRow, Arc<dyn CodeHost>);

/// Hosts that are connected, with what they were connected by.
#[derive(Default)]
pub(super) struct Connected {
    hosts: Mutex<HashMap<CodeHostId, KnownHost>>,
    syncing: Mutex<BTreeSet<CodeHostId>>,
    /// When a fetch of a repository failed last; those that must be fetched now have none.
    tried: Mutex<HashMap<String, WallMs>>,
    asked: Mutex<BTreeSet<String>>,
}

/// A code host as a person adds or changes it.
#[derive(Clone, Debug)]
pub struct CodeHostChange {
    pub name: String,
    pub settings: Settings,
    /// `None` keeps the one that is there.
    pub credential: Option<Credential>,
}

/// How a repository is reached.
#[derive(Clone)]
pub(super) struct Reached {
    pub host: Arc<dyn CodeHost>,
    /// What the host calls it.
    pub name: String,
    pub clone_url: String,
}

pub(super) async fn run(service: Arc<Service>) {
    loop {
        if let Err(error) = service.sync_all().await {
            tracing::error!("failed to look after code hosts: {error}");
        }
        service.fetch_all().await;
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = service.fetch.notified() => {}
        }
    }
}

fn place(name: &str) -> String {
    format!("code host/{name}")
}

/// The argument that keeps a host from being connected.
fn field_of(error: &ConnectError) -> Option<&'static str> {
    match error {
        ConnectError::BadUrl { .. } | ConnectError::CredentialInUrl => Some("url"),
        ConnectError::BadGlob { .. } => Some("exclude"),
        ConnectError::BadKey(_) => Some("privateKey"),
        ConnectError::BadCredential { .. } | ConnectError::Client(_) => None,
    }
}

impl Service {
    pub async fn add_code_host(
        self: &Arc<Self>,
        caller: &Caller,
        new: CodeHostChange,
    ) -> Result<CodeHostRow, Refusal> {
        caller.needs(Role::Admin)?;
        super::check_name("a code host", &new.name)?;
        let credential = new.credential.unwrap_or(Credential::None);
        let row = self.row(CodeHostId(0), &new.name, new.settings, &credential)?;
        let name = new.name.clone();
        let made = self.blocking(move |it| it.store.create_code_host(&row)).await?;
        let made = made.ok_or_else(|| Refusal::name_taken("a code host", &name))?;
        self.fetch.notify_one();
        self.tell(Changed::Site);
        Ok(made)
    }

    pub async fn update_code_host(
        self: &Arc<Self>,
        caller: &Caller,
        id: CodeHostId,
        new: CodeHostChange,
    ) -> Result<CodeHostRow, Refusal> {
        caller.needs(Role::Admin)?;
        super::check_name("a code host", &new.name)?;
        let known = self.code_host(id).await?;
        let credential = match new.credential {
            Some(credential) => credential,
            None => self.credential(&known)?,
        };
        let mut row = self.row(id, &new.name, new.settings, &credential)?;
        row.webhook_secret = known.webhook_secret;
        let name = new.name.clone();
        if !self.blocking(move |it| it.store.update_code_host(&row)).await? {
            return Err(Refusal::name_taken("a code host", &name));
        }
        self.fetch.notify_one();
        self.tell(Changed::Site);
        self.code_host(id).await
    }

    pub async fn delete_code_host(
        self: &Arc<Self>,
        caller: &Caller,
        id: CodeHostId,
    ) -> Result<(), Refusal> {
        caller.needs(Role::Admin)?;
        if !self.blocking(move |it| it.store.delete_code_host(id)).await? {
            return Err(Refusal::NotFound(format!("code host {id}")));
        }
        for repository in self.searcher.repositories().list() {
            if repository.host.as_ref().is_some_and(|link| link.code_host == id.0) {
                self.forget(&repository.name).await;
            }
        }
        self.tell(Changed::Site);
        Ok(())
    }

    /// Lists a host's repositories now.
    pub async fn sync_code_host(
        self: &Arc<Self>,
        caller: &Caller,
        id: CodeHostId,
    ) -> Result<CodeHostRow, Refusal> {
        caller.needs(Role::User)?;
        let row = self.code_host(id).await?;
        self.sync(&row).await?;
        self.fetch.notify_one();
        self.code_host(id).await
    }

    /// Fetches a repository now.
    pub async fn sync_repository(
        self: &Arc<Self>,
        caller: &Caller,
        name: &str,
    ) -> Result<(), Refusal> {
        caller.needs(Role::User)?;
        let unknown = || Refusal::NotFound(format!("repository `{name}`"));
        self.searcher.repositories().get(name).ok_or_else(unknown)?;
        self.fetch_one(name.to_owned()).await;
        Ok(())
    }

    pub async fn code_host(self: &Arc<Self>, id: CodeHostId) -> Result<CodeHostRow, Refusal> {
        let row = self.blocking(move |it| it.store.code_host(id)).await?;
        row.ok_or_else(|| Refusal::NotFound(format!("code host {id}")))
    }

    pub fn is_syncing(&self, id: CodeHostId) -> bool {
        self.connected.syncing.lock().contains(&id)
    }

    /// How long a host lets us wait now.
    pub fn host_waits(&self, id: CodeHostId) -> Option<Duration> {
        self.connected.hosts.lock().get(&id)?.1.waiting()
    }

    fn row(
        &self,
        id: CodeHostId,
        name: &str,
        settings: Settings,
        credential: &Credential,
    ) -> Result<CodeHostRow, Refusal> {
        (self.connect)(&settings, credential.clone()).map_err(|error| Refusal::Invalid {
            message: error.to_string(),
            field: field_of(&error),
            diagnostics: Vec::new(),
        })?;
        let secret = serde_json::to_vec(credential).expect("a credential is JSON");
        Ok(CodeHostRow {
            id,
            name: name.to_owned(),
            settings,
            credential: self.vault.seal(&place(name), &secret),
            has_credential: *credential != Credential::None,
            webhook_secret: hex::encode(rand::random::<[u8; 20]>()),
            created: self.now(),
            last_sync: None,
            sync_error: None,
            who: None,
        })
    }

    fn credential(&self, row: &CodeHostRow) -> Result<Credential, Refusal> {
        let opened = self.vault.open(&place(&row.name), &row.credential);
        let opened = opened.map_err(|error| Refusal::Conflict(error.to_string()))?;
        let read = serde_json::from_slice(&opened);
        read.map_err(|_| Refusal::Conflict("a credential is damaged; set it again".to_owned()))
    }

    /// The host of a row, connected once as long as the row stays as it is: its limiter is one for all.
    fn connect(&self, row: &CodeHostRow) -> Result<Arc<dyn CodeHost>, Refusal> {
        let mut hosts = self.connected.hosts.lock();
        if let Some((known, host)) = hosts.get(&row.id)
            && known.settings == row.settings
            && known.credential == row.credential
        {
            return Ok(host.clone());
        }
        let host = (self.connect)(&row.settings, self.credential(row)?)
            .map_err(|error| Refusal::invalid(error.to_string()))?;
        hosts.insert(row.id, (row.clone(), host.clone()));
        Ok(host)
    }

    /// How a repository is reached: through its code host, or as it was made known.
    pub(super) async fn reach(self: &Arc<Self>, name: &str) -> Result<Reached, Refusal> {
        let unknown = || Refusal::NotFound(format!("repository `{name}`"));
        let repository = self.searcher.repositories().get(name).ok_or_else(unknown)?;
        let Some(link) = &repository.host else {
            let url = match &repository.source {
                Source::Url(url) => url.clone(),
                Source::Path(path) => path.display().to_string(),
                Source::Uploaded => {
                    return Err(Refusal::invalid(format!(
                        "`{name}` was sent by a client, so that there is nowhere to push to; add its code host"
                    )));
                }
            };
            let (url, credential) = codehost::git::split_credentials(&url);
            let settings = Settings {
                kind: Kind::Git,
                url: String::new(),
                include: vec![url.clone()],
                exclude: Vec::new(),
            };
            let host = (self.connect)(&settings, credential)
                .map_err(|error| Refusal::invalid(error.to_string()))?;
            return Ok(Reached { host, name: url.clone(), clone_url: url });
        };
        let row = self.code_host(CodeHostId(link.code_host)).await?;
        let host = self.connect(&row)?;
        let on_host = match row.settings.kind {
            Kind::Git => link.clone_url.clone(),
            _ => name.split_once('/').map_or(name, |(_, rest)| rest).to_owned(),
        };
        Ok(Reached { host, name: on_host, clone_url: link.clone_url.clone() })
    }

    /// Lists the hosts whose list is old.
    async fn sync_all(self: &Arc<Self>) -> Result<(), Refusal> {
        let now = self.now();
        for row in self.blocking(|it| it.store.code_hosts()).await? {
            let due = row.last_sync.is_none_or(|last| last.0 + LIST_EVERY_MS <= now.0);
            if due && let Err(error) = self.sync(&row).await {
                tracing::warn!("failed to list the code host `{}`: {error}", row.name);
            }
        }
        Ok(())
    }

    async fn sync(self: &Arc<Self>, row: &CodeHostRow) -> Result<(), Refusal> {
        if !self.connected.syncing.lock().insert(row.id) {
            return Ok(());
        }
        let listed = self.list(row).await;
        self.connected.syncing.lock().remove(&row.id);
        let (error, who) = match listed {
            Ok(who) => (None, who),
            Err(error) => (Some(error.to_string()), None),
        };
        let (id, now) = (row.id, self.now());
        self.blocking(move |it| {
            it.store.put_code_host_sync(id, error.as_deref(), who.as_deref(), now)
        })
        .await?;
        self.tell(Changed::Site);
        Ok(())
    }

    async fn list(self: &Arc<Self>, row: &CodeHostRow) -> Result<Option<String>, Refusal> {
        let host = self.connect(row)?;
        let fail = |error: HostError| Refusal::Conflict(error.to_string());
        let who = if row.has_credential { Some(host.who().await.map_err(fail)?) } else { None };
        let listed = host.list().await.map_err(fail)?;
        let all = self.searcher.repositories();
        let mut mine: BTreeMap<String, Arc<Repository>> = all
            .list()
            .into_iter()
            .filter_map(|repository| {
                let link = repository.host.clone().filter(|link| link.code_host == row.id.0)?;
                Some((link.external_id, repository))
            })
            .collect();
        if listed.is_empty() && !mine.is_empty() {
            // More likely a right that was taken away than all repositories gone.
            return Err(Refusal::Conflict(format!(
                "the host lists no repository any more; the {} that are known are kept",
                mine.len()
            )));
        }
        // What is gone first: its name may be another's now.
        let ids: BTreeSet<&str> = listed.iter().map(|it| it.external_id.as_str()).collect();
        for gone in mine.values().filter(|it| {
            it.host.as_ref().is_some_and(|link| !ids.contains(link.external_id.as_str()))
        }) {
            self.forget(&gone.name).await;
        }
        let mut refused = Vec::new();
        for repository in listed {
            let known = mine.remove(&repository.external_id);
            match self.take(row.id, repository, known).await {
                Err(error @ Refusal::Store(_)) => return Err(error),
                Err(error) => refused.push(error.to_string()),
                Ok(()) => {}
            }
        }
        match &refused[..] {
            [] => Ok(who),
            [first, rest @ ..] => Err(Refusal::Conflict(match rest.len() {
                0 => first.clone(),
                more => format!("{first} (and {more} more repositories that cannot be taken)"),
            })),
        }
    }

    async fn take(
        self: &Arc<Self>,
        host: CodeHostId,
        listed: ListedRepository,
        known: Option<Arc<Repository>>,
    ) -> Result<(), Refusal> {
        let all = self.searcher.repositories();
        let fail = |error: AddError| Refusal::Conflict(error.to_string());
        if let Some(known) = &known
            && known.name != listed.name
        {
            if let Some(other) = all.get(&listed.name) {
                let known = other.source.clone();
                return Err(fail(AddError::Taken { name: listed.name, known }));
            }
            // The changesets first: a sync after a crash finds the old name here, and does the rest.
            let (from, to) = (known.name.clone(), listed.name.clone());
            self.blocking(move |it| it.store.rename_repository(&from, &to)).await?;
            all.rename(&known.name, &listed.name).await.map_err(fail)?;
        }
        let is_local = listed.clone_url.starts_with('/');
        let source = if is_local {
            Source::Path(listed.clone_url.clone().into())
        } else {
            Source::Url(listed.clone_url.clone())
        };
        let before = all.get(&listed.name);
        let taken = match before.as_ref().and_then(|before| before.host.as_ref()) {
            // Another host's, while there is that host.
            Some(link) if link.code_host != host.0 => {
                let other = CodeHostId(link.code_host);
                self.blocking(move |it| it.store.code_host(other)).await?.is_some()
            }
            Some(_) => false,
            None => before.as_ref().is_some_and(|before| before.source != source),
        };
        if let Some(other) = before.as_ref().filter(|_| taken) {
            let known = other.source.clone();
            return Err(fail(AddError::Taken { name: listed.name, known }));
        }
        let repository = Repository {
            name: listed.name,
            source,
            host: Some(HostLink {
                code_host: host.0,
                external_id: listed.external_id,
                clone_url: listed.clone_url,
            }),
            facts: Facts {
                fork: listed.fork,
                archived: listed.archived,
                private: listed.private,
                topics: listed.topics,
                description: listed.description,
                web_url: listed.web_url,
            },
            sync: before.as_ref().map(|before| before.sync.clone()).unwrap_or_default(),
        };
        if before.is_some_and(|before| *before == repository) {
            return Ok(());
        }
        self.triggers.notify_one();
        all.put(repository).await.map_err(fail)
    }

    async fn forget(&self, name: &str) {
        if let Err(error) = self.searcher.repositories().remove(name).await {
            tracing::warn!("failed to remove the repository `{name}`: {error}");
        }
        self.triggers.notify_one();
    }

    /// Fetches the mirrors that are old, never fetched, or asked for.
    async fn fetch_all(self: &Arc<Self>) {
        let now = self.now();
        let asked = std::mem::take(&mut *self.connected.asked.lock());
        let due = self.searcher.repositories().list().into_iter().filter(|repository| {
            let old = repository.sync.fetched_ms.is_none_or(|at| at + FETCH_EVERY_MS <= now.0);
            let tried = self.connected.tried.lock().get(&repository.name).copied();
            let rested = tried.is_none_or(|at| at.0 + FETCH_AGAIN_MS <= now.0);
            let mirrored = matches!(repository.source, Source::Url(_)) && repository.host.is_some();
            mirrored && (asked.contains(&repository.name) || (old && rested))
        });
        let names: Vec<String> = due.map(|repository| repository.name.clone()).collect();
        let fetches = names.into_iter().map(|name| self.fetch_one(name));
        futures::stream::iter(fetches).buffer_unordered(FETCHES_AT_ONCE).collect::<()>().await;
    }

    async fn fetch_one(self: &Arc<Self>, name: String) {
        let all = self.searcher.repositories();
        let head = all.resolve(&name, None).await.ok();
        self.connected.tried.lock().insert(name.clone(), self.now());
        let fetched = match self.access(&name).await {
            Ok(access) => {
                let room = self.repositories_bytes_max;
                all.refresh_within(&name, access.as_ref(), room).await
            }
            Err(error) => {
                all.note_failure(&name, &error.to_string());
                return self.tell(Changed::Site);
            }
        };
        if fetched.is_ok() {
            self.connected.tried.lock().remove(&name);
            if all.resolve(&name, None).await.ok() != head {
                self.triggers.notify_one();
            }
        }
        self.tell(Changed::Site);
    }

    /// How git reaches a repository of a code host; nothing for one without a host, whose URL says it.
    async fn access(self: &Arc<Self>, name: &str) -> Result<Option<GitAccess>, Refusal> {
        let repository = self.searcher.repositories().get(name);
        if repository.is_none_or(|repository| repository.host.is_none()) {
            return Ok(None);
        }
        let reached = self.reach(name).await?;
        let access = reached.host.git_access(&reached.clone_url).await;
        access.map(Some).map_err(|error| Refusal::Conflict(error.to_string()))
    }

    /// Takes a delivery of a code host's webhook: what it is about is looked at soon.
    pub async fn webhook(
        self: &Arc<Self>,
        id: CodeHostId,
        headers: &http::HeaderMap,
        body: &[u8],
    ) -> Result<(), Refusal> {
        let row = self.code_host(id).await?;
        let host = self.connect(&row)?;
        let event = host
            .webhook(headers, body, &row.webhook_secret)
            .map_err(|error| Refusal::invalid(error.to_string()))?;
        let full = |on_host: &str| {
            let all = self.searcher.repositories().list();
            let of_host = all.into_iter().find(|repository| {
                let mine = repository.host.as_ref().is_some_and(|link| link.code_host == id.0);
                mine && repository.name.split_once('/').is_some_and(|(_, rest)| rest == on_host)
            });
            of_host.map(|repository| repository.name.clone())
        };
        match event {
            None => {}
            Some(HostEvent::Repositories) => {
                self.sync(&row).await?;
                self.fetch.notify_one();
            }
            Some(HostEvent::Pushed { repository }) => {
                if let Some(name) = full(&repository) {
                    self.look_soon(&name, None).await?;
                    self.connected.asked.lock().insert(name);
                    self.fetch.notify_one();
                }
            }
            Some(HostEvent::PullRequest { repository, external_id }) => {
                if let Some(name) = full(&repository) {
                    self.look_soon(&name, Some(external_id)).await?;
                }
            }
            Some(HostEvent::Checks { repository, .. }) => {
                if let Some(name) = full(&repository) {
                    self.look_soon(&name, None).await?;
                }
            }
        }
        Ok(())
    }
}
