//! Codecs, headers and errors, against what luci-go's client and server do.

use prost_types::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::proto::swarming::{
    BotsCount, BotsCountRequest, StringPair, TaskOutputResponse, TaskState,
};

/// Three methods: one echoes, one fails as it is told, one never answers.
struct Echo;

impl Methods for Echo {
    async fn call(
        &self,
        service: &str,
        method: &str,
        headers: &HeaderMap,
        message: Incoming,
        writer: Writer,
    ) -> Result<Outgoing, Status> {
        match (service, method) {
            ("swarming.v2.Bots", "CountBots") => {
                let asked: BotsCountRequest = message.decode()?;
                let now = Some(Timestamp { seconds: 1_700_000_000, nanos: 500_000_000 });
                let count = asked.dimensions.len() as i32;
                Ok(writer.write(&BotsCount { now, count, ..BotsCount::default() }))
            }
            ("swarming.v2.Tasks", "GetStdout") => {
                let output = vec![b'x'; 4096].into();
                Ok(writer.write(&TaskOutputResponse { output, state: TaskState::Running.into() }))
            }
            ("swarming.v2.Tasks", "CountTasks") => {
                let code = headers["code"].to_str().unwrap();
                let code = CODES.into_iter().find(|it| format!("{it:?}") == code).unwrap();
                Err(Status::new(code, "what happened"))
            }
            ("swarming.v2.Tasks", "ListTasks") => std::future::pending().await,
            ("swarming.v2.Tasks", _) => Err(no_method(service, method)),
            _ => Err(no_service(service)),
        }
    }
}

const CODES: [Code; 16] = [
    Code::Canceled,
    Code::Unknown,
    Code::InvalidArgument,
    Code::DeadlineExceeded,
    Code::NotFound,
    Code::AlreadyExists,
    Code::PermissionDenied,
    Code::ResourceExhausted,
    Code::FailedPrecondition,
    Code::Aborted,
    Code::OutOfRange,
    Code::Unimplemented,
    Code::Internal,
    Code::Unavailable,
    Code::DataLoss,
    Code::Unauthenticated,
];

const COUNT_BOTS: &str = "/prpc/swarming.v2.Bots/CountBots";

