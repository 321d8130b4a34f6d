//! The server's repositories: a folder each, with a file that says where it comes from and maybe a mirror.
//!
//! What is known of all of them is kept in memory too, so that lists and searches open no file.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::limit;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use super::command::{GitError, Remote, output, without_password};

/// Where a repository comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// On this host; its objects are used where they are.
    Path(PathBuf),
    /// Cloned into a mirror, fetched when something is not there.
    Url(String),
    /// Sent as a bundle by a client.
    Uploaded,
}

impl Source {
    /// Whether both name the same repository, perhaps with other credentials.
    fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Url(one), Self::Url(two)) => Remote::new(one).url == Remote::new(two).url,
            _ => self == other,
        }
    }
}

/// Without credentials.
impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => write!(f, "the folder `{}`", path.display()),
            Self::Url(url) => write!(f, "`{}`", without_password(url)),
            Self::Uploaded => f.write_str("sent by a client"),
        }
    }
}

/// A repository and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Repository {
    pub name: String,
    pub source: Source,
    /// The code host that lists it, if one does.
    #[serde(default)]
    pub host: Option<HostLink>,
    #[serde(default)]
    pub facts: Facts,
    #[serde(default)]
    pub sync: Sync,
}

/// How a repository hangs on a code host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostLink {
    /// Our number of the host.
    pub code_host: u64,
    /// The host's of the repository.
    pub external_id: String,
    /// Without credentials.
    pub clone_url: String,
}

/// What a code host says of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Facts {
    pub fork: bool,
    pub archived: bool,
    pub private: bool,
    pub topics: Vec<String>,
    pub description: String,
    pub web_url: Option<String>,
}

/// How the last fetch went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Sync {
    /// When the mirror was last as the origin.
    pub fetched_ms: Option<u64>,
    pub error: Option<String>,
    /// What its folder takes of the disk.
    pub bytes: u64,
}

/// A revision that is pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The branch's short name, or what was asked for.
    pub branch: String,
    pub commit: String,
}

