//! What tests stand on: a server's parts without its doors, a clock that is set, and hands that end jobs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Once};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use blobs::{Cas, Logs};
use campaign::action::{Action, Reason};
use campaign::changeset::{BulkKind, Campaign, Changeset, Phase};
use campaign::execution::{WorkspaceJob, job_order};
use campaign::page::Window;
use campaign::patch_set::PatchSet;
use campaign::scope::Searcher;
use campaign::service::{
    Caller, CampaignChange, Choice, CodeHostChange, NewCampaign, NewPatch, NewRun, Parts, Refusal,
    Service, Vault,
};
use campaign::site::{CodeHostRow, Role};
use codehost::git::{Repositories, Source};
use codehost::{Credential, Kind, Settings};
use dispatcher::{Clock, Dispatcher, PollReply};
use engine::ops::{RegisterOp, RunnerSpec};
use model::{
    CampaignId, Dimensions, Evidence, GroupId, Now, Outcome, Output, RunnerName, Session, WallMs,
};
use tempfile::TempDir;
use testkit::code_host::{Dialect, Forge, Options};

pub const DIALECTS: [Dialect; 3] = [Dialect::GitHub, Dialect::GitLab, Dialect::Gitea];

pub const MINUTE: u64 = 60_000;

/// Goes on by itself from the time that it is set to.
#[derive(Clone)]
pub struct TestClock {
    start: Instant,
    set: Arc<parking_lot::Mutex<(u64, Instant)>>,
}

impl TestClock {
    fn new() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        let set = Arc::new(parking_lot::Mutex::new((wall, Instant::now())));
        Self { start: Instant::now(), set }
    }

    pub fn set(&self, wall_ms: u64) {
        *self.set.lock() = (wall_ms, Instant::now());
    }

    pub fn forward(&self, ms: u64) {
        self.set(self.now().wall.0 + ms);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Now {
        let (wall, since) = *self.set.lock();
        let wall = WallMs(wall + since.elapsed().as_millis() as u64);
        Now { mono_ms: self.start.elapsed().as_millis() as u64, wall }
    }
}

pub struct Ground {
    pub folder: TempDir,
    pub clock: TestClock,
    pub dispatcher: Dispatcher,
    pub service: Arc<Service>,
}

/// How a job ends.
#[derive(Clone, Debug)]
pub enum End {
    /// With this diff, which changes these files.
    Patch(String, Vec<String>),
    Nothing,
    Fail,
    TimeOut,
}

/// A diff that adds a file.
pub fn adds(file: &str, text: &str) -> String {
    format!(
        "diff --git a/{file} b/{file}\nnew file mode 100644\n--- /dev/null\n+++ b/{file}\n@@ -0,0 +1 @@\n+{text}\n"
    )
}

pub fn patch(file: &str, text: &str) -> End {
    End::Patch(adds(file, text), vec![file.to_owned()])
}

pub fn user() -> Caller {
    Caller { name: "ann".to_owned(), role: Role::User }
}

pub fn admin() -> Caller {
    Caller { name: "root".to_owned(), role: Role::Admin }
}

/// A batch spec over a query, with a template when `rest` has none.
pub fn spec(query: &str, rest: &str) -> String {
    let template = if rest.contains("changesetTemplate") { "" } else { TEMPLATE };
    format!(
        "version: 2\nname: change\non:\n  - repositoriesMatchingQuery: '{query}'\nsteps:\n  - run: 'true'\n    container: alpine\n{rest}{template}"
    )
}

pub const TEMPLATE: &str = "changesetTemplate:\n  title: A title\n  body: Why\n  branch: change\n  commit: {message: Because, author: {name: Ann, email: ann@example.com}}\n";

impl Ground {
    pub async fn new() -> Self {
        Self::with_room(u64::MAX).await
    }

    pub async fn with_room(repositories_bytes_max: u64) -> Self {
        static TLS: Once = Once::new();
        TLS.call_once(|| {
            let provider = rustls::crypto::aws_lc_rs::default_provider();
            provider.install_default().expect("only once");
        });
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let clock = TestClock::new();
        let store = store::open_sqlite(&data).unwrap();
        let logs = Arc::new(Logs::open(&data.join("logs")).unwrap());
        let cas = Arc::new(Cas::open(&data.join("blobs")).unwrap());
        let dispatcher = Dispatcher::start(
            engine::Config::new([7; 32]),
            Box::new(store.jobs),
            Arc::new(store.reader),
            logs,
            Box::new(clock.clone()),
            Box::new(|error| panic!("the store failed: {error}")),
        )
        .unwrap();
        let all = Arc::new(Repositories::open(&data.join("repositories")).unwrap());
        let options = codehost::Options {
            write_distance: Some(Duration::ZERO),
            retry_pause: Duration::from_millis(1),
        };
        let connect = move |settings: &Settings, credential: Credential| {
            Ok(codehost::connect(settings, credential, &options)?.into())
        };
        let service = Service::new(Parts {
            dispatcher: dispatcher.clone(),
            cas,
            store: Arc::new(store.campaigns),
            searcher: Arc::new(Searcher::new(all)),
            url: "https://phalanx.test".to_owned(),
            vault: Vault::new(&[9; 32]),
            clock: Box::new(clock.clone()),
            connect: Box::new(connect),
            repositories_bytes_max,
        });
        let ground = Self { folder, clock, dispatcher, service };
        let runner = RunnerSpec {
            name: RunnerName::new("hands"),
            session: Session(1),
            queues: [campaign::execution::QUEUE.into()].into(),
            dimensions: Dimensions::of(&[("protocol", "phalanx")]),
            slots: 4096,
        };
        ground.dispatcher.register(RegisterOp { runner }).await;
        ground
    }

