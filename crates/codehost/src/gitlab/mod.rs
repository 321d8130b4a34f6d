//! GitLab: pull requests are merge requests, drafts are a word in the title, labels are made when they are used.

mod wire;

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::try_join;
use http::{HeaderMap, Method};
use serde_json::json;

use crate::connect::{ConnectError, Options};
use crate::http::{Client, clean};
use crate::place::{Found, Place, encode};
use crate::state::{commit, line, maybe_ms, prose, review_of, time_ms, title_and_draft};
use crate::{
    CheckState, CodeHost, Credential, GitAccess, HostError, HostEvent, Kind, Label,
    ListedRepository, MergeMethod, NewPullRequest, PullRequest, PullRequestState,
    PullRequestUpdate, ReviewState, webhook,
};

const DRAFT: &str = "Draft: ";
/// What GitLab takes for a draft.
const DRAFTS: &[&str] = &["Draft:", "[Draft]", "(Draft)"];

pub(crate) struct GitLab {
    place: Place,
    client: Client,
    token: Option<String>,
}

impl GitLab {
    pub fn new(
        place: Place,
        credential: Credential,
        options: &Options,
    ) -> Result<Self, ConnectError> {
        let token = match credential {
            Credential::None => None,
            Credential::Token { token } => Some(token),
            Credential::Basic { .. } | Credential::App { .. } => {
                return Err(ConnectError::BadCredential { kind: "GitLab", instead: "a token" });
            }
        };
        let base = place.api("api/v4");
        let mut client = Client::new(&place.host, base, HeaderMap::new(), Duration::ZERO, options)?;
        if let Some(token) = &token {
            let bad = |error: HostError| ConnectError::Client(error.to_string());
            client = client.with_authorization("Bearer", token).map_err(bad)?;
        }
        Ok(Self { place, client, token })
    }

    /// `projects/ID`, where a project's id is its whole path, encoded once more.
    fn project(&self, repository: &str) -> Result<String, HostError> {
        self.place.path(repository)?;
        Ok(format!("projects/{}", encode(repository)))
    }

    fn request(&self, repository: &str, id: &str) -> Result<String, HostError> {
        Ok(format!("{}/merge_requests/{}", self.project(repository)?, encode(id)))
    }

    /// A project, all of a group and of the groups in it, or all of a user: the name does not tell which.
    async fn named(&self, entry: &str) -> Result<Vec<wire::Project>, HostError> {
        if entry.contains('/') {
            match self.client.get(&self.project(entry)?).await {
                Err(HostError::NotFound { .. }) => {}
                project => return project.map(|project| vec![project]),
            }
        }
        let name = encode(entry);
        let group =
            format!("groups/{name}/projects?include_subgroups=true&with_shared=false&per_page=100");
        match self.client.pages(&group).await {
            Err(HostError::NotFound { .. }) if !entry.contains('/') => {
                self.client.pages(&format!("users/{name}/projects?per_page=100")).await
            }
            listed => listed,
        }
    }

    async fn user_ids(&self, names: &[String]) -> Result<Vec<u64>, HostError> {
        let mut ids = Vec::new();
        for name in names {
            let found: Vec<wire::User> =
                self.client.get(&format!("users?username={}", encode(name))).await?;
            let what = || format!("user `{}`", clean(name));
            let none = || HostError::NotFound { host: self.client.host(), what: what() };
            ids.push(found.first().ok_or_else(none)?.id);
        }
        Ok(ids)
    }

    async fn review(&self, path: &str) -> Result<ReviewState, HostError> {
        let (approvals, reviewers) = (format!("{path}/approvals"), format!("{path}/reviewers"));
        let reviewers = async {
            match self.client.get::<Vec<wire::Reviewer>>(&reviewers).await {
                // Before GitLab 13.8.
                Err(HostError::NotFound { .. }) => Ok(Vec::new()),
                reviewers => reviewers,
            }
        };
        let (approvals, reviewers) =
            try_join!(self.client.get::<wire::Approvals>(&approvals), reviewers)?;
        let is_approved =
            !approvals.approved_by.is_empty() && approvals.approvals_left.unwrap_or(0) == 0;
        let approval = if is_approved { ReviewState::Approved } else { ReviewState::Pending };
        let said = reviewers.into_iter().map(|reviewer| {
            let state = match reviewer.state.as_str() {
                "requested_changes" => ReviewState::ChangesRequested,
                "reviewed" => ReviewState::Commented,
                "unapproved" => ReviewState::Dismissed,
                // Whether that is enough, `approvals` says.
                _ => ReviewState::Pending,
            };
            (reviewer.user.map(|user| user.username).unwrap_or_default(), state)
        });
        Ok(review_of(said.chain([(String::new(), approval)])))
    }

    async fn read(&self, path: &str) -> Result<wire::MergeRequest, HostError> {
        self.client.get(path).await
    }

