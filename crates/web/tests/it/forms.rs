//! Forms without scripts: what they send, where they lead, and how a mistake comes back.

use http::StatusCode;
use serde_json::json;

use crate::Browser;
use crate::fixture::{Fixture, error, id};

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
    let answer = browser.post("/actions/new/schedule", &fields).await;
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
            && !text.contains("Would run on")
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

#[tokio::test]
async fn a_code_host_is_changed_and_keeps_its_credential() {
    let fixture = Fixture::new();
    let browser = Browser::new(&fixture);
    let seen = browser.get("/code-hosts/github.com").await.text();
    for has in ["value=\"github.com\"", "value=\"acme/*\"", "value=\"acme/archive-*\"", "stays"] {
        assert!(seen.contains(has), "{has}");
    }
    assert!(!seen.contains("phalanx-bot"), "the credential is not shown");
    let fields = [
        ("kind", "GITHUB"),
        ("name", "github"),
        ("url", "https://github.com"),
        ("include", "acme  other/one"),
        ("exclude", ""),
        ("token", ""),
    ];
    let saved = browser.post("/code-hosts/github.com", &fields).await;
    assert_eq!(saved.header("location"), "/code-hosts");
    let input = json!({ "kind": "GITHUB", "name": "github", "url": "https://github.com", "include": ["acme", "other/one"] });
    let sent = json!({ "codeHost": id("CodeHost", 0), "input": input });
    assert_eq!(last(&fixture), ("updateCodeHost".to_owned(), sent));
    let mut mistake = error("BAD_INPUT", "that is no URL");
    mistake.extensions["field"] = json!("url");
    *fixture.refuse.lock().unwrap() = Some(mistake);
    let fields = [("name", "typed"), ("url", "x"), ("token", "s3cret-token")];
    let wrong = browser.post("/code-hosts/github.com", &fields).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let text = wrong.text();
    assert!(text.contains("that is no URL") && text.contains("value=\"typed\""));
    assert!(!text.contains("s3cret"));
}

#[tokio::test]
async fn a_campaign_gets_another_name_and_description() {
    let fixture = Fixture::new();
    let browser = Browser::new(&fixture);
    let seen = browser.get("/campaigns/go-1-26/edit").await.text();
    assert!(seen.contains("value=\"go-1-26\"") && seen.contains("support window problem"));
    let fields = [("name", " new-name "), ("description", "one\r\ntwo")];
    let saved = browser.post("/campaigns/go-1-26/edit", &fields).await;
    assert_eq!(saved.header("location"), "/campaigns/new-name");
    let sent =
        json!({ "id": id("Campaign", "go-1-26"), "name": "new-name", "description": "one\ntwo" });
    assert_eq!(last(&fixture).1["input"], sent);
    browser.post("/campaigns/go-1-26/edit", &[("name", "x"), ("description", "")]).await;
    assert_eq!(last(&fixture).1["input"]["description"], "", "it can be taken away");
}

#[tokio::test]
async fn pull_requests_of_others_are_tracked() {
    let fixture = Fixture::new();
    let browser = Browser::new(&fixture);
    let pulls = "https://github.com/acme/web/pull/12\r\ngithub.com/acme/api 7\r\n";
    let done = browser.post("/campaigns/go-1-26/track", &[("pulls", pulls)]).await;
    assert_eq!(done.header("location"), "/campaigns/go%2D1%2D26");
    let asked = fixture.asked.lock().unwrap().clone();
    let [.., (made, first), (added, second)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((made.as_str(), added.as_str()), ("createChangesets", "addChangesetsToCampaign"));
    let repository = |name: &str| id("Repository", name);
    let input = json!([{ "repository": repository("github.com/acme/web"), "externalID": "12" }, { "repository": repository("github.com/acme/api"), "externalID": "7" }]);
    assert_eq!(first["input"], input);
    let ids = [id("ExternalChangeset", 0), id("ExternalChangeset", 1)];
    assert_eq!(*second, json!({ "campaign": id("Campaign", "go-1-26"), "changesets": ids }));
    fixture.asked.lock().unwrap().clear();
    let wrong =
        browser.post("/campaigns/go-1-26/track", &[("pulls", "a/b 1\nwhat <is> this")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let text = wrong.text();
    assert!(text.contains("Line 2") && text.contains("aria-invalid=\"true\""));
    assert!(text.contains("what &lt;is&gt; this"), "what was typed is still there");
    assert_eq!(last(&fixture).0, "CampaignShort", "nothing was sent");
}

#[tokio::test]
async fn what_an_action_would_run_on_by_pages() {
    let fixture = Fixture::new();
    let browser = Browser::new(&fixture);
    let fields = [("definition", "steps: []"), ("check", "1")];
    let first = browser.post("/actions/new", &fields).await.text();
    assert!(first.contains("1–12 of 214") && first.contains("name=\"page\" value=\"12.12\""));
    let fields = [("definition", "steps: []"), ("page", "12.12")];
    let second = browser.post("/actions/new", &fields).await.text();
    assert!(second.contains("13–24 of 214") && second.contains("name=\"page\" value=\"0.\""));
    assert_eq!(last(&fixture).0, "Check", "nothing was saved");
    assert_eq!(last(&fixture).1["after"], "12");
    let script = browser.post("/actions/new/check", &fields).await.text();
    assert!(script.contains("13–24 of 214"));
    browser.post("/actions/new", &[("definition", "steps: []"), ("page", "0.")]).await;
    assert_eq!(last(&fixture).1["after"], json!(null));
}

#[tokio::test]
async fn an_action_is_run_by_its_name() {
    let fixture = Fixture::new();
    let browser = Browser::new(&fixture);
    let done = browser.post("/run", &[("name", " upgrade-go-1-26 ")]).await;
    assert_eq!(done.header("location"), "/executions/7");
    let none = browser.post("/run", &[("name", "none")]).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    assert_eq!(last(&fixture).0, "ActionFind", "nothing was run");
}
