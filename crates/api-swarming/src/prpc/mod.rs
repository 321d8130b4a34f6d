//! pRPC: protobuf calls over plain HTTP, as luci-go's `grpc/prpc` speaks it.
//!
//! A call is `POST /prpc/<service>/<method>`. Every answer carries `X-Prpc-Grpc-Code`, because clients trust nothing else.

mod code;
mod codec;

use std::io::Read;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::read::{GzDecoder, GzEncoder};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, request};
use prost::{Message, Name};

pub use self::code::{Code, Status};
pub use self::codec::Codec;
pub(crate) use self::codec::json_of;
use crate::proto::prpc::ErrorDetails;
use crate::proto::prpc::error_details::{Error, ResponseTooBig};

/// Largest body of a request, before and after it is unpacked.
pub const REQUEST_BYTES: usize = 64 << 20;
/// A shorter answer is not worth packing.
const GZIP_FROM: usize = 1024;

const CODE: HeaderName = HeaderName::from_static("x-prpc-grpc-code");
const DETAILS: HeaderName = HeaderName::from_static("x-prpc-status-details-bin");
const TIMEOUT: HeaderName = HeaderName::from_static("x-prpc-grpc-timeout");
const MAX_RESPONSE: HeaderName = HeaderName::from_static("x-prpc-max-response-size");

/// The message of a call, not read yet.
pub struct Incoming {
    codec: Codec,
    body: Bytes,
}

impl Incoming {
    pub fn of_json(request: &serde_json::Value) -> Self {
        Self { codec: Codec::Json, body: request.to_string().into() }
    }

    pub fn decode<T: Message + Name + Default>(&self) -> Result<T, Status> {
        self.codec.decode(&self.body)
    }
}

/// The answer of a call, in the codec that was asked for.
pub struct Outgoing(Vec<u8>);

impl Outgoing {
    /// Of an answer that was asked for in JSON.
    pub fn json(&self) -> Result<serde_json::Value, Status> {
        let text = self.0.strip_prefix(codec::JSON_PREFIX).unwrap_or(&self.0);
        serde_json::from_slice(text).map_err(|error| Status::internal(&error))
    }
}

/// How to write an answer.
#[derive(Clone, Copy)]
pub struct Writer(Codec);

impl Writer {
    pub const JSON: Self = Self(Codec::Json);

    pub fn write<T: Message + Name>(self, message: &T) -> Outgoing {
        Outgoing(self.0.encode(message))
    }
}

/// What answers calls.
pub trait Methods: Sync {
    fn call(
        &self,
        service: &str,
        method: &str,
        headers: &HeaderMap,
        message: Incoming,
        writer: Writer,
    ) -> impl Future<Output = Result<Outgoing, Status>> + Send;
}

/// The text for a service that is not here.
pub fn no_service(name: &str) -> Status {
    Status::new(Code::Unimplemented, format!("service \"{name}\" is not implemented"))
}

/// The text for a method that its service has not.
pub fn no_method(service: &str, method: &str) -> Status {
    let message = format!("method \"{method}\" in service \"{service}\" is not implemented");
    Status::new(Code::Unimplemented, message)
}

