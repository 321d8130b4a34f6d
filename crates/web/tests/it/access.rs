//! Who gets in, and which forms are ours.

use http::{Request, StatusCode, header};

use crate::Browser;
use crate::fixture::Fixture;

#[tokio::test]
async fn no_page_without_a_session() {
    let stranger = Browser::new(&Fixture::new()).with_token(None);
    for page in [
        "/",
        "/executions/7",
        "/jobs/1",
        "/settings",
        "/search?q=x",
        "/botlist",
        "/bot?id=b",
        "/tasklist",
        "/task?id=1",
    ] {
        let answer = stranger.get(page).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{page}");
        assert!(answer.header("location").starts_with("/login"), "{page}");
    }
    for (token, page) in
        [(None, "/live?topic=everything"), (Some("forged"), "/live?topic=everything")]
    {
        let answer = Browser::new(&Fixture::new())
            .with_token(token)
            .send(Request::get(page).header("x-fragment", "1"), String::new())
            .await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }
    for operation in ["/do/cancelActionJob", "/do/swarming/terminate"] {
        assert_eq!(
            stranger.send(Request::post(operation), String::new()).await.status,
            StatusCode::UNAUTHORIZED
        );
    }
}

#[tokio::test]
async fn a_link_from_another_site_asks_again_from_ours() {
    let stranger = Browser::new(&Fixture::new()).with_token(None);
    let answer = stranger
        .send(Request::get("/jobs/1").header("sec-fetch-site", "cross-site"), String::new())
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text().contains("http-equiv=\"refresh\""));
}

#[tokio::test]
async fn a_token_opens_a_session_and_leaves_the_address() {
    let stranger = Browser::new(&Fixture::new()).with_token(None);
    let answer = stranger.get("/login?token=admin-token&next=/jobs/1").await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/jobs/1"));
    let cookie = answer.header("set-cookie");
    for part in ["phalanx_session=admin-token;", "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"));
    let secure = stranger
        .send(
            Request::get("/login?token=admin-token").header("x-forwarded-proto", "https"),
            String::new(),
        )
        .await;
    assert!(secure.header("set-cookie").contains("; Secure"));
    let over_tls = stranger
        .send(Request::get("/login?token=admin-token").extension(web::OverTls), String::new())
        .await;
    assert!(over_tls.header("set-cookie").contains("; Secure"));

    let wrong = stranger.get("/login?token=forged").await;
    assert_eq!((wrong.status, wrong.header("set-cookie")), (StatusCode::UNAUTHORIZED, ""));
    let form = stranger
        .send(Request::post("/login"), "token=user-token&next=%2F%2Fevil.example".to_owned())
        .await;
    assert_eq!(
        (form.status, form.header("location")),
        (StatusCode::SEE_OTHER, "/"),
        "it leads nowhere else"
    );
    let foreign = stranger
        .send(
            Request::post("/login").header("origin", "https://evil.example").header("host", "us"),
            "token=user-token".to_owned(),
        )
        .await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    assert_eq!(
        stranger.get("/login?token=a%0d%0aset-cookie:x").await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn forms_of_others_are_refused() {
    let fixture = Fixture::new();
    let browser = Browser::new(&fixture);
    let csrf = browser.csrf().await;
    fixture.asked.lock().unwrap().clear();
    let body = format!("csrf={csrf}&actionJob=x&back=/jobs/1");
    let post = || Request::post("/do/retryActionJob").header("host", "us");
    let refused = [
        (post(), "actionJob=x".to_owned()),
        (post(), format!("csrf={}&actionJob=x", "0".repeat(64))),
        (post().header("sec-fetch-site", "cross-site"), body.clone()),
        (post().header("sec-fetch-site", "same-site"), body.clone()),
        (post().header("origin", "https://evil.example"), body.clone()),
        (post().header("origin", "https://us.evil.example"), body.clone()),
    ];
    for (request, body) in refused {
        assert_eq!(browser.send(request, body).await.status, StatusCode::FORBIDDEN);
    }
    let other = Browser::new(&fixture).with_token(Some("user-token"));
    assert_eq!(
        other.send(post(), body.clone()).await.status,
        StatusCode::FORBIDDEN,
        "of another session"
    );
    assert!(fixture.asked.lock().unwrap().is_empty(), "nothing was done");
    let ours = browser
        .send(post().header("origin", "https://us").header("sec-fetch-site", "same-origin"), body)
        .await;
    assert_eq!((ours.status, ours.header("location")), (StatusCode::SEE_OTHER, "/jobs/1"));
    assert_eq!(fixture.asked.lock().unwrap()[0].0, "retryActionJob");
}

#[tokio::test]
async fn a_reader_sees_no_buttons() {
    let reader = Browser::new(&Fixture::new()).with_token(Some("reader-token"));
    for page in ["/", "/actions", "/jobs/1", "/code-hosts", "/settings", "/saved-searches"] {
        let text = reader.get(page).await.text();
        assert!(!text.contains("action=\"/do/"), "{page}");
        assert!(!text.contains("action=\"/settings/"), "{page}");
    }
    let tried = reader.post("/do/retryActionJob", &[("actionJob", "x")]).await;
    assert_eq!(tried.status, StatusCode::FORBIDDEN);
    assert!(tried.text().contains("a reader may change nothing"));
}

#[tokio::test]
async fn log_out_and_theme() {
    let browser = Browser::new(&Fixture::new());
    let out = browser.post("/logout", &[]).await;
    assert!(
        out.header("set-cookie").contains("phalanx_session=;")
            && out.header("set-cookie").contains("Max-Age=0")
    );
    let dark = browser.post("/theme", &[("theme", "dark"), ("back", "/jobs?state=PENDING")]).await;
    assert_eq!(dark.header("location"), "/jobs?state=PENDING");
    assert!(dark.header("set-cookie").starts_with("phalanx_theme=dark;"));
    let page = browser
        .send(Request::get("/").header(header::COOKIE, "phalanx_theme=dark"), String::new())
        .await;
    assert!(page.text().contains("data-theme=\"dark\""));
    let forged = browser
        .send(Request::get("/").header(header::COOKIE, "phalanx_theme=x\"y"), String::new())
        .await;
    assert!(!forged.text().contains("data-theme"));
}
