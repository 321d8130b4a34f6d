//! Repositories on the command line: folders and URLs, named after themselves, made known to the server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use api_rest::types::{NamedRepository, NewRepository};
use futures::{StreamExt, TryStreamExt};
use reqwest::{Body, Method};
use tokio_util::io::ReaderStream;

use super::BadInput;
use crate::client::{Client, Refused};

/// A repository as it was named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    Folder(PathBuf),
    Url(String),
}

/// Reads `--repo` and `--repos-in`. Everything that is wrong is said at once.
pub fn find(repositories: &[String], folders: &[PathBuf]) -> anyhow::Result<Vec<Named>> {
    let mut found = Vec::new();
    let mut wrong = Vec::new();
    for text in repositories {
        let is_url = text.contains("://") || (text.contains(':') && text.contains('@'));
        if is_url {
            found.push(Named::Url(text.clone()));
            continue;
        }
        match top_of(Path::new(text)) {
            Some(top) => found.push(Named::Folder(top)),
            None => wrong.push(format!("--repo {text}: it is not a git repository")),
        }
    }
    for folder in folders {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                wrong.push(format!("--repos-in {}: {error}", folder.display()));
                continue;
            }
        };
        let before = found.len();
        let paths = entries.filter_map(|entry| entry.ok()).map(|entry| entry.path());
        let mut paths: Vec<PathBuf> = paths.collect();
        paths.retain(|path| match std::fs::read_dir(path) {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                wrong.push(format!("--repos-in {}: {}: {error}", folder.display(), path.display()));
                false
            }
            other => other.is_ok(),
        });
        let tops = paths.into_iter().filter(|path| is_top(path));
        found.extend(tops.filter_map(|path| path.canonicalize().ok()).map(Named::Folder));
        if found.len() == before {
            wrong
                .push(format!("--repos-in {}: there is no git repository in it", folder.display()));
        }
    }
    if !wrong.is_empty() {
        return Err(BadInput(wrong.join("\n")).into());
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn is_top(path: &Path) -> bool {
    path.join(".git").exists() || (path.join("HEAD").is_file() && path.join("objects").is_dir())
}

/// The repository that a folder is in.
fn top_of(path: &Path) -> Option<PathBuf> {
    let path = path.canonicalize().ok()?;
    path.ancestors().find(|folder| is_top(folder)).map(Path::to_path_buf)
}

/// Names, best first: the folder's own, then with more and more of its parents, for where two agree.
fn candidates(named: &Named) -> Vec<String> {
    let parts: Vec<String> = match named {
        Named::Folder(path) => {
            path.components().filter_map(|part| part.as_os_str().to_str()).map(clean).collect()
        }
        Named::Url(url) => {
            let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
            let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest).replace(':', "/");
            let rest = rest.trim_end_matches('/').trim_end_matches(".git");
            // As code hosts are named: github.com/owner/repository.
            return vec![
                rest.split('/')
                    .filter(|part| !part.is_empty())
                    .map(clean)
                    .collect::<Vec<_>>()
                    .join("/"),
            ];
        }
    };
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    (1..=parts.len()).map(|count| parts[parts.len() - count..].join("/")).collect()
}

/// What a repository's name may hold.
fn clean(part: &str) -> String {
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '~');
    let text: String = part.chars().map(|c| if fine(c) { c } else { '-' }).collect();
    text.trim_start_matches(['-', '.']).trim_end_matches(".git").to_owned()
}