async fn send(
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Response<Bytes> {
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    answer(&parts, body.into(), &Echo).await.expect("the path is pRPC's")
}

async fn post(path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Response<Bytes> {
    send(Method::POST, path, headers, body).await
}

fn header<'a>(response: &'a Response<Bytes>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

fn text(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).unwrap()
}

fn two() -> BotsCountRequest {
    let pair = |key: &str, value: &str| StringPair { key: key.into(), value: value.into() };
    BotsCountRequest { dimensions: vec![pair("os", "Linux"), pair("pool", "p")] }
}

const JSON: (&str, &str) = ("accept", "application/json");

#[tokio::test]
async fn the_codec_is_the_one_that_is_asked_for() {
    let binary = two().encode_to_vec();
    let json =
        r#"{"dimensions":[{"key":"os","value":"Linux"},{"key":"pool"}],"unknown":[1,{"a":2}]}"#;
    let text = "dimensions { key: \"os\" } dimensions { key: \"pool\" value: \"p\" }";
    for (kind, body) in [
        ("", &binary[..]),
        ("application/prpc", &binary),
        ("application/prpc; encoding=binary", &binary),
        ("*/*", &binary),
        ("application/*", &binary),
        ("application/grpc", &binary),
        ("application/prpc; encoding=json", json.as_bytes()),
        ("application/json", json.as_bytes()),
        ("application/json; charset=utf-8", json.as_bytes()),
        ("Application/PRPC;Encoding=\"text\"", text.as_bytes()),
    ] {
        let body = Bytes::copy_from_slice(body);
        let answer = post(COUNT_BOTS, &[("content-type", kind)], body).await;
        assert_eq!(header(&answer, "x-prpc-grpc-code"), "0", "{kind}: {}", self::text(&answer));
        assert_eq!(header(&answer, "content-type"), "application/prpc; encoding=binary");
        assert_eq!(BotsCount::decode(&answer.body()[..]).unwrap().count, 2, "{kind}");
    }
    for (accept, kind) in [
        ("application/json", "application/json"),
        ("application/prpc; encoding=json", "application/json"),
        ("text/html, application/json;q=0.9, */*;q=0.8", "application/json"),
        ("application/json;q=0.1, application/prpc", "application/prpc; encoding=binary"),
        ("application/prpc;encoding=text", "application/prpc; encoding=text"),
        ("*/*", "application/prpc; encoding=binary"),
    ] {
        let answer = post(COUNT_BOTS, &[("accept", accept)], binary.clone()).await;
        assert_eq!((header(&answer, "content-type"), answer.status().as_u16()), (kind, 200));
    }
}

#[tokio::test]
async fn json_is_as_protobuf_says() {
    let answer = post(COUNT_BOTS, &[JSON], two().encode_to_vec()).await;
    assert_eq!(text(&answer), ")]}'\n{\"now\":\"2023-11-14T22:13:20.500Z\",\"count\":2}\n");
    let stdout = post("/prpc/swarming.v2.Tasks/GetStdout", &[JSON], "").await;
    let stdout: Value =
        serde_json::from_str(text(&stdout).strip_prefix(")]}'\n").unwrap()).unwrap();
    assert_eq!(stdout["state"], "RUNNING");
    assert_eq!(STANDARD.decode(stdout["output"].as_str().unwrap()).unwrap().len(), 4096);
    // Both names of a field, numbers as text, enums by number.
    let read: crate::proto::swarming::TasksWithPerfRequest = Codec::Json
        .decode(&serde_json::to_vec(&json!({ "limit": 7, "state": 10, "include_performance_stats": true, "sort": "QUERY_STARTED_TS", "start": "2023-11-14T22:13:20Z" })).unwrap())
        .unwrap();
    assert_eq!((read.limit, read.state, read.sort), (7, 10, 4));
    assert!(read.include_performance_stats && read.start.unwrap().seconds == 1_700_000_000);
    let read: crate::proto::swarming::TaskIdWithOffsetRequest =
        Codec::Json.decode(br#"{"taskId":"a","offset":"9007199254740993","length":5}"#).unwrap();
    assert_eq!((read.offset, read.length), (9_007_199_254_740_993, 5));
    assert_eq!(Codec::Json.encode(&()), b")]}'\n{}\n");
}

#[tokio::test]
async fn every_code_has_its_status_and_some_hide_their_text() {
    for (code, status, shown) in [
        ("Canceled", 499, "what happened"),
        ("Unknown", 500, "Unknown server error"),
        ("InvalidArgument", 400, "what happened"),
        ("DeadlineExceeded", 504, "Request deadline exceeded"),
        ("NotFound", 404, "what happened"),
        ("AlreadyExists", 409, "what happened"),
        ("PermissionDenied", 403, "what happened"),
        ("ResourceExhausted", 429, "what happened"),
        ("FailedPrecondition", 400, "what happened"),
        ("Aborted", 409, "what happened"),
        ("OutOfRange", 400, "what happened"),
        ("Unimplemented", 501, "what happened"),
        ("Internal", 500, "Internal server error"),
        ("Unavailable", 503, "Service unavailable"),
        ("DataLoss", 500, "Unrecoverable data loss or data corruption"),
        ("Unauthenticated", 401, "what happened"),
    ] {
        let answer = post("/prpc/swarming.v2.Tasks/CountTasks", &[("code", code)], "").await;
        assert_eq!(answer.status().as_u16(), status, "{code}");
        assert_eq!(text(&answer), format!("{shown}\n"));
        let number = CODES.iter().find(|it| format!("{it:?}") == code).unwrap();
        assert_eq!(header(&answer, "x-prpc-grpc-code"), (*number as i32).to_string());
        assert_eq!(header(&answer, "content-type"), "text/plain; charset=utf-8");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_said() {
    let body = || Bytes::from(two().encode_to_vec());
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, u16, &'a str);
    let cases: &[Case<'_>] = &[
        (&[("content-type", "text/plain")], COUNT_BOTS, 415, "bad Content-Type header: "),
        (
            &[("content-type", "application/prpc; encoding=xml")],
            COUNT_BOTS,
            415,
            "bad Content-Type",
        ),
        (&[("content-type", "application/prpc; x=json")], COUNT_BOTS, 415, "bad Content-Type"),
        (&[("accept", "text/html")], COUNT_BOTS, 406, "bad Accept header: "),
        (&[("accept", "application/json; q=high")], COUNT_BOTS, 400, "bad Accept header: "),
        (&[("accept", "application/prpc; encoding=xml")], COUNT_BOTS, 400, "bad Accept header: "),
        (&[("content-type", "application/json")], COUNT_BOTS, 400, "could not decode body: "),
        (&[("content-encoding", "gzip")], COUNT_BOTS, 400, "could not decompress body: "),
        (&[("content-encoding", "br")], COUNT_BOTS, 415, "bad Content-Encoding header: "),
        (&[("x-prpc-grpc-timeout", "1")], COUNT_BOTS, 400, "bad x-prpc-grpc-timeout header"),
        (&[("x-prpc-grpc-timeout", "-1S")], COUNT_BOTS, 400, "bad x-prpc-grpc-timeout header"),
        (&[("x-prpc-grpc-timeout", "ä")], COUNT_BOTS, 400, "bad x-prpc-grpc-timeout header"),
        (&[("x-prpc-max-response-size", "0")], COUNT_BOTS, 400, "bad x-prpc-max-response-size"),
        (
            &[],
            "/prpc/swarming.v2.Nobody/Get",
            501,
            "service \"swarming.v2.Nobody\" is not implemented",
        ),
        (
            &[],
            "/prpc/swarming.v2.Tasks/Get",
            501,
            "method \"Get\" in service \"swarming.v2.Tasks\" is not implemented",
        ),
    ];
    for (headers, path, status, says) in cases {
        let answer = post(path, headers, body()).await;
        assert_eq!(answer.status().as_u16(), *status, "{headers:?}: {}", text(&answer));
        assert!(text(&answer).starts_with(says), "{headers:?}: {}", text(&answer));
        let code = if *status == 501 { "12" } else { "3" };
        assert_eq!(header(&answer, "x-prpc-grpc-code"), code);
    }
    assert_eq!(send(Method::GET, COUNT_BOTS, &[], "").await.status(), 405);
    let parts = |path: &str| http::Request::builder().uri(path).body(()).unwrap().into_parts().0;
    for path in ["/prpc/", "/prpc/a", "/prpc/a/", "/prpc/a/b/c", "/other/a/b"] {
        assert!(answer(&parts(path), Bytes::new(), &Echo).await.is_none(), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_kept() {
    for (timeout, millis) in [("2S", 2000), ("1500m", 1500), ("1M", 60_000), ("1H", 3_600_000)] {
        let before = tokio::time::Instant::now();
        let headers = [("x-prpc-grpc-timeout", timeout)];
        let answer = post("/prpc/swarming.v2.Tasks/ListTasks", &headers, "").await;
        assert_eq!((answer.status().as_u16(), header(&answer, "x-prpc-grpc-code")), (504, "4"));
        assert_eq!(before.elapsed().as_millis(), millis);
    }
}

#[tokio::test]
async fn sizes_are_bounded_and_bodies_packed() {
    let packed = |bytes: &[u8]| {
        let mut out = Vec::new();
        GzEncoder::new(bytes, Compression::fast()).read_to_end(&mut out).unwrap();
        out
    };
    let gzip = [("content-encoding", "gzip")];
    let answer = post(COUNT_BOTS, &gzip, packed(&two().encode_to_vec())).await;
    assert_eq!(BotsCount::decode(&answer.body()[..]).unwrap().count, 2);
    let bomb = post(COUNT_BOTS, &gzip, packed(&vec![0; REQUEST_BYTES + 1])).await;
    assert_eq!(bomb.status(), 400);
    assert!(text(&bomb).starts_with("the request is longer than"));

    let stdout = "/prpc/swarming.v2.Tasks/GetStdout";
    let answer = post(stdout, &[("accept-encoding", "br, gzip;q=0.5")], "").await;
    assert_eq!(header(&answer, "content-encoding"), "gzip");
    let mut out = Vec::new();
    GzDecoder::new(&answer.body()[..]).read_to_end(&mut out).unwrap();
    assert_eq!(TaskOutputResponse::decode(&out[..]).unwrap().output.len(), 4096);
    let small = post(COUNT_BOTS, &[("accept-encoding", "gzip")], "").await;
    assert_eq!(header(&small, "content-encoding"), "", "it is too short to be packed");

    let answer = post(stdout, &[("x-prpc-max-response-size", "4000")], "").await;
    assert_eq!((answer.status().as_u16(), header(&answer, "x-prpc-grpc-code")), (503, "14"));
    let detail = STANDARD.decode(header(&answer, "x-prpc-status-details-bin")).unwrap();
    let detail = prost_types::Any::decode(&detail[..]).unwrap();
    assert_eq!(detail.type_url, "type.googleapis.com/luci.prpc.ErrorDetails");
    let Some(Error::ResponseTooBig(big)) = detail.to_msg::<ErrorDetails>().unwrap().error else {
        panic!("another detail")
    };
    assert!(big.response_limit == 4000 && big.response_size > 4096);
    let json = post(stdout, &[JSON, ("x-prpc-max-response-size", "4000")], "").await;
    let detail = STANDARD.decode(header(&json, "x-prpc-status-details-bin")).unwrap();
    let detail: Value = serde_json::from_slice(&detail).unwrap();
    assert_eq!(detail["@type"], "type.googleapis.com/luci.prpc.ErrorDetails");
    assert_eq!(detail["responseTooBig"]["responseLimit"], "4000");
}

#[tokio::test]
async fn pages_of_others_may_ask() {
    let origin = [("origin", "https://ui.example")];
    let preflight = send(Method::OPTIONS, COUNT_BOTS, &origin, "").await;
    assert_eq!(preflight.status(), 200);
    assert_eq!(header(&preflight, "access-control-allow-origin"), "https://ui.example");
    assert_eq!(header(&preflight, "access-control-allow-methods"), "OPTIONS, POST");
    assert_eq!(header(&preflight, "access-control-max-age"), "600");
    assert!(header(&preflight, "access-control-allow-headers").contains("X-Prpc-Grpc-Timeout"));
    let answer = post(COUNT_BOTS, &origin, "").await;
    assert_eq!(header(&answer, "vary"), "Origin");
    assert_eq!(header(&answer, "access-control-allow-credentials"), "true");
    assert!(header(&answer, "access-control-expose-headers").contains("X-Prpc-Grpc-Code"));
    assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
    let without = post(COUNT_BOTS, &[], "").await;
    assert_eq!(header(&without, "access-control-allow-origin"), "");
}
