//! What is done beside the work: telling, deleting.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::ground::{Bot, Ground, Options, POSTED};

fn config(topics: &[(&str, &str)]) -> Options {
    let mut options = Options::default();
    let topics = topics.iter().map(|(topic, url)| ((*topic).to_owned(), (*url).to_owned()));
    options.config.ours.topics = topics.collect();
    options
}

/// What was sent to an address so far.
fn sent_to(url: &str) -> Vec<Value> {
    let posted = POSTED.lock().unwrap();
    let texts = posted.iter().filter(|(to, _)| to == url);
    texts.map(|(_, text)| serde_json::from_str(text).unwrap()).collect()
}

async fn until(what: impl Fn() -> bool) {
    while !what() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asked_for_it_is_told_of_begin_and_end() {
    const TOPIC: &str = "projects/testing/topics/told";
    const URL: &str = "http://told/hook";
    let ground = Ground::with(config(&[(TOPIC, URL)])).await;
    let quiet = ground.trigger(|_| {}).await;
    let id = ground
        .trigger(|task| {
            task["pubsubTopic"] = json!(TOPIC);
            task["pubsubAuthToken"] = json!("hush");
            task["pubsubUserdata"] = json!("build 7");
        })
        .await;
    let bot = Bot::connect(&ground, "b1").await;
    for _ in [quiet, id.clone()] {
        let run = bot.poll().await["manifest"]["task_id"].as_str().unwrap().to_owned();
        assert_eq!(bot.update(&run, json!({"exit_code": 0, "duration": 1.0})).await["ok"], true);
    }
    until(|| sent_to(URL).len() >= 2).await;
    for message in sent_to(URL) {
        assert_eq!(message["subscription"], TOPIC);
        assert_eq!(message["message"]["attributes"], json!({"auth_token": "hush"}));
        let data = STANDARD.decode(message["message"]["data"].as_str().unwrap()).unwrap();
        let data: Value = serde_json::from_slice(&data).unwrap();
        assert_eq!(data, json!({"task_id": id, "userdata": "build 7"}));
    }
    // Nobody is told twice of what was taken.
    let canceled = ground.trigger(|task| task["pubsubTopic"] = json!(TOPIC)).await;
    ground.ok("Tasks/CancelTask", json!({"taskId": canceled})).await;
    until(|| sent_to(URL).len() >= 3).await;
    assert_eq!(sent_to(URL).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_told_again_also_by_a_later_process() {
    const TOPIC: &str = "projects/testing/topics/refused";
    const URL: &str = "http://refused/refuses";
    let ground = Ground::with(config(&[(TOPIC, URL)])).await;
    let id = ground.trigger(|task| task["pubsubTopic"] = json!(TOPIC)).await;
    ground.ok("Tasks/CancelTask", json!({"taskId": id})).await;
    until(|| !sent_to(URL).is_empty()).await;
    // It is put off, and nothing is lost by that.
    let ground = ground.restarted().await;
    until(|| sent_to(URL).len() >= 2).await;
    let sent = sent_to(URL);
    assert_eq!(sent[0]["message"]["messageId"], sent[1]["message"]["messageId"]);
    drop(ground);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_older_than_the_site_keeps_is_deleted() {
    let mut options = Options::default();
    options.config.ours.keep_days = 0;
    let ground = Ground::with(options).await;
    let bot = Bot::connect(&ground, "b1").await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(ground.trigger(|_| {}).await);
        let run = bot.poll().await["manifest"]["task_id"].as_str().unwrap().to_owned();
        let mut end = json!({"exit_code": 0, "duration": 1.0});
        end["output"] = json!(STANDARD.encode("hello"));
        end["output_chunk_start"] = json!(0);
        bot.update(&run, end).await;
    }
    let waiting = ground.trigger(|task| task["priority"] = json!(200)).await;
    let last = ground.trigger(|task| task["priority"] = json!(200)).await;
    ground.door.keep_house().await;
    for id in &ids {
        assert_eq!(ground.fails("Tasks/GetResult", json!({"taskId": id})).await.0, 5, "not found");
    }
    // What lives stays, however old it is.
    assert_eq!(ground.state(&waiting).await, "PENDING");
    assert_eq!(ground.state(&last).await, "PENDING");
    let listed = ground.ok("Tasks/ListTasks", json!({"limit": 10})).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    // The bot lives.
    assert_eq!(ground.ok("Bots/GetBot", json!({"botId": "b1"})).await["botId"], "b1");
    let ground = ground.restarted().await;
    assert_eq!(ground.state(&waiting).await, "PENDING");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_is_exported() {
    let ground = Ground::new().await;
    let bot = Bot::connect(&ground, "b1").await;
    let mut ids = Vec::new();
    for name in ["one", "=two,\"2\""] {
        ids.push(ground.trigger(|task| task["name"] = json!(name)).await);
        let run = bot.poll().await["manifest"]["task_id"].as_str().unwrap().to_owned();
        bot.update(&run, json!({"exit_code": 7, "duration": 1.5})).await;
    }
    ground.trigger(|_| {}).await;
    let lines = export(&ground, "start=2020-01-01T00:00:00Z").await;
    let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 2, "what waits is not over");
    assert_eq!(rows[1]["result"]["taskId"], ids[0]);
    assert_eq!(rows[1]["request"]["taskId"], ids[0]);
    assert_eq!(rows[0]["result"]["exitCode"], "7");
    let csv = export(&ground, "start=2020-01-01T00:00:00Z&format=csv").await;
    assert_eq!(csv.lines().count(), 3, "{csv}");
    assert!(csv.starts_with("task_id,run_id,name,state,"), "{csv}");
    assert!(csv.contains(",\"'=two,\"\"2\"\"\",COMPLETED,7,"), "{csv}");
    let none = export(&ground, "start=2020-01-01T00:00:00Z&end=2021-01-01T00:00:00Z").await;
    assert_eq!(none, "");
}

async fn export(ground: &Ground, query: &str) -> String {
    let uri = format!("/swarming/api/v1/export/tasks?{query}");
    let (parts, ()) = http::Request::builder().uri(uri).body(()).unwrap().into_parts();
    assert!(ground.door.exports(parts.uri.path()));
    let response = ground.door.export(&parts).await;
    assert_eq!(response.status(), 200);
    let pieces: Vec<_> = futures::StreamExt::collect(response.into_body()).await;
    let bytes: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.unwrap()).collect();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_takes_nothing_is_left_alone_for_a_while() {
    const TOPIC: &str = "projects/testing/topics/silent";
    const URL: &str = "http://silent/refuses";
    const OTHER: &str = "projects/testing/topics/loud";
    const LOUD: &str = "http://loud/hook";
    let ground = Ground::with(config(&[(TOPIC, URL), (OTHER, LOUD)])).await;
    let cancel = async |topic: &str| {
        let id = ground.trigger(|task| task["pubsubTopic"] = json!(topic)).await;
        ground.ok("Tasks/CancelTask", json!({"taskId": id})).await;
    };
    cancel(TOPIC).await;
    until(|| !sent_to(URL).is_empty()).await;
    for _ in 0..5 {
        cancel(TOPIC).await;
    }
    cancel(OTHER).await;
    until(|| !sent_to(LOUD).is_empty()).await;
    assert_eq!(sent_to(URL).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_clients_cannot_be_told_are_refused() {
    let ground = Ground::new().await;
    let bot = Bot::connect(&ground, "b1").await;
    ground.trigger(|_| {}).await;
    let run = bot.claim().await;
    let body = json!({"id": "b1", "task_id": run, "session": bot.session, "exit_code": 0, "duration": 1e39});
    let reply = ground.post(&format!("task_update/{run}"), &body).await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.text(), "duration is not a number that can be stored\n");
    assert_eq!(bot.update(&run, json!({"exit_code": 0, "duration": 1.0})).await["ok"], true);
}
