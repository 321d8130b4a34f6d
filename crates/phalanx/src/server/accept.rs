//! The accept loop: ours, because the timers of slow clients and the behaviour without file descriptors are.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures::StreamExt;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::chaos::{self, Chaos};
use super::metrics::Metrics;
use crate::config::ServerSection;

pub struct Doors {
    pub metrics: Arc<Metrics>,
    pub metrics_access: MetricsAccess,
    /// Faults on purpose.
    pub chaos: Option<Arc<Chaos>>,
    pub executor: api_executor::Door,
    pub swarming: api_swarming::Door,
    pub rest: axum::Router,
    pub hosts: Hosts,
}

/// SECURITY: who may look at the metrics: on loopback whoever is there, elsewhere who has a token.
pub struct MetricsAccess {
    pub open: bool,
    pub graphql: Arc<api_graphql::Door>,
}

impl MetricsAccess {
    async fn allows(&self, request: &Request<Incoming>) -> bool {
        let token = request.headers().get(header::AUTHORIZATION).and_then(|it| it.to_str().ok());
        match token.and_then(|value| value.strip_prefix("Bearer ")) {
            _ if self.open => true,
            Some(token) => self.graphql.caller(token).await.is_ok_and(|caller| caller.is_some()),
            None => false,
        }
    }
}

/// SECURITY: names under which the server may be called. A page of another site that points its name at 127.0.0.1 is refused.
pub struct Hosts(Vec<String>);

impl Hosts {
    pub fn new(section: &ServerSection, address: SocketAddr) -> Self {
        let mut names: Vec<String> =
            ["localhost", "127.0.0.1", "[::1]"].iter().map(|name| (*name).to_owned()).collect();
        names.push(match address.ip() {
            std::net::IpAddr::V4(ip) => ip.to_string(),
            std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        });
        names.extend(section.hosts.iter().map(|name| name.to_ascii_lowercase()));
        Self(names)
    }

    fn allow(&self, request: &Request<Incoming>) -> bool {
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| request.uri().authority().map(|authority| authority.as_str()));
        let Some(host) = host else { return false };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        self.0.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// Connections at once; the rest wait in the kernel's queue. Leaves files for the store and the logs.
pub fn connections_max() -> usize {
    let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
    let files = limit.map_or(1024, |(soft, _)| soft) as usize;
    files.saturating_sub(256).max(64)
}

/// The headers of a request must be here in this time, also on a connection that is kept open.
const HEADER_TIME: Duration = Duration::from_secs(75);
const FIRST_BYTE_TIME: Duration = Duration::from_secs(10);
/// The body of a request must be here in this time.
const BODY_TIME: Duration = Duration::from_secs(120);
const TLS_TIME: Duration = Duration::from_secs(10);

pub fn tls(section: &ServerSection) -> anyhow::Result<Option<TlsAcceptor>> {
    let (Some(certificate), Some(key)) = (&section.tls_certificate, &section.tls_key) else {
        return Ok(None);
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate)
        .with_context(|| format!("read the certificate `{}`", certificate.display()))?
        .collect();
    let key_der = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("read the key `{}`", key.display()))?;
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain?, key_der)
        .context("use the certificate and key")?;
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

pub async fn run(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    doors: Arc<Doors>,
    stop: CancellationToken,
) {
    let connections = Arc::new(Semaphore::new(connections_max()));
    loop {
        let permit = tokio::select! {
            permit = connections.clone().acquire_owned() => permit.expect("the semaphore stays open"),
            () = stop.cancelled() => return,
        };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of files or a client that left: neither ends the server.
                    tracing::warn!("failed to accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = stop.cancelled() => return,
        };
        let (tls, doors, stop) = (tls.clone(), doors.clone(), stop.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let _counted = doors.metrics.connected();
            let _ = stream.set_nodelay(true);
            let from = stream.peer_addr().ok().map(|address| address.ip());
            // Whoever connects and says nothing must not hold a place for long.
            if !matches!(tokio::time::timeout(FIRST_BYTE_TIME, stream.readable()).await, Ok(Ok(())))
            {
                return;
            }
            match tls {
                None => serve_io(stream, doors, false, from, stop).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) = tokio::time::timeout(TLS_TIME, tls.accept(stream)).await
                    {
                        serve_io(stream, doors, true, from, stop).await;
                    }
                }
            }
        });
    }
}