    pub fn database(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for file in ["phalanx.sqlite", "phalanx.sqlite-wal"] {
            all.extend(
                std::fs::read(self.folder.path().join("data").join(file)).unwrap_or_default(),
            );
        }
        all
    }

    /// A repository in a folder of its own, with these files on `main`.
    pub async fn repository(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let path = self.folder.path().join("origin").join(name.replace('/', "_"));
        std::fs::create_dir_all(&path).unwrap();
        shell(&path, "git init -q -b main .");
        change(&path, files);
        let all = self.service.searcher.repositories();
        all.add(name, Source::Path(path.clone())).await.unwrap();
        path
    }

    pub async fn forge(&self, dialect: Dialect, names: &[&str]) -> (Forge, CodeHostRow) {
        let forge = Forge::start(dialect, Options::default());
        for name in names {
            forge.add_repository(name, &[("README.md", "hello\n")]);
        }
        let host = self.add_host("forge", dialect, &forge).await;
        (forge, host)
    }

    pub async fn add_host(&self, name: &str, dialect: Dialect, forge: &Forge) -> CodeHostRow {
        let kind = match dialect {
            Dialect::GitHub => Kind::GitHub,
            Dialect::GitLab => Kind::GitLab,
            Dialect::Gitea => Kind::Gitea,
        };
        let change = CodeHostChange {
            name: name.to_owned(),
            settings: Settings {
                kind,
                url: forge.url().to_owned(),
                include: Vec::new(),
                exclude: Vec::new(),
            },
            credential: Some(Credential::Token { token: forge.token().to_owned() }),
        };
        let row = self.service.add_code_host(&admin(), change).await.unwrap();
        self.sync(&row).await
    }

    /// Lists a host and fetches what it has.
    pub async fn sync(&self, row: &CodeHostRow) -> CodeHostRow {
        let row = self.service.sync_code_host(&user(), row.id).await.unwrap();
        for repository in self.service.searcher.repositories().list() {
            if repository.host.is_some() {
                self.service.sync_repository(&user(), &repository.name).await.unwrap();
            }
        }
        row
    }

    pub async fn action(&self, name: &str, text: &str) -> Action {
        self.service.create_action(&user(), name, text).await.unwrap()
    }

    pub async fn run(&self, action: &Action) -> Result<GroupId, Refusal> {
        let run =
            NewRun { reason: Reason::Manual, detail: "a test".to_owned(), only: None, key: None };
        self.service.run_action(&user(), action.id, run).await
    }

    /// Takes every job that waits and ends it.
    pub async fn work(&self, end: impl Fn(&WorkspaceJob) -> End) -> usize {
        let mut worked = 0;
        loop {
            let granted = self.take().await;
            if granted.is_empty() {
                return worked;
            }
            worked += granted.len();
            for job in granted {
                let how = end(&job.order);
                self.end(job, how).await;
            }
        }
    }

    /// Takes jobs and ends none.
    pub async fn take(&self) -> Vec<Taken> {
        let hands = RunnerName::new("hands");
        let polled = self.dispatcher.poll(hands, Session(1), 0, 1000, Duration::ZERO).await;
        let PollReply::Jobs(jobs) = polled else { panic!("{polled:?}") };
        let taken = jobs.into_iter().map(|job| {
            let payload = job.payload.or_else(|| self.dispatcher.payload(job.lease.job).unwrap());
            Taken { order: job_order(&payload.unwrap()).unwrap(), lease: job.lease }
        });
        taken.collect()
    }

    pub async fn end(&self, job: Taken, how: End) {
        let cas = &self.service.cas;
        let mut evidence = Evidence { log_incomplete: true, ..Evidence::default() };
        let mut output = |name: &str, bytes: &[u8]| {
            let digest = cas.put(bytes).unwrap();
            evidence.outputs.push(Output { name: name.into(), digest, size: bytes.len() as u64 });
        };
        let outcome = match how {
            End::Fail => Outcome::Failed { exit: 1 },
            End::TimeOut => Outcome::TimedOut { which: model::TimeoutKind::Job },
            End::Nothing => Outcome::Succeeded,
            End::Patch(diff, files) => {
                let result = serde_json::json!({
                    "diffStat": {"files": files.len(), "added": files.len(), "deleted": 0},
                    "changed": {"modified": [], "added": files, "deleted": [], "renamed": []},
                });
                output("patch", diff.as_bytes());
                output("result", result.to_string().as_bytes());
                Outcome::Succeeded
            }
        };
        self.dispatcher.complete(job.lease.job, job.lease.token, outcome, evidence).await;
    }

