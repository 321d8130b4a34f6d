//! `/.executors/git/{repository}/info/refs` and `…/git-upload-pack`: smart HTTP, read only, with a job's token. A job may
//! fetch its own repository and nothing else.

use std::process::Stdio;

use bytes::Bytes;
use codehost::git::git;
use futures::StreamExt;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use model::JobId;
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

use crate::status::{Answer, Refusal};
use crate::{Door, auth};

/// What upload-pack may serve: any commit by its id, shallow and partial clones.
const ALLOW: [&str; 6] = [
    "-c",
    "uploadpack.allowAnySHA1InWant=true",
    "-c",
    "uploadpack.allowFilter=true",
    "-c",
    "pack.threads=1",
];

pub(crate) async fn handle(door: &Door, request: Request<Incoming>, rest: &str) -> Answer {
    let caller = auth::job(door, request.headers())?;
    let info = rest.strip_suffix("/info/refs");
    let (repository, advertise) = match (info, rest.strip_suffix("/git-upload-pack")) {
        (Some(repository), _) if request.method() == Method::GET => (repository, true),
        (_, Some(repository)) if request.method() == Method::POST => (repository, false),
        _ => return Err(Refusal::not_found()),
    };
    let service = request.uri().query().unwrap_or_default();
    if advertise && service != "service=git-upload-pack" {
        return Err(Refusal::text(StatusCode::FORBIDDEN, "only git-upload-pack is served"));
    }
    may_fetch(door, &caller, repository)?;
    let directory = door.repositories.git_dir(repository).ok_or_else(Refusal::not_found)?;
    let mut arguments = ALLOW.to_vec();
    arguments.extend(["upload-pack", "--strict", "--stateless-rpc"]);
    if advertise {
        arguments.push("--advertise-refs");
    }
    arguments.push(".");
    let mut command = git(&directory, &arguments);
    if let Some(protocol) = request.headers().get("git-protocol").and_then(|v| v.to_str().ok()) {
        let plain = protocol.bytes().all(|b| b.is_ascii_alphanumeric() || b"=:.-".contains(&b));
        if plain && protocol.len() < 100 {
            command.env("GIT_PROTOCOL", protocol);
        }
    }
    // `.` is a work tree's top: upload-pack looks for `.git` itself unless it is told to be strict.
    if directory.join(".git").exists() {
        command.env("GIT_DIR", directory.join(".git"));
        command.current_dir(directory.join(".git"));
    }
    command.stdin(Stdio::piped()).stderr(Stdio::null());
    let gzip = request.headers().get(header::CONTENT_ENCODING).is_some_and(|e| e == "gzip");
    if gzip {
        let text = "a compressed request is not taken; set http.postBuffer higher";
        return Err(Refusal::text(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    let mut child = command.spawn().map_err(|error| Refusal::internal(&error))?;
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let stdout = child.stdout.take().expect("stdout is piped");
    let mut body = request.into_body();
    tokio::spawn(async move {
        while let Some(Ok(frame)) = body.frame().await {
            let Ok(bytes) = frame.into_data() else { continue };
            if stdin.write_all(&bytes).await.is_err() {
                break;
            }
        }
        drop(stdin);
        // The child lives until its output is read or its reader goes away.
        let _ = child.wait().await;
    });
    let announced =
        advertise.then(|| Ok(Bytes::from_static(b"001e# service=git-upload-pack\n0000")));
    let stream =
        futures::stream::iter(announced).chain(ReaderStream::with_capacity(stdout, 64 * 1024));
    let mut response =
        Response::new(StreamBody::new(stream.map(|chunk| chunk.map(Frame::data))).boxed_unsync());
    let kind = if advertise {
        "application/x-git-upload-pack-advertisement"
    } else {
        "application/x-git-upload-pack-result"
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-cache"));
    Ok(response)
}

fn may_fetch(door: &Door, caller: &auth::JobCaller, repository: &str) -> Result<(), Refusal> {
    // A runner's own token may fetch what any of its jobs may.
    let Some(token) = caller.token else { return Ok(()) };
    let forbidden = || Refusal::text(StatusCode::FORBIDDEN, "the job has another repository");
    let job: JobId = caller.job.ok_or_else(forbidden)?;
    let runner = caller.runner.as_ref().ok_or_else(forbidden)?;
    // SECURITY: a token dies with its attempt.
    if door.dispatcher.token_of(job, runner) != Some(token) {
        return Err(Refusal::fenced());
    }
    let payload = door.dispatcher.payload(job).map_err(|error| Refusal::internal(&error))?;
    let payload = payload.unwrap_or_default();
    let of_job = match campaign::execution::job_order(&payload) {
        Some(workspace) => workspace.repository,
        None => {
            let job: executor_protocol::Job =
                serde_json::from_slice(&payload).map_err(|_| forbidden())?;
            job.repository_name
        }
    };
    if of_job == repository { Ok(()) } else { Err(forbidden()) }
}
