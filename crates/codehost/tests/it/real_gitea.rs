//! The same against a real Gitea, where `.ci/gitea` built one and `PHALANX_TEST_GITEA` says where it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use codehost::{
    CheckState, CodeHost, Credential, HostError, Kind, PullRequestUpdate, ReviewState, Settings,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::conformance::life;
use super::{host, new_pull};

struct Gitea {
    process: Child,
    url: String,
    folder: tempfile::TempDir,
    program: PathBuf,
}

impl Drop for Gitea {
    fn drop(&mut self) {
        let _ = (self.process.kill(), self.process.wait());
    }
}

fn command(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("GITEA_WORK_DIR", folder).env("HOME", folder).current_dir(folder);
    command.arg("--config").arg(folder.join("app.ini"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Gitea {
    async fn start() -> Option<Self> {
        let Some(program) = std::env::var_os("PHALANX_TEST_GITEA").map(PathBuf::from) else {
            eprintln!("skipped: PHALANX_TEST_GITEA does not name a Gitea (`.ci/gitea` builds one)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}");
        let (work, code) = (folder.path().display(), program.parent().unwrap().join("src"));
        let settings = format!(
            "I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true\n\
             RUN_MODE = prod\n\
             WORK_PATH = {work}\n\
             [server]\nHTTP_ADDR = 127.0.0.1\nHTTP_PORT = {port}\nROOT_URL = {url}/\n\
             DISABLE_SSH = true\nOFFLINE_MODE = true\nSTATIC_ROOT_PATH = {}\n\
             [database]\nDB_TYPE = sqlite3\nPATH = {work}/gitea.db\n\
             [security]\nINSTALL_LOCK = true\n\
             [api]\nMAX_RESPONSE_ITEMS = 2\n\
             [log]\nMODE = console\nLEVEL = Error\n",
            code.display()
        );
        fs::write(folder.path().join("app.ini"), settings).unwrap();
        assert!(command(&program, folder.path()).arg("migrate").status().unwrap().success());
        let process = command(&program, folder.path())
            .arg("web")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let gitea = Self { process, url, folder, program };
        super::install_tls();
        for _ in 0..300 {
            if reqwest::get(format!("{}/api/v1/version", gitea.url)).await.is_ok() {
                return Some(gitea);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("Gitea does not answer");
    }

    /// Makes a user; returns a token.
    fn add_user(&self, name: &str) -> String {
        let run = |arguments: &[&str]| {
            let mut command = command(&self.program, self.folder.path());
            let output = command.args(arguments).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let email = format!("{name}@example.com");
        let make = ["admin", "user", "create", "--username", name, "--email", &email, "--admin"];
        run(&[&make[..], &["--password", "hunter2hunter2", "--must-change-password=false"]]
            .concat());
        let token = ["admin", "user", "generate-access-token", "--username", name, "--raw"];
        let said = run(&[&token[..], &["--scopes", "all"]].concat());
        said.trim().lines().next_back().unwrap().to_owned()
    }

    async fn post(&self, token: &str, path: &str, body: Value) -> Value {
        let url = format!("{}/api/v1/{path}", self.url);
        let request = reqwest::Client::new().request(Method::POST, url);
        let request = request.header("authorization", format!("token {token}"));
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    fn host(&self, include: &[&str], credential: Credential) -> Box<dyn CodeHost> {
        let include = include.iter().map(|text| (*text).to_owned()).collect();
        let (url, exclude) = (self.url.clone(), Vec::new());
        host(&Settings { kind: Kind::Gitea, url, include, exclude }, credential)
    }
}

/// A clone that pushes with what the host gives.
struct Clone {
    folder: PathBuf,
    header: String,
}

impl Clone {
    async fn new(gitea: &Gitea, host: &dyn CodeHost, repository: &str) -> Self {
        let access = host.git_access(&format!("{}/{repository}.git", gitea.url)).await.unwrap();
        let folder = gitea.folder.path().join("clone");
        let clone = Self { folder, header: access.authorization.unwrap() };
        fs::create_dir(&clone.folder).unwrap();
        clone.git(&["clone", "-q", &access.url, "."]);
        clone
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "http.extraHeader")
            .env("GIT_CONFIG_VALUE_0", format!("Authorization: {}", self.header))
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
            .args(arguments)
            .current_dir(&self.folder);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, branch: &str, text: &str) -> String {
        self.git(&["fetch", "-q", "origin"]);
        let remote = format!("origin/{branch}");
        let known = self.git(&["branch", "-r", "--list", &remote]);
        let from = if known.is_empty() { "origin/main" } else { remote.as_str() };
        self.git(&["checkout", "-q", "-B", branch, from]);
        fs::write(self.folder.join(branch), text).unwrap();
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", text]);
        self.git(&["push", "-q", "origin", branch]);
        self.git(&["rev-parse", "HEAD"])
    }
}

#[tokio::test]
async fn a_real_gitea_is_as_the_forge() {
    let Some(gitea) = Gitea::start().await else { return };
    let (ann, bob) = (gitea.add_user("ann"), gitea.add_user("bob"));
    for name in ["a", "b", "c", "d", "e"] {
        let body = json!({"name": name, "auto_init": true, "default_branch": "main"});
        gitea.post(&ann, "user/repos", body).await;
    }
    gitea.post(&ann, "orgs", json!({"username": "acme"})).await;
    let body = json!({"name": "r", "auto_init": true, "default_branch": "main"});
    gitea.post(&ann, "orgs/acme/repos", body).await;

    let wrong = gitea.host(&[], Credential::Token { token: "hunter2".into() });
    assert!(matches!(wrong.who().await, Err(HostError::Unauthorized { .. })));
    let password = Credential::Basic { user: "ann".into(), password: "hunter2hunter2".into() };
    assert_eq!(gitea.host(&[], password).who().await.unwrap(), "ann");

    let token = Credential::Token { token: ann.clone() };
    let host = gitea.host(&[], token.clone());
    assert_eq!(host.who().await.unwrap(), "ann");
    let names = async |include: &[&str]| {
        let list = gitea.host(include, token.clone()).list().await.unwrap();
        let name = |full: String| full.split_once('/').unwrap().1.to_owned();
        list.into_iter().map(|repository| name(repository.name)).collect::<Vec<_>>()
    };
    // Three pages, as two fit on one.
    assert_eq!(names(&["ann"]).await, ["ann/a", "ann/b", "ann/c", "ann/d", "ann/e"]);
    assert_eq!(names(&["acme", "ann/c"]).await, ["acme/r", "ann/c"]);
    assert_eq!(names(&[]).await.len(), 6);

    let clone = Clone::new(&gitea, &*host, "acme/r").await;
    life(&*host, "acme/r", |branch, text| clone.commit(branch, text)).await;

    let open = host.find("acme/r", "change").await.unwrap().remove(0);
    let id = open.external_id.as_str();
    let states = async || {
        let pull = host.pull_request("acme/r", id).await.unwrap();
        (pull.review, pull.checks)
    };
    assert_eq!(states().await, (ReviewState::Pending, CheckState::Unknown));
    let reviews = format!("repos/acme/r/pulls/{id}/reviews");
    for (event, wanted) in [
        ("COMMENT", ReviewState::Commented),
        ("APPROVED", ReviewState::Approved),
        ("COMMENT", ReviewState::Approved),
        ("REQUEST_CHANGES", ReviewState::ChangesRequested),
    ] {
        let made = gitea.post(&bob, &reviews, json!({"event": event, "body": "b"})).await;
        assert_eq!(states().await.0, wanted, "{event}");
        if event == "REQUEST_CHANGES" {
            let path = format!("{reviews}/{}/dismissals", made["id"]);
            gitea.post(&ann, &path, json!({"message": "m"})).await;
            assert_eq!(states().await.0, ReviewState::Dismissed);
        }
    }
    let statuses = format!("repos/acme/r/statuses/{}", open.head_commit);
    for (word, wanted) in [
        ("pending", CheckState::Pending),
        ("failure", CheckState::Failed),
        ("success", CheckState::Passed),
    ] {
        gitea.post(&ann, &statuses, json!({"state": word, "context": "ci"})).await;
        assert_eq!(states().await.1, wanted, "{word}");
    }
    let ask = PullRequestUpdate {
        reviewers: Some(vec!["bob".to_owned()]),
        ..PullRequestUpdate::default()
    };
    host.update("acme/r", id, &ask).await.unwrap();
    let pushed = clone.commit("change", "three");
    assert_eq!(host.pull_request("acme/r", id).await.unwrap().head_commit, pushed);

    // With all that may be asked for at once, from a new branch.
    clone.commit("second", "one");
    let new = codehost::NewPullRequest {
        head: "second".to_owned(),
        draft: true,
        labels: vec!["bug".to_owned(), "new one".to_owned()],
        reviewers: vec!["bob".to_owned()],
        ..new_pull("T")
    };
    let made = host.create("acme/r", &new).await.unwrap();
    let labels: Vec<_> = made.labels.iter().map(|label| label.text.as_str()).collect();
    assert_eq!((made.title.as_str(), made.draft, labels), ("T", true, vec!["bug", "new one"]));
    // A branch that is gone: what was merged from it is still found.
    clone.git(&["push", "-q", "origin", ":change"]);
    let found = host.find("acme/r", "change").await.unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
}
