//! The bytes of a log: pieces for the viewer, the whole for a download, and a page of one piece for who has no scripts.

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use futures::stream;
use http::{HeaderMap, StatusCode, header};

use crate::cx::{Answer, Cx};
use crate::pages::job;

/// Most bytes of one piece.
const PIECE_BYTES: usize = 1024 * 1024;
/// Bytes of a piece that is shown as a page.
pub(crate) const SHOWN_BYTES: usize = 64 * 1024;

/// `?offset=` asks for a piece, a `Range` header for a part, neither for the whole.
pub(crate) async fn raw(cx: Cx, Path(number): Path<u64>, headers: HeaderMap) -> Answer {
    let attempt = cx.params.get("attempt").and_then(|attempt| attempt.parse().ok());
    let backend = &cx.door.backend;
    let number_of = |name| cx.params.get(name).and_then(|text| text.parse::<u64>().ok());
    let none = || cx.not_found("This job has no such log.");
    if let Some(offset) = number_of("offset") {
        let most =
            number_of("bytes").unwrap_or(PIECE_BYTES as u64).min(PIECE_BYTES as u64) as usize;
        let piece =
            backend.log(&cx.caller, number, attempt, offset, most).await.ok_or_else(none)?;
        let facts = [
            ("x-log-total", piece.total.to_string()),
            ("x-log-growing", piece.growing.to_string()),
            ("content-type", "application/octet-stream".to_owned()),
        ];
        return Ok((facts, piece.bytes).into_response());
    }
    let download = cx.params.has("download");
    let first = backend.log(&cx.caller, number, attempt, 0, 0).await.ok_or_else(none)?;
    let total = first.total;
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let (status, start, end) = match range.map(|range| parse_range(range, total)) {
        None | Some(Range::Ignored) => (StatusCode::OK, 0, total),
        Some(Range::Part(start, end)) => (StatusCode::PARTIAL_CONTENT, start, end),
        Some(Range::Outside) => {
            let facts = [(header::CONTENT_RANGE, format!("bytes */{total}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, facts).into_response());
        }
    };
    let pieces = stream::unfold((cx, start), move |(cx, offset)| async move {
        let most = (end - offset).min(PIECE_BYTES as u64) as usize;
        if most == 0 {
            return None;
        }
        let piece = cx.door.backend.log(&cx.caller, number, attempt, offset, most).await;
        let bytes = piece.map(|piece| piece.bytes).filter(|bytes| !bytes.is_empty());
        // The length was promised: a log that went away breaks the transfer, it does not end it.
        let gone = || std::io::Error::other("the log went away");
        let next = offset + bytes.as_ref().map_or(most, Vec::len) as u64;
        Some((bytes.map(Bytes::from).ok_or_else(gone), (cx, next)))
    });
    let how = if download { "attachment" } else { "inline" };
    // SECURITY: plain text that is never sniffed: a log is never a page of ours, whatever is in it.
    let mut response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .header(header::CONTENT_LENGTH, end - start)
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CONTENT_DISPOSITION, format!("{how}; filename=\"job-{number}.log\""));
    if status == StatusCode::PARTIAL_CONTENT {
        response =
            response.header(header::CONTENT_RANGE, format!("bytes {start}-{}/{total}", end - 1));
    }
    Ok(response.body(Body::from_stream(pieces)).unwrap_or_default())
}

#[derive(PartialEq, Debug)]
enum Range {
    Part(u64, u64),
    Outside,
    Ignored,
}

/// `bytes=a-b`, `bytes=a-` and `bytes=-n`; several ranges, or none that one can read, are as no range at all (RFC 9110).
fn parse_range(text: &str, total: u64) -> Range {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-'))
    else {
        return Range::Ignored;
    };
    let (start, end) = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(start), Ok(last)) if last >= start => (start, last.saturating_add(1).min(total)),
        (Ok(start), Err(_)) if last.is_empty() => (start, total),
        (Err(_), Ok(length)) if first.is_empty() => (total.saturating_sub(length), total),
        _ => return Range::Ignored,
    };
    if start >= end { Range::Outside } else { Range::Part(start, end) }
}

/// One piece as a page, for who has no scripts.
pub(crate) async fn piece(cx: Cx, Path(number): Path<u64>) -> Answer {
    let attempt = cx.params.get("attempt").and_then(|attempt| attempt.parse().ok());
    let offset = cx.params.get("offset").and_then(|offset| offset.parse().ok()).unwrap_or(0);
    let piece = cx.door.backend.log(&cx.caller, number, attempt, offset, SHOWN_BYTES).await;
    let piece = piece.ok_or_else(|| cx.not_found("This job has no such log."))?;
    Ok(job::log_piece(&cx, number, attempt, offset, &piece))
}

#[cfg(test)]
mod tests {
    use super::{Range, parse_range};

    #[test]
    fn ranges() {
        assert_eq!(parse_range("bytes=0-9", 100), Range::Part(0, 10));
        assert_eq!(parse_range("bytes=90-900", 100), Range::Part(90, 100));
        assert_eq!(parse_range("bytes=90-", 100), Range::Part(90, 100));
        assert_eq!(parse_range("bytes=-10", 100), Range::Part(90, 100));
        assert_eq!(parse_range("bytes=100-", 100), Range::Outside);
        assert_eq!(parse_range("bytes=-0", 100), Range::Outside);
        assert_eq!(parse_range("bytes=0-0,5-6", 100), Range::Ignored);
        assert_eq!(parse_range("lines=0-9", 100), Range::Ignored);
    }
}
