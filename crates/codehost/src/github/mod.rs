//! GitHub and GitHub Enterprise Server, by REST; GraphQL only for what REST cannot do (drafts).

mod app;
mod list;
mod wire;

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::try_join;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::json;

use crate::connect::{ConnectError, Options};
use crate::http::{Client, clean};
use crate::place::{Place, encode};
use crate::state::{
    Reviewers, checks_of, commit, commit_status, line, maybe_ms, prose, review_of, time_ms,
};
use crate::{
    CheckState, CodeHost, Credential, GitAccess, HostError, HostEvent, Kind, Label,
    ListedRepository, MergeMethod, NewPullRequest, PullRequest, PullRequestState,
    PullRequestUpdate, ReviewState, webhook,
};
use app::App;

/// GitHub.com advises a second between two writes; a server of one's own has no such limit unless it says so.
const WRITE_DISTANCE: Duration = Duration::from_secs(1);

pub(crate) struct GitHub {
    place: Place,
    /// As nobody.
    client: Client,
    /// From the API's base.
    graphql: &'static str,
    who: Who,
}

enum Who {
    Nobody,
    Token(String),
    App(App),
}

impl GitHub {
    pub fn new(
        place: Place,
        credential: Credential,
        options: &Options,
    ) -> Result<Self, ConnectError> {
        let who = match credential {
            Credential::None => Who::Nobody,
            Credential::Token { token } => Who::Token(token),
            Credential::App { app, installation, private_key } => {
                Who::App(App::new(app, installation, &private_key)?)
            }
            Credential::Basic { .. } => {
                let instead = "a token or an App";
                return Err(ConnectError::BadCredential { kind: "GitHub", instead });
            }
        };
        let (base, graphql, distance) = match place.host.as_str() {
            "github.com" => {
                let base = "https://api.github.com/".parse().expect("it is a URL");
                (base, "graphql", WRITE_DISTANCE)
            }
            _ => (place.api("api/v3"), "../graphql", Duration::ZERO),
        };
        let mut headers = HeaderMap::new();
        headers.insert("accept", HeaderValue::from_static("application/vnd.github+json"));
        headers.insert("x-github-api-version", HeaderValue::from_static("2022-11-28"));
        let client = Client::new(&place.host, base, headers, distance, options)?;
        Ok(Self { place, client, graphql, who })
    }

    async fn token(&self) -> Result<Option<String>, HostError> {
        Ok(match &self.who {
            Who::Nobody => None,
            Who::Token(token) => Some(token.clone()),
            Who::App(app) => Some(app.token(&self.client).await?),
        })
    }

    /// Who asks, with a token that is good now.
    async fn client(&self) -> Result<Client, HostError> {
        match self.token().await? {
            Some(token) => self.client.with_authorization("Bearer", &token),
            None => Ok(self.client.clone()),
        }
    }

    async fn review(&self, client: &Client, path: &str) -> Result<ReviewState, HostError> {
        let reviews: Vec<wire::Review> =
            client.pages(&format!("{path}/reviews?per_page=100")).await?;
        Ok(review_of(reviews.into_iter().map(|review| {
            let state = match review.state.as_str() {
                "APPROVED" => ReviewState::Approved,
                "CHANGES_REQUESTED" => ReviewState::ChangesRequested,
                "DISMISSED" => ReviewState::Dismissed,
                "COMMENTED" => ReviewState::Commented,
                _ => ReviewState::Pending,
            };
            (review.user.map(|user| user.login).unwrap_or_default(), state)
        })))
    }

    /// Of commit statuses and of check runs, which GitHub keeps apart.
    async fn checks(
        &self,
        client: &Client,
        repository: &str,
        commit: &str,
    ) -> Result<CheckState, HostError> {
        let commit = format!("repos/{repository}/commits/{}", encode(commit));
        let (status, runs) = (format!("{commit}/status"), format!("{commit}/check-runs"));
        let runs = format!("{runs}?per_page=100");
        let (status, runs) = try_join!(
            client.get::<wire::CombinedStatus>(&status),
            client.pages_of(&runs, |page: wire::CheckRuns| page.check_runs)
        )?;
        let runs = runs.iter().map(|run| match (run.status.as_str(), run.conclusion.as_deref()) {
            ("completed", Some("success" | "neutral" | "skipped")) => CheckState::Passed,
            ("completed", _) => CheckState::Failed,
            _ => CheckState::Pending,
        });
        // Without any status its state is `pending`.
        let status = (status.total_count > 0).then(|| commit_status(&status.state));
        Ok(checks_of(runs.chain(status)))
    }

