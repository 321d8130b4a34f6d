//! The server over HTTP: one function per endpoint, and how a request is repeated.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use executor_protocol::{
    Claim, HEADER_EXECUTOR_NAME, HEADER_JOB_ID, HEADER_SESSION, HeartbeatExtension,
    HeartbeatRequest, HeartbeatResponse, IdsOfQueue, JobReport, LogReply, RegisterRequest,
    ReleaseRequest, SCHEME_EXECUTOR, SCHEME_JOB, VERSION, WireId, WorkReply, WorkRequest,
};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use tokio_util::sync::CancellationToken;

use super::AgentConfig;
use crate::job::{Checkout, RepositorySource};

/// The server said no, or could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{0}")]
    Setup(String),
    /// Not answered: the request may or may not have been done, and is repeated.
    #[error("reach the server: {0}")]
    Unreachable(String),
    /// The lease is not ours any more.
    #[error("the job was given to another runner")]
    Fenced,
    /// The server does not know this runner: register again.
    #[error("the server does not know this runner")]
    NotRegistered,
    #[error("another process took over the name of this runner; give each runner its own `--name`")]
    Superseded,
    #[error("the server refused the runner's token")]
    Unauthorized,
    #[error("the server answered {status}: {text}")]
    Refused { status: u16, text: String },
    #[error("the runner was told to stop")]
    Stopped,
}

impl ClientError {
    /// Whether the same request may be answered later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }
}

pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
    name: String,
    session: u64,
    queues: Vec<String>,
}

/// The longest pause between two tries.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

