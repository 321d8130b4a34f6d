//! Forms without scripts: what they send, where they lead, and how a mistake comes back.

use http::StatusCode;
use serde_json::json;

use crate::Browser;
use crate::fixture::{Fixture, error};

fn last(fixture: &Fixture) -> (String, serde_json::Value) {
    fixture.asked.lock().unwrap().last().unwrap().clone()
}

#[tokio::test]
async fn many_changesets_at_once() {
    let fixture = Fixture::new();
    let browser = Browser::new(&fixture);
    let fields = [
        ("campaign", "c"),
        ("operation", "MERGE"),
        ("changesets", "1"),
        ("changesets", "2"),
        ("glob", ""),
        ("back", "/campaigns/x?phase=OPEN"),
    ];
    let answer = browser.post("/do/bulkChangesets", &fields).await;
    assert_eq!(answer.header("location"), "/campaigns/x?phase=OPEN");
    let sent = json!({ "campaign": "c", "operation": "MERGE", "changesets": ["1", "2"], "glob": null, "all": false, "text": null });
    assert_eq!(last(&fixture), ("bulkChangesets".to_owned(), sent));
    let outside = browser
        .post("/do/syncCodeHost", &[("codeHost", "1"), ("back", "https://evil.example/")])
        .await;
    assert_eq!(outside.header("location"), "/");
    assert_eq!(browser.post("/do/dropEverything", &[]).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_was_made_is_shown() {
    let answer = Browser::new(&Fixture::new())
        .post("/do/createActionExecution", &[("action", "a"), ("back", "/")])
        .await;
    assert_eq!(answer.header("location"), "/executions/7");
}

#[tokio::test]
async fn lines_end_as_everywhere_else() {
    let fixture = Fixture::new();
    let fields = [("name", "x"), ("definition", "steps:\r\n  - run: x\r\n")];
    Browser::new(&fixture).post("/actions/new", &fields).await;
    let (_, sent) = last(&fixture);
    assert_eq!(sent["definition"], "steps:\n  - run: x\n");
}

#[tokio::test]
async fn a_schedule_is_shown_while_it_is_typed() {
    let fixture = Fixture::new();
    let browser = Browser::new(&fixture);
    let fields = [("schedule", "0 3 * * 1"), ("timeZone", "Europe/Berlin")];
    let answer = browser.post("/actions/schedule", &fields).await;
    assert_eq!(answer.status, StatusCode::OK);
    let sent = json!({ "schedule": "0 3 * * 1", "timeZone": "Europe/Berlin" });
    assert_eq!(last(&fixture).1, sent);
    assert!(answer.text().contains("<time"));
}

#[tokio::test]
async fn an_action_is_checked_and_saved() {
    let fixture = Fixture::new();
    let browser = Browser::new(&fixture);
    let checked = browser
        .post(
            "/actions/upgrade-go-1-26/edit",
            &[("definition", "steps:\n  - runn: x"), ("check", "1")],
        )
        .await;
    assert_eq!(checked.status, StatusCode::OK);
    let text = checked.text();
    assert!(
        text.contains("data-line=\"6\"")
            && text.contains("did you mean `run`?")
            && text.contains("Would run on")
    );
    assert!(text.contains("- runn: x"), "what was typed is still there");
    assert_eq!(last(&fixture).0, "Check", "nothing was saved");
    let saved = browser
        .post("/actions/upgrade-go-1-26/edit", &[("definition", "steps: []"), ("save", "1")])
        .await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER);
    assert_eq!(last(&fixture).1["newDefinition"], "steps: []");
    let made = browser.post("/actions/new", &[("definition", "steps: []"), ("save", "1")]).await;
    assert_eq!(
        made.header("location"),
        "/actions/upgrade-go-1-26",
        "its name is the one in the text"
    );
}

#[tokio::test]
async fn an_empty_field_takes_the_trigger_away() {
    let fixture = Fixture::new();
    let fields = [
        ("schedule", ""),
        ("timeZone", "UTC"),
        ("overlapPolicy", "QUEUE"),
        ("savedSearch", "s"),
        ("trigger", "ANY"),
        ("campaign", ""),
        ("autoupdate", "true"),
    ];
    Browser::new(&fixture).post("/actions/x/settings", &fields).await;
    let sent = json!({ "clearSchedule": true, "timeZone": "UTC", "overlapPolicy": "QUEUE", "savedSearch": "s", "trigger": "ANY", "clearCampaign": true,
        "schedulePaused": false, "onlyNewRepositories": false, "autoupdate": true });
    assert_eq!(last(&fixture).1["settings"], sent);
}

#[tokio::test]
async fn a_mistake_is_said_at_its_field_and_secrets_do_not_come_back() {
    let fixture = Fixture::new();
    let browser = Browser::new(&fixture);
    let mut mistake = error("BAD_INPUT", "this name is taken");
    mistake.extensions["field"] = json!("name");
    *fixture.refuse.lock().unwrap() = Some(mistake);
    let fields = [
        ("name", "go <users>"),
        ("query", "file:go.mod"),
        ("url", "https://x"),
        ("kind", "GITHUB"),
        ("token", "s3cret-token"),
        ("secret-name", "A"),
        ("value", "s3cret-value"),
    ];
    for page in [
        "/saved-searches",
        "/campaigns/new",
        "/code-hosts",
        "/settings/tokens",
        "/settings/secrets",
    ] {
        let answer = browser.post(page, &fields).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{page}");
        let text = answer.text();
        assert!(page == "/settings/secrets" || text.contains("aria-invalid=\"true\""), "{page}");
        assert!(page == "/settings/secrets" || text.contains("this name is taken"), "{page}");
        assert!(
            page.starts_with("/settings/secrets") || text.contains("go &lt;users&gt;"),
            "{page}"
        );
        assert!(!text.contains("s3cret"), "{page}");
    }
}

#[tokio::test]
async fn a_new_token_is_shown_once() {
    let browser = Browser::new(&Fixture::new());
    let answer = browser.post("/settings/tokens", &[("name", "ci"), ("role", "USER")]).await;
    assert!(answer.text().contains("phx_once_only"));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(!browser.get("/settings").await.text().contains("phx_once_only"));
}

#[tokio::test]
async fn a_patch_set_is_applied_to_a_campaign() {
    let fixture = Fixture::new();
    let browser = Browser::new(&fixture);
    let seen = browser.get("/campaigns/go-1-26/preview?patchSet=set").await.text();
    assert!(seen.contains("Apply to go-1-26") && seen.contains("name=\"patchSet\" value=\"set\""));
    assert!(!browser.get("/campaigns/go-1-26/preview").await.text().contains("Apply to"));
    let done = browser.post("/campaigns/go-1-26/preview", &[("patchSet", "set")]).await;
    assert_eq!(done.header("location"), "/campaigns/go%2D1%2D26");
    assert_eq!(last(&fixture).1["input"]["patchSet"], "set");
}
