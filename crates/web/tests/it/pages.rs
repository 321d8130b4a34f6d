//! Every page: it is there, it has its headers, it says what it should, and nothing in it is markup of others.

use http::{Request, StatusCode};
use serde_json::json;

use crate::Browser;
use crate::fixture::{Fixture, HOSTILE};

const PAGES: &[&str] = &[
    "/",
    "/actions",
    "/actions/new",
    "/actions/upgrade-go-1-26",
    "/actions/upgrade-go-1-26/edit",
    "/actions/upgrade-go-1-26/versions",
    "/actions/upgrade-go-1-26/settings",
    "/executions",
    "/executions/5",
    "/executions/6",
    "/executions/7",
    "/executions/8?state=ERRORED",
    "/jobs",
    "/jobs/1",
    "/jobs/1?tab=diff",
    "/jobs/1?tab=diff&view=split",
    "/jobs/1?tab=details",
    "/jobs/3",
    "/jobs/1/log?offset=10",
    "/campaigns",
    "/campaigns/new?patchSet=UGF0Y2hTZXQ6Mw",
    "/campaigns/go-1-26",
    "/campaigns/go-1-26/preview",
    "/campaigns/go-1-26/edit",
    "/campaigns/go-1-26/track",
    "/changesets/Q2FtcGFpZ25DaGFuZ2VzZXQ6MQ%3D%3D",
    "/patch-sets/UGF0Y2hTZXQ6Mw",
    "/patches/UGF0Y2g6MQ",
    "/saved-searches",
    "/saved-searches/go-1-21-users",
    "/repositories",
    "/repositories/github.com/acme/web",
    "/code-hosts",
    "/runners",
    "/runners/runner-eu-1",
    "/search",
    "/search?q=go",
    "/search?q=file:+x",
    "/settings",
];

/// Those of several calls.
const SWARMING_PAGES: &[&str] = &[
    "/botlist",
    "/botlist?c=id&c=os&c=nothing&f=os:Ubuntu-24.04&f=eu&s=os&d=desc&after=100&at=100",
    "/fleet",
    "/fleet?h=168",
    "/bot",
    "/bot?id=bot-eu-1",
    "/bot?id=bot-eu-2&tab=events",
    "/bot?id=bot-eu-3&tab=state",
    "/bot?id=bot-eu-4",
    "/tasklist",
    "/tasklist?f=pool-tag:default&f=state:RUNNING&c=name&c=os-tag&s=name&canceled=7&h=1",
    "/task",
    "/task?id=6bd1c0de00000000",
    "/task?id=6bd1c0de00000010",
    "/task?id=6bd1c0de00000020",
    "/task?id=6bd1c0de00000030",
    "/task?id=6bd1c0de00000040",
    "/task?id=6bd1c0de00000050",
    "/task?id=6bd1c0de00000070",
    "/task?id=6bd1c0de000000a0",
];

#[tokio::test]
async fn every_page_is_there_with_its_headers() {
    let browser = Browser::new(&Fixture::new());
    for page in PAGES.iter().chain(SWARMING_PAGES) {
        let answer = browser.get(page).await;
        assert_eq!(answer.status, StatusCode::OK, "{page}: {}", answer.text());
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';")
                && !policy.contains("unsafe"),
            "{page}: {policy}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{page}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{page}");
        assert_eq!(answer.header("cache-control"), "no-store", "{page}");
        let text = answer.text();
        assert!(text.contains("<h1>") && text.contains("lang=\"en\""), "{page}");
        for inline in [" style=\"", " onclick=", "<script>", "<style"] {
            assert!(!text.contains(inline), "{page} holds {inline}");
        }
    }
}

/// What a page's text must never hold as markup, whatever its data are.
fn markup_of_others(text: &str) -> Option<&'static str> {
    let bare = [
        "<script>window",
        "<img src=x",
        "<svg onload",
        "href=\"javascript:",
        "href=\"data:",
        "\u{202e}",
        "\u{2066}",
        "\0",
        "\u{1b}",
    ];
    bare.into_iter().find(|bare| text.contains(bare))
}