impl Client {
    pub(crate) fn new(config: &AgentConfig, session: u64) -> Result<Self, ClientError> {
        let setup = |error: reqwest::Error| ClientError::Setup(error.to_string());
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true);
        if config.server.starts_with("http://") {
            // The host's certificates take a while to read.
            builder = builder.tls_certs_only([]);
        } else if let Some(pem) = &config.ca_certificates {
            for certificate in reqwest::Certificate::from_pem_bundle(pem).map_err(setup)? {
                builder = builder.add_root_certificate(certificate);
            }
        }
        Ok(Self {
            http: builder.build().map_err(setup)?,
            base: config.server.trim_end_matches('/').to_owned(),
            token: config.token.clone(),
            name: config.name.clone(),
            session,
            queues: config.queues.clone(),
        })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}/.executors/{path}", self.base))
            .header("authorization", format!("{SCHEME_EXECUTOR} {}", self.token))
            .timeout(Duration::from_secs(90))
    }

    async fn send(request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await;
        let response = response.map_err(|error| ClientError::Unreachable(cause(&error)))?;
        match response.status() {
            status if status.is_success() => Ok(response),
            StatusCode::GONE => Err(ClientError::Fenced),
            StatusCode::PRECONDITION_FAILED => Err(ClientError::NotRegistered),
            StatusCode::CONFLICT => Err(ClientError::Superseded),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(ClientError::Unauthorized),
            status => {
                let text = response.text().await.unwrap_or_default();
                let text = text.chars().take(300).collect();
                Err(ClientError::Refused { status: status.as_u16(), text })
            }
        }
    }

    async fn json<T: serde::de::DeserializeOwned>(response: Response) -> Result<T, ClientError> {
        response.json().await.map_err(|error| ClientError::Unreachable(cause(&error)))
    }

    /// Repeats until it is answered for good, or `stop` is cancelled.
    pub(crate) async fn until_answered<T, F: Future<Output = Result<T, ClientError>>>(
        &self,
        stop: &CancellationToken,
        mut ask: impl FnMut() -> F,
    ) -> Result<T, ClientError> {
        let mut pause = Duration::from_millis(50);
        let mut silent = false;
        loop {
            let answer = tokio::select! {
                answer = ask() => answer,
                () = stop.cancelled() => return Err(ClientError::Stopped),
            };
            let error = match answer {
                Err(error) if error.is_passing() => error,
                answer => {
                    if silent {
                        tracing::info!("the server answers again");
                    }
                    return answer;
                }
            };
            if !silent && pause > Duration::from_millis(500) {
                silent = true;
                tracing::warn!("failed to {error}; trying again until it answers");
            }
            // Full jitter, so that a fleet does not come back in one moment.
            let jittered = pause.mul_f64(rand::random_range(0.2..1.0));
            tokio::select! {
                () = tokio::time::sleep(jittered) => {}
                () = stop.cancelled() => return Err(ClientError::Stopped),
            }
            pause = (pause * 2).min(BACKOFF_MAX);
        }
    }

    pub(crate) async fn register(&self, config: &AgentConfig) -> Result<(), ClientError> {
        let body = RegisterRequest {
            executor_name: self.name.clone(),
            session: self.session,
            queues: config.queues.clone(),
            dimensions: config.dimensions.clone(),
            slots: config.slots,
        };
        Self::send(self.request(Method::POST, "phalanx/register").json(&body)).await.map(drop)
    }

    pub(crate) async fn deregister(&self, config: &AgentConfig) -> Result<(), ClientError> {
        let body = RegisterRequest {
            executor_name: self.name.clone(),
            session: self.session,
            queues: config.queues.clone(),
            dimensions: BTreeMap::new(),
            slots: config.slots,
        };
        let request = self.request(Method::POST, "phalanx/deregister").json(&body);
        Self::send(request.timeout(Duration::from_secs(2))).await.map(drop)
    }

    /// Reports and claims in one request.
    pub(crate) async fn work(
        &self,
        jobs: &[JobReport],
        claim: Option<Claim>,
        wait_seconds: u64,
    ) -> Result<WorkReply, ClientError> {
        let body = WorkRequest {
            executor_name: self.name.clone(),
            session: self.session,
            jobs: jobs.to_vec(),
            claim,
        };
        let mut request = self.request(Method::POST, "phalanx/work").json(&body);
        if wait_seconds > 0 {
            request = request.header("prefer", format!("wait={wait_seconds}"));
        }
        Self::json(Self::send(request).await?).await
    }

    /// The jobs among `running` that are still ours, and those that are to stop.
    pub(crate) async fn heartbeat(
        &self,
        running: &[(u64, String, String)],
        wait: Duration,
    ) -> Result<HeartbeatResponse, ClientError> {
        let mut by_queue: BTreeMap<&str, Vec<WireId>> = BTreeMap::new();
        let mut tokens = BTreeMap::new();
        for (job, queue, token) in running {
            by_queue.entry(queue).or_default().push(WireId(job.to_string()));
            tokens.insert(job.to_string(), token.clone());
        }
        let mut queue_names = self.queues.clone();
        let of_queue = |(queue, job_ids): (&str, Vec<WireId>)| {
            if !queue_names.iter().any(|name| name == queue) {
                queue_names.push(queue.to_owned());
            }
            IdsOfQueue { queue_name: queue.to_owned(), job_ids }
        };
        let job_ids_by_queue = by_queue.into_iter().map(of_queue).collect();
        let body = HeartbeatRequest {
            executor_name: self.name.clone(),
            executor_version: VERSION.to_owned(),
            os: std::env::consts::OS.to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            job_ids_by_queue,
            queue_names,
            phalanx: Some(HeartbeatExtension { session: self.session, tokens }),
            ..HeartbeatRequest::default()
        };
        let mut request = self.request(Method::POST, "queue/heartbeat").json(&body);
        request = request.header("prefer", format!("wait={:.3}", wait.as_secs_f64()));
        Self::json(Self::send(request.timeout(Duration::from_secs(20))).await?).await
    }

    /// Adds to a log. `Err(Refused { status: 416 })` never comes: the reply says where the log stands.
    pub(crate) async fn log(
        &self,
        job: u64,
        token: &str,
        offset: u64,
        bytes: Bytes,
    ) -> Result<LogReply, ClientError> {
        let url = format!("{}/.executors/phalanx/log?offset={offset}", self.base);
        let mut request = self.http.post(url).timeout(Duration::from_secs(60)).body(bytes);
        for (name, value) in self.job_headers(job, token) {
            request = request.header(name, value);
        }
        let response = request.send().await;
        let response = response.map_err(|error| ClientError::Unreachable(cause(&error)))?;
        match response.status() {
            StatusCode::OK | StatusCode::RANGE_NOT_SATISFIABLE => Self::json(response).await,
            StatusCode::GONE | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(ClientError::Fenced)
            }
            status => {
                let text = response.text().await.unwrap_or_default();
                Err(ClientError::Refused { status: status.as_u16(), text })
            }
        }
    }

    pub(crate) async fn release(
        &self,
        job: u64,
        token: &str,
        why: &str,
    ) -> Result<(), ClientError> {
        let body = ReleaseRequest { id: job, token: token.to_owned(), why: why.to_owned() };
        Self::send(self.request(Method::POST, "phalanx/release").json(&body)).await.map(drop)
    }

    pub(crate) async fn blob_get(&self, digest: model::Digest) -> Result<Vec<u8>, ClientError> {
        let path = format!("phalanx/blobs/{digest}");
        let response = Self::send(self.request(Method::GET, &path)).await?;
        let bytes = response.bytes().await;
        bytes.map(Into::into).map_err(|error| ClientError::Unreachable(cause(&error)))
    }

    pub(crate) async fn blob_put(
        &self,
        digest: model::Digest,
        bytes: Bytes,
    ) -> Result<(), ClientError> {
        let path = format!("phalanx/blobs/{digest}");
        let request = self.request(Method::PUT, &path).timeout(Duration::from_secs(600));
        Self::send(request.body(bytes)).await.map(drop)
    }

    pub(crate) async fn cache_get(
        &self,
        key: &str,
    ) -> Result<Option<spec::CachedStep>, ClientError> {
        let path = format!("phalanx/cache/{key}");
        match Self::send(self.request(Method::GET, &path)).await {
            Ok(response) => Self::json(response).await.map(Some),
            Err(ClientError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn cache_put(
        &self,
        key: &str,
        step: &spec::CachedStep,
    ) -> Result<(), ClientError> {
        let path = format!("phalanx/cache/{key}");
        Self::send(self.request(Method::PUT, &path).json(step)).await.map(drop)
    }

    fn job_headers(&self, job: u64, token: &str) -> Vec<(String, String)> {
        vec![
            ("Authorization".to_owned(), format!("{SCHEME_JOB} {token}")),
            (HEADER_JOB_ID.to_owned(), job.to_string()),
            (HEADER_EXECUTOR_NAME.to_owned(), self.name.clone()),
            (HEADER_SESSION.to_owned(), self.session.to_string()),
        ]
    }

    /// Where a job's repository is fetched from.
    pub(crate) fn repository(&self, job: u64, token: &str, name: &str) -> RepositorySource {
        RepositorySource::Http {
            url: format!("{}/.executors/git/{name}", self.base),
            headers: self.job_headers(job, token),
        }
    }

    pub(crate) fn checkout(
        &self,
        job: u64,
        token: &str,
        order: executor_protocol::CheckoutOrder,
        shares_host: bool,
    ) -> Checkout {
        // SECURITY: a path from a server is believed only by a runner that was started beside it.
        let source = match order.local_path {
            Some(path) if shares_host => RepositorySource::Local(path.into()),
            _ => self.repository(job, token, &order.name),
        };
        Checkout { name: order.name, commit: order.commit, source }
    }
}

/// The innermost cause: `reqwest` puts it last.
fn cause(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
