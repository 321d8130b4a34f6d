//! Gitea and Forgejo: GitHub's shapes with differences; drafts are a word in the title, labels are known by number.

mod wire;

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::try_join;
use http::{HeaderMap, Method};
use serde_json::json;

use crate::connect::{ConnectError, Options};
use crate::http::Client;
use crate::place::{Found, Place, encode};
use crate::state::{
    Reviewers, commit, commit_status, line, maybe_ms, prose, review_of, time_ms, title_and_draft,
};
use crate::{
    CheckState, CodeHost, Credential, GitAccess, HostError, HostEvent, Kind, Label,
    ListedRepository, MergeMethod, NewPullRequest, PullRequest, PullRequestState,
    PullRequestUpdate, ReviewState, webhook,
};

const DRAFT: &str = "WIP: ";
/// What Gitea takes for a draft, unless its operator wants others.
const DRAFTS: &[&str] = &["WIP:", "[WIP]"];
/// Of a label that is made because it is used: GitHub's.
const COLOR: &str = "#ededed";

pub(crate) struct Gitea {
    place: Place,
    client: Client,
    /// For git over HTTP.
    basic: Option<String>,
}

impl Gitea {
    pub fn new(
        place: Place,
        credential: Credential,
        options: &Options,
    ) -> Result<Self, ConnectError> {
        let base = place.api("api/v1");
        let nobody = Client::new(&place.host, base, HeaderMap::new(), Duration::ZERO, options)?;
        let pair = |user: &str, secret: &str| STANDARD.encode(format!("{user}:{secret}"));
        let (client, basic) = match credential {
            Credential::None => (Ok(nobody), None),
            Credential::Token { token } => {
                // With a token for a password any user will do.
                (nobody.with_authorization("token", &token), Some(pair("x-access-token", &token)))
            }
            Credential::Basic { user, password } => {
                let basic = pair(&user, &password);
                (nobody.with_authorization("Basic", &basic), Some(basic))
            }
            Credential::App { .. } => {
                let instead = "a token, or a user and a password";
                return Err(ConnectError::BadCredential { kind: "Gitea", instead });
            }
        };
        let client = client.map_err(|error| ConnectError::Client(error.to_string()))?;
        Ok(Self { place, client, basic })
    }

    fn pulls(&self, repository: &str, id: &str) -> Result<String, HostError> {
        Ok(format!("repos/{}/pulls/{}", self.place.path(repository)?, encode(id)))
    }

    async fn repositories_of(&self, owner: &str) -> Result<Vec<wire::Repository>, HostError> {
        let owner = encode(owner);
        match self.client.pages(&format!("orgs/{owner}/repos?limit=50")).await {
            Err(HostError::NotFound { .. }) => {
                self.client.pages(&format!("users/{owner}/repos?limit=50")).await
            }
            listed => listed,
        }
    }