/// Why a repository was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    #[error("`{name}` is not a repository name: use letters, digits, `.`, `_`, `-`, `:` and `/`")]
    BadName { name: String },
    #[error("the repository `{name}` is another one already: {known}")]
    Taken { name: String, known: Source },
    #[error("`{path}` is not a git repository")]
    NotARepository { path: PathBuf },
    #[error("keep the repository `{name}`")]
    Io {
        name: String,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Git(#[from] GitError),
}

/// All repositories of a data directory.
#[derive(Debug)]
pub struct Repositories {
    root: PathBuf,
    known: RwLock<BTreeMap<String, Arc<Repository>>>,
    /// One fetch of a repository at a time.
    locks: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Repositories {
    pub fn open(root: &Path) -> std::io::Result<Self> {
        let all = Self {
            root: root.to_owned(),
            known: RwLock::default(),
            locks: Mutex::new(HashMap::new()),
        };
        // What was on its way when an earlier process ended.
        match fs::remove_dir_all(all.incoming()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(all.incoming())?;
        let mut known = BTreeMap::new();
        for folder in fs::read_dir(root)? {
            let text = fs::read(folder?.path().join("repository.json")).ok();
            if let Some(repository) =
                text.and_then(|text| serde_json::from_slice::<Repository>(&text).ok())
            {
                known.insert(repository.name.clone(), Arc::new(repository));
            }
        }
        *all.known.write() = known;
        Ok(all)
    }

    /// A folder for bundles that are not here whole.
    pub fn incoming(&self) -> PathBuf {
        // `%` is never followed by these in the folder of a repository.
        self.root.join("%incoming")
    }

    /// A repository's folder, which may not be there.
    pub(super) fn folder(&self, name: &str) -> PathBuf {
        // A colon would part paths in git's environment.
        self.root.join(name.replace('%', "%25").replace('/', "%2F").replace(':', "%3A"))
    }

    pub fn get(&self, name: &str) -> Option<Arc<Repository>> {
        self.known.read().get(name).cloned()
    }

    pub fn source(&self, name: &str) -> Option<Source> {
        self.get(name).map(|repository| repository.source.clone())
    }

    /// All, in order of name.
    pub fn list(&self) -> Vec<Arc<Repository>> {
        self.known.read().values().cloned().collect()
    }

    /// The git directory with the repository's objects.
    pub fn git_dir(&self, name: &str) -> Option<PathBuf> {
        Some(match self.source(name)? {
            Source::Path(path) => path,
            Source::Url(_) | Source::Uploaded => self.folder(name).join("mirror.git"),
        })
    }

    pub(super) fn lock(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        self.locks.lock().entry(name.to_owned()).or_default().clone()
    }

    /// Makes a repository known. The same again is fine.
    pub async fn add(&self, name: &str, source: Source) -> Result<(), AddError> {
        let mut repository = Repository {
            name: name.to_owned(),
            source,
            host: None,
            facts: Facts::default(),
            sync: Sync::default(),
        };
        if let Some(known) = self.get(name) {
            if known.source == repository.source {
                return Ok(());
            }
            if !known.source.is_same_place(&repository.source) {
                let known = known.source.clone();
                return Err(AddError::Taken { name: name.to_owned(), known });
            }
            repository = Repository { source: repository.source, ..(*known).clone() };
        }
        self.put(repository).await
    }

    /// Writes a repository down, whatever was known under its name.
    pub async fn put(&self, repository: Repository) -> Result<(), AddError> {
        let name = repository.name.clone();
        if !name_is_good(&name) {
            return Err(AddError::BadName { name });
        }
        match &repository.source {
            Source::Path(path) => {
                // Whether git can read it is found when a revision is pinned.
                let bare = path.join("HEAD").is_file() && path.join("objects").is_dir();
                if !bare && !path.join(".git").exists() {
                    return Err(AddError::NotARepository { path: path.clone() });
                }
            }
            Source::Url(url) => {
                if url.starts_with('-') || url.contains("::") || url.chars().any(char::is_control) {
                    return Err(GitError::Refused(format!("`{url}` is not a git URL")).into());
                }
            }
            Source::Uploaded => {}
        }
        let fail = |error| AddError::Io { name: name.clone(), source: error };
        let folder = self.folder(&name);
        fs::create_dir_all(&folder).map_err(fail)?;
        if !matches!(repository.source, Source::Path(_)) && !folder.join("mirror.git").exists() {
            output(&folder, &["init", "--quiet", "--bare", "mirror.git"]).await?;
        }
        self.write(&repository).map_err(fail)?;
        self.known.write().insert(name, Arc::new(repository));
        Ok(())
    }

    fn write(&self, repository: &Repository) -> std::io::Result<()> {
        let folder = self.folder(&repository.name);
        let text = serde_json::to_vec(repository).expect("a repository is JSON");
        let temporary = folder.join("repository.json.new");
        fs::write(&temporary, text)?;
        fs::rename(&temporary, folder.join("repository.json"))
    }

    /// Keeps how a fetch went. Losing it costs a fetch, so a disk that refuses it is not an error.
    pub(super) fn note_sync(&self, name: &str, sync: Sync) {
        let mut known = self.known.write();
        let Some(repository) = known.get_mut(name) else { return };
        let changed = Repository { sync, ..(**repository).clone() };
        if let Err(error) = self.write(&changed) {
            tracing::warn!("failed to keep the state of the repository `{name}`: {error}");
        }
        *repository = Arc::new(changed);
    }

    /// Gives a repository another name. Its mirror stays.
    pub async fn rename(&self, from: &str, to: &str) -> Result<(), AddError> {
        if !name_is_good(to) {
            return Err(AddError::BadName { name: to.to_owned() });
        }
        let Some(known) = self.get(from) else { return Ok(()) };
        if let Some(other) = self.get(to) {
            return Err(AddError::Taken { name: to.to_owned(), known: other.source.clone() });
        }
        let lock = self.lock(from);
        let _held = lock.lock().await;
        let fail = |error| AddError::Io { name: to.to_owned(), source: error };
        let repository = Repository { name: to.to_owned(), ..(*known).clone() };
        fs::rename(self.folder(from), self.folder(to)).map_err(fail)?;
        self.write(&repository).map_err(fail)?;
        let mut known = self.known.write();
        known.remove(from);
        known.insert(to.to_owned(), Arc::new(repository));
        Ok(())
    }

    /// Forgets a repository and removes its mirror.
    pub async fn remove(&self, name: &str) -> std::io::Result<()> {
        let lock = self.lock(name);
        let _held = lock.lock().await;
        self.known.write().remove(name);
        self.locks.lock().remove(name);
        match fs::remove_dir_all(self.folder(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn name_is_good(name: &str) -> bool {
    let fine =
        |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '+' | '~' | '@' | ':');
    !name.is_empty()
        && name.len() <= limit::DIMENSION_BYTES - 32
        && name.chars().all(fine)
        && name
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != ".." && !part.starts_with('-'))
}
