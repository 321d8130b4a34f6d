//! A door with a store in a folder of its own, and what speaks to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use api_swarming::archive::{self, Archive, Files, Identity};
use api_swarming::config::{Config, toml};
use api_swarming::validate::new_task::MIN_TIMEOUT_SECS;
use api_swarming::{Access, Caller, Door, Parts, Role};
use bytes::Bytes;
use dispatcher::{Clock, Dispatcher, SystemClock};
use fleet::Fleet;
use futures::FutureExt;
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const URL: &str = "http://127.0.0.1:9";

pub struct Ground {
    pub door: Door,
    pub dispatcher: Dispatcher,
    folder: TempDir,
    options: Options,
}

/// What a test changes of the server.
#[derive(Clone)]
pub struct Options {
    pub open: bool,
    pub config: Config,
    pub with_archive: bool,
    pub ui: Option<std::path::PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            open: true,
            config: toml::read("phalanx.toml", "", &BTreeMap::new()).expect("nothing is wrong"),
            with_archive: false,
            ui: None,
        }
    }
}

/// What the door says to a call.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn code(&self) -> i32 {
        self.headers["x-prpc-grpc-code"].to_str().unwrap().parse().unwrap()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{}: {}", self.status, self.text()))
    }
}

pub fn archive() -> Archive {
    archive_that("print('a bot')")
}

pub fn archive_that(does: &str) -> Archive {
    let mut files = Files::new();
    files.insert("__main__.py".to_owned(), does.into());
    files.insert("bot_code/task_runner.py".to_owned(), b"bot_dimensions".to_vec());
    let identity = Identity { server: URL, server_version: "test", bot_config: None };
    archive::build(files, identity).unwrap()
}

impl Ground {
    pub async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (door, dispatcher) = start(folder.path(), &options);
        Self { door, dispatcher, folder, options }
    }

    /// The same data in a new process.
    pub async fn restarted(self) -> Self {
        self.dispatcher.stop().await;
        self.door.flush();
        let Self { door, dispatcher, folder, options } = self;
        drop((door, dispatcher));
        let (door, dispatcher) = start(folder.path(), &options);
        Self { door, dispatcher, folder, options }
    }

    /// The same data, where callers must show who they are.
    pub async fn closed(mut self) -> Self {
        self.options.open = false;
        self.restarted().await
    }

    pub async fn send(&self, request: Request<Bytes>) -> Reply {
        let (parts, body) = request.into_parts();
        assert!(self.door.serves(parts.uri.path()), "{}", parts.uri);
        let response = self.door.handle(parts, body, Some([127, 0, 0, 1].into())).await;
        let (parts, body) = response.into_parts();
        Reply { status: parts.status, headers: parts.headers, body }
    }

    /// A call in JSON, with a token when there is one.
    pub async fn call_as(&self, token: Option<&str>, rpc: &str, request: &Value) -> Reply {
        let mut builder = Request::builder()
            .method(Method::POST)
            .uri(format!("/prpc/{rpc}"))
            .header("content-type", "application/json")
            .header("accept", "application/json");
        if let Some(token) = token {
            builder = builder.header("authorization", format!("Bearer {token}"));
        }
        self.send(builder.body(request.to_string().into()).unwrap()).await
    }

    pub async fn call(&self, rpc: &str, request: &Value) -> Reply {
        self.call_as(None, rpc, request).await
    }

    /// A call that goes well.
    pub async fn ok(&self, rpc: &str, request: Value) -> Value {
        let reply = self.call(&format!("swarming.v2.{rpc}"), &request).await;
        assert_eq!(reply.code(), 0, "{rpc} {request}: {}", reply.text());
        let text = reply.text();
        let text = text.strip_prefix(")]}'\n").expect("JSON answers begin with a guard");
        serde_json::from_str(text).unwrap()
    }

    /// A call that fails: its code and text.
    pub async fn fails(&self, rpc: &str, request: Value) -> (i32, String) {
        let reply = self.call(&format!("swarming.v2.{rpc}"), &request).await;
        assert_ne!(reply.code(), 0, "{rpc} {request}: {}", reply.text());
        (reply.code(), reply.text().trim_end().to_owned())
    }

    /// What a bot posts.
    pub async fn post(&self, call: &str, body: &Value) -> Reply {
        let uri = format!("/swarming/api/v1/bot/{call}");
        let request = Request::builder().method(Method::POST).uri(uri);
        self.send(request.body(body.to_string().into()).unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(Request::builder().uri(path).body(Bytes::new()).unwrap()).await
    }

    /// A task of one slice that prints; its id.
    pub async fn trigger(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut request = task();
        change(&mut request);
        let reply = self.ok("Tasks/NewTask", request).await;
        reply["taskId"].as_str().unwrap().to_owned()
    }

    /// Until a bot's poll waits for work.
    pub async fn until_parked(&self) {
        while !self.dispatcher.runners().iter().any(|runner| runner.waiting) {
            tokio::task::yield_now().await;
        }
    }

    pub async fn result(&self, id: &str) -> Value {
        self.ok("Tasks/GetResult", json!({"taskId": id, "includePerformanceStats": true})).await
    }

    pub async fn state(&self, id: &str) -> String {
        self.result(id).await["state"].as_str().unwrap().to_owned()
    }
}

/// What a bot says at a task's end.
pub fn end(exit_code: i64) -> Value {
    json!({"exit_code": exit_code, "duration": 1.5, "bot_overhead": 0.5})
}