    /// Without what reviewers and checks say.
    fn plain(&self, repository: &str, pull: wire::PullRequest) -> PullRequest {
        PullRequest {
            state: state_of(&pull),
            external_id: pull.number.to_string(),
            url: self.place.page(repository, "pull", pull.number),
            title: line(&pull.title),
            body: prose(&pull.body.unwrap_or_default()),
            draft: pull.draft.unwrap_or_default(),
            head: line(&pull.head.name),
            head_commit: commit(&pull.head.sha),
            base: line(&pull.base.name),
            review: ReviewState::Pending,
            checks: CheckState::Unknown,
            labels: pull.labels.into_iter().map(label).collect(),
            author: line(&pull.user.map(|user| user.login).unwrap_or_default()),
            created_ms: time_ms(&pull.created_at),
            updated_ms: time_ms(&pull.updated_at),
            merged_ms: maybe_ms(pull.merged_at.as_ref()),
            closed_ms: maybe_ms(pull.closed_at.as_ref()),
        }
    }

    /// With what its reviewers and checks say.
    async fn whole(
        &self,
        client: &Client,
        repository: &str,
        pull: wire::PullRequest,
    ) -> Result<PullRequest, HostError> {
        let path = format!("repos/{repository}/pulls/{}", pull.number);
        let (review, checks) =
            try_join!(self.review(client, &path), self.checks(client, repository, &pull.head.sha))?;
        Ok(PullRequest { review, checks, ..self.plain(repository, pull) })
    }

    async fn read(
        &self,
        client: &Client,
        repository: &str,
        id: &str,
    ) -> Result<wire::PullRequest, HostError> {
        client.get(&format!("repos/{repository}/pulls/{}", encode(id))).await
    }

    async fn set_draft(&self, client: &Client, id: &str, draft: bool) -> Result<(), HostError> {
        let mutation = match draft {
            true => "convertPullRequestToDraft",
            false => "markPullRequestReadyForReview",
        };
        let query = format!(
            "mutation($id: ID!) {{ {mutation}(input: {{pullRequestId: $id}}) {{ clientMutationId }} }}"
        );
        let body = json!({"query": query, "variables": {"id": id}});
        let answer: wire::GraphQl = client.write(Method::POST, self.graphql, &body).await?;
        let Some(error) = answer.errors.into_iter().next() else { return Ok(()) };
        // GraphQL says so with status 200.
        if error.kind.as_deref() == Some("RATE_LIMITED") {
            return Err(client.limited());
        }
        Err(HostError::Refused { host: client.host(), message: clean(&error.message) })
    }

    async fn set_state(
        &self,
        repository: &str,
        id: &str,
        state: PullRequestState,
        word: &str,
    ) -> Result<PullRequest, HostError> {
        let (client, repository) = (self.client().await?, self.place.path(repository)?);
        let mut pull = self.read(&client, &repository, id).await?;
        // What is merged cannot be closed; to open it again the host refuses.
        let now = state_of(&pull);
        let is_done = state == PullRequestState::Closed && now == PullRequestState::Merged;
        if now != state && !is_done {
            let path = format!("repos/{repository}/pulls/{}", pull.number);
            let patch = wire::Patch { state: Some(word), ..wire::Patch::default() };
            pull = client.write(Method::PATCH, &path, &patch).await?;
        }
        self.whole(&client, &repository, pull).await
    }
}

#[async_trait]
impl CodeHost for GitHub {
    fn kind(&self) -> Kind {
        Kind::GitHub
    }

    async fn who(&self) -> Result<String, HostError> {
        if let Who::App(app) = &self.who {
            let it: wire::App = app.client(&self.client)?.get("app").await?;
            // That the installation is ours as well.
            app.token(&self.client).await?;
            return Ok(line(&format!("{}[bot]", it.slug)));
        }
        let user: wire::User = self.client().await?.get("user").await?;
        Ok(line(&user.login))
    }

    async fn list(&self) -> Result<Vec<ListedRepository>, HostError> {
        let client = self.client().await?;
        let mut all = Vec::new();
        if self.place.include.is_empty() {
            all = self.visible(&client).await?;
        }
        for entry in &self.place.include {
            match entry.contains('/') {
                true => {
                    let path = self.place.path(entry)?;
                    all.push(client.get(&format!("repos/{path}")).await?);
                }
                false => all.extend(self.repositories_of(&client, entry).await?),
            }
        }
        Ok(self.place.list(all.into_iter().map(list::found).collect()))
    }

    async fn git_access(&self, clone_url: &str) -> Result<GitAccess, HostError> {
        // Before a token is asked for.
        self.place.git_access(clone_url, None)?;
        let token = self.token().await?;
        let basic = token
            .map(|token| format!("Basic {}", STANDARD.encode(format!("x-access-token:{token}"))));
        self.place.git_access(clone_url, basic)
    }

