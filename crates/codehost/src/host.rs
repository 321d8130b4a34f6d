//! What Phalanx asks of a code host. Each host is a folder with the shape of its siblings, and all pass one conformance suite.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// What kind of host it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Any git server, or a folder of repositories: branches can be pushed, but there are no pull requests.
    Git,
    GitHub,
    GitLab,
    /// Gitea and Forgejo.
    Gitea,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Git, Self::GitHub, Self::GitLab, Self::Gitea];

    pub fn name(self) -> &'static str {
        match self {
            Self::Git => "git",
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Gitea => "gitea",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }
}

/// How a host is reached, as an operator writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    pub kind: Kind,
    /// As `https://github.com`, `https://git.example.com`; for [`Kind::Git`] a URL prefix, or empty.
    pub url: String,
    /// What to list: organisations, groups or users of a host, `owner/name` for one repository. Empty: all that the
    /// credential can see. For [`Kind::Git`]: URLs and folders, where a folder stands for all repositories in it.
    #[serde(default)]
    pub include: Vec<String>,
    /// Globs over names, of repositories that are not wanted.
    #[serde(default)]
    pub exclude: Vec<String>,
}

/// Who asks. Never shown, never in a URL, never in a job.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Credential {
    None,
    /// A personal or project token.
    Token {
        token: String,
    },
    /// A user's name and password, for git over HTTP.
    Basic {
        user: String,
        password: String,
    },
    /// A GitHub App: its key signs for tokens of one installation, which end after an hour.
    App {
        app: String,
        installation: String,
        private_key: String,
    },
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Token { .. } => "Token",
            Self::Basic { .. } => "Basic",
            Self::App { .. } => "App",
        })
    }
}

/// A repository in a host's list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedRepository {
    /// The host's own, that stays when the repository is renamed.
    pub external_id: String,
    /// As `github.com/org/name`.
    pub name: String,
    /// Without credentials. A path for a repository in a folder of this machine.
    pub clone_url: String,
    /// Where people look at it.
    #[serde(default)]
    pub web_url: Option<String>,
    #[serde(default)]
    pub default_branch: Option<String>,
    #[serde(default)]
    pub fork: bool,
    #[serde(default)]
    pub archived: bool,
    #[serde(default)]
    pub private: bool,
    #[serde(default)]
    pub topics: Vec<String>,
    #[serde(default)]
    pub description: String,
}

/// A pull request, or what the host calls one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PullRequest {
    /// The number that people write: a pull request's number, a merge request's iid.
    pub external_id: String,
    pub url: String,
    pub title: String,
    pub body: String,
    pub state: PullRequestState,
    pub draft: bool,
    /// Short names.
    pub head: String,
    /// The commit that the host sees at the head.
    pub head_commit: String,
    pub base: String,
    pub review: ReviewState,
    pub checks: CheckState,
    pub labels: Vec<Label>,
    pub author: String,
    pub created_ms: u64,
    pub updated_ms: u64,
    pub merged_ms: Option<u64>,
    pub closed_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullRequestState {
    Open,
    Closed,
    Merged,
}

/// What reviewers said, taken together: a wish for changes counts more than an approval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewState {
    #[default]
    Pending,
    Commented,
    Approved,
    ChangesRequested,
    Dismissed,
}

/// What the checks of the head commit say, taken together: pending before failed before passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    /// There are none.
    #[default]
    Unknown,
    Pending,
    Failed,
    Passed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    pub text: String,
    /// `rrggbb`, or empty.
    pub color: String,
    #[serde(default)]
    pub description: Option<String>,
}

/// A pull request that is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewPullRequest {
    /// Short names.
    pub head: String,
    pub base: String,
    pub title: String,
    pub body: String,
    pub draft: bool,
    pub labels: Vec<String>,
    pub reviewers: Vec<String>,
}

/// What to change of a pull request; `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullRequestUpdate {
    pub title: Option<String>,
    pub body: Option<String>,
    pub base: Option<String>,
    pub draft: Option<bool>,
    pub labels: Option<Vec<String>>,
    pub reviewers: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MergeMethod {
    Merge,
    Squash,
    Rebase,
}