async fn serve_io<S>(
    stream: S,
    doors: Arc<Doors>,
    tls: bool,
    from: Option<IpAddr>,
    stop: CancellationToken,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        let doors = doors.clone();
        if tls {
            request.extensions_mut().insert(web::OverTls);
        }
        async move { serve(&doors, request, from).await }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_headers(100)
        .max_buf_size(64 * 1024);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        // A client that breaks off is no news.
        _ = connection.as_mut() => {}
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(Duration::from_secs(1), connection).await;
        }
    }
}

/// Answers, or lets it fail on purpose; `Err` ends the connection.
async fn serve(doors: &Doors, request: Request<Incoming>, from: Option<IpAddr>) -> chaos::Answer {
    let began = Instant::now();
    let door = doors.name_of(request.uri().path());
    let fault = doors.chaos.as_ref().and_then(|chaos| chaos.next(request.uri().path()));
    let answer = match fault {
        None => Ok(answer(doors, request, from).await),
        Some(fault) => Box::pin(fault.over(answer(doors, request, from))).await,
    };
    doors.metrics.answered(door, answer.as_ref().ok().map(Response::status), began);
    answer
}

impl Doors {
    /// For the metrics.
    fn name_of(&self, path: &str) -> &'static str {
        if api_executor::Door::serves(path) {
            "executor"
        } else if path == "/swarming/api/v1/bot/poll" {
            "swarming_poll"
        } else if self.swarming.serves(path) {
            "swarming"
        } else {
            "rest"
        }
    }
}

/// The whole body at once: these calls are small, but for the output of tasks.
async fn swarming(
    doors: &Doors,
    request: Request<Incoming>,
    from: Option<IpAddr>,
) -> Response<api_executor::Body> {
    let (parts, body) = request.into_parts();
    let most = doors.swarming.request_bytes(&parts).await;
    let body = http_body_util::Limited::new(body, most).collect();
    let response = match tokio::time::timeout(BODY_TIME, body).await {
        Err(_) => {
            let mut response = Response::new("the request did not arrive in time\n".into());
            *response.status_mut() = StatusCode::REQUEST_TIMEOUT;
            response
        }
        Ok(Ok(body)) => doors.swarming.handle(parts, body.to_bytes(), from).await,
        Ok(Err(error)) => {
            let mut response = Response::new(format!("read the request: {error}\n").into());
            *response.status_mut() = StatusCode::BAD_REQUEST;
            response
        }
    };
    response.map(api_executor::full)
}

async fn answer(
    doors: &Doors,
    request: Request<Incoming>,
    from: Option<IpAddr>,
) -> Response<api_executor::Body> {
    if !doors.hosts.allow(&request) {
        let text = "this server is not known by that name; add it with --host\n";
        let mut response = Response::new(api_executor::full(text));
        *response.status_mut() = StatusCode::MISDIRECTED_REQUEST;
        return response;
    }
    // Boxed, so that a connection is as large as what it does: thousands wait in polls of bots.
    if api_executor::Door::serves(request.uri().path()) {
        return Box::pin(doors.executor.handle(request)).await;
    }
    if request.uri().path() == "/metrics" {
        if !Box::pin(doors.metrics_access.allows(&request)).await {
            let text = "the metrics need a token: `Authorization: Bearer …`\n";
            let mut response = Response::new(api_executor::full(text));
            *response.status_mut() = StatusCode::UNAUTHORIZED;
            return response;
        }
        return doors.metrics.answer();
    }
    if doors.swarming.exports(request.uri().path()) {
        let (parts, _) = request.into_parts();
        let response = Box::pin(doors.swarming.export(&parts)).await;
        return response.map(|pieces| {
            let frames = pieces.map(|piece| piece.map(hyper::body::Frame::data));
            StreamBody::new(frames).boxed_unsync()
        });
    }
    if doors.swarming.serves(request.uri().path()) {
        return swarming(doors, request, from).await;
    }
    let rest = doors.rest.clone().oneshot(request.map(axum::body::Body::new));
    let response = match Box::pin(rest).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    response.map(|body| body.map_err(std::io::Error::other).boxed_unsync())
}
