//! Checkouts from a remote: fetched once, with a token that no job ever sees.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::Outcome;
use runner::job::RepositorySource;

use crate::world::*;

const TOKEN: &str = "tok-9f8e7d6c5b4a";

/// A git server that wants a token: `git http-backend` behind a few lines of HTTP.
struct GitServer {
    url: String,
    requests: Arc<AtomicU64>,
}

impl GitServer {
    fn start(root: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicU64::new(0));
        let count = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let root = root.clone();
                std::thread::spawn(move || serve(stream, &root));
            }
        });
        Self { url, requests }
    }
}

fn serve(mut stream: TcpStream, root: &Path) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let mut words = line.split_whitespace();
    let (method, target) =
        (words.next().unwrap_or("").to_owned(), words.next().unwrap_or("").to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) < 3 {
            break;
        }
        if let Some((name, value)) = line.trim().split_once(": ") {
            headers.push((name.to_lowercase(), value.to_owned()));
        }
    }
    let header = |name: &str| {
        headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).unwrap_or_default()
    };
    if header("authorization") != format!("Bearer {TOKEN}") {
        let _ =
            stream.write_all(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return;
    }
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    let mut backend = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    backend.stdin.take().unwrap().write_all(&body).unwrap();
    let output = backend.wait_with_output().unwrap().stdout;
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n");
    let _ = stream.write_all(&output);
}

fn remote_order(
    repository: &Repository,
    url: &str,
    token: &str,
    steps: Vec<spec::Step>,
) -> runner::job::JobOrder {
    let mut order = order(repository, steps);
    let headers = vec![("Authorization".to_owned(), format!("Bearer {token}"))];
    order.checkout.as_mut().unwrap().source =
        RepositorySource::Http { url: url.to_owned(), headers };
    order.use_cache = false;
    order
}

#[tokio::test]
async fn a_commit_is_fetched_once_and_the_token_stays_hidden() {
    let mut repository = Repository::new(&[("a", "first\n")]);
    std::fs::write(repository.path().join("a"), "second\n").unwrap();
    repository.commit();
    let server = GitServer::start(repository.path().to_owned());
    let url = format!("{}/.git", server.url);
    let world = World::new();
    let look = sh(
        "cat a; env; cat .git/config; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n'; \
        grep -rs tok- .git ~ /tmp; git log --oneline | wc -l; echo y > a",
    );
    let ended = world.succeed(&remote_order(&repository, &url, TOKEN, vec![look.clone()])).await;
    assert!(!ended.log.contains(TOKEN) && !ended.log.contains("Bearer"), "{}", ended.log);
    assert!(ended.lines("out").contains(&"second"));
    assert_eq!(ended.result.changed.modified, ["a"]);
    let fetched = server.requests.load(Ordering::SeqCst);
    assert!(fetched > 0);
    // On disk it is nowhere either.
    let found =
        Command::new("grep").args(["-rlsa", TOKEN]).arg(world.folder.path()).output().unwrap();
    assert!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
    let job = |n: u64| {
        let mut order = remote_order(&repository, &url, TOKEN, vec![look.clone()]);
        order.job = n;
        order
    };
    for order in [job(2), job(3)] {
        let again = world.succeed(&order).await;
        assert!(again.lines("out").contains(&"second"));
    }
    assert_eq!(
        server.requests.load(Ordering::SeqCst),
        fetched,
        "a known commit was asked for again"
    );
}

#[tokio::test]
async fn what_cannot_be_fetched_is_explained_without_the_token() {
    let repository = Repository::new(&[("a", "x\n")]);
    let server = GitServer::start(repository.path().to_owned());
    let url = format!("{}/.git", server.url);
    let world = World::new();
    let message = async |order: runner::job::JobOrder| {
        let ended = world.run(&order).await;
        assert!(matches!(ended.result.outcome, Outcome::Rejected { .. }));
        let message = ended.result.message.unwrap();
        assert!(!message.contains("tok-"), "{message}");
        println!("{message}");
        message
    };
    let mut missing = remote_order(&repository, &url, TOKEN, vec![sh("true")]);
    missing.checkout.as_mut().unwrap().commit = "0123456789012345678901234567890123456789".into();
    assert!(message(missing).await.contains("has no commit"));
    let wrong = remote_order(&repository, &url, "tok-wrong-token", vec![sh("true")]);
    let refused = message(wrong).await;
    assert!(
        refused.starts_with("the checkout failed") && refused.contains("refused the credentials"),
        "{refused}"
    );
    let gone = remote_order(&repository, "http://127.0.0.1:1/x", TOKEN, vec![sh("true")]);
    assert!(message(gone).await.starts_with("the checkout failed"));
    for url in ["ext::sh -c 'touch /tmp/x'", "file:///etc", "--upload-pack=x"] {
        let bad = remote_order(&repository, url, TOKEN, vec![sh("true")]);
        assert!(message(bad).await.contains("https://"));
    }
}