/// What a webhook said. The receiver then looks at the host itself: a delivery is a hint, not the truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostEvent {
    /// A branch moved.
    Pushed { repository: String },
    /// Something about a pull request changed.
    PullRequest { repository: String, external_id: String },
    /// Checks of a commit changed.
    Checks { repository: String, commit: String },
    /// A repository was made, renamed, archived or removed.
    Repositories,
}

/// Why a host said no. `is_final` says whether the same again would be answered alike.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The limit of the host, or ours for it. Nothing was done.
    #[error("{host} asks to wait {} s", .retry_after.as_secs())]
    RateLimited { host: String, retry_after: Duration },
    #[error("{host} does not accept the credential: {message}")]
    Unauthorized { host: String, message: String },
    #[error("{host} knows no {what}")]
    NotFound { host: String, what: String },
    /// It is there already.
    #[error("{host}: {message}")]
    Exists { host: String, message: String },
    /// The host understood, and does not want it.
    #[error("{host} refuses: {message}")]
    Refused { host: String, message: String },
    /// The host or the way to it is broken; whether it was done is not known.
    #[error("{host} does not answer as it should: {message}")]
    Unavailable { host: String, message: String },
    /// This kind of host has no such thing.
    #[error("{host} has no {what}")]
    Unsupported { host: String, what: &'static str },
}

impl HostError {
    pub fn is_final(&self) -> bool {
        match self {
            Self::RateLimited { .. } | Self::Unavailable { .. } => false,
            Self::Unauthorized { .. }
            | Self::NotFound { .. }
            | Self::Exists { .. }
            | Self::Refused { .. }
            | Self::Unsupported { .. } => true,
        }
    }
}

/// How git reaches a repository of a host. SECURITY: the credential goes into git's environment, never into its arguments.
#[derive(Clone, PartialEq, Eq)]
pub struct GitAccess {
    pub url: String,
    /// The value of the header `Authorization`, when one is needed.
    pub authorization: Option<String>,
}

impl fmt::Debug for GitAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitAccess").field("url", &self.url).finish_non_exhaustive()
    }
}

/// One host with one credential. `repository` is always what the host itself calls it: `owner/name` (a [`Kind::Git`]'s
/// clone URL). Every request goes through the host's limiter.
#[async_trait]
pub trait CodeHost: Send + Sync {
    fn kind(&self) -> Kind;

    /// Who the credential is, to show that it works.
    async fn who(&self) -> Result<String, HostError>;

    /// All repositories of the settings, excluded ones left out, in order of name.
    async fn list(&self) -> Result<Vec<ListedRepository>, HostError>;

    /// How git reaches this clone URL now; a token that ends is renewed here.
    async fn git_access(&self, clone_url: &str) -> Result<GitAccess, HostError>;

    /// Pull requests from this branch, newest first, closed and merged ones too.
    async fn find(&self, repository: &str, head: &str) -> Result<Vec<PullRequest>, HostError>;

    async fn pull_request(&self, repository: &str, id: &str) -> Result<PullRequest, HostError>;

    /// [`HostError::Exists`] when the branch has an open one already.
    async fn create(
        &self,
        repository: &str,
        new: &NewPullRequest,
    ) -> Result<PullRequest, HostError>;

    async fn update(
        &self,
        repository: &str,
        id: &str,
        update: &PullRequestUpdate,
    ) -> Result<PullRequest, HostError>;

    /// Closing a closed one is fine.
    async fn close(&self, repository: &str, id: &str) -> Result<PullRequest, HostError>;

    /// Opening an open one is fine.
    async fn reopen(&self, repository: &str, id: &str) -> Result<PullRequest, HostError>;

    async fn merge(
        &self,
        repository: &str,
        id: &str,
        method: MergeMethod,
    ) -> Result<PullRequest, HostError>;

    async fn comment(&self, repository: &str, id: &str, text: &str) -> Result<(), HostError>;

    /// Checks a delivery's signature with `secret` and says what it is about; `None` for a kind of event that is not needed.
    fn webhook(
        &self,
        headers: &http::HeaderMap,
        body: &[u8],
        secret: &str,
    ) -> Result<Option<HostEvent>, HostError>;

    /// How long requests wait now because the host asked for it.
    fn waiting(&self) -> Option<Duration>;
}
