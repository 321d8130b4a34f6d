//! What the web UI asks for, answered by GraphQL and the engine.

use std::sync::Arc;
use std::time::Duration;

use api_graphql::Request;
use api_swarming::prpc::Code;
use async_trait::async_trait;
use campaign::service::{Changed, Service};
use campaign::site;
use dispatcher::LogRead;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use model::{AttemptNumber, GroupId, JobId};
use serde_json::{Value, json};
use web::{Backend, Caller, GraphError, LogPiece, Role, Topic};

pub struct Pages {
    pub graphql: Arc<api_graphql::Door>,
    pub swarming: api_swarming::Door,
}

/// How often it is looked whether a log has grown.
const PAUSE: Duration = Duration::from_millis(300);
/// How often pages of bots and tasks look again. Thousands of bots change all the time; what rings for each would ring always.
const SWARMING_PAUSE: Duration = Duration::from_secs(5);

impl Pages {
    fn service(&self) -> &Arc<Service> {
        self.graphql.service()
    }
}

fn role(role: site::Role) -> Role {
    match role {
        site::Role::Reader => Role::Reader,
        site::Role::User => Role::User,
        site::Role::Admin => Role::Admin,
    }
}

fn code(code: Code) -> &'static str {
    match code {
        Code::NotFound => "NOT_FOUND",
        Code::PermissionDenied | Code::Unauthenticated => "FORBIDDEN",
        Code::InvalidArgument
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::AlreadyExists
        | Code::ResourceExhausted => "BAD_INPUT",
        _ => "INTERNAL",
    }
}

#[async_trait]
impl Backend for Pages {
    async fn caller(&self, token: &str) -> Option<Caller> {
        let found = self.graphql.caller(token).await;
        let found = found
            .inspect_err(|error| tracing::error!("failed to look a token up: {error}"))
            .ok()??;
        Some(Caller::new(found.name, role(found.role), token))
    }

    async fn run(
        &self,
        caller: &Caller,
        query: &str,
        variables: Value,
    ) -> Result<Value, Vec<GraphError>> {
        let failed = |message: &str| {
            vec![GraphError { message: message.to_owned(), ..GraphError::default() }]
        };
        // Its rights may have changed since the page was opened.
        let known = self.graphql.caller(caller.token()).await.ok().flatten();
        let known = known.ok_or_else(|| failed("the token opens nothing any more"))?;
        let request = Request::new(query).variables(api_graphql::Variables::from_json(variables));
        let response = self.graphql.run(known, request).await;
        if !response.errors.is_empty() {
            let errors = response.errors.iter().map(|error| {
                let error = serde_json::to_value(error).unwrap_or_default();
                serde_json::from_value(error).unwrap_or_default()
            });
            return Err(errors.collect());
        }
        response.data.into_json().map_err(|_| failed("the answer cannot be read"))
    }

    fn has_swarming(&self) -> bool {
        self.swarming.is_on()
    }

    async fn swarming(
        &self,
        caller: &Caller,
        method: &str,
        request: Value,
    ) -> Result<Value, GraphError> {
        let failed = |code: &str, message: String| GraphError {
            message,
            extensions: json!({ "code": code }),
            ..GraphError::default()
        };
        // Its rights may have changed since the page was opened.
        let known = super::swarming::caller(&self.graphql, caller.token()).await;
        let known = known
            .ok_or_else(|| failed("FORBIDDEN", "the token opens nothing any more".to_owned()))?;
        let answer = self.swarming.call(&known, method, &request).await;
        answer.map_err(|status| failed(code(status.code), status.message))
    }

    fn changes(&self, _: &Caller, topic: Topic) -> BoxStream<'static, ()> {
        let service = self.service().clone();
        if let Topic::Log(job) = topic {
            return log_rings(service, JobId(job)).boxed();
        }
        if topic == Topic::Swarming {
            let ring = || tokio::time::sleep(SWARMING_PAUSE);
            return stream::unfold((), move |()| async move { Some((ring().await, ())) }).boxed();
        }
        let rings = stream::once(async move {
            let wanted = match topic {
                Topic::Everything | Topic::Log(_) | Topic::Swarming => None,
                Topic::Execution(number) => Some(Changed::Execution(GroupId(number))),
                Topic::Job(job) => {
                    let view =
                        service.blocking(move |it| it.dispatcher.reader().job(JobId(job))).await;
                    view.ok().flatten().and_then(|view| view.group).map(Changed::Execution)
                }
                Topic::Campaign(name) => {
                    let found = service.blocking(move |it| it.store.campaign_named(&name)).await;
                    found.ok().flatten().map(|it| Changed::Campaign(it.id))
                }
            };
            service.rings(move |changed| wanted.is_none_or(|wanted| wanted == changed))
        });
        rings.flatten().boxed()
    }

    async fn log(
        &self,
        _: &Caller,
        job: u64,
        attempt: Option<u32>,
        offset: u64,
        most: usize,
    ) -> Option<LogPiece> {
        let read = read(self.service(), JobId(job), attempt, offset, most).await?;
        Some(LogPiece { bytes: read.bytes, total: read.length, growing: !read.over })
    }
}

async fn read(
    service: &Arc<Service>,
    job: JobId,
    attempt: Option<u32>,
    offset: u64,
    most: usize,
) -> Option<LogRead> {
    let read = service
        .blocking(move |it| {
            let number = match attempt {
                Some(number) => number,
                None => match it.dispatcher.reader().job(job)? {
                    Some(view) if view.attempts > 0 => view.attempts,
                    _ => return Ok(None),
                },
            };
            it.dispatcher.read_log(job, AttemptNumber(number), offset, most)
        })
        .await;
    let read: Result<Option<LogRead>, dispatcher::StoreError> = read;
    read.inspect_err(|error| tracing::error!("failed to read a log: {error}")).ok().flatten()
}

/// Rings when the newest log of a job has grown or is over; ends when it is.
fn log_rings(service: Arc<Service>, job: JobId) -> impl futures::Stream<Item = ()> + Send {
    stream::unfold((service, 0, false), move |(service, seen, over)| async move {
        if over {
            return None;
        }
        loop {
            tokio::time::sleep(PAUSE).await;
            let read = read(&service, job, None, 0, 0).await;
            let (length, over) = read.map_or((0, false), |read| (read.length, read.over));
            if length != seen || over {
                return Some(((), (service, length, over)));
            }
        }
    })
}
