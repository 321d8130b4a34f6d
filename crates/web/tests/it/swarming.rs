//! Bots and tasks.

use http::StatusCode;
use serde_json::{Value, json};

use crate::Browser;
use crate::fixture::Fixture;

/// What was asked, by the method's last word.
fn asked(fixture: &Fixture, method: &str) -> Vec<Value> {
    let all = fixture.asked.lock().unwrap();
    all.iter().filter(|(name, _)| name.ends_with(method)).map(|(_, asked)| asked.clone()).collect()
}

#[tokio::test]
async fn bookmarks_of_bots_filter_order_and_choose_columns() {
    let fixture = Fixture::new();
    let browser = Browser::new(&fixture);
    let text = browser
        .get("/botlist?c=id&c=os&c=status&f=os%3AUbuntu-24.04&f=status%3Aquarantined&f=task%3Abusy&f=eu-7&s=os&d=desc")
        .await
        .text();
    let search = &asked(&fixture, "SearchBots")[0];
    assert_eq!(search["dimensions"], json!([{ "key": "os", "value": "Ubuntu-24.04" }]));
    assert_eq!(search["states"], json!(["quarantined", "busy"]));
    assert_eq!((&search["text"], &search["sort"]), (&json!("eu-7"), &json!("os")));
    assert_eq!(search["descending"], true);
    assert_eq!(text.matches("<th scope=\"col\"").count(), 3);
    assert!(text.contains("aria-sort=\"descending\""));
    assert!(text.contains("1–100 of 2,000"));
    assert!(text.contains("its disk is full"), "why it is quarantined");
    // A state's link keeps what else is filtered by.
    let dead = "href=\"/botlist?f=os%3AUbuntu-24.04&amp;f=eu-7&amp;f=status%3Adead&amp;c=id&amp;c=os&amp;c=status&amp;s=os&amp;d=desc\"";
    assert!(text.contains(dead), "{text}");
    assert!(text.contains("<option value=\"os:Ubuntu-24.04\">"));
}

#[tokio::test]
async fn bookmarks_of_tasks_filter_by_tag_state_and_time() {
    let fixture = Fixture::new();
    let browser = Browser::new(&fixture);
    let address = "/tasklist?at=false&c=name&c=os-tag&et=1760000000000&f=pool-tag%3Adefault&f=state%3ABOT_DIED&n=false&st=1750000000000";
    let text = browser.get(address).await.text();
    let search = &asked(&fixture, "ListTasks")[0];
    assert_eq!(search["tags"], json!(["pool:default"]));
    assert_eq!(search["state"], "QUERY_BOT_DIED");
    assert_eq!(search["start"], "2025-06-15T15:06:40Z");
    assert_eq!(search["end"], "2025-10-09T08:53:20Z");
    assert_eq!(asked(&fixture, "CountTasks").len(), 13);
    assert!(text.contains("2025-06-15 15:06:40 UTC to 2025-10-09"));
    assert!(text.contains(">Ubuntu-24.04</td>"), "a tag is a column");
    // A time that nobody gives is the last day.
    browser.get("/tasklist?f=state:running").await;
    let search = asked(&fixture, "ListTasks").pop().unwrap();
    assert_eq!((&search["state"], search.get("end")), (&json!("QUERY_RUNNING"), None));
    assert_eq!(asked(&fixture, "CountTasks").len(), 26);
    for sum in ["PENDING_RUNNING", "COMPLETED"] {
        browser.get(&format!("/tasklist?f=state:{sum}")).await;
        let search = asked(&fixture, "ListTasks").pop().unwrap();
        assert_eq!(search["state"], format!("QUERY_{sum}"));
    }
    let wrong = browser.get("/tasklist?f=state:BOGUS").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.text().contains("No task is in the state `BOGUS`. The states are ALL, PENDING,"));
}

#[tokio::test]
async fn a_waiting_task_says_why() {
    let text = Browser::new(&Fixture::new()).get("/task?id=6bd1c0de00000000").await.text();
    for says in [
        "No living bot has gpu:nvidia; the next slice begins in 3 min.",
        "Why: slice 1 of 2",
        "href=\"/botlist?f=gpu%3Anvidia\"",
        "href=\"/bot?id=bot%2Deu%2D1\"",
        "<b>12</b>",
        "37 tasks ask",
        "<a href=\"/runners\">2 runners that are no bots</a> match.",
        "<a href=\"/runners\">2 runners that are no bots</a> match too.",
        "ends <time",
        "swarming reproduce -S http://localhost 6bd1c0de00000000",
    ] {
        assert!(text.contains(says), "{says}");
    }
}

#[tokio::test]
async fn a_task_that_ran_shows_its_time_and_output() {
    let browser = Browser::new(&Fixture::new());
    let text = browser.get("/task?id=6bd1c0de00000030").await.text();
    for says in [
        "data-url=\"/jobs/1/log/raw?attempt=1\"",
        "/log.js\"",
        "Setting up",
        "exit 3",
        "Retry on this bot",
    ] {
        assert!(text.contains(says), "{says}");
    }
    assert!(
        text.contains("python3 -u build.py --message &#39;it")
            || text.contains("--message 'it'\\''s here'")
    );
    let secret = browser.get("/task?id=6bd1c0de00000120").await.text();
    assert!(secret.contains("It has a secret") && !secret.contains("/do/swarming/retry"));
}