    pub async fn finish(&self) -> Vec<PatchSet> {
        self.service.blocking(Service::finish).await.unwrap()
    }

    /// Runs an action to its end and returns the patch set.
    pub async fn execute(&self, action: &Action, end: impl Fn(&WorkspaceJob) -> End) -> PatchSet {
        self.run(action).await.unwrap();
        self.work(end).await;
        let mut built = self.finish().await;
        assert_eq!(built.len(), 1);
        built.remove(0)
    }

    /// Patches as a client sends them: one for each repository, against its `main`.
    pub async fn patch_set(&self, patches: &[(&str, &str, &str)]) -> PatchSet {
        let mut all = Vec::new();
        for (repository, base_ref, diff) in patches {
            let known = self.service.searcher.repositories();
            let base = known.resolve(repository, None).await.unwrap();
            all.push(NewPatch {
                repository: (*repository).to_owned(),
                base_revision: base.commit,
                base_ref: (*base_ref).to_owned(),
                diff: (*diff).to_owned(),
            });
        }
        self.service.create_patch_set(&user(), all).await.unwrap()
    }

    /// Changes a campaign, and lets the workers do what follows.
    pub async fn change_campaign(&self, id: CampaignId, change: CampaignChange) {
        self.service.update_campaign(&user(), id, change).await.unwrap();
        self.settle().await;
    }

    /// Gives a campaign another patch set.
    pub async fn apply(&self, id: CampaignId, set: &PatchSet) {
        let change = CampaignChange { patch_set: Some(set.id), ..CampaignChange::default() };
        self.change_campaign(id, change).await;
    }

    pub async fn campaign(&self, name: &str, set: Option<&PatchSet>, draft: bool) -> Campaign {
        let new = NewCampaign {
            name: name.to_owned(),
            description: format!("About {name}"),
            branch: Some(name.to_owned()),
            patch_set: set.map(|set| set.id),
            draft,
        };
        self.service.create_campaign(&user(), new).await.unwrap()
    }

    /// Does everything that is due now. What is never over is a bug.
    pub async fn settle(&self) {
        for _ in 0..20 {
            if self.service.work_once().await.unwrap() == 0 {
                return;
            }
        }
        panic!("there is always something to do: {:#?}", self.service.work_once().await);
    }

    pub async fn changesets(&self, id: CampaignId) -> Vec<Changeset> {
        let all = Window { after: None, first: 10_000 };
        let page = move |it: &Service| it.store.changesets(id, &Default::default(), all);
        self.service.blocking(page).await.unwrap().items
    }

    /// The only changeset that is not history.
    pub async fn one(&self, id: CampaignId) -> Changeset {
        let mut all = self.changesets(id).await;
        all.retain(|changeset| !changeset.detached);
        assert_eq!(all.len(), 1, "{all:#?}");
        all.remove(0)
    }

    pub async fn phases(&self, id: CampaignId) -> Vec<Phase> {
        self.changesets(id).await.into_iter().map(|changeset| changeset.phase).collect()
    }

    /// Begins an operation over all of a campaign, does it, and says what went wrong.
    pub async fn bulk(&self, id: CampaignId, kind: BulkKind, text: &str) -> Vec<Option<String>> {
        let choice = Choice { all: true, ..Choice::default() };
        let begun = self.service.bulk(&user(), id, kind, choice, text).await.unwrap();
        self.settle().await;
        let items = self.service.blocking(move |it| it.store.bulk_items(begun.id)).await.unwrap();
        assert!(items.iter().all(|item| item.done.is_some()), "{items:?}");
        items.into_iter().map(|item| item.error).collect()
    }

    /// Asks the hosts how everything of a campaign stands.
    pub async fn look(&self, id: CampaignId) {
        for changeset in self.changesets(id).await {
            self.service.sync_changeset(&user(), changeset.id).await.unwrap();
        }
        self.settle().await;
    }
}

/// A job in our hands.
pub struct Taken {
    pub order: WorkspaceJob,
    lease: engine::Lease,
}

pub fn shell(directory: &Path, script: &str) -> String {
    let done = Command::new("sh")
        .args(["-ec", script])
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

/// Commits files to a work tree.
pub fn change(path: &Path, files: &[(&str, &str)]) {
    for (file, text) in files {
        let file = path.join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    shell(path, "git add -A && git -c user.name=t -c user.email=t@t commit -qm x --allow-empty");
}
