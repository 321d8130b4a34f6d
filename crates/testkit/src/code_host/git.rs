//! The forge's repositories are real: bare ones in a folder, served by git itself.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use http::Response;
use tokio::io::AsyncWriteExt as _;

/// git with nothing of the user's configuration.
fn git(directory: &Path) -> Command {
    let mut command = Command::new("git");
    let person = [("NAME", "Forge"), ("EMAIL", "forge@example.com")];
    for (what, value) in person {
        command.env(format!("GIT_AUTHOR_{what}"), value);
        command.env(format!("GIT_COMMITTER_{what}"), value);
    }
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env_remove("GIT_DIR")
        .current_dir(directory)
        .stderr(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

/// What it printed, or what it complained about.
fn run(directory: &Path, arguments: &[&str], input: &[u8]) -> Result<String, String> {
    let mut child =
        git(directory).args(arguments).stdin(Stdio::piped()).spawn().expect("git is installed");
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    // A git that ends early says why itself.
    let _ = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output().expect("git ends");
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

pub(super) fn init(directory: &Path) {
    std::fs::create_dir_all(directory).expect("a folder for a repository");
    run(directory, &["init", "--quiet", "--bare", "--initial-branch=main"], b"").expect("git init");
}

pub(super) fn branch(directory: &Path, branch: &str) -> Option<String> {
    let name = format!("refs/heads/{branch}");
    run(directory, &["rev-parse", "--verify", "--quiet", "--end-of-options", &name], b"").ok()
}

/// Puts a commit on a branch; a new one begins at `main`, if that is there.
pub(super) fn commit(directory: &Path, name: &str, files: &[(&str, &str)]) -> String {
    let mut stream = format!(
        "commit refs/heads/{name}\ncommitter Forge <forge@example.com> now\ndata 6\nchange\n"
    );
    let from = branch(directory, name).or_else(|| branch(directory, "main"));
    if let Some(from) = from {
        stream += &format!("from {from}\n");
    }
    for (path, text) in files {
        stream += &format!("M 100644 inline {path}\ndata {}\n{text}\n", text.len());
    }
    let arguments = ["fast-import", "--quiet", "--date-format=now", "--force"];
    run(directory, &arguments, stream.as_bytes()).expect("git fast-import");
    branch(directory, name).expect("the branch was made")
}

/// A merge commit on the branch `base`.
pub(super) fn merge(directory: &Path, base: &str, head: &str) -> Result<(), String> {
    let first = branch(directory, base).ok_or_else(|| format!("the branch {base} is gone"))?;
    let tree = run(directory, &["merge-tree", "--write-tree", &first, head], b"")
        .map_err(|_| "it cannot be merged without conflicts".to_owned())?;
    let commit = ["commit-tree", "-p", &first, "-p", head, "-m", "merge", &tree];
    let commit = run(directory, &commit, b"")?;
    let name = format!("refs/heads/{base}");
    run(directory, &["update-ref", &name, &commit, &first], b"").map(drop)
}

/// Git's own server, by CGI.
pub(super) async fn serve(root: &Path, request: http::Request<Bytes>) -> Response<Bytes> {
    let header = |name: &str| {
        request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
    };
    let mut command: tokio::process::Command = git(root).into();
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REMOTE_USER", "forge")
        .env("REMOTE_ADDR", "127.0.0.1")
        .env("REQUEST_METHOD", request.method().as_str())
        .env("PATH_INFO", request.uri().path())
        .env("QUERY_STRING", request.uri().query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", request.body().len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().expect("git http-backend starts");
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    let body = request.into_body();
    let send = async move {
        // A backend that ends early has answered.
        let _ = stdin.write_all(&body).await;
    };
    let ((), output) = tokio::join!(send, child.wait_with_output());
    let output = Bytes::from(output.expect("git http-backend ends").stdout);
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(0);
    let mut response = Response::new(output.slice((end + 4).min(output.len())..));
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        if name.eq_ignore_ascii_case("status") {
            let status = value.split(' ').next().and_then(|status| status.parse().ok());
            *response.status_mut() = status.expect("git says a status");
        } else if let (Ok(name), Ok(value)) =
            (name.parse::<http::HeaderName>(), value.parse::<http::HeaderValue>())
        {
            response.headers_mut().append(name, value);
        }
    }
    response
}