/// A request for a task that any bot of the pool `default` can run, and that waits for one.
pub fn task() -> Value {
    json!({
        "name": "hello",
        "priority": 100,
        "user": "joe",
        "tags": ["build:7"],
        "taskSlices": [{
            "expirationSecs": 300,
            "waitForCapacity": true,
            "properties": {
                "command": ["echo", "hello"],
                "executionTimeoutSecs": 600,
                "ioTimeoutSecs": 60,
                "gracePeriodSecs": 30,
                "dimensions": [{"key": "pool", "value": "default"}],
                "env": [{"key": "A", "value": "b"}],
            },
        }],
    })
}

/// Takes what is sent, and keeps it.
fn post(url: String, text: String) -> futures::future::BoxFuture<'static, Result<(), String>> {
    let refuses = url.ends_with("/refuses");
    POSTED.lock().unwrap().push((url, text));
    async move { if refuses { Err("it refuses".to_owned()) } else { Ok(()) } }.boxed()
}

/// What tests had sent: address and text.
pub static POSTED: std::sync::Mutex<Vec<(String, String)>> = std::sync::Mutex::new(Vec::new());

fn start(folder: &std::path::Path, options: &Options) -> (Door, Dispatcher) {
    let store::Sqlite { jobs, reader, fleet, house, .. } = store::open_sqlite(folder).unwrap();
    let logs = Arc::new(blobs::Logs::open(&folder.join("logs")).unwrap());
    let clock = SystemClock::default();
    let fleet = Fleet::load(Box::new(fleet), clock.now().wall).unwrap();
    let config = engine::Config::new([1; 32]);
    let on_fatal = |error: &dispatcher::StoreError| panic!("{error}: {:?}", error.source);
    let dispatcher = Dispatcher::start(
        config,
        Box::new(jobs),
        Arc::new(reader),
        logs,
        Box::new(clock),
        Box::new(on_fatal),
    )
    .unwrap();
    let of_token = |token: String| {
        let role = match token.as_str() {
            "viewer" => Some(Role::Viewer),
            "user" | "other" => Some(Role::User),
            "admin" => Some(Role::Admin),
            _ => None,
        };
        let caller =
            role.map(|role| Caller { identity: format!("user:{token}@example.com"), role });
        async move { caller }.boxed()
    };
    let door = Door::new(Parts {
        dispatcher: dispatcher.clone(),
        house: Arc::new(house),
        post: Box::new(post),
        fleet: Arc::new(fleet),
        config: options.config.clone(),
        access: Access {
            open: options.open,
            of_token: Box::new(of_token),
            bot_token: "bot-secret".to_owned(),
        },
        url: URL.to_owned(),
        version: "test".to_owned(),
        min_timeout_secs: MIN_TIMEOUT_SECS,
        parked_polls_max: 100,
        archive: options.with_archive.then(archive),
        without_cipd: true,
        ui: options.ui.clone(),
        enabled: true,
        key: [2; 32],
    })
    .unwrap();
    (door, dispatcher)
}

/// A bot of today.
pub struct Bot<'a> {
    pub ground: &'a Ground,
    pub id: String,
    pub session: Value,
    pub dimensions: Value,
    pub state: Value,
    pub version: String,
    polls: std::cell::Cell<u32>,
}

impl<'a> Bot<'a> {
    /// One that has shaken hands.
    pub async fn connect(ground: &'a Ground, id: &str) -> Self {
        let mut bot = Self {
            ground,
            id: id.to_owned(),
            session: Value::Null,
            dimensions: json!({"id": [id], "pool": ["default"], "os": ["Linux", "Debian"]}),
            state: json!({"running_time": 1.0, "sleep_streak": 0}),
            version: "0".repeat(64),
            polls: 0.into(),
        };
        bot.handshake().await;
        bot
    }

    pub fn attributes(&self) -> Value {
        json!({
            "dimensions": self.dimensions,
            "state": self.state,
            "version": self.version,
            "session": self.session,
        })
    }

    pub async fn handshake(&mut self) -> Value {
        let mut body = self.attributes();
        body["session_id"] = json!("a/1");
        let reply = self.ground.post("handshake", &body).await.json();
        self.session = reply["session"].clone();
        reply
    }

    /// Asks once, under a name that may be used again.
    pub async fn poll_as(&self, uuid: &str) -> Value {
        let mut body = self.attributes();
        body["request_uuid"] = json!(uuid);
        self.ground.post("poll", &body).await.json()
    }

    pub async fn poll(&self) -> Value {
        self.polls.set(self.polls.get() + 1);
        self.poll_as(&format!("{}-{}", self.id, self.polls.get())).await
    }

    /// Asks, and hangs up when there is nothing for a moment: the bot is known then.
    pub async fn claim_nothing(&self) -> Value {
        let wait = std::time::Duration::from_millis(100);
        tokio::time::timeout(wait, self.poll()).await.unwrap_or(json!({"cmd": "sleep"}))
    }

    /// Asks, and gets a task to run: its run id.
    pub async fn claim(&self) -> String {
        let reply = self.poll().await;
        assert_eq!(reply["cmd"], "run", "{reply}");
        reply["manifest"]["task_id"].as_str().unwrap().to_owned()
    }

    pub async fn update(&self, task: &str, more: Value) -> Value {
        let mut body =
            json!({"id": self.id, "task_id": task, "session": self.session, "cost_usd": 0.25});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        self.ground.post(&format!("task_update/{task}"), &body).await.json()
    }

    pub async fn event(&self, event: &str, message: &str) -> Value {
        let mut body = self.attributes();
        body["event"] = json!(event);
        body["message"] = json!(message);
        self.ground.post("event", &body).await.json()
    }
}