#[tokio::test]
async fn what_the_buttons_do() {
    let fixture = Fixture::new();
    let browser = Browser::new(&fixture);
    let post = |name: &'static str, fields: &'static [(&str, &str)]| {
        let browser = &browser;
        async move {
            let answer = browser.post(&format!("/do/swarming/{name}"), fields).await;
            assert_eq!(answer.status, StatusCode::SEE_OTHER, "{name}: {}", answer.text());
            answer.header("location").to_owned()
        }
    };
    let task = ("task", "6bd1c0de00000010");
    assert_eq!(
        post("kill", &[("task", "6bd1c0de00000010"), ("back", "/task?id=x")]).await,
        "/task?id=x"
    );
    assert_eq!(asked(&fixture, "CancelTask")[0], json!({ "taskId": task.1, "killRunning": true }));
    assert_eq!(post("retry", &[("task", "6bd1c0de00000010")]).await, "/task?id=6bd1c0de00000080");
    let new = &asked(&fixture, "NewTask")[0];
    assert_eq!(new["taskSlices"].as_array().unwrap().len(), 2);
    assert_eq!(
        new["tags"],
        json!(["build:7", "retry:1"].into_iter().chain([]).collect::<Vec<&str>>())
    );
    let fields = &[
        ("tag", "pool:default"),
        ("tag", "build:7"),
        ("start", "2026-01-01T00:00:00Z"),
        ("end", "2026-01-02T00:00:00Z"),
        ("kill", "true"),
        ("back", "/tasklist?f=pool:default"),
    ];
    assert_eq!(post("cancel-all", fields).await, "/tasklist?f=pool:default&canceled=1037");
    let all = asked(&fixture, "CancelTasks");
    assert_eq!((all.len(), &all[0]["tags"]), (2, &json!(["pool:default", "build:7"])));
    assert_eq!((&all[1]["cursor"], &all[1]["killRunning"]), (&json!("next"), &json!(true)));
    post("drain", &[("bot", "b"), ("drain", "true"), ("back", "/bot?id=b")]).await;
    post("delete", &[("bot", "b"), ("back", "/botlist")]).await;
    assert!(post("terminate", &[("bot", "b")]).await.starts_with("/task?id="));
    assert_eq!(asked(&fixture, "SetDrain")[0], json!({ "botId": "b", "drain": true }));
    assert_eq!(browser.post("/do/swarming/other", &[]).await.status, StatusCode::NOT_FOUND);
    // SECURITY: not for a form of another session, nor back to another site.
    let answer = browser
        .send(http::Request::post("/do/swarming/kill"), "csrf=x&task=6bd1c0de00000010".to_owned())
        .await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(post("kill", &[("task", "x"), ("back", "//evil.example")]).await, "/");
}

#[tokio::test]
async fn readers_see_no_buttons() {
    let pages = [
        "/bot?id=bot-eu-1",
        "/bot?id=bot-eu-4",
        "/task?id=6bd1c0de00000000",
        "/task?id=6bd1c0de00000010",
        "/tasklist?f=pool:default",
    ];
    for (token, most) in [
        ("reader-token", ""),
        ("user-token", "cancel kill retry cancel-all"),
        ("admin-token", "cancel kill retry cancel-all drain terminate delete"),
    ] {
        let browser = Browser::new(&Fixture::new()).with_token(Some(token));
        let mut seen = Vec::new();
        for page in pages {
            let text = browser.get(page).await.text();
            let found = text.split("action=\"/do/swarming/").skip(1);
            seen.extend(found.map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
        seen.sort();
        seen.dedup();
        let mut all: Vec<&str> = most.split_whitespace().collect();
        all.sort_unstable();
        assert_eq!(seen, all, "{token}");
    }
}

#[tokio::test]
async fn a_server_without_the_door_says_so() {
    let browser = Browser::new(&Fixture { swarming: false, ..Fixture::new() });
    for page in ["/botlist", "/bot?id=b", "/tasklist", "/task?id=1"] {
        let answer = browser.get(page).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{page}");
        let text = answer.text();
        assert!(text.contains("This server has no door for Swarming"), "{page}");
        assert!(!text.contains("href=\"/botlist\""), "{page}");
    }
    let with = Browser::new(&Fixture::new()).get("/").await.text();
    assert!(with.contains("href=\"/botlist\"") && with.contains("href=\"/tasklist\""));
}

#[tokio::test]
async fn old_addresses_lead_to_the_pages() {
    let browser = Browser::new(&Fixture::new());
    for (old, new) in [
        ("/restricted/bots", "/botlist"),
        ("/restricted/bot/a%20b", "/bot?id=a%20b"),
        ("/restricted/bots?dimensions=os:b&dimensions=", "/botlist?f=os%3Ab"),
        ("/user/tasks", "/tasklist"),
        ("/user/tasks?task_tag=pool:a&task_tag=b:c&x=y", "/tasklist?f=pool%3Aa&f=b%3Ac"),
        ("/user/task/6b", "/task?id=6b"),
        ("/tasks/6b", "/task?id=6b"),
    ] {
        let answer = browser.get(old).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (StatusCode::SEE_OTHER, new),
            "{old}"
        );
    }
}

#[tokio::test]
async fn a_page_shows_its_calls() {
    let text =
        Browser::new(&Fixture::new()).get("/task?id=6bd1c0de00000000&view=query").await.text();
    assert!(text.contains("POST /prpc/swarming.v2.Tasks/GetResult"));
    assert!(text.contains("POST /prpc/phalanx.Swarming/WhyPending"));
}