/// Answers one request. `None` when the path is not pRPC's.
pub async fn answer(
    request: &request::Parts,
    body: Bytes,
    methods: &impl Methods,
) -> Option<Response<Bytes>> {
    let (service, method) = request.uri.path().strip_prefix("/prpc/")?.split_once('/')?;
    if service.is_empty() || method.is_empty() || method.contains('/') {
        return None;
    }
    let mut response = match request.method {
        Method::OPTIONS => preflight(),
        Method::POST => {
            let codec = Codec::of_answer(&request.headers);
            let result = match &codec {
                Ok(codec) => call(request, body, service, method, *codec, methods).await,
                Err(status) => Err(status.clone()),
            };
            let codec = codec.unwrap_or(Codec::Binary);
            match result {
                Ok(out) => success(&request.headers, codec, out),
                Err(status) => failure(codec, &status),
            }
        }
        _ => {
            let status = Status::new(Code::Unimplemented, "use POST");
            failure(Codec::Binary, &status.with_http(StatusCode::METHOD_NOT_ALLOWED))
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(origin) = request.headers.get(header::ORIGIN) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        let yes = HeaderValue::from_static("true");
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        let exposed = HeaderValue::from_static("X-Prpc-Grpc-Code, X-Prpc-Status-Details-Bin");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    Some(response)
}

async fn call(
    request: &request::Parts,
    body: Bytes,
    service: &str,
    method: &str,
    codec: Codec,
    methods: &impl Methods,
) -> Result<Vec<u8>, Status> {
    let headers = &request.headers;
    let incoming = Incoming { codec: Codec::of_request(headers)?, body: unpack(headers, body)? };
    let call = methods.call(service, method, headers, incoming, Writer(codec));
    let Outgoing(out) = match timeout(headers)? {
        None => call.await?,
        Some(time) => tokio::time::timeout(time, call)
            .await
            .map_err(|_| Status::new(Code::DeadlineExceeded, "the deadline is over"))??,
    };
    match max_response(headers)? {
        Some(most) if out.len() as u64 > most => Err(too_big(out.len() as u64, most)),
        _ => Ok(out),
    }
}

fn unpack(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Status> {
    let too_long = || Status::invalid(format!("the request is longer than {REQUEST_BYTES} bytes"));
    if body.len() > REQUEST_BYTES {
        return Err(too_long());
    }
    match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"" | b"identity") => Ok(body),
        Some(b"gzip") => {
            let mut out = Vec::new();
            GzDecoder::new(&body[..])
                .take(REQUEST_BYTES as u64 + 1)
                .read_to_end(&mut out)
                .map_err(|error| Status::invalid(format!("could not decompress body: {error}")))?;
            if out.len() > REQUEST_BYTES { Err(too_long()) } else { Ok(out.into()) }
        }
        Some(other) => {
            let other = String::from_utf8_lossy(other).into_owned();
            let message = format!("bad Content-Encoding header: `{other}` is not gzip");
            Err(Status::invalid(message).with_http(StatusCode::UNSUPPORTED_MEDIA_TYPE))
        }
    }
}

/// Digits and a unit, as gRPC writes it.
fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get(TIMEOUT) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let bad =
        || Status::invalid(format!("bad {TIMEOUT} header: `{text}` is not digits and a unit"));
    let (digits, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(bad)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    let count: u64 = digits.parse().map_err(|_| bad())?;
    let time = match unit {
        "H" => Duration::from_secs(count.saturating_mul(3600)),
        "M" => Duration::from_secs(count.saturating_mul(60)),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return Err(bad()),
    };
    Ok(Some(time))
}

fn max_response(headers: &HeaderMap) -> Result<Option<u64>, Status> {
    let Some(value) = headers.get(MAX_RESPONSE) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    match text.parse() {
        Ok(most) if most > 0 => Ok(Some(most)),
        _ => Err(Status::invalid(format!("bad {MAX_RESPONSE} header: `{text}` is no size"))),
    }
}

fn too_big(size: u64, most: u64) -> Status {
    let message = format!("the response is too big: {size} bytes, and the client takes {most}");
    let detail = ErrorDetails {
        error: Some(Error::ResponseTooBig(ResponseTooBig {
            response_size: size.try_into().unwrap_or(i64::MAX),
            response_limit: most.try_into().unwrap_or(i64::MAX),
        })),
    };
    let detail = prost_types::Any::from_msg(&detail).expect("a message fits into a vector");
    Status { details: vec![detail], ..Status::new(Code::Unavailable, message) }
}

fn success(headers: &HeaderMap, codec: Codec, out: Vec<u8>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    response.headers_mut().insert(CODE, HeaderValue::from_static("0"));
    response.headers_mut().insert(header::CONTENT_TYPE, codec.header());
    let takes_gzip = headers.get_all(header::ACCEPT_ENCODING).iter().any(|value| {
        let items = value.to_str().unwrap_or_default().split(',');
        items.map(|item| item.split(';').next().unwrap_or_default().trim()).any(|it| it == "gzip")
    });
    let mut body = out;
    if takes_gzip && body.len() > GZIP_FROM {
        let mut packed = Vec::new();
        let read = GzEncoder::new(&body[..], Compression::fast()).read_to_end(&mut packed);
        read.expect("memory can be read");
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        body = packed;
    }
    *response.body_mut() = body.into();
    response
}

fn failure(codec: Codec, status: &Status) -> Response<Bytes> {
    let (kind, body) = codec::plain(status.text());
    let mut response = Response::new(body);
    *response.status_mut() = status.http.unwrap_or_else(|| status.code.http());
    let headers = response.headers_mut();
    headers.insert(CODE, HeaderValue::from(status.code as i32));
    headers.insert(header::CONTENT_TYPE, kind);
    for detail in &status.details {
        let text = STANDARD.encode(codec.encode_detail(detail));
        headers.append(DETAILS, text.try_into().expect("base64 fits into a header"));
    }
    response
}

fn preflight() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    for (name, value) in [
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "Origin, Content-Type, Accept, Authorization, X-Prpc-Grpc-Timeout, X-Prpc-Max-Response-Size",
        ),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "OPTIONS, POST"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests;
