//! The bytes of a log: pieces, parts, the whole.

use http::{Request, StatusCode};

use crate::Browser;
use crate::fixture::Fixture;
use crate::fixture::logs::LONG;

#[tokio::test]
async fn pieces() {
    let browser = Browser::new(&Fixture::new());
    let piece =
        browser.get(&format!("/jobs/{LONG}/log/raw?attempt=2&offset=77777600&bytes=100")).await;
    assert!(piece.text().starts_with("000777776 error: the linker gave up"));
    assert_eq!(
        (piece.bytes.len(), piece.header("x-log-total"), piece.header("x-log-growing")),
        (100, "100000000", "false")
    );
    let most = browser.get(&format!("/jobs/{LONG}/log/raw?offset=0&bytes=99999999")).await;
    assert_eq!(most.bytes.len(), 1024 * 1024, "no more than a piece");
    let beyond = browser.get(&format!("/jobs/{LONG}/log/raw?offset=100000001")).await;
    assert_eq!((beyond.status, beyond.bytes.len()), (StatusCode::OK, 0));
}

#[tokio::test]
async fn the_whole_and_parts() {
    let browser = Browser::new(&Fixture::new());
    let whole = browser.get(&format!("/jobs/{LONG}/log/raw?attempt=2&download")).await;
    assert_eq!(whole.bytes.len(), 100_000_000);
    assert_eq!(whole.header("content-length"), "100000000");
    assert!(whole.header("content-disposition").starts_with("attachment;"));
    assert!(whole.header("content-type").starts_with("text/plain"));
    let request = Request::get(format!("/jobs/{LONG}/log/raw")).header("range", "bytes=99999990-");
    let part = browser.send(request, String::new()).await;
    assert_eq!(
        (part.status, part.header("content-range")),
        (StatusCode::PARTIAL_CONTENT, "bytes 99999990-99999999/100000000")
    );
    assert_eq!(part.bytes, b".........\n");
    let outside = browser
        .send(
            Request::get(format!("/jobs/{LONG}/log/raw")).header("range", "bytes=100000000-"),
            String::new(),
        )
        .await;
    assert_eq!(
        (outside.status, outside.header("content-range")),
        (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */100000000")
    );
}

#[tokio::test]
async fn without_scripts_there_is_the_end_and_the_way_to_the_rest() {
    let browser = Browser::new(&Fixture::new());
    let page = browser.get(&format!("/jobs/{LONG}")).await.text();
    assert!(
        page.contains("000999999 compiling") && !page.contains("000900000 compiling"),
        "only the end"
    );
    assert!(page.contains("offset=0\">Read it from the start"));
    let first = browser.get(&format!("/jobs/{LONG}/log?offset=0")).await.text();
    assert!(
        first.contains("Bytes 0–65536 of 100000000")
            && first.contains("log?offset=65536\">Next piece")
    );
    assert!(!first.contains(">Earlier<"));
}
