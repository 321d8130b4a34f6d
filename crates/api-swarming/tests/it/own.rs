//! The calls of our own: why a task waits, bots in any order, draining.

use serde_json::{Value, json};

use crate::ground::{Bot, Ground};
use api_swarming::{Caller, Role};

async fn own(ground: &Ground, method: &str, request: Value) -> Value {
    let caller = Caller { identity: "user:ada".to_owned(), role: Role::Admin };
    let method = format!("phalanx.Swarming/{method}");
    ground.door.call(&caller, &method, &request).await.unwrap()
}

async fn why(ground: &Ground, task: &str) -> Value {
    own(ground, "WhyPending", json!({"taskId": task})).await
}

/// A task that asks for these dimensions besides its pool.
async fn asks(ground: &Ground, dimensions: &[(&str, &str)]) -> String {
    let pairs = dimensions.iter().map(|(key, value)| json!({"key": key, "value": value}));
    let pairs: Vec<Value> = pairs.collect();
    let add = |task: &mut Value| {
        let all = &mut task["taskSlices"][0]["properties"]["dimensions"];
        all.as_array_mut().unwrap().extend(pairs);
    };
    ground.trigger(add).await
}

async fn idle<'a>(ground: &'a Ground, id: &str, more: &[(&str, &str)]) -> Bot<'a> {
    let mut bot = Bot::connect(ground, id).await;
    for (key, value) in more {
        bot.dimensions[key] = json!([value]);
    }
    bot.claim_nothing().await;
    bot
}