#[tokio::test]
async fn nothing_of_others_is_markup() {
    let browser = Browser::new(&Fixture::hostile());
    for page in PAGES.iter().chain(SWARMING_PAGES) {
        let answer = browser.get(page).await;
        assert_eq!(answer.status, StatusCode::OK, "{page}");
        let text = answer.text();
        // Attributes and the text that one edits hold it as it is; what is seen does not.
        let seen: String = text
            .split('<')
            .filter(|part| !part.starts_with("textarea"))
            .filter_map(|part| part.split_once('>'))
            .map(|(_, seen)| seen)
            .collect();
        assert_eq!(markup_of_others(&seen), None, "{page}");
        for markup in ["<script>window", "<img src=x", "<svg onload", "href=\"javascript:"] {
            assert!(!text.contains(markup), "{page} holds {markup}");
        }
    }
    let log = browser.get("/jobs/1/log?offset=0").await.text();
    assert!(
        log.contains("&lt;script&gt;window.tripped=1") && !log.contains("owned"),
        "the corpus is in the log"
    );
}

#[tokio::test]
async fn what_was_typed_is_not_markup_either() {
    let browser = Browser::new(&Fixture::new());
    for typed in HOSTILE {
        let typed: String = url::form_urlencoded::byte_serialize(typed.as_bytes()).collect();
        for page in [
            "/search?q=",
            "/executions/7?q=",
            "/jobs?state=",
            "/login?next=/",
            "/executions?after=1&at=",
            "/actions/new?text=",
            "/botlist?f=",
            "/botlist?c=",
            "/botlist?s=",
            "/bot?id=",
            "/tasklist?f=",
            "/tasklist?f=state:",
            "/tasklist?c=",
            "/tasklist?h=",
            "/tasklist?canceled=",
        ] {
            let answer = browser.get(&format!("{page}{typed}")).await;
            for markup in ["<script>window", "<img src=x", "<svg onload", "href=\"javascript:"] {
                assert!(!answer.text().contains(markup), "{page}{typed}");
            }
        }
    }
}

#[tokio::test]
async fn ten_thousand_jobs_by_pages() {
    let fixture = Fixture::new();
    let browser = Browser::new(&fixture);
    let first = browser.get("/executions/7?state=RUNNING&q=acme").await.text();
    assert!(first.contains("1–100 of 5,000") && first.contains("rel=\"next\" href=\"/executions/7?state=RUNNING&amp;q=acme&amp;after=100&amp;at=100\""));
    let second = browser.get("/executions/7?after=9900&at=9900").await.text();
    assert!(
        second.contains("9,901–10,000 of 10,000")
            && second.contains("First page")
            && !second.contains("Next page")
    );
    let asked = fixture.asked.lock().unwrap();
    assert_eq!(asked[0].1["query"], "acme");
    assert_eq!(asked[0].1["states"], json!(["RUNNING"]));
    assert_eq!(asked[1].1["after"], "9900");
}

#[tokio::test]
async fn one_query_a_page() {
    let fixture = Fixture::new();
    let browser = Browser::new(&fixture);
    for page in PAGES
        .iter()
        .filter(|page| **page != "/search" && **page != "/actions/new" && !page.contains("/log"))
    {
        fixture.asked.lock().unwrap().clear();
        browser.get(page).await;
        assert_eq!(fixture.asked.lock().unwrap().len(), 1, "{page}");
    }
}

#[tokio::test]
async fn a_page_shows_its_query() {
    let fixture = Fixture::new();
    let text = Browser::new(&fixture).get("/executions/7?view=query&q=x").await.text();
    assert!(text.contains("query Execution(") && text.contains("&quot;query&quot;: &quot;x&quot;"));
    assert!(fixture.asked.lock().unwrap().is_empty(), "it is shown, not asked");
}

#[tokio::test]
async fn a_fragment_has_no_frame() {
    let browser = Browser::new(&Fixture::new());
    let part = browser
        .send(Request::get("/executions/7").header("x-fragment", "1"), String::new())
        .await
        .text();
    assert!(
        part.contains("id=\"jobs\"")
            && !part.contains("<nav class=\"side\"")
            && !part.contains("<head>")
    );
    // The title of the tab and the state below the heading change with the rest.
    assert!(part.contains("</title>") && part.contains("class=\"facts\" data-live"));
}

