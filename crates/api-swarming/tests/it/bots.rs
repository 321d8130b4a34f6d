//! What bots do, and what is done to them.

use engine::ops::LoseOp;
use model::RunnerName;
use serde_json::{Value, json};

use crate::ground::{Bot, Ground, Options, archive, archive_that};

async fn events(ground: &Ground, bot: &str) -> Vec<(String, String)> {
    let reply = ground.ok("Bots/ListBotEvents", json!({"botId": bot})).await;
    let items = reply["items"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    items.iter().map(|item| (text(&item["eventType"]), text(&item["message"]))).collect()
}

fn kinds(events: &[(String, String)]) -> Vec<&str> {
    events.iter().map(|(kind, _)| kind.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_is_known_by_what_it_says() {
    let ground = Ground::new().await;
    let bot = Bot::connect(&ground, "b1").await;
    assert_eq!(bot.claim_nothing().await["cmd"], "sleep");
    let info = ground.ok("Bots/GetBot", json!({"botId": "b1"})).await;
    assert_eq!(info["externalIp"], "127.0.0.1");
    assert_eq!(info["authenticatedAs"], "bot:whitelisted-ip");
    assert_eq!(info["version"], "0".repeat(64));
    let dimensions = info["dimensions"].as_array().unwrap();
    assert!(dimensions.contains(&json!({"key": "os", "value": ["Debian", "Linux"]})));
    let state: Value = serde_json::from_str(info["state"].as_str().unwrap()).unwrap();
    assert_eq!(state, json!({"running_time": 1.0, "sleep_streak": 0}));
    let mut sick = Bot::connect(&ground, "b2").await;
    sick.dimensions["pool"] = json!(["other"]);
    sick.state["quarantined"] = json!("disk full");
    let told = sick.poll().await;
    assert_eq!((&told["cmd"], &told["quarantined"]), (&json!("sleep"), &json!(true)));
    assert!(told["duration"].as_f64().unwrap() >= 60.0);
    let mut tired = Bot::connect(&ground, "b3").await;
    tired.state["maintenance"] = json!("new cables");
    assert_eq!(tired.poll().await["quarantined"], false);
    let list = |request: Value| {
        let ground = &ground;
        async move {
            let reply = ground.ok("Bots/ListBots", request).await;
            let items = reply["items"].as_array().cloned().unwrap_or_default();
            items.iter().map(|b| b["botId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        }
    };
    assert_eq!(list(json!({})).await, ["b1", "b2", "b3"]);
    assert_eq!(list(json!({"quarantined": "TRUE"})).await, ["b2"]);
    assert_eq!(list(json!({"inMaintenance": "TRUE"})).await, ["b3"]);
    // As upstream: what may get nothing is not idle.
    assert_eq!(list(json!({"isBusy": "FALSE"})).await, ["b1"]);
    assert_eq!(list(json!({"dimensions": [{"key": "pool", "value": "other|none"}]})).await, ["b2"]);
    let first = ground.ok("Bots/ListBots", json!({"limit": 2})).await;
    let rest = json!({"limit": 2, "cursor": first["cursor"]});
    assert_eq!(list(rest).await, ["b3"]);
    let count = ground.ok("Bots/CountBots", json!({})).await;
    assert_eq!(
        (&count["count"], &count["quarantined"], &count["maintenance"]),
        (&json!(3), &json!(1), &json!(1))
    );
    let all = ground.ok("Bots/GetBotDimensions", json!({})).await;
    let pools = json!({"key": "pool", "value": ["default", "other"]});
    assert!(all["botsDimensions"].as_array().unwrap().contains(&pools));
    let permissions = ground.ok("Swarming/GetPermissions", json!({})).await;
    assert_eq!(permissions["listBots"], json!(["default", "other"]));
    let count = ground.get("/_ah/api/swarming/v1/bots/count?dimensions=pool:default").await.json();
    assert_eq!(count["count"], "2");
    let listed = ground.get("/_ah/api/swarming/v1/bots/list?quarantined=TRUE").await.json();
    assert_eq!(listed["items"][0]["bot_id"], "b2");
    let refused = ground.get("/_ah/api/swarming/v1/bots/list?limit=x").await;
    assert_eq!(
        (refused.status.as_u16(), refused.json()["error"]["message"].as_str()),
        (400, Some("limit: `x` is not a number"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_poll_is_answered_when_there_is_work() {
    let ground = Ground::new().await;
    let bot = Bot::connect(&ground, "b1").await;
    let waiting = bot.poll();
    let trigger = async {
        ground.until_parked().await;
        ground.trigger(|_| {}).await
    };
    let (reply, id) = tokio::join!(waiting, trigger);
    assert_eq!(reply["manifest"]["task_id"], format!("{}1", &id[..id.len() - 1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_is_ended_by_a_task() {
    let ground = Ground::new().await;
    let unknown = ground.ok("Bots/TerminateBot", json!({"botId": "b1"})).await;
    assert_eq!(ground.state(unknown["taskId"].as_str().unwrap()).await, "NO_RESOURCE");
    let bot = Bot::connect(&ground, "b1").await;
    assert_eq!(bot.claim_nothing().await["cmd"], "sleep");
    let asked = json!({"botId": "b1", "reason": "too old"});
    let id =
        ground.ok("Bots/TerminateBot", asked.clone()).await["taskId"].as_str().unwrap().to_owned();
    assert_eq!(ground.ok("Bots/TerminateBot", asked).await["taskId"], id.as_str());
    let request = ground.ok("Tasks/GetRequest", json!({"taskId": id})).await;
    assert_eq!(request["name"], "Terminate b1: too old");
    // It goes before all others.
    ground.trigger(|request| request["priority"] = json!(20)).await;
    let told = bot.poll().await;
    assert_eq!(told["cmd"], "terminate");
    let run = told["task_id"].as_str().unwrap().to_owned();
    bot.update(&run, json!({"duration": 0, "exit_code": 0})).await;
    assert_eq!(ground.state(&id).await, "COMPLETED");
    bot.event("bot_shutdown", "Signal was received").await;
    let info = ground.ok("Bots/GetBot", json!({"botId": "b1"})).await;
    assert_eq!((&info["isDead"], &info["terminationTaskId"]), (&json!(true), &json!(id)));
    let happened = events(&ground, "b1").await;
    assert_eq!(kinds(&happened)[..3], ["bot_shutdown", "task_completed", "bot_terminate"]);
    assert_eq!(happened[0].1, "Signal was received");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_goes_takes_its_task_with_it() {
    let ground = Ground::new().await;
    let mut bot = Bot::connect(&ground, "b1").await;
    for how in ["restart", "shutdown", "delete"] {
        let id = ground.trigger(|_| {}).await;
        let run = bot.claim().await;
        match how {
            "restart" => {
                bot.handshake().await;
            }
            "shutdown" => {
                bot.event("bot_shutdown", "").await;
            }
            _ => {
                let deleted = ground.ok("Bots/DeleteBot", json!({"botId": "b1"})).await;
                assert_eq!(deleted["deleted"], true);
            }
        }
        assert_eq!(ground.state(&id).await, "BOT_DIED", "{how}");
        let told = bot.update(&run, json!({})).await;
        assert_eq!((&told["ok"], &told["must_stop"]), (&json!(true), &json!(true)), "{how}");
    }
    let (code, text) = ground.fails("Bots/DeleteBot", json!({"botId": "b1"})).await;
    assert_eq!((code, text.as_str()), (5, r#""b1" not found"#));
    let gone = ground.ok("Bots/GetBot", json!({"botId": "b1"})).await;
    assert_eq!(gone["deleted"], true);
    assert_eq!(kinds(&events(&ground, "b1").await)[0], "bot_deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_say_what_became_of_a_task() {
    let ground = Ground::new().await;
    let mut bot = Bot::connect(&ground, "b1").await;
    let newest = async || {
        let reply = ground.ok("Bots/ListBotEvents", json!({"botId": "b1", "limit": 1})).await;
        let event = &reply["items"][0];
        ["eventType", "message", "taskId"]
            .map(|key| event[key].as_str().unwrap_or_default().to_owned())
    };
    for (how, event, message, is_named) in [
        ("error", "bot_error", "out of paper", true),
        ("restart", "bot_connected", "Abandoned RUN", false),
        ("shutdown", "bot_shutdown", "bye\nAbandoned RUN", true),
        ("reboot", "bot_rebooting", "Abandoned RUN", false),
        ("poll", "bot_polling", "Abandoned RUN", false),
        ("delete", "bot_deleted", "Abandoned RUN", true),
    ] {
        ground.trigger(|_| {}).await;
        let run = bot.claim().await;
        match how {
            "error" => drop(bot.event("bot_error", "out of paper").await),
            "restart" => drop(bot.handshake().await),
            "shutdown" => drop(bot.event("bot_shutdown", "bye").await),
            "reboot" => drop(bot.event("bot_rebooting", "").await),
            "poll" => drop(bot.claim_nothing().await),
            _ => drop(ground.ok("Bots/DeleteBot", json!({"botId": "b1"})).await),
        }
        let task = if is_named { run.clone() } else { String::new() };
        let expected = [event.to_owned(), message.replace("RUN", &run), task];
        assert_eq!(newest().await, expected, "{how}");
        match how {
            "error" => {
                bot.update(&run, json!({"duration": 0, "exit_code": 0})).await;
            }
            "shutdown" => {
                let count = ground.ok("Bots/CountBots", json!({})).await;
                assert_eq!((&count["dead"], &count["busy"]), (&json!(1), &Value::Null));
            }
            _ => {}
        }
        if how == "delete" {
            let gone = ground.ok("Bots/GetBot", json!({"botId": "b1"})).await;
            assert_eq!(gone["taskId"], run.as_str());
        }
    }
    // What a deleted bot still has to say does not bring it back.
    bot.event("bot_shutdown", "late").await;
    bot.event("bot_error", "later").await;
    assert_eq!(newest().await[1], "later");
    assert_eq!(ground.ok("Bots/CountBots", json!({})).await["count"], Value::Null);
    let gone = ground.ok("Bots/GetBot", json!({"botId": "b1"})).await;
    assert_eq!(gone["deleted"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_told_once_and_says_how_the_bot_is() {
    let ground = Ground::new().await;
    let mut bot = Bot::connect(&ground, "b1").await;
    let connected = events(&ground, "b1").await.len();
    bot.handshake().await;
    assert_eq!(events(&ground, "b1").await.len(), connected, "the same session");
    let mut said = bot.attributes();
    said["event"] = json!("bot_log");
    said["request_uuid"] = json!("e3b3b0c4-0000-4000-8000-000000000001");
    said["state"]["quarantined"] = json!("disk full");
    for _ in 0..2 {
        ground.post("event", &said).await;
    }
    assert_eq!(events(&ground, "b1").await.len(), connected + 1);
    assert_eq!(events(&ground, "b1").await[0].1, "disk full");
    let info = ground.ok("Bots/GetBot", json!({"botId": "b1"})).await;
    assert_eq!(info["quarantined"], true);
    bot.state["maintenance"] = json!("new cables");
    bot.event("bot_log", "a word").await;
    let info = ground.ok("Bots/GetBot", json!({"botId": "b1"})).await;
    assert_eq!(
        (&info["quarantined"], &info["maintenanceMsg"]),
        (&Value::Null, &json!("new cables"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_is_repeated_loses_nothing() {
    let ground = Ground::new().await;
    let bot = Bot::connect(&ground, "b1").await;
    let id = ground.trigger(|_| {}).await;
    let told = bot.poll_as("one").await;
    let before = events(&ground, "b1").await;
    for _ in 0..2 {
        assert_eq!(bot.poll_as("one").await, told);
    }
    assert_eq!(events(&ground, "b1").await, before, "nothing is abandoned, nothing said twice");
    assert_eq!(ground.state(&id).await, "RUNNING");
    let info = ground.ok("Bots/GetBot", json!({"botId": "b1"})).await;
    assert_eq!(info["taskId"], told["manifest"]["task_id"]);
    // Whatever happened in between, and another process serves.
    bot.event("bot_log", "a word").await;
    let before = events(&ground, "b1").await;
    let mut body = bot.attributes();
    body["request_uuid"] = json!("one");
    let ground = ground.restarted().await;
    assert_eq!(ground.post("poll", &body).await.json(), told);
    assert_eq!(events(&ground, "b1").await, before);
    // One that is lost is not given again, and it is told.
    let runner = RunnerName::new("swarming:b1");
    ground.dispatcher.lose_runner(LoseOp { runner, why: "gone".to_owned() }).await;
    assert_eq!(ground.state(&id).await, "BOT_DIED");
    let next = ground.trigger(|_| {}).await;
    assert_eq!(ground.post("poll", &body).await.json()["cmd"], "run");
    let told = events(&ground, "b1").await;
    assert_eq!(kinds(&told)[..2], ["request_task", "bot_polling"]);
    assert!(told[1].1.contains("Abandoned"), "{:?}", told[1]);
    assert_eq!(ground.state(&next).await, "RUNNING");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_does_not_show_that_a_bot_is_well_again() {
    let ground = Ground::new().await;
    let mut bot = Bot::connect(&ground, "b1").await;
    for number in 0..600 {
        bot.dimensions[format!("key{number}")] = json!(["x"]);
    }
    assert_eq!(bot.poll().await["quarantined"], true);
    bot.event("bot_log", "a word").await;
    let info = ground.ok("Bots/GetBot", json!({"botId": "b1"})).await;
    assert_eq!(info["quarantined"], true);
    let state: Value = serde_json::from_str(info["state"].as_str().unwrap()).unwrap();
    assert!(state["quarantined"].as_str().unwrap().contains("dimension"), "{state}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_tells_of_errors_of_its_own_task_only() {
    let ground = Ground::new().await;
    let (first, second) = (Bot::connect(&ground, "b1").await, Bot::connect(&ground, "b2").await);
    let id = ground.trigger(|_| {}).await;
    let run = first.claim().await;
    let before = events(&ground, "b2").await;
    let error = |bot: &str| json!({"id": bot, "task_id": run, "message": "broken"});
    for _ in 0..2 {
        let reply = ground.post(&format!("task_error/{run}"), &error("b2")).await;
        assert_eq!((reply.status.as_u16(), reply.json()), (200, json!({})));
    }
    assert_eq!(events(&ground, "b2").await, before);
    assert_eq!(ground.state(&id).await, "RUNNING");
    ground.post(&format!("task_error/{run}"), &error("b1")).await;
    assert_eq!(ground.state(&id).await, "BOT_DIED");
    // Said again when the bot has another task, it takes nothing away.
    ground.trigger(|_| {}).await;
    let next = first.claim().await;
    ground.post(&format!("task_error/{run}"), &error("b1")).await;
    let info = ground.ok("Bots/GetBot", json!({"botId": "b1"})).await;
    assert_eq!(info["taskId"], next.as_str());
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_takes_over_from_the_first() {
    let ground = Ground::new().await;
    let first = Bot::connect(&ground, "b1").await;
    let second = Bot::connect(&ground, "b1").await;
    assert_ne!(first.session, second.session);
    let told = first.poll().await;
    assert_eq!(
        (&told["cmd"], &told["message"]),
        (&json!("bot_restart"), &json!("Bot session expired"))
    );
    ground.trigger(|_| {}).await;
    second.claim().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_is_kept_up_to_date() {
    let ground = Ground::with(Options { with_archive: true, ..Options::default() }).await;
    let archive = archive();
    let mut bot = Bot::connect(&ground, "b1").await;
    let told = bot.poll().await;
    assert_eq!(told, json!({"cmd": "update", "version": archive.version}));
    let code = ground.get(&format!("/swarming/api/v1/bot/bot_code/{}", archive.version)).await;
    assert_eq!(code.status, 200);
    assert_eq!(code.body, archive.zip);
    let there = ground.get("/bot_code?bot_id=b1").await;
    assert_eq!(there.status, 302);
    // Whatever name the bot has for this server.
    let code = format!("/swarming/api/v1/bot/bot_code/{}", archive.version);
    assert_eq!(there.headers["location"], code);
    let script = ground.get("/bootstrap?tok=a'b").await;
    assert!(script.text().contains("bootstrap_token"));
    assert_eq!(ground.get("/swarming/api/v1/bot/server_ping").await.text(), "Server up\n");
    bot.version = archive.version.clone();
    assert_eq!(bot.handshake().await["bot_version"], archive.version.as_str());
    assert_eq!(bot.claim_nothing().await["cmd"], "sleep");
    assert_eq!(
        ground.ok("Swarming/GetDetails", json!({})).await["botVersion"],
        archive.version.as_str()
    );
    let newer = archive_that("print('another bot')");
    ground.door.set_archive(Some(newer.clone()));
    assert_eq!(bot.poll().await, json!({"cmd": "update", "version": newer.version}));
    let code = ground.get(&format!("/swarming/api/v1/bot/bot_code/{}", newer.version)).await;
    assert_eq!(code.body, newer.zip);
    let closed =
        Ground::with(Options { open: false, with_archive: true, ..Options::default() }).await;
    assert_eq!(closed.get("/bot_code").await.status, 403);
    let reply = closed.call_as(Some("admin"), "swarming.v2.Swarming/GetToken", &json!({})).await;
    let reply: Value = serde_json::from_str(reply.text().strip_prefix(")]}'\n").unwrap()).unwrap();
    let token = reply["bootstrapToken"].as_str().unwrap();
    assert_eq!(closed.get(&format!("/bot_code?tok={token}")).await.status, 302);
    assert_eq!(closed.get(&format!("/bot_code?tok={token}0")).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_of_2022_is_served_too() {
    let ground = Ground::new().await;
    let id = ground.trigger(|_| {}).await;
    let attributes = json!({
        "dimensions": {"id": ["old"], "pool": ["default"]},
        "state": {"running_time": 1, "sleep_streak": 0},
        "version": "v",
    });
    let hello = ground.post("handshake", &attributes).await.json();
    assert_eq!(hello["bot_version"], "v");
    let mut poll = attributes.clone();
    poll["request_uuid"] = json!("one");
    let told = ground.post("poll", &poll).await.json();
    let run = told["manifest"]["task_id"].as_str().unwrap();
    let last = json!({"id": "old", "task_id": run, "duration": 1, "exit_code": 0, "cost_usd": 0});
    ground.post(&format!("task_update/{run}"), &last).await;
    assert_eq!(ground.state(&id).await, "COMPLETED");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_in_words() {
    let ground = Ground::new().await;
    for (call, body, status, words) in [
        ("poll", json!("x"), 400, "bad JSON"),
        ("poll", json!({}), 400, "no `id` dimension"),
        ("handshake", json!({"dimensions": {"id": [1]}}), 400, "bad bot `id`"),
        (
            "event",
            json!({"dimensions": {"id": ["b"]}, "event": "bot_party"}),
            400,
            "unsupported event type",
        ),
        ("task_update/1011", json!({"id": "b", "task_id": "1021"}), 400, "the path names task"),
        ("task_update", json!({"id": "b", "task_id": "x"}), 400, "task ID"),
        ("task_update/1011", json!({"id": "b", "cost_usd": -1}), 400, "negative cost"),
        ("party", json!({}), 404, "no such call"),
    ] {
        let reply = ground.post(call, &body).await;
        assert_eq!(reply.status.as_u16(), status, "{call} {body}: {}", reply.text());
        assert!(reply.text().contains(words), "{call} {body}: {}", reply.text());
    }
    // A task of nobody, or of another bot.
    let told = ground.post("task_update/6663cfc78b41fb11", &json!({"id": "b"})).await.json();
    assert_eq!((&told["ok"], &told["must_stop"]), (&json!(false), &json!(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn upstreams_pages_are_served_where_there_is_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("public_botlist_index.html"), "<bot-list></bot-list>")
        .unwrap();
    std::fs::write(folder.path().join("a.js"), "1").unwrap();
    std::fs::create_dir(folder.path().join("d.js")).unwrap();
    let ui = Some(folder.path().to_owned());
    let ground = Ground::with(Options { ui, ..Options::default() }).await;
    let page = ground.get("/botlist?k=pool").await;
    // Loaded without TLS it must not call with it.
    assert_eq!(page.text(), "<script>window.LIVE_DEMO=true</script><bot-list></bot-list>");
    assert!(page.headers.contains_key("content-security-policy"));
    assert_eq!(ground.get("/newres/a.js").await.text(), "1");
    for path in
        ["/newres/d.js", "/newres/..%2fa.js", "/newres/../a.js", "/newres/.a.js", "/tasklist"]
    {
        assert_eq!(ground.get(path).await.status, 404, "{path}");
    }
    let list = ground.get("/restricted/bots?dimensions=pool:a&dimensions=os:b&limit=50").await;
    assert_eq!(list.headers["location"], "/botlist?f=pool%3Aa&f=os%3Ab&l=50");
    let moved = ground.get("/restricted/bot/a&b").await;
    assert_eq!(moved.headers["location"], "/bot?id=a%26b");
    assert_eq!(ground.get("/tasks/6b1").await.headers["location"], "/task?id=6b1");
    assert_eq!(ground.get("/auth/openid/state").await.json()["email"], "anyone@localhost");
    let without = Ground::new().await;
    assert!(!without.door.serves("/botlist"));
}

#[tokio::test(flavor = "multi_thread")]
async fn output_beyond_the_limit_is_dropped() {
    let ground = Ground::new().await;
    let id = ground.trigger(|_| {}).await;
    let bot = Bot::connect(&ground, "b1").await;
    let run = bot.claim().await;
    let chunk = |start: u64| json!({"output": "eA==", "output_chunk_start": start});
    assert_eq!(bot.update(&run, chunk(0)).await["ok"], true);
    // Far beyond what is kept, and then again: nothing waits for what can never be.
    for start in [70_000_000, 70_000_001, 104_857_600] {
        assert_eq!(bot.update(&run, chunk(start)).await["ok"], true);
    }
    bot.update(&run, json!({"exit_code": 0, "duration": 1})).await;
    assert_eq!(ground.state(&id).await, "COMPLETED");
    let start = ground.ok("Tasks/GetStdout", json!({"taskId": id, "length": "1"})).await;
    assert_eq!(start["output"], "eA==");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_cannot_speak_for_a_runner() {
    use engine::ops::{RegisterOp, RunnerSpec};
    let ground = Ground::new().await;
    let name = model::RunnerName::new("host");
    let runner = RunnerSpec {
        name: name.clone(),
        session: model::Session(1),
        queues: ["batches".into()].into(),
        dimensions: model::Dimensions::default(),
        slots: 1,
        keep: true,
    };
    ground.dispatcher.register(RegisterOp { runner: runner.clone() }).await;
    let bot = Bot::connect(&ground, "host").await;
    bot.claim_nothing().await;
    bot.event("bot_shutdown", "").await;
    ground.ok("Bots/DeleteBot", json!({"botId": "host"})).await;
    assert!(ground.dispatcher.is_registered(&runner));
    let queue = json!([{"key": "pool", "value": "batches"}]);
    ground.trigger(|request| request["taskSlices"][0]["properties"]["dimensions"] = queue).await;
    let runner =
        ground.dispatcher.runners().into_iter().find(|runner| runner.name == name).unwrap();
    assert!(runner.jobs.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goodbye_of_an_older_process_is_not_heard() {
    let ground = Ground::new().await;
    let first = Bot::connect(&ground, "b1").await;
    let second = Bot::connect(&ground, "b1").await;
    let id = ground.trigger(|_| {}).await;
    let run = second.claim().await;
    first.event("bot_shutdown", "").await;
    assert_eq!(ground.state(&id).await, "RUNNING");
    second.update(&run, json!({"exit_code": 0, "duration": 1})).await;
    let mut liar = Bot::connect(&ground, "b2").await;
    liar.session = json!("18446744073709551615");
    assert_eq!(liar.poll().await["cmd"], "bot_restart");
    liar.handshake().await;
    assert_eq!(liar.claim_nothing().await["cmd"], "sleep");
}
