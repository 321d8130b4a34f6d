//! Plain git as a host: repositories by URL, and folders of this machine. There are no pull requests.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use globset::GlobSet;
use http::HeaderMap;
use url::Url;

use super::command::without_password;
use crate::connect::ConnectError;
use crate::place::{authority, globs};
use crate::{
    CodeHost, Credential, GitAccess, HostError, HostEvent, Kind, ListedRepository, MergeMethod,
    NewPullRequest, PullRequest, PullRequestUpdate, Settings,
};

/// How deep repositories of a folder are looked for.
const DEPTH: usize = 4;
/// Most folders that are looked into.
const FOLDERS: usize = 100_000;

#[derive(Clone)]
pub(crate) struct PlainGit {
    /// What errors call it.
    shown: String,
    /// Repositories of folders are fetched from below this URL and pushed there; from the folder itself when it is empty.
    url: String,
    include: Vec<String>,
    exclude: GlobSet,
    /// The credential is for these `host[:port]` only.
    trusted: Vec<(String, String)>,
    user: String,
    authorization: Option<String>,
}

impl PlainGit {
    pub fn new(settings: &Settings, credential: Credential) -> Result<Self, ConnectError> {
        let url = settings.url.trim().trim_end_matches('/');
        let mut include = Vec::new();
        for entry in &settings.include {
            // Neither a folder nor a URL: it continues the prefix.
            let is_whole = entry.starts_with('/') || place_of(entry).is_some();
            include.push(match is_whole || url.is_empty() {
                true => entry.trim().to_owned(),
                false => format!("{url}/{}", entry.trim()),
            });
        }
        let urls = include.iter().map(String::as_str).chain([url]);
        let parsed: Vec<Url> = urls.filter_map(|url| Url::parse(url).ok()).collect();
        let is_web = |url: &Url| matches!(url.scheme(), "http" | "https");
        let has_secret =
            |url: &Url| url.password().is_some() || is_web(url) && !url.username().is_empty();
        if parsed.iter().any(has_secret) {
            return Err(ConnectError::CredentialInUrl);
        }
        let (user, pair) = match credential {
            Credential::None => ("nobody".to_owned(), None),
            Credential::Token { token } => {
                ("a token".to_owned(), Some(format!("x-access-token:{token}")))
            }
            Credential::Basic { user, password } => {
                let pair = format!("{user}:{password}");
                (user, Some(pair))
            }
            Credential::App { .. } => {
                let instead = "a token, or a user and a password";
                return Err(ConnectError::BadCredential { kind: "plain git", instead });
            }
        };
        let origin = |url: &Url| Some((url.scheme().to_owned(), authority(url)?));
        Ok(Self {
            url: url.to_owned(),
            shown: if url.is_empty() { "plain git".to_owned() } else { without_password(url) },
            include,
            exclude: globs(&settings.exclude)?,
            trusted: parsed.iter().filter(|url| is_web(url)).filter_map(origin).collect(),
            user,
            authorization: pair.map(|pair| format!("Basic {}", STANDARD.encode(pair))),
        })
    }

    fn unsupported<T>(&self) -> Result<T, HostError> {
        Err(HostError::Unsupported { host: self.shown.clone(), what: "pull requests" })
    }

    fn look(&self) -> Result<Vec<ListedRepository>, HostError> {
        let mut all = Vec::new();
        for entry in &self.include {
            let path = Path::new(entry.strip_prefix("file://").unwrap_or(entry));
            if path.is_absolute() {
                self.look_into(path, &mut all)?;
            } else if let Some(name) = place_of(entry) {
                all.push(listed(name, entry.clone(), None));
            } else {
                return Err(self.refused(format!(
                    "`{entry}` in `include` is neither a repository's URL nor a folder's whole path"
                )));
            }
        }
        all.retain(|repository| !self.exclude.is_match(&repository.name));
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all.dedup_by(|later, first| {
            let same = later.name == first.name;
            if same && later.clone_url != first.clone_url {
                let (one, other) = (&first.clone_url, &later.clone_url);
                tracing::warn!("`{one}` and `{other}` have the same name; the second is left out");
            }
            same
        });
        Ok(all)
    }

