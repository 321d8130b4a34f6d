//! The life of tasks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::ground::{Bot, Ground, Options, end, task};

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_run_and_its_result_shown() {
    let ground = Ground::new().await;
    let id = ground.trigger(|_| {}).await;
    let waiting = ground.result(&id).await;
    assert_eq!(waiting["state"], "PENDING");
    assert!(waiting.get("runId").is_none() && waiting.get("startedTs").is_none());
    let bot = Bot::connect(&ground, "b1").await;
    let reply = bot.poll().await;
    let manifest = &reply["manifest"];
    assert_eq!(manifest["command"], json!(["echo", "hello"]));
    assert_eq!(manifest["env"], json!({"A": "b"}));
    assert_eq!(manifest["hard_timeout"], 600);
    assert_eq!(manifest["bot_dimensions"]["os"], json!(["Debian", "Linux"]));
    let run = manifest["task_id"].as_str().unwrap().to_owned();
    assert_eq!(run, format!("{}1", &id[..id.len() - 1]));
    let running = ground.result(&id).await;
    assert_eq!(running["state"], "RUNNING");
    assert_eq!(running["botId"], "b1");
    assert_eq!(running["runId"], run.as_str());
    let output = |text: &str, start: u64| json!({"output": STANDARD.encode(text), "output_chunk_start": start});
    assert_eq!(bot.update(&run, json!({})).await, json!({"ok": true, "must_stop": false}));
    bot.update(&run, output("hello ", 0)).await;
    // A packet whose answer was lost comes again.
    bot.update(&run, output("hello ", 0)).await;
    let stdout = |id: String, offset: u64, length: u64| {
        let request =
            json!({"taskId": id, "offset": offset.to_string(), "length": length.to_string()});
        let ground = &ground;
        async move {
            let reply = ground.ok("Tasks/GetStdout", request).await;
            let bytes = STANDARD.decode(reply["output"].as_str().unwrap_or_default()).unwrap();
            (String::from_utf8(bytes).unwrap(), reply["state"].as_str().unwrap().to_owned())
        }
    };
    assert_eq!(stdout(id.clone(), 0, 0).await, ("hello ".into(), "RUNNING".into()));
    let mut last = end(3);
    last["output"] = json!(STANDARD.encode("world"));
    last["output_chunk_start"] = json!(8);
    assert_eq!(bot.update(&run, last.clone()).await["ok"], true);
    // Again the same: it is over, and that is fine.
    assert_eq!(bot.update(&run, last).await, json!({"ok": true, "must_stop": false}));
    assert_eq!(bot.update(&run, json!({})).await["must_stop"], true);
    let result = ground.result(&id).await;
    assert_eq!(result["state"], "COMPLETED");
    assert_eq!((&result["exitCode"], &result["failure"]), (&json!("3"), &json!(true)));
    assert_eq!(result["duration"], 1.5);
    assert_eq!(result["costsUsd"], json!([0.25]));
    assert_eq!(result["performanceStats"]["botOverhead"], 0.5);
    assert!(result.get("abandonedTs").is_none());
    // The gap between the packets is zeros; both forms of the id will do.
    assert_eq!(stdout(run.clone(), 0, 0).await, ("hello \0\0world".into(), "COMPLETED".into()));
    assert_eq!(stdout(id.clone(), 8, 3).await, ("wor".into(), "COMPLETED".into()));
    assert_eq!(stdout(id.clone(), 100, 3).await.0, "");
    let tags = result["tags"].as_array().unwrap();
    for tag in ["build:7", "pool:default", "priority:100", "user:joe", "service_account:none"] {
        assert!(tags.contains(&json!(tag)), "{tag} is not in {tags:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_started_anew_knows_all() {
    let mut ground = Ground::new().await;
    let id = ground.trigger(|_| {}).await;
    let other = ground.trigger(|_| {}).await;
    let (run, session) = {
        let bot = Bot::connect(&ground, "b1").await;
        (bot.claim().await, bot.session.clone())
    };
    ground = ground.restarted().await;
    assert_eq!(ground.state(&id).await, "RUNNING");
    assert_eq!(ground.ok("Bots/GetBot", json!({"botId": "b1"})).await["taskId"], run.as_str());
    let mut bot = Bot::connect(&ground, "unused").await;
    bot.id = "b1".to_owned();
    bot.dimensions["id"] = json!(["b1"]);
    bot.session = session;
    // The task goes on, and then the next one.
    assert_eq!(bot.update(&run, end(0)).await["ok"], true);
    assert_eq!(ground.state(&id).await, "COMPLETED");
    let next = bot.claim().await;
    assert_eq!(next[..next.len() - 1], other[..other.len() - 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_given_again() {
    let ground = Ground::new().await;
    let id = ground.trigger(|_| {}).await;
    let bot = Bot::connect(&ground, "b1").await;
    let first = bot.poll_as("one").await;
    assert_eq!(bot.poll_as("one").await, first);
    // Another poll says that the bot does nothing: the task is lost.
    let second = ground.trigger(|_| {}).await;
    let other = bot.poll_as("two").await;
    assert_eq!(other["manifest"]["task_id"], format!("{}1", &second[..second.len() - 1]));
    let lost = ground.result(&id).await;
    assert_eq!(lost["state"], "BOT_DIED");
    assert_eq!((&lost["internalFailure"], &lost["exitCode"]), (&json!(true), &json!("-1")));
    assert!(lost.get("abandonedTs").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_cancelled_and_killed() {
    let ground = Ground::new().await;
    let waiting = ground.trigger(|_| {}).await;
    let cancel = |id: String, kill: bool| {
        let request = json!({"taskId": id, "killRunning": kill});
        ground.ok("Tasks/CancelTask", request)
    };
    assert_eq!(cancel(waiting.clone(), false).await, json!({"canceled": true}));
    assert_eq!(cancel(waiting.clone(), false).await, json!({}));
    let result = ground.result(&waiting).await;
    assert_eq!(result["state"], "CANCELED");
    assert_eq!(result["abandonedTs"], result["completedTs"]);
    let id = ground.trigger(|_| {}).await;
    let bot = Bot::connect(&ground, "b1").await;
    let run = bot.claim().await;
    assert_eq!(cancel(id.clone(), false).await, json!({"wasRunning": true}));
    assert_eq!(bot.update(&run, json!({})).await["must_stop"], false);
    assert_eq!(cancel(id.clone(), true).await, json!({"canceled": true, "wasRunning": true}));
    assert_eq!(cancel(id.clone(), true).await, json!({"wasRunning": true}));
    let stopping = ground.result(&id).await;
    assert_eq!(stopping["state"], "RUNNING");
    assert!(stopping.get("abandonedTs").is_some());
    let told = bot.update(&run, json!({})).await;
    assert_eq!(told["must_stop"], true);
    bot.update(&run, end(-15)).await;
    let result = ground.result(&id).await;
    assert_eq!((&result["state"], &result["exitCode"]), (&json!("KILLED"), &json!("-15")));
    // One whose bot sees the wish before it began.
    let id = ground.trigger(|_| {}).await;
    let run = bot.claim().await;
    cancel(id.clone(), true).await;
    bot.update(&run, json!({"canceled": true})).await;
    assert_eq!(ground.state(&id).await, "CANCELED");
    // Many at once.
    for _ in 0..3 {
        ground.trigger(|request| request["tags"] = json!(["many:1"])).await;
    }
    let request = json!({"tags": ["many:1"], "limit": 2});
    let page = ground.ok("Tasks/CancelTasks", request).await;
    assert_eq!(page["matched"], 2);
    let request = json!({"tags": ["many:1"], "limit": 2, "cursor": page["cursor"]});
    let page = ground.ok("Tasks/CancelTasks", request).await;
    assert_eq!((&page["matched"], page.get("cursor")), (&json!(1), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_has_its_state() {
    let ground = Ground::new().await;
    let bot = Bot::connect(&ground, "b1").await;
    for (last, state, exit, failure) in [
        (end(0), "COMPLETED", None, None),
        (
            json!({"exit_code": -15, "duration": 1, "hard_timeout": true}),
            "TIMED_OUT",
            Some("-15"),
            Some(true),
        ),
        (json!({"exit_code": 0, "duration": 1, "io_timeout": true}), "TIMED_OUT", None, Some(true)),
        (json!({"hard_timeout": true}), "TIMED_OUT", Some("-1"), Some(true)),
    ] {
        let id = ground.trigger(|_| {}).await;
        let run = bot.claim().await;
        bot.update(&run, last.clone()).await;
        let result = ground.result(&id).await;
        assert_eq!(result["state"], state, "{last}");
        assert_eq!(result.get("exitCode"), exit.map(|exit| json!(exit)).as_ref(), "{last}");
        assert_eq!(result.get("failure"), failure.map(|failure| json!(failure)).as_ref(), "{last}");
    }
    let error = |run: String, client_error: Value| {
        let body =
            json!({"id": "b1", "task_id": run, "message": "no disk", "client_error": client_error});
        let ground = &ground;
        async move {
            let reply = ground.post(&format!("task_error/{run}"), &body).await;
            // Bots fail on any other key.
            assert_eq!(reply.json(), json!({}));
        }
    };
    let id = ground.trigger(|_| {}).await;
    error(bot.claim().await, Value::Null).await;
    let result = ground.result(&id).await;
    assert_eq!((&result["state"], &result["internalFailure"]), (&json!("BOT_DIED"), &json!(true)));
    let id = ground.trigger(|_| {}).await;
    let missing = json!({"missing_cas": [{"instance": "i", "digest": "aa/5"}], "missing_cipd": []});
    error(bot.claim().await, missing).await;
    let result = ground.result(&id).await;
    assert_eq!(result["state"], "CLIENT_ERROR");
    assert_eq!(result["missingCas"][0]["digest"]["sizeBytes"], "5");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_served_is_told_at_once() {
    let ground = Ground::new().await;
    let impatient =
        |request: &mut Value| request["taskSlices"][0]["waitForCapacity"] = json!(false);
    let id = ground.trigger(impatient).await;
    let result = ground.result(&id).await;
    assert_eq!(result["state"], "NO_RESOURCE");
    assert_eq!(result["abandonedTs"], result["completedTs"]);
    let two = |request: &mut Value| {
        impatient(request);
        let mut second = request["taskSlices"][0].clone();
        second["properties"]["command"] = json!(["second"]);
        request["taskSlices"].as_array_mut().unwrap().push(second);
    };
    let id = ground.trigger(two).await;
    assert_eq!(ground.result(&id).await["currentTaskSlice"], 1, "each was passed over");
    // A bot that is known is a hope, also while it is dead.
    let bot = Bot::connect(&ground, "b1").await;
    assert_eq!(bot.claim_nothing().await["cmd"], "sleep");
    let id = ground.trigger(impatient).await;
    assert_eq!(ground.state(&id).await, "PENDING");
    // The slice that nobody can serve is passed over.
    let id = ground
        .trigger(|request| {
            let mut first = request["taskSlices"][0].clone();
            first["waitForCapacity"] = json!(false);
            first["properties"]["dimensions"]
                .as_array_mut()
                .unwrap()
                .push(json!({"key": "os", "value": "Mac"}));
            let mut second = request["taskSlices"][0].clone();
            second["properties"]["command"] = json!(["second"]);
            request["taskSlices"] = json!([first, second]);
        })
        .await;
    assert_eq!(ground.result(&id).await["currentTaskSlice"], 1);
    let run = bot.claim().await;
    bot.update(&run, end(0)).await;
    let reply = bot.poll().await;
    assert_eq!(reply["manifest"]["command"], json!(["second"]));
    bot.update(reply["manifest"]["task_id"].as_str().unwrap(), end(0)).await;
    assert_eq!(ground.result(&id).await["currentTaskSlice"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_equal_result_is_reused() {
    let ground = Ground::new().await;
    let idempotent = |request: &mut Value| {
        request["taskSlices"][0]["properties"]["idempotent"] = json!(true);
    };
    let first = ground.trigger(idempotent).await;
    // While it runs there is nothing to reuse.
    let second = ground.trigger(idempotent).await;
    assert_eq!(ground.state(&second).await, "PENDING");
    let bot = Bot::connect(&ground, "b1").await;
    let run = bot.claim().await;
    let mut last = end(0);
    last["output"] = json!(STANDARD.encode("made once"));
    last["output_chunk_start"] = json!(0);
    bot.update(&run, last).await;
    let reply = ground
        .ok("Tasks/NewTask", {
            let mut request = task();
            idempotent(&mut request);
            request["name"] = json!("another name");
            request
        })
        .await;
    let result = &reply["taskResult"];
    assert_eq!(result["state"], "COMPLETED");
    assert_eq!(result["dedupedFrom"], run.as_str());
    assert_eq!(result["runId"], run.as_str());
    assert_eq!(result["name"], "another name");
    assert_eq!(result["botId"], "b1");
    assert_eq!(result["costSavedUsd"], 0.25);
    assert!(result.get("costsUsd").is_none());
    let id = result["taskId"].as_str().unwrap();
    let stdout = ground.ok("Tasks/GetStdout", json!({"taskId": id})).await;
    assert_eq!(stdout["output"], STANDARD.encode("made once"));
    let found = ground.ok("Tasks/ListTasks", json!({"state": "QUERY_DEDUPED"})).await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    // What failed is not offered, and what differs is another.
    let run = bot.claim().await;
    bot.update(&run, end(1)).await;
    let id = ground.trigger(|request| {
        idempotent(request);
        request["taskSlices"][0]["properties"]["command"] = json!(["other"]);
    });
    assert_eq!(ground.state(&id.await).await, "PENDING");
    assert_eq!(ground.state(&first).await, "COMPLETED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_made_twice_makes_one_task() {
    let ground = Ground::new().await;
    let mut request = task();
    request["requestUuid"] = json!("u-1");
    let all = (0..16).map(|_| ground.ok("Tasks/NewTask", request.clone()));
    let all = futures::future::join_all(all).await;
    assert!(all.iter().all(|reply| reply["taskId"] == all[0]["taskId"]), "{all:?}");
    request["name"] = json!("another");
    let ground = ground.restarted().await;
    let again = ground.ok("Tasks/NewTask", request.clone()).await;
    assert_eq!(again["taskId"], all[0]["taskId"]);
    assert_eq!(again["request"]["name"], "hello");
    request["requestUuid"] = json!("u-2");
    assert_ne!(ground.ok("Tasks/NewTask", request).await["taskId"], all[0]["taskId"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_shown_to_the_bot_only() {
    let ground = Ground::new().await;
    let id = ground
        .trigger(|request| {
            request["taskSlices"][0]["properties"]["secretBytes"] = json!(STANDARD.encode("hush"));
        })
        .await;
    let request = ground.ok("Tasks/GetRequest", json!({"taskId": id})).await;
    let shown = &request["taskSlices"][0]["properties"]["secretBytes"];
    assert_eq!(*shown, STANDARD.encode("<REDACTED>"));
    assert_eq!(request["properties"]["secretBytes"], *shown);
    assert!(!request.to_string().contains(&STANDARD.encode("hush")));
    let bot = Bot::connect(&ground, "b1").await;
    let reply = bot.poll().await;
    assert_eq!(reply["manifest"]["secret_bytes"], STANDARD.encode("hush"));
}

#[tokio::test(flavor = "multi_thread")]
async fn children_end_with_their_parent() {
    let ground = Ground::new().await;
    let parent = ground.trigger(|_| {}).await;
    let bot = Bot::connect(&ground, "b1").await;
    let run = bot.claim().await;
    let child = ground
        .trigger(|request| {
            request["parentTaskId"] = json!(run);
            request["user"] = json!("somebody else");
        })
        .await;
    let request = ground.ok("Tasks/GetRequest", json!({"taskId": child})).await;
    assert_eq!((&request["user"], &request["parentTaskId"]), (&json!("joe"), &json!(run)));
    bot.update(&run, end(0)).await;
    for _ in 0..100 {
        if ground.state(&child).await == "CANCELED" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(ground.state(&child).await, "CANCELED");
    let mut late = task();
    late["parentTaskId"] = json!(parent);
    let (code, text) = ground.fails("Tasks/NewTask", late).await;
    assert_eq!((code, text), (9, format!("parent task \"{parent}\" has ended")));
}

#[tokio::test(flavor = "multi_thread")]
async fn off_loopback_a_caller_has_a_role() {
    let ground = Ground::with(Options { open: false, ..Options::default() }).await;
    let call = |token: Option<&'static str>, rpc: &'static str, request: Value| {
        let ground = &ground;
        async move {
            let reply = ground.call_as(token, &format!("swarming.v2.{rpc}"), &request).await;
            (reply.code(), reply.text())
        }
    };
    assert_eq!(call(None, "Tasks/NewTask", task()).await.0, 7);
    assert_eq!(call(Some("wrong"), "Swarming/GetDetails", json!({})).await.0, 16);
    assert_eq!(call(Some("viewer"), "Tasks/NewTask", task()).await.0, 7);
    // Pools that nobody configured are there for an open server only.
    let (code, text) = call(Some("user"), "Tasks/NewTask", task()).await;
    assert_eq!(code, 7);
    assert!(text.starts_with(
        r#"the caller "user:user@example.com" doesn't have permission "swarming.pools.createTask" in the pool "default""#
    ));
    assert_eq!(ground.post("handshake", &json!({})).await.status, 401);
    // What nobody made is not everybody's.
    let opened = Ground::new().await;
    let id = opened.trigger(|_| {}).await;
    let closed = opened.closed().await;
    for rpc in ["GetRequest", "GetStdout", "CancelTask"] {
        let reply = closed.call(&format!("swarming.v2.Tasks/{rpc}"), &json!({"taskId": id})).await;
        assert_eq!(reply.code(), 7, "{rpc}");
    }
    let text = "[[swarming.pool]]\nname = ['default']";
    let config = api_swarming::config::toml::read("t", text, &Default::default()).unwrap();
    let ground = Ground::with(Options { open: false, config, ..Options::default() }).await;
    let reply = ground.call_as(Some("user"), "swarming.v2.Tasks/NewTask", &task()).await;
    let text = reply.text();
    let reply: Value = serde_json::from_str(text.strip_prefix(")]}'\n").unwrap()).unwrap();
    // What is urgent is for administrators.
    assert_eq!(reply["request"]["authenticated"], "user:user@example.com");
    let id = &reply["taskId"];
    let cancel = json!({"taskId": id});
    let cancel = async |token| {
        ground.call_as(Some(token), "swarming.v2.Tasks/CancelTask", &cancel).await.code()
    };
    assert_eq!(cancel("viewer").await, 7);
    assert_eq!(cancel("user").await, 0);
    let mut urgent = task();
    urgent["priority"] = json!(5);
    for (token, priority) in [("user", 20), ("admin", 5)] {
        let reply = ground.call_as(Some(token), "swarming.v2.Tasks/NewTask", &urgent).await.text();
        let reply: Value = serde_json::from_str(reply.strip_prefix(")]}'\n").unwrap()).unwrap();
        assert_eq!(reply["request"]["priority"], priority);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_can_do_nothing_here() {
    let ground = Ground::new().await;
    let send = |origin: &'static str, method: &'static str| {
        let request = http::Request::builder()
            .method(method)
            .uri("/prpc/swarming.v2.Tasks/NewTask")
            .header("host", "localhost:7070")
            .header("origin", origin)
            .header("content-type", "application/json")
            .body(task().to_string().into())
            .unwrap();
        ground.send(request)
    };
    for origin in
        ["https://evil.example", "http://localhost:9", "null", "http://localhost:7070.evil"]
    {
        for method in ["POST", "OPTIONS"] {
            let reply = send(origin, method).await;
            assert_eq!(reply.status, 403, "{origin} {method}");
            assert!(!reply.headers.contains_key("access-control-allow-origin"));
        }
    }
    assert_eq!(send("http://localhost:7070", "POST").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_task_is_shown_as_it_was_made() {
    let ground = Ground::new().await;
    let bot = Bot::connect(&ground, "b1").await;
    let trigger = async {
        // The bot waits already, and takes it before there is an answer.
        ground.until_parked().await;
        ground.ok("Tasks/NewTask", task()).await
    };
    let (run, reply) = tokio::join!(bot.claim(), trigger);
    let result = &reply["taskResult"];
    assert_eq!(result["state"], "PENDING");
    assert!(result.get("botId").is_none() && result.get("runId").is_none());
    assert_eq!(ground.state(&run).await, "RUNNING");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_adds_its_template_to_each_task() {
    let text = r#"
        [[swarming.task_template_deployment]]
        name = "usual"
        prod = {cache = [{name = "git", path = "cache/git"}], env = [{var = "SITE", value = "lab"}]}

        [[swarming.pool]]
        name = ["default"]
        task_template_deployment = "usual"
    "#;
    let config = api_swarming::config::toml::read("phalanx.toml", text, &Default::default());
    let ground = Ground::with(Options { config: config.unwrap(), ..Options::default() }).await;
    let id = ground.trigger(|_| {}).await;
    let tags = ground.result(&id).await["tags"].clone();
    let tags = tags.as_array().unwrap();
    assert!(tags.contains(&json!("swarming.pool.task_template:prod")), "{tags:?}");
    let bot = Bot::connect(&ground, "b1").await;
    let manifest = bot.poll().await["manifest"].clone();
    assert_eq!(manifest["env"], json!({"A": "b", "SITE": "lab"}));
    assert_eq!(manifest["caches"], json!([{"name": "git", "path": "cache/git", "hint": "-1"}]));
    let skipped = ground.trigger(|task| task["poolTaskTemplate"] = json!("SKIP")).await;
    let request = ground.ok("Tasks/GetRequest", json!({"taskId": skipped})).await;
    assert!(request["taskSlices"][0]["properties"].get("caches").is_none(), "{request}");
    let mut clash = task();
    clash["taskSlices"][0]["properties"]["env"] = json!([{"key": "SITE", "value": "x"}]);
    let (code, why) = ground.fails("Tasks/NewTask", clash).await;
    let wanted = "applying task template: request.env \"SITE\" conflicts with pool's template";
    assert_eq!((code, why.as_str()), (3, wanted));
}