#[tokio::test(flavor = "multi_thread")]
async fn why_nobody_takes_it() {
    let ground = Ground::new().await;
    for at in 0..3 {
        idle(&ground, &format!("linux-{at}"), &[("gpu", "none")]).await;
    }
    idle(&ground, "gpu-1", &[("gpu", "x"), ("os", "Mac")]).await;

    let id = asks(&ground, &[("os", "Windows-99"), ("gpu", "x|y")]).await;
    let found = why(&ground, &id).await;
    let said = found["conclusion"].as_str().unwrap();
    assert!(said.starts_with("No living bot has os:Windows-99; the task expires in "), "{said}");
    assert_eq!(found["state"], "PENDING");
    let slice = &found["slices"][0];
    assert_eq!(slice["matching"], json!({}));
    assert!(slice["expiresTs"].as_str().unwrap() > found["now"].as_str().unwrap());
    let of = |key: &str| {
        let all = slice["constraints"].as_array().unwrap();
        all.iter().find(|constraint| constraint["key"] == key).unwrap()
    };
    assert_eq!(of("pool")["bots"], json!({"live": 4, "free": 4}));
    assert_eq!(of("gpu")["values"], json!([{"value": "x", "bots": 1}, {"value": "y"}]));
    // The one that has all but the system.
    assert_eq!((&of("os")["without"], &of("os")["sampleWithout"]), (&json!(1), &json!(["gpu-1"])));
    assert!(of("gpu").get("without").is_none());

    let id = asks(&ground, &[("os", "Linux"), ("gpu", "x")]).await;
    let found = why(&ground, &id).await;
    let said = found["conclusion"].as_str().unwrap();
    let expected = "No living bot has all of gpu:x, os:Linux, pool:default together; without gpu:x, 3 bots would match; the task expires in ";
    assert!(said.starts_with(expected), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn why_those_that_match_do_not_take_it() {
    let ground = Ground::new().await;
    let running = ground.trigger(|_| {}).await;
    let busy = Bot::connect(&ground, "busy").await;
    busy.claim().await;
    assert_eq!(why(&ground, &running).await["conclusion"], "The task is running.");

    for _ in 0..2 {
        ground.trigger(|_| {}).await;
    }
    let id = ground.trigger(|_| {}).await;
    let found = why(&ground, &id).await;
    let said = found["conclusion"].as_str().unwrap();
    assert!(
        said.starts_with("1 bot matches, and it is busy; 2 tasks are ahead; the task"),
        "{said}"
    );
    assert_eq!(found["slices"][0]["ahead"], 2);

    let mut ill = Bot::connect(&ground, "ill").await;
    ill.state["quarantined"] = json!("its disk is full");
    ill.poll().await;
    let mut away = Bot::connect(&ground, "away").await;
    away.state["maintenance"] = json!("rebooting");
    away.poll().await;
    let found = why(&ground, &id).await;
    let said = found["conclusion"].as_str().unwrap();
    assert!(said.starts_with("3 bots match, 1 busy, 1 in maintenance, 1 quarantined; 2"), "{said}");
    let tally = json!({"live": 3, "busy": 1, "maintenance": 1, "quarantined": 1});
    assert_eq!(found["slices"][0]["matching"], tally);
    assert_eq!(found["slices"][0]["sampleBots"], json!(["away", "busy", "ill"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_slice_says_when_it_ends() {
    let ground = Ground::new().await;
    let id = ground
        .trigger(|task| {
            let mut second = task["taskSlices"][0].clone();
            second["expirationSecs"] = json!(600);
            let dimensions = &mut second["properties"]["dimensions"];
            dimensions.as_array_mut().unwrap().push(json!({"key": "os", "value": "Linux"}));
            task["taskSlices"].as_array_mut().unwrap().push(second);
        })
        .await;
    let found = why(&ground, &id).await;
    let said = found["conclusion"].as_str().unwrap();
    assert!(said.contains("; the next slice begins in "), "{said}");
    let end = |slice: usize| -> jiff::Timestamp {
        found["slices"][slice]["expiresTs"].as_str().unwrap().parse().unwrap()
    };
    assert_eq!(end(1).duration_since(end(0)).as_secs(), 600);
}

#[tokio::test(flavor = "multi_thread")]
async fn bots_are_found_ordered_and_counted() {
    let ground = Ground::new().await;
    for at in [10, 9, 1] {
        idle(&ground, &format!("bot-{at}"), &[("cores", &at.to_string())]).await;
    }
    let other = idle(&ground, "other", &[]).await;
    ground.trigger(|_| {}).await;
    other.claim().await;
    let names = |found: &Value| -> Vec<String> {
        let items = found["items"].as_array().unwrap().iter();
        items.map(|bot| bot["botId"].as_str().unwrap().to_owned()).collect()
    };
    let search = |request: Value| own(&ground, "SearchBots", request);
    let first = search(json!({"limit": 3})).await;
    assert_eq!(names(&first), ["bot-1", "bot-9", "bot-10"]);
    assert_eq!(first["matched"], 4);
    assert_eq!(first["counts"], json!({"all": 4, "alive": 4, "idle": 3, "busy": 1}));
    let second = search(json!({"limit": 3, "cursor": first["cursor"]})).await;
    assert_eq!(names(&second), ["other"]);
    assert!(second.get("cursor").is_none());
    // Who has no such dimension comes last, either way.
    let sorted = search(json!({"sort": "cores", "descending": true})).await;
    assert_eq!(names(&sorted), ["bot-10", "bot-9", "bot-1", "other"]);
    let found = search(json!({"text": "BOT-1"})).await;
    assert_eq!(names(&found), ["bot-1", "bot-10"]);
    let busy = search(json!({"states": ["alive", "busy"]})).await;
    assert_eq!((names(&busy), &busy["counts"]["all"]), (vec!["other".to_owned()], &json!(4)));
    let caller = Caller { identity: "user:ada".to_owned(), role: Role::Admin };
    let wrong = json!({"states": ["asleep"]});
    let refused = ground.door.call(&caller, "phalanx.Swarming/SearchBots", &wrong).await;
    assert!(refused.unwrap_err().message.contains("\"asleep\" is none of alive, dead"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_bot_gets_nothing_new() {
    let ground = Ground::new().await;
    let bot = idle(&ground, "b1", &[]).await;
    let set = |drain: bool| own(&ground, "SetDrain", json!({"botId": "b1", "drain": drain}));
    assert_eq!(set(true).await, json!({"draining": true, "standing": "draining"}));
    let impatient = |task: &mut Value| task["taskSlices"][0]["waitForCapacity"] = json!(false);
    let id = ground.trigger(impatient).await;
    assert_eq!(bot.claim_nothing().await["cmd"], "sleep");
    let said = why(&ground, &id).await["conclusion"].as_str().unwrap().to_owned();
    assert!(said.starts_with("1 bot matches, and it is draining"), "{said}");
    let found = own(&ground, "SearchBots", json!({"states": ["draining"]})).await;
    assert_eq!((&found["draining"], &found["counts"]["draining"]), (&json!(["b1"]), &json!(1)));
    assert_eq!(own(&ground, "GetStanding", json!({"botId": "b1"})).await["draining"], true);
    assert_eq!(set(false).await, json!({"standing": "free"}));
    let run = bot.claim().await;
    bot.update(&run, json!({"exit_code": 0, "duration": 1.0})).await;
    // Until it asks for the next.
    let found = own(&ground, "SearchBots", json!({})).await;
    assert_eq!(found["standings"], json!(["busy"]));
    assert!(found["items"][0].get("taskId").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_was_never_well_counts_and_can_be_drained() {
    let ground = Ground::new().await;
    let mut bot = Bot::connect(&ground, "b1").await;
    bot.state["quarantined"] = json!("disk full");
    assert_eq!(bot.poll().await["quarantined"], true);
    let id = ground.trigger(|task| task["taskSlices"][0]["waitForCapacity"] = json!(false)).await;
    assert_eq!(ground.state(&id).await, "PENDING");
    let standing = own(&ground, "SetDrain", json!({"botId": "b1", "drain": true})).await;
    assert_eq!(standing, json!({"draining": true, "standing": "quarantined"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_hold_for_calls_of_our_own() {
    let ground = Ground::new().await;
    idle(&ground, "b1", &[]).await;
    let id = ground.trigger(|_| {}).await;
    let output = own(&ground, "FindOutput", json!({"taskId": id})).await;
    assert_eq!(output, json!({}), "nothing is written yet");
    let ground = ground.closed().await;
    for (token, method, request, code) in [
        (None, "WhyPending", json!({"taskId": id}), 7),
        (None, "SearchBots", json!({}), 7),
        (None, "FindOutput", json!({"taskId": id}), 7),
        (Some("viewer"), "WhyPending", json!({"taskId": id}), 0),
        (Some("viewer"), "SearchBots", json!({}), 0),
        (Some("viewer"), "GetStanding", json!({"botId": "b1"}), 0),
        (Some("user"), "SetDrain", json!({"botId": "b1", "drain": true}), 7),
        (Some("admin"), "SetDrain", json!({"botId": "b1", "drain": true}), 0),
        (Some("admin"), "SetDrain", json!({"botId": "none", "drain": true}), 9),
        (Some("admin"), "Other", json!({}), 12),
    ] {
        let reply = ground.call_as(token, &format!("phalanx.Swarming/{method}"), &request).await;
        assert_eq!(reply.code(), code, "{token:?} {method}: {}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_ends_with_how_things_stand_now() {
    let ground = Ground::new().await;
    let _bot = Bot::connect(&ground, "b1").await;
    ground.trigger(|_| {}).await;
    let call = |request: Value| {
        let ground = &ground;
        async move { ground.call("phalanx.Swarming/GetHistory", &request).await }
    };
    let reply = call(json!({})).await;
    let text = reply.text();
    let history: Value = serde_json::from_str(text.strip_prefix(")]}'\n").unwrap()).unwrap();
    let points = history["points"].as_array().unwrap();
    assert_eq!(points.len(), 1, "nothing was noted yet: {history}");
    assert_eq!((&points[0]["queued"], &points[0]["idle"]), (&json!(1), &json!(1)));
    for (request, why) in [
        (json!({"limit": 5000}), "limit 5000 is not between 1 and 1000"),
        (json!({"start": "2020-01-02T00:00:00Z", "end": "2020-01-01T00:00:00Z"}), "before its end"),
    ] {
        let reply = call(request).await;
        assert_eq!(reply.code(), 3);
        assert!(reply.text().contains(why), "{}", reply.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_bots_are_not_taken_for_runners() {
    let ground = Ground::new().await;
    let bot = idle(&ground, "gone", &[]).await;
    bot.event("bot_shutdown", "").await;
    let id = ground.trigger(|_| {}).await;
    let found = why(&ground, &id).await;
    let said = found["conclusion"].as_str().unwrap();
    assert!(said.contains("dead") && !said.contains("runner"), "{said}");
    assert!(found["slices"][0].get("runners").is_none(), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_is_drained_can_be_ended() {
    let ground = Ground::new().await;
    let bot = idle(&ground, "b1", &[]).await;
    own(&ground, "SetDrain", json!({"botId": "b1", "drain": true})).await;
    let waiting = ground.trigger(|_| {}).await;
    let reply = ground.ok("Bots/TerminateBot", json!({"botId": "b1"})).await;
    let task = reply["taskId"].as_str().unwrap();
    assert_eq!(ground.state(task).await, "PENDING");
    let told = bot.poll().await;
    assert_eq!(told["cmd"], "terminate", "{told}");
    assert_eq!(told["task_id"], format!("{}1", &task[..task.len() - 1]));
    assert_eq!(ground.state(&waiting).await, "PENDING");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_was_to_end_and_was_drained_since_ends() {
    let ground = Ground::new().await;
    let bot = idle(&ground, "b1", &[]).await;
    let first = ground.ok("Bots/TerminateBot", json!({"botId": "b1"})).await;
    own(&ground, "SetDrain", json!({"botId": "b1", "drain": true})).await;
    let second = ground.ok("Bots/TerminateBot", json!({"botId": "b1"})).await;
    assert_eq!(first, second);
    assert_eq!(bot.poll().await["cmd"], "terminate");
}