    /// Numbers of labels; those that are not there are made, as GitHub and GitLab do by themselves.
    async fn label_ids(&self, repository: &str, names: &[String]) -> Result<Vec<u64>, HostError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let repository = self.place.path(repository)?;
        let owner = repository.split('/').next().unwrap_or_default();
        let path = format!("repos/{repository}/labels");
        let mut known: Vec<wire::Label> = self.client.pages(&format!("{path}?limit=50")).await?;
        match self.client.pages(&format!("orgs/{owner}/labels?limit=50")).await {
            // A user's.
            Err(HostError::NotFound { .. }) => {}
            labels => known.extend(labels?),
        }
        let mut ids = Vec::new();
        for name in names {
            ids.push(match known.iter().find(|label| label.name == *name) {
                Some(label) => label.id,
                None => {
                    let body = json!({"name": name, "color": COLOR});
                    let made: wire::Label = self.client.write(Method::POST, &path, &body).await?;
                    made.id
                }
            });
        }
        Ok(ids)
    }

    async fn review(&self, path: &str) -> Result<ReviewState, HostError> {
        let reviews: Vec<wire::Review> =
            self.client.pages(&format!("{path}/reviews?limit=50")).await?;
        Ok(review_of(reviews.into_iter().map(|review| {
            let state = match review.state.as_str() {
                "APPROVED" | "REQUEST_CHANGES" if review.dismissed => ReviewState::Dismissed,
                "APPROVED" => ReviewState::Approved,
                "REQUEST_CHANGES" => ReviewState::ChangesRequested,
                "COMMENT" => ReviewState::Commented,
                _ => ReviewState::Pending,
            };
            (review.user.map(|user| user.login).unwrap_or_default(), state)
        })))
    }

    async fn checks(&self, repository: &str, commit: &str) -> Result<CheckState, HostError> {
        let path = format!("repos/{repository}/commits/{}/status", encode(commit));
        let status: wire::CombinedStatus = self.client.get(&path).await?;
        Ok(match status.total_count {
            0 => CheckState::Unknown,
            _ => commit_status(&status.state),
        })
    }

    async fn read(&self, path: &str) -> Result<wire::PullRequest, HostError> {
        self.client.get(path).await
    }

    /// With what its reviewers and checks say.
    async fn whole(
        &self,
        repository: &str,
        pull: wire::PullRequest,
    ) -> Result<PullRequest, HostError> {
        let path = self.pulls(repository, &pull.number.to_string())?;
        let encoded = self.place.path(repository)?;
        let (review, checks) =
            try_join!(self.review(&path), self.checks(&encoded, &pull.head.sha))?;
        Ok(PullRequest { review, checks, ..self.plain(repository, pull)? })
    }

    fn plain(&self, repository: &str, pull: wire::PullRequest) -> Result<PullRequest, HostError> {
        let path = self.place.path(repository)?;
        let (title, draft) = title_and_draft(&pull.title, pull.draft, DRAFTS);
        Ok(PullRequest {
            external_id: pull.number.to_string(),
            url: self.place.page(&path, "pulls", pull.number),
            title,
            state: state_of(&pull),
            body: prose(&pull.body.unwrap_or_default()),
            draft,
            head: line(&pull.head.label),
            head_commit: commit(&pull.head.sha),
            base: line(&pull.base.label),
            review: ReviewState::Pending,
            checks: CheckState::Unknown,
            labels: pull.labels.into_iter().flatten().map(label).collect(),
            author: line(&pull.user.map(|user| user.login).unwrap_or_default()),
            created_ms: time_ms(&pull.created_at),
            updated_ms: time_ms(&pull.updated_at),
            merged_ms: maybe_ms(pull.merged_at.as_ref()),
            closed_ms: maybe_ms(pull.closed_at.as_ref()),
        })
    }

    async fn set_state(
        &self,
        repository: &str,
        id: &str,
        state: PullRequestState,
        word: &str,
    ) -> Result<PullRequest, HostError> {
        let path = self.pulls(repository, id)?;
        let now = state_of(&self.read(&path).await?);
        // What is merged cannot be closed; to open it again the host refuses.
        let is_done = state == PullRequestState::Closed && now == PullRequestState::Merged;
        if now != state && !is_done {
            let patch = wire::Patch { state: Some(word), ..wire::Patch::default() };
            self.client.do_write(Method::PATCH, &path, &patch).await?;
        }
        self.pull_request(repository, id).await
    }
}

#[async_trait]
impl CodeHost for Gitea {
    fn kind(&self) -> Kind {
        Kind::Gitea
    }

    async fn who(&self) -> Result<String, HostError> {
        let user: wire::User = self.client.get("user").await?;
        Ok(line(&user.login))
    }

    async fn list(&self) -> Result<Vec<ListedRepository>, HostError> {
        let mut all = Vec::new();
        if self.place.include.is_empty() {
            all = self.client.pages("user/repos?limit=50").await?;
        }
        for entry in &self.place.include {
            match entry.contains('/') {
                true => {
                    let path = self.place.path(entry)?;
                    all.push(self.client.get(&format!("repos/{path}")).await?);
                }
                false => all.extend(self.repositories_of(entry).await?),
            }
        }
        Ok(self.place.list(all.into_iter().map(found).collect()))
    }

    async fn git_access(&self, clone_url: &str) -> Result<GitAccess, HostError> {
        let authorization = self.basic.as_ref().map(|basic| format!("Basic {basic}"));
        self.place.git_access(clone_url, authorization)
    }

    async fn find(&self, repository: &str, head: &str) -> Result<Vec<PullRequest>, HostError> {
        // There is no filter for the branch.
        let path = format!("repos/{}/pulls?state=all&limit=50", self.place.path(repository)?);
        let mut all = self.client.pages::<wire::PullRequest>(&path).await?;
        // A fork's branch may have the same name.
        all.retain(|pull| pull.head.label == head && pull.head.repo_id == pull.base.repo_id);
        all.sort_by_key(|pull| std::cmp::Reverse(pull.number));
        let mut found = Vec::new();
        for pull in all {
            found.push(match state_of(&pull) {
                PullRequestState::Open => self.whole(repository, pull).await?,
                _ => self.plain(repository, pull)?,
            });
        }
        Ok(found)
    }

    async fn pull_request(&self, repository: &str, id: &str) -> Result<PullRequest, HostError> {
        let pull = self.read(&self.pulls(repository, id)?).await?;
        self.whole(repository, pull).await
    }

