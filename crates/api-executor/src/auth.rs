//! Who is calling: a runner as a whole, or one attempt.

use executor_protocol::{
    HEADER_EXECUTOR_NAME, HEADER_JOB_ID, HEADER_SESSION, SCHEME_EXECUTOR, SCHEME_JOB,
};
use http::{HeaderMap, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use model::{JobId, LeaseToken, RunnerName, Session};
use subtle::ConstantTimeEq;

use crate::status::{Answer, Refusal};
use crate::{Door, full};

/// The tokens that make a caller a runner. Kept as digests; compared in constant time.
pub struct Tokens {
    digests: Vec<[u8; 32]>,
}

impl Tokens {
    pub fn new<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Self {
        let digest = |token: &str| *blake3::hash(token.as_bytes()).as_bytes();
        Self { digests: tokens.into_iter().map(digest).collect() }
    }

    fn accepts(&self, token: &str) -> bool {
        let digest: [u8; 32] = *blake3::hash(token.as_bytes()).as_bytes();
        // SECURITY: no early end: the duration tells nothing of which token was close.
        self.digests.iter().fold(false, |found, known| found | bool::from(known.ct_eq(&digest)))
    }
}

fn authorization(headers: &HeaderMap) -> Result<(&str, &str), Refusal> {
    let refuse = |text: &str| Refusal::text(StatusCode::UNAUTHORIZED, text);
    let value =
        headers.get(header::AUTHORIZATION).ok_or_else(|| refuse("no Authorization header"))?;
    let value = value.to_str().map_err(|_| refuse("the Authorization header is not text"))?;
    let mut parts = value.split(' ');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(scheme), Some(token), None) if !token.is_empty() => Ok((scheme, token)),
        _ => Err(refuse("the Authorization header is not a scheme and a token")),
    }
}

/// A runner's own token.
pub(crate) fn executor(door: &Door, headers: &HeaderMap) -> Result<(), Refusal> {
    let (scheme, token) = authorization(headers)?;
    if scheme != SCHEME_EXECUTOR {
        let text = format!("the Authorization scheme is not `{SCHEME_EXECUTOR}`");
        return Err(Refusal::text(StatusCode::UNAUTHORIZED, text));
    }
    if door.tokens.accepts(token) { Ok(()) } else { Err(Refusal::empty(StatusCode::UNAUTHORIZED)) }
}

/// Who writes for a job.
#[derive(Clone, Debug)]
pub(crate) struct JobCaller {
    pub job: Option<JobId>,
    pub runner: Option<RunnerName>,
    /// `None`: a runner's own token, which speaks for all its jobs.
    pub token: Option<LeaseToken>,
}

/// A job token, or a runner's own. The order of the checks is the original's.
pub(crate) fn job(door: &Door, headers: &HeaderMap) -> Result<JobCaller, Refusal> {
    let (scheme, token) = authorization(headers)?;
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let named_job = text(HEADER_JOB_ID).map(str::parse::<JobId>);
    let runner = text(HEADER_EXECUTOR_NAME).filter(|name| !name.is_empty()).map(RunnerName::new);
    if scheme == SCHEME_EXECUTOR {
        if !door.tokens.accepts(token) {
            return Err(Refusal::empty(StatusCode::FORBIDDEN));
        }
        return Ok(JobCaller { job: named_job.and_then(Result::ok), runner, token: None });
    }
    if scheme != SCHEME_JOB {
        return Err(Refusal::text(StatusCode::UNAUTHORIZED, "unknown Authorization scheme"));
    }
    let refuse = |text: &str| Refusal::text(StatusCode::BAD_REQUEST, text);
    let job = match named_job {
        Some(Ok(job)) => job,
        Some(Err(_)) => return Err(refuse("X-Sourcegraph-Job-ID is not a number")),
        None => return Err(refuse("no X-Sourcegraph-Job-ID header")),
    };
    let runner = runner.ok_or_else(|| refuse("worker hostname cannot be empty"))?;
    let invalid = || Refusal::text(StatusCode::UNAUTHORIZED, "invalid token");
    let token = LeaseToken::parse_hex(token).map_err(|_| invalid())?;
    let session = text(HEADER_SESSION).and_then(|session| session.parse().ok()).unwrap_or(0);
    // Whether the attempt still lives is the engine's to say; that we made the token is checked here.
    if !door.dispatcher.token_is_genuine(job, &token, &runner, Session(session)) {
        return Err(invalid());
    }
    Ok(JobCaller { job: Some(job), runner: Some(runner), token: Some(token) })
}

impl JobCaller {
    /// The token under which to write for `job`, as the body names it.
    pub(crate) fn token_for(
        &self,
        door: &Door,
        job: JobId,
        runner: &RunnerName,
    ) -> Result<LeaseToken, Refusal> {
        if self.job.is_some_and(|header| header != job)
            || self.runner.as_ref().is_some_and(|r| r != runner)
        {
            return Err(Refusal::text(StatusCode::FORBIDDEN, "invalid token"));
        }
        match self.token {
            Some(token) => Ok(token),
            None => door.dispatcher.token_of(job, runner).ok_or_else(Refusal::fenced),
        }
    }
}

/// `GET /.executors/test/auth`
pub(crate) fn test(door: &Door, request: &Request<Incoming>) -> Answer {
    executor(door, request.headers())?;
    Ok(Response::new(full("ok")))
}