    /// With what its reviewers and its pipeline say.
    async fn whole(&self, repository: &str, path: &str) -> Result<PullRequest, HostError> {
        let (request, review) = try_join!(self.read(path), self.review(path))?;
        Ok(PullRequest { review, ..self.plain(repository, request)? })
    }

    fn plain(
        &self,
        repository: &str,
        request: wire::MergeRequest,
    ) -> Result<PullRequest, HostError> {
        let path = self.place.path(repository)?;
        let (title, draft) = title_and_draft(&request.title, request.draft, DRAFTS);
        let state = state_of(&request);
        let label =
            |text: String| Label { text: line(&text), color: String::new(), description: None };
        Ok(PullRequest {
            external_id: request.iid.to_string(),
            url: self.place.page(&path, "-/merge_requests", request.iid),
            title,
            body: prose(&request.description.unwrap_or_default()),
            state,
            draft,
            head: line(&request.source_branch),
            head_commit: commit(&request.sha.unwrap_or_default()),
            base: line(&request.target_branch),
            review: ReviewState::Pending,
            checks: request.head_pipeline.map_or(CheckState::Unknown, |it| pipeline(&it.status)),
            labels: request.labels.into_iter().map(label).collect(),
            author: line(&request.author.map(|author| author.username).unwrap_or_default()),
            created_ms: time_ms(&request.created_at),
            updated_ms: time_ms(&request.updated_at),
            merged_ms: maybe_ms(request.merged_at.as_ref()),
            closed_ms: maybe_ms(request.closed_at.as_ref()),
        })
    }

    async fn set_state(
        &self,
        repository: &str,
        id: &str,
        state: PullRequestState,
        event: &str,
    ) -> Result<PullRequest, HostError> {
        let path = self.request(repository, id)?;
        let now = state_of(&self.read(&path).await?);
        // What is merged cannot be closed; to open it again the host refuses.
        let is_done = state == PullRequestState::Closed && now == PullRequestState::Merged;
        if now != state && !is_done {
            let change = wire::Change { state_event: Some(event), ..wire::Change::default() };
            self.client.do_write(Method::PUT, &path, &change).await?;
        }
        self.whole(repository, &path).await
    }
}

#[async_trait]
impl CodeHost for GitLab {
    fn kind(&self) -> Kind {
        Kind::GitLab
    }

    async fn who(&self) -> Result<String, HostError> {
        let user: wire::User = self.client.get("user").await?;
        Ok(line(&user.username))
    }

    async fn list(&self) -> Result<Vec<ListedRepository>, HostError> {
        let mut all = Vec::new();
        if self.place.include.is_empty() {
            // By pages of numbers GitLab ends after 50,000.
            let path = "projects?membership=true&pagination=keyset&order_by=id&per_page=100";
            all = self.client.pages(path).await?;
        }
        for entry in &self.place.include {
            all.extend(self.named(entry).await?);
        }
        Ok(self.place.list(all.into_iter().map(found).collect()))
    }

    async fn git_access(&self, clone_url: &str) -> Result<GitAccess, HostError> {
        let basic = |token| format!("Basic {}", STANDARD.encode(format!("oauth2:{token}")));
        self.place.git_access(clone_url, self.token.as_ref().map(basic))
    }

    async fn find(&self, repository: &str, head: &str) -> Result<Vec<PullRequest>, HostError> {
        let path = format!(
            "{}/merge_requests?state=all&source_branch={}&order_by=created_at&sort=desc&per_page=100",
            self.project(repository)?,
            encode(head)
        );
        let mut all = Vec::new();
        for request in self.client.pages::<wire::MergeRequest>(&path).await? {
            // A fork's branch may have the same name.
            let is_fork = request.source_project_id != request.target_project_id;
            if is_fork || request.source_branch != head {
                continue;
            }
            all.push(match state_of(&request) {
                PullRequestState::Open => {
                    let path = self.request(repository, &request.iid.to_string())?;
                    self.whole(repository, &path).await?
                }
                _ => self.plain(repository, request)?,
            });
        }
        Ok(all)
    }

    async fn pull_request(&self, repository: &str, id: &str) -> Result<PullRequest, HostError> {
        self.whole(repository, &self.request(repository, id)?).await
    }

    async fn create(
        &self,
        repository: &str,
        new: &NewPullRequest,
    ) -> Result<PullRequest, HostError> {
        let path = format!("{}/merge_requests", self.project(repository)?);
        let reviewer_ids = match self.user_ids(&new.reviewers).await {
            Err(error @ HostError::NotFound { .. }) => {
                tracing::warn!("a pull request of {repository} lacks reviewers: {error}");
                Vec::new()
            }
            ids => ids?,
        };
        let body = wire::Create {
            source_branch: &new.head,
            target_branch: &new.base,
            title: titled(&new.title, new.draft),
            description: &new.body,
            labels: new.labels.join(","),
            reviewer_ids,
        };
        let request = self.client.write(Method::POST, &path, &body).await?;
        self.plain(repository, request)
    }