    async fn find(&self, repository: &str, head: &str) -> Result<Vec<PullRequest>, HostError> {
        let (client, repository) = (self.client().await?, self.place.path(repository)?);
        let owner = repository.split('/').next().unwrap_or_default();
        let path = format!(
            "repos/{repository}/pulls?state=all&head={owner}:{}&sort=created&direction=desc&per_page=100",
            encode(head)
        );
        let mut all = Vec::new();
        for pull in client.pages::<wire::PullRequest>(&path).await? {
            // A host that does not know the filter lists them all.
            if pull.head.name != head {
                continue;
            }
            all.push(match state_of(&pull) {
                PullRequestState::Open => self.whole(&client, &repository, pull).await?,
                _ => self.plain(&repository, pull),
            });
        }
        Ok(all)
    }

    async fn pull_request(&self, repository: &str, id: &str) -> Result<PullRequest, HostError> {
        let (client, repository) = (self.client().await?, self.place.path(repository)?);
        let pull = self.read(&client, &repository, id).await?;
        self.whole(&client, &repository, pull).await
    }

    async fn create(
        &self,
        repository: &str,
        new: &NewPullRequest,
    ) -> Result<PullRequest, HostError> {
        let (client, path) = (self.client().await?, self.place.path(repository)?);
        let body = wire::Create {
            title: &new.title,
            head: &new.head,
            base: &new.base,
            body: &new.body,
            draft: new.draft,
        };
        let pull: wire::PullRequest =
            client.write(Method::POST, &format!("repos/{path}/pulls"), &body).await?;
        let created = self.plain(&path, pull);
        let rest = PullRequestUpdate {
            labels: (!new.labels.is_empty()).then(|| new.labels.clone()),
            reviewers: (!new.reviewers.is_empty()).then(|| new.reviewers.clone()),
            ..PullRequestUpdate::default()
        };
        if rest == PullRequestUpdate::default() {
            return Ok(created);
        }
        match self.update(repository, &created.external_id, &rest).await {
            Ok(pull) => Ok(pull),
            Err(error) => {
                tracing::warn!("{} lacks labels or reviewers: {error}", created.url);
                Ok(created)
            }
        }
    }

    async fn update(
        &self,
        repository: &str,
        id: &str,
        update: &PullRequestUpdate,
    ) -> Result<PullRequest, HostError> {
        let (client, path) = (self.client().await?, self.place.path(repository)?);
        let number = encode(id);
        let patch = wire::Patch {
            title: update.title.as_deref(),
            body: update.body.as_deref(),
            base: update.base.as_deref(),
            state: None,
        };
        if patch.title.or(patch.body).or(patch.base).is_some() {
            client.do_write(Method::PATCH, &format!("repos/{path}/pulls/{number}"), &patch).await?;
        }
        if let Some(draft) = update.draft {
            let pull = self.read(&client, &path, id).await?;
            if pull.draft.unwrap_or_default() != draft {
                self.set_draft(&client, &pull.node_id, draft).await?;
            }
        }
        if let Some(labels) = &update.labels {
            let to = format!("repos/{path}/issues/{number}/labels");
            client.do_write(Method::PUT, &to, &json!({"labels": labels})).await?;
        }
        if let Some(names) = &update.reviewers {
            let to = format!("repos/{path}/pulls/{number}/requested_reviewers");
            client.do_write(Method::POST, &to, &Reviewers::new(names)).await?;
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
        let (client, path) = (self.client().await?, self.place.path(repository)?);
        let pull = self.read(&client, &path, id).await?;
        if state_of(&pull) != PullRequestState::Merged {
            // What was looked at, not what was pushed since.
            let body = json!({"merge_method": method, "sha": pull.head.sha});
            let to = format!("repos/{path}/pulls/{}/merge", pull.number);
            client.do_write(Method::PUT, &to, &body).await?;
        }
        self.pull_request(repository, id).await
    }

    async fn comment(&self, repository: &str, id: &str, text: &str) -> Result<(), HostError> {
        let (client, path) = (self.client().await?, self.place.path(repository)?);
        let to = format!("repos/{path}/issues/{}/comments", encode(id));
        client.do_write(Method::POST, &to, &json!({"body": text})).await
    }

    fn webhook(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        secret: &str,
    ) -> Result<Option<HostEvent>, HostError> {
        let signature = webhook::header(headers, &["x-hub-signature-256"]);
        let delivery = webhook::signed(&self.place.host, signature, body, secret)?;
        webhook::event(&delivery, webhook::header(headers, &["x-github-event"]).unwrap_or_default())
    }

    fn waiting(&self) -> Option<Duration> {
        self.client.waiting()
    }
}

fn state_of(pull: &wire::PullRequest) -> PullRequestState {
    match (pull.state.as_str(), &pull.merged_at) {
        (_, Some(_)) => PullRequestState::Merged,
        ("open", None) => PullRequestState::Open,
        _ => PullRequestState::Closed,
    }
}

fn label(label: wire::Label) -> Label {
    Label {
        text: line(&label.name),
        color: line(&label.color.unwrap_or_default()),
        description: label.description.map(|text| line(&text)),
    }
}