/// A name for each that no other has.
fn names(all: &[Named]) -> Vec<Vec<String>> {
    let wanted: Vec<Vec<String>> = all.iter().map(candidates).collect();
    let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
    for name in wanted.iter().flatten() {
        *uses.entry(name).or_default() += 1;
    }
    let free = |names: &Vec<String>| {
        names.iter().filter(|name| uses[name.as_str()] == 1).cloned().collect()
    };
    let with_last = |(named, candidates): (&Named, &Vec<String>)| {
        let mut names: Vec<String> = free(candidates);
        // Where others have all of its names, too.
        let whole = match named {
            Named::Folder(path) => path.as_os_str().as_encoded_bytes(),
            Named::Url(url) => url.as_bytes(),
        };
        let digest = blobs::digest_of(whole).to_string();
        let short = candidates.first().map_or("repository", String::as_str);
        names.push(format!("{short}-{}", &digest[..8]));
        names
    };
    all.iter().zip(&wanted).map(with_last).collect()
}

/// Makes all of them known to the server and gives their names there.
pub async fn announce(
    client: &Client,
    all: &[Named],
    branch: Option<&str>,
) -> anyhow::Result<Vec<NamedRepository>> {
    let work = all.iter().zip(names(all)).map(|(named, names)| announce_one(client, named, names));
    let names: Vec<String> = futures::stream::iter(work).buffered(8).try_collect().await?;
    let with_branch = |name| NamedRepository { name, branch: branch.map(str::to_owned) };
    Ok(names.into_iter().map(with_branch).collect())
}

async fn announce_one(
    client: &Client,
    named: &Named,
    names: Vec<String>,
) -> anyhow::Result<String> {
    for name in &names {
        let body = match named {
            Named::Folder(path) => {
                let path = path.to_str().context("a repository's path is not UTF-8")?;
                NewRepository { name: name.clone(), path: Some(path.to_owned()), url: None }
            }
            Named::Url(url) => {
                NewRepository { name: name.clone(), path: None, url: Some(url.clone()) }
            }
        };
        let sent = client.send(client.request(Method::POST, "repositories").json(&body)).await;
        let error = match sent {
            Ok(_) => return Ok(name.clone()),
            Err(error) => error,
        };
        match error.downcast_ref::<Refused>().map(|refused| refused.status) {
            // Another repository has the name, from an earlier run.
            Some(409) => {}
            // The server is elsewhere: it gets the commits.
            Some(403) if matches!(named, Named::Folder(_)) => {
                let Named::Folder(path) = named else { unreachable!("matched above") };
                send_bundle(client, name, path).await?;
                return Ok(name.clone());
            }
            _ => return Err(error),
        }
    }
    let shown = match named {
        Named::Folder(path) => path.display().to_string(),
        Named::Url(url) => codehost::git::without_password(url),
    };
    Err(BadInput(format!(
        "{shown}: every name that it could have is another repository's on the server"
    ))
    .into())
}

async fn send_bundle(client: &Client, name: &str, path: &Path) -> anyhow::Result<()> {
    let mut child = codehost::git::git(
        path,
        &["bundle", "create", "--quiet", "-", "HEAD", "--branches", "--tags"],
    )
    .spawn()
    .context("start git; is it installed?")?;
    let stdout = child.stdout.take().context("read what git prints")?;
    let request = client
        .request(
            Method::PUT,
            &format!("repositories/bundle?name={}", super::output::urlencode(name)),
        )
        .timeout(std::time::Duration::from_secs(3600))
        .body(Body::wrap_stream(ReaderStream::with_capacity(stdout, 256 * 1024)));
    let sent = client.send(request).await;
    let done = child.wait_with_output().await?;
    if !done.status.success() {
        let text = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        return Err(BadInput(format!("{}: {text}", path.display())).into());
    }
    sent.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_unique() {
        let folder = |path: &str| Named::Folder(path.into());
        let all = [
            folder("/a/x"),
            folder("/b/x"),
            folder("/b/y y.git"),
            Named::Url("https://user@github.com/o/r.git".into()),
            Named::Url("git@gitlab.com:g/p.git".into()),
        ];
        let first: Vec<String> = names(&all).into_iter().map(|names| names[0].clone()).collect();
        assert_eq!(first, ["a/x", "b/x", "y-y", "github.com/o/r", "gitlab.com/g/p"]);
    }
}