    async fn update(
        &self,
        repository: &str,
        id: &str,
        update: &PullRequestUpdate,
    ) -> Result<PullRequest, HostError> {
        let path = self.request(repository, id)?;
        let mut change = wire::Change {
            description: update.body.as_deref(),
            target_branch: update.base.as_deref(),
            labels: update.labels.as_ref().map(|labels| labels.join(",")),
            ..wire::Change::default()
        };
        if update.title.is_some() || update.draft.is_some() || update.reviewers.is_some() {
            let request = self.read(&path).await?;
            let reviewers = request.reviewers.iter().flatten().map(|user| user.id).collect();
            let now = self.plain(repository, request)?;
            if update.title.is_some() || update.draft.is_some() {
                let title = update.title.as_deref().unwrap_or(&now.title);
                change.title = Some(titled(title, update.draft.unwrap_or(now.draft)));
            }
            if let Some(names) = &update.reviewers {
                let mut ids: Vec<u64> = reviewers;
                ids.extend(self.user_ids(names).await?);
                change.reviewer_ids = Some(ids);
            }
        }
        if *update != PullRequestUpdate::default() {
            self.client.do_write(Method::PUT, &path, &change).await?;
        }
        self.whole(repository, &path).await
    }

    async fn close(&self, repository: &str, id: &str) -> Result<PullRequest, HostError> {
        self.set_state(repository, id, PullRequestState::Closed, "close").await
    }

    async fn reopen(&self, repository: &str, id: &str) -> Result<PullRequest, HostError> {
        self.set_state(repository, id, PullRequestState::Open, "reopen").await
    }

    async fn merge(
        &self,
        repository: &str,
        id: &str,
        method: MergeMethod,
    ) -> Result<PullRequest, HostError> {
        if method == MergeMethod::Rebase {
            // The project's settings say whether a merge rebases.
            let what = "merge method `rebase`";
            return Err(HostError::Unsupported { host: self.client.host(), what });
        }
        let path = self.request(repository, id)?;
        let request = self.read(&path).await?;
        if state_of(&request) != PullRequestState::Merged {
            // What was looked at, not what was pushed since.
            let body = json!({"squash": method == MergeMethod::Squash, "sha": request.sha});
            let done = self.client.do_write(Method::PUT, &format!("{path}/merge"), &body).await;
            // GitLab answers 401 where one may not merge, with a token that is good.
            done.map_err(|error| match error {
                HostError::Unauthorized { host, message } => HostError::Refused { host, message },
                error => error,
            })?;
        }
        self.whole(repository, &path).await
    }

    async fn comment(&self, repository: &str, id: &str, text: &str) -> Result<(), HostError> {
        let to = format!("{}/notes", self.request(repository, id)?);
        self.client.do_write(Method::POST, &to, &json!({"body": text})).await
    }

    fn webhook(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        secret: &str,
    ) -> Result<Option<HostEvent>, HostError> {
        let token = webhook::header(headers, &["x-gitlab-token"]);
        let delivery = webhook::told(&self.place.host, token, body, secret)?;
        let project = "/project/path_with_namespace";
        match webhook::header(headers, &["x-gitlab-event"]).unwrap_or_default() {
            "Push Hook" => delivery.pushed(project),
            "Merge Request Hook" => delivery.pull_request(project, "/object_attributes/iid"),
            "Pipeline Hook" => delivery.checks(project, "/object_attributes/sha"),
            "Project Hook" => Ok(Some(HostEvent::Repositories)),
            _ => Ok(None),
        }
    }

    fn waiting(&self) -> Option<Duration> {
        self.client.waiting()
    }
}

fn titled(title: &str, draft: bool) -> String {
    if draft { format!("{DRAFT}{title}") } else { title.to_owned() }
}

fn pipeline(status: &str) -> CheckState {
    match status {
        "success" => CheckState::Passed,
        "failed" | "canceled" => CheckState::Failed,
        "skipped" => CheckState::Unknown,
        _ => CheckState::Pending,
    }
}

fn state_of(request: &wire::MergeRequest) -> PullRequestState {
    match request.state.as_str() {
        "merged" => PullRequestState::Merged,
        "closed" => PullRequestState::Closed,
        // `locked` is in the middle of being merged.
        _ => PullRequestState::Open,
    }
}

fn found(project: wire::Project) -> Found {
    Found {
        external_id: project.id.to_string(),
        repository: project.path_with_namespace,
        default_branch: project.default_branch,
        fork: project.forked_from_project.is_some(),
        archived: project.archived.unwrap_or_default(),
        private: project.visibility.is_some_and(|visibility| visibility != "public"),
        topics: project.topics.unwrap_or_default(),
        description: project.description.unwrap_or_default(),
    }
}