    fn look_into(&self, root: &Path, all: &mut Vec<ListedRepository>) -> Result<(), HostError> {
        if is_repository(root) {
            let name = root.file_name().unwrap_or(root.as_os_str()).to_string_lossy();
            all.push(self.in_folder(root, &name));
            return Ok(());
        }
        let mut left = vec![(root.to_owned(), 0)];
        let mut seen = 0;
        while let Some((folder, depth)) = left.pop() {
            seen += 1;
            if seen > FOLDERS {
                let root = root.display();
                return Err(self.refused(format!("`{root}` holds more than {FOLDERS} folders")));
            }
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if depth == 0 => {
                    return Err(self.refused(format!("look into `{}`: {error}", root.display())));
                }
                // One that cannot be read does not hide the others.
                Err(_) => continue,
            };
            for entry in entries.flatten() {
                // A link is not followed: it may lead in a circle.
                if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    continue;
                }
                let path = entry.path();
                if is_repository(&path) {
                    let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy();
                    all.push(self.in_folder(&path, &name));
                } else if depth + 1 < DEPTH {
                    left.push((path, depth + 1));
                }
            }
        }
        Ok(())
    }

    /// `name` is the path below the folder.
    fn in_folder(&self, path: &Path, name: &str) -> ListedRepository {
        let heads: [PathBuf; 2] = [path.join(".git/HEAD"), path.join("HEAD")];
        let head = heads.iter().find_map(|head| fs::read_to_string(head).ok()).unwrap_or_default();
        let branch = head.trim().strip_prefix("ref: refs/heads/").map(str::to_owned);
        let place = match Url::parse(&self.url) {
            _ if self.url.is_empty() => path.to_string_lossy().into_owned(),
            Ok(mut url) if !url.cannot_be_a_base() => {
                url.path_segments_mut()
                    .expect("it can be a base")
                    .pop_if_empty()
                    .extend(name.split('/'));
                url.into()
            }
            // Such as ssh's `user@host:folder`.
            _ => format!("{}/{name}", self.url),
        };
        let mut found = listed(name.strip_suffix(".git").unwrap_or(name).to_owned(), place, branch);
        // It is the same one when it is served elsewhere.
        found.external_id = path.to_string_lossy().into_owned();
        found
    }

    fn refused(&self, message: String) -> HostError {
        HostError::Refused { host: self.shown.clone(), message }
    }
}

#[async_trait]
impl CodeHost for PlainGit {
    fn kind(&self) -> Kind {
        Kind::Git
    }

    /// Plain git has nobody to ask.
    async fn who(&self) -> Result<String, HostError> {
        Ok(self.user.clone())
    }

    async fn list(&self) -> Result<Vec<ListedRepository>, HostError> {
        let this = self.clone();
        let looked = tokio::task::spawn_blocking(move || this.look()).await;
        looked.expect("looking into folders does not panic")
    }

    async fn git_access(&self, clone_url: &str) -> Result<GitAccess, HostError> {
        // SECURITY: nowhere but to the operator's own hosts.
        let url = Url::parse(clone_url).ok();
        let origin = url.and_then(|url| Some((url.scheme().to_owned(), authority(&url)?)));
        let is_trusted = origin.is_some_and(|origin| self.trusted.contains(&origin));
        let authorization = self.authorization.clone().filter(|_| is_trusted);
        Ok(GitAccess { url: clone_url.to_owned(), authorization })
    }

    async fn find(&self, _: &str, _: &str) -> Result<Vec<PullRequest>, HostError> {
        self.unsupported()
    }

    async fn pull_request(&self, _: &str, _: &str) -> Result<PullRequest, HostError> {
        self.unsupported()
    }

    async fn create(&self, _: &str, _: &NewPullRequest) -> Result<PullRequest, HostError> {
        self.unsupported()
    }

    async fn update(
        &self,
        _: &str,
        _: &str,
        _: &PullRequestUpdate,
    ) -> Result<PullRequest, HostError> {
        self.unsupported()
    }

    async fn close(&self, _: &str, _: &str) -> Result<PullRequest, HostError> {
        self.unsupported()
    }

    async fn reopen(&self, _: &str, _: &str) -> Result<PullRequest, HostError> {
        self.unsupported()
    }

    async fn merge(&self, _: &str, _: &str, _: MergeMethod) -> Result<PullRequest, HostError> {
        self.unsupported()
    }

    async fn comment(&self, _: &str, _: &str, _: &str) -> Result<(), HostError> {
        self.unsupported()
    }

    fn webhook(&self, _: &HeaderMap, _: &[u8], _: &str) -> Result<Option<HostEvent>, HostError> {
        Err(HostError::Unsupported { host: self.shown.clone(), what: "webhooks" })
    }

    fn waiting(&self) -> Option<Duration> {
        None
    }
}

/// `host/path` of a git URL or of ssh's `user@host:path`.
fn place_of(url: &str) -> Option<String> {
    if url.starts_with('-') || url.contains("::") || url.chars().any(char::is_control) {
        return None;
    }
    let (host, path) = match Url::parse(url) {
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https" | "ssh" | "git") => {
            (authority(&parsed)?, parsed.path().to_owned())
        }
        _ => {
            let (host, path) = url.split_once(':').filter(|(host, _)| !host.contains('/'))?;
            let host = host.rsplit('@').next().unwrap_or(host);
            (host.to_owned(), path.to_owned())
        }
    };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    (!host.is_empty() && !path.is_empty()).then(|| format!("{host}/{path}"))
}

fn is_repository(path: &Path) -> bool {
    let is_bare = path.join("HEAD").is_file() && path.join("objects").is_dir();
    is_bare || path.join(".git").exists()
}

fn listed(name: String, clone_url: String, default_branch: Option<String>) -> ListedRepository {
    ListedRepository {
        external_id: clone_url.clone(),
        name,
        clone_url,
        web_url: None,
        default_branch,
        fork: false,
        archived: false,
        private: false,
        topics: Vec::new(),
        description: String::new(),
    }
}