#[tokio::test]
async fn what_is_not_there() {
    let browser = Browser::new(&Fixture::new());
    for page in [
        "/executions/404",
        "/jobs/404",
        "/actions/none",
        "/campaigns/none",
        "/campaigns/none/edit",
        "/campaigns/none/track",
        "/code-hosts/none",
        "/repositories/none",
        "/saved-searches/none",
        "/no/such/page",
        "/bot?id=none",
        "/task?id=none",
        "/jobs/404/log/raw",
    ] {
        let answer = browser.get(page).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{page}");
        assert!(answer.text().contains("There is no such thing"), "{page}");
    }
    assert_eq!(browser.get("/executions/x").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn empty_lists_say_what_to_do() {
    let browser = Browser::new(&Fixture { empty: true, ..Fixture::new() });
    for page in [
        "/",
        "/actions",
        "/executions",
        "/jobs",
        "/campaigns",
        "/saved-searches",
        "/repositories",
        "/code-hosts",
        "/runners",
        "/botlist",
        "/fleet",
        "/tasklist",
        "/search?q=nothing",
    ] {
        let text = browser.get(page).await.text();
        assert!(text.contains("class=\"empty\""), "{page}");
        assert!(!text.contains("<table></table>"), "{page}");
    }
}

#[tokio::test]
async fn differences() {
    let browser = Browser::new(&Fixture::new());
    let text = browser.get("/jobs/1?tab=diff").await.text();
    for says in [
        "This file is binary",
        "This change has 2,500 lines",
        "mode 100644 → 100755",
        "No line has changed.",
        "<mark>",
        ">U+202E</span>",
    ] {
        assert!(text.contains(says), "{says}");
    }
    let split = browser.get("/jobs/1?tab=diff&view=split").await.text();
    assert!(split.contains("class=\"code split\""));
    let raw = browser.get("/jobs/1/diff/raw").await;
    assert!(
        raw.header("content-type").starts_with("text/plain")
            && raw.text().starts_with("diff --git")
    );
}

#[tokio::test]
async fn assets_are_kept_only_under_their_hash() {
    let browser = Browser::new(&Fixture::new()).with_token(None);
    let page = browser.get("/login").await.text();
    let at = page.find("/assets/").unwrap();
    let sheet = page[at..].split('"').next().unwrap();
    assert!(browser.get(sheet).await.header("cache-control").contains("immutable"));
    let name = sheet.rsplit('/').next().unwrap();
    let old = browser.get(&format!("/assets/000000000000/{name}")).await;
    assert_eq!((old.status, old.header("cache-control")), (StatusCode::OK, "no-store"));
    assert_eq!(browser.get("/assets/000000000000/none.js").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn failed_and_timed_out_jobs_are_one_filter() {
    let fixture = Fixture::new();
    let browser = Browser::new(&fixture);
    for page in ["/executions/8", "/jobs"] {
        let text = browser.get(page).await.text();
        let link = format!("href=\"{page}?state=ERRORED%2CTIMEOUT\"");
        assert!(text.contains(&link) && text.contains("Failed or timed out"), "{page}");
        fixture.asked.lock().unwrap().clear();
        let text = browser.get(&format!("{page}?state=ERRORED%2CTIMEOUT")).await.text();
        assert_eq!(fixture.asked.lock().unwrap()[0].1["states"], json!(["ERRORED", "TIMEOUT"]));
        let current = format!("{link} aria-current=\"true\"");
        assert!(text.contains(&current), "{page}");
    }
}

#[tokio::test]
async fn times_of_a_schedule_are_in_its_zone() {
    let text = Browser::new(&Fixture::new()).get("/actions/upgrade-go-1-26").await.text();
    let times = text.split("aria-label=\"Next runs\"").nth(1).unwrap();
    let times = times.split("</ol>").next().unwrap();
    assert!(times.contains(" CET<") || times.contains(" CEST<"), "{times}");
    assert!(times.contains(" UTC\">"), "the exact time is there too: {times}");
}

#[tokio::test]
async fn more_actions_than_one_can_choose_from() {
    let few = Browser::new(&Fixture::new()).get("/").await.text();
    assert!(few.contains("<select id=\"run-action\""));
    let many = Browser::new(&Fixture { actions: 300, ..Fixture::new() }).get("/").await.text();
    assert!(many.contains("list=\"run-actions\"") && many.contains("One of 300 actions"));
}