    async fn create(
        &self,
        repository: &str,
        new: &NewPullRequest,
    ) -> Result<PullRequest, HostError> {
        let body = wire::Create {
            head: &new.head,
            base: &new.base,
            title: titled(&new.title, new.draft),
            body: &new.body,
            labels: self.label_ids(repository, &new.labels).await?,
        };
        let path = format!("repos/{}/pulls", self.place.path(repository)?);
        let pull = self.client.write(Method::POST, &path, &body).await?;
        let created = self.plain(repository, pull)?;
        if !new.reviewers.is_empty() {
            let to = self.pulls(repository, &created.external_id)? + "/requested_reviewers";
            let reviewers = Reviewers::new(&new.reviewers);
            let asked = self.client.do_write(Method::POST, &to, &reviewers).await;
            if let Err(error) = asked {
                tracing::warn!("{} lacks reviewers: {error}", created.url);
            }
        }
        Ok(created)
    }

    async fn update(
        &self,
        repository: &str,
        id: &str,
        update: &PullRequestUpdate,
    ) -> Result<PullRequest, HostError> {
        let path = self.pulls(repository, id)?;
        let mut patch = wire::Patch {
            body: update.body.as_deref(),
            base: update.base.as_deref(),
            ..wire::Patch::default()
        };
        if update.title.is_some() || update.draft.is_some() {
            let now = self.plain(repository, self.read(&path).await?)?;
            let title = update.title.as_deref().unwrap_or(&now.title);
            patch.title = Some(titled(title, update.draft.unwrap_or(now.draft)));
        }
        if patch.title.as_deref().or(patch.body).or(patch.base).is_some() {
            self.client.do_write(Method::PATCH, &path, &patch).await?;
        }
        if let Some(labels) = &update.labels {
            let ids = self.label_ids(repository, labels).await?;
            let repository = self.place.path(repository)?;
            let to = format!("repos/{repository}/issues/{}/labels", encode(id));
            self.client.do_write(Method::PUT, &to, &json!({"labels": ids})).await?;
        }
        if let Some(names) = &update.reviewers {
            let to = format!("{path}/requested_reviewers");
            self.client.do_write(Method::POST, &to, &Reviewers::new(names)).await?;
        }
        self.pull_request(repository, id).await
    }

    async fn close(&self, repository: &str, id: &str) -> Result<PullRequest, HostError> {
        self.set_state(repository, id, PullRequestState::Closed, "closed").await
    }

    async fn reopen(&self, repository: &str, id: &str) -> Result<PullRequest, HostError> {
        self.set_state(repository, id, PullRequestState::Open, "open").await
    }

    async fn merge(
        &self,
        repository: &str,
        id: &str,
        method: MergeMethod,
    ) -> Result<PullRequest, HostError> {
        let path = self.pulls(repository, id)?;
        let pull = self.read(&path).await?;
        if state_of(&pull) != PullRequestState::Merged {
            // What was looked at, not what was pushed since.
            let body = json!({"Do": method, "head_commit_id": pull.head.sha});
            let done = self.client.do_write(Method::POST, &format!("{path}/merge"), &body).await;
            done.map_err(|error| match error {
                // It has not looked yet whether it can be merged.
                HostError::Refused { host, message } if message.contains("try again later") => {
                    HostError::Unavailable { host, message }
                }
                error => error,
            })?;
        }
        self.pull_request(repository, id).await
    }

    async fn comment(&self, repository: &str, id: &str, text: &str) -> Result<(), HostError> {
        let repository = self.place.path(repository)?;
        let to = format!("repos/{repository}/issues/{}/comments", encode(id));
        self.client.do_write(Method::POST, &to, &json!({"body": text})).await
    }

    fn webhook(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        secret: &str,
    ) -> Result<Option<HostEvent>, HostError> {
        let signatures = ["x-forgejo-signature", "x-gitea-signature", "x-hub-signature-256"];
        let signature = webhook::header(headers, &signatures);
        let delivery = webhook::signed(&self.place.host, signature, body, secret)?;
        let events = ["x-forgejo-event", "x-gitea-event"];
        webhook::event(&delivery, webhook::header(headers, &events).unwrap_or_default())
    }

    fn waiting(&self) -> Option<Duration> {
        self.client.waiting()
    }
}

fn titled(title: &str, draft: bool) -> String {
    if draft { format!("{DRAFT}{title}") } else { title.to_owned() }
}

fn state_of(pull: &wire::PullRequest) -> PullRequestState {
    match (pull.merged, pull.state.as_str()) {
        (true, _) => PullRequestState::Merged,
        (false, "closed") => PullRequestState::Closed,
        _ => PullRequestState::Open,
    }
}

fn found(repository: wire::Repository) -> Found {
    Found {
        external_id: repository.id.to_string(),
        repository: repository.full_name,
        default_branch: repository.default_branch,
        fork: repository.fork,
        archived: repository.archived,
        private: repository.private,
        topics: repository.topics.unwrap_or_default(),
        description: repository.description.unwrap_or_default(),
    }
}

fn label(label: wire::Label) -> Label {
    let color = line(&label.color.unwrap_or_default());
    Label {
        text: line(&label.name),
        color: color.trim_start_matches('#').to_owned(),
        description: label.description.map(|text| line(&text)),
    }
}
