//! Tasks of Swarming on runners of ours.

use serde_json::{Value, json};

use crate::support::{Place, eventually, request};

fn call(url: &str, rpc: &str, body: &Value) -> Value {
    let headers = "Content-Type: application/json\r\nAccept: application/json\r\n";
    let path = format!("/prpc/swarming.v2.{rpc}");
    let (status, text) = request(url, "POST", &path, headers, &body.to_string()).unwrap();
    assert_eq!(status, 200, "{rpc}: {text}");
    serde_json::from_str(text.strip_prefix(")]}'\n").unwrap()).unwrap()
}

fn trigger(url: &str, pool: &str, properties: Value) -> String {
    let mut properties = properties;
    properties["dimensions"] = json!([{"key": "pool", "value": pool}]);
    properties["executionTimeoutSecs"] = json!(60);
    let slice = json!({"expirationSecs": 300, "waitForCapacity": true, "properties": properties});
    let reply =
        call(url, "Tasks/NewTask", &json!({"name": "t", "priority": 50, "taskSlices": [slice]}));
    reply["taskId"].as_str().unwrap().to_owned()
}

fn result(url: &str, id: &str) -> Value {
    eventually("the task ends", || {
        let result = call(url, "Tasks/GetResult", &json!({"taskId": id}));
        let live = result["state"] == "PENDING" || result["state"] == "RUNNING";
        (!live).then_some(result)
    })
}

#[test]
fn a_runner_of_ours_serves_a_pool_that_it_names() {
    let place = Place::new();
    let (_server, url) = place.server(&[]);
    let _others = place.runner(&url, "for-people", 1);
    // SECURITY: a pool that is called as a queue of people's is another queue.
    let waiting = trigger(&url, "batches", json!({"command": ["touch", "/tmp/never"]}));
    let mut command = place.phalanx();
    let token = place.path("data").join("runner-token");
    command.args(["runner", "--server", &url, "--name", "hands", "--queue", "swarming/lab"]);
    command.env("PHALANX_DATA_DIRECTORY", place.path("nowhere"));
    command.arg("--token-file").arg(token);
    command.arg("--work-directory").arg(place.path("hands"));
    let _hands = place.spawn(&mut command);
    let script = "echo \"$A $0\" \"$SWARMING_TASK_ID\"; pwd; exit 7";
    let id = trigger(
        &url,
        "lab",
        json!({
            "command": ["sh", "-c", script, "${{ not a template }}"],
            "relativeCwd": "a/b",
            "env": [{"key": "A", "value": "it's"}],
        }),
    );
    let ended = result(&url, &id);
    assert_eq!(
        (&ended["state"], &ended["exitCode"]),
        (&json!("COMPLETED"), &json!("7")),
        "{ended}"
    );
    assert_eq!((&ended["botId"], &ended["failure"]), (&json!("hands"), &json!(true)));
    let output = |id: &str| {
        let stdout = call(&url, "Tasks/GetStdout", &json!({"taskId": id}))["output"].clone();
        let stdout = stdout.as_str().unwrap();
        let stdout =
            base64::Engine::decode(&base64::engine::general_purpose::STANDARD, stdout).unwrap();
        String::from_utf8(stdout).unwrap()
    };
    let stdout = output(&id);
    let run = format!("{}1", &id[..id.len() - 1]);
    let (first, second) = stdout.split_once('\n').unwrap();
    assert_eq!(first, format!("it's ${{{{ not a template }}}} {run}"), "as it was printed");
    assert!(second.ends_with("/a/b\n") && second.lines().count() == 1, "{second}");
    let id = trigger(&url, "lab", json!({"command": ["true"], "secretBytes": "aHVzaA=="}));
    assert_eq!(result(&url, &id)["state"], "CLIENT_ERROR");
    let said = "phalanx: the task has secret bytes, which only Swarming's own bots can do\n";
    assert_eq!(output(&id), said);
    assert_eq!(call(&url, "Tasks/GetResult", &json!({"taskId": waiting}))["state"], "PENDING");
}

#[test]
fn the_pages_say_why_a_task_waits() {
    let place = Place::new();
    let (_server, url) = place.server(&[]);
    let id = trigger(&url, "lab", json!({"command": ["true"]}));
    let token = std::fs::read_to_string(place.path("data").join("token")).unwrap();
    let session = format!("Cookie: phalanx_session={}\r\n", token.trim());
    let get = |path: &str| {
        let (status, text) = request(&url, "GET", path, &session, "").unwrap();
        assert_eq!(status, 200, "{path}: {text}");
        text
    };
    let page = get(&format!("/task?id={id}"));
    assert!(page.contains("No living bot has pool:lab; the task expires in "), "{page}");
    assert!(get("/tasklist?f=pool:lab").contains(&format!("/task?id={id}")));
    assert!(get("/botlist").contains("No bot is here."));
}
