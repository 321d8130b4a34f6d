//! The server's repositories: a folder each, with a file that says where it comes from and maybe a mirror.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::limit;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::command::{GitError, Remote, output, output_with, without_password};

/// Where a repository comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// On this host; its objects are used where they are.
    Path(PathBuf),
    /// Cloned into a mirror, fetched when something is not there.
    Url(String),
    /// Sent as a bundle by a client.
    Uploaded,
}

impl Source {
    /// Whether both name the same repository, perhaps with other credentials.
    fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Url(one), Self::Url(two)) => Remote::new(one).url == Remote::new(two).url,
            _ => self == other,
        }
    }
}

/// Without credentials.
impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => write!(f, "the folder `{}`", path.display()),
            Self::Url(url) => write!(f, "`{}`", without_password(url)),
            Self::Uploaded => f.write_str("sent by a client"),
        }
    }
}

/// A revision that is pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The branch's short name, or what was asked for.
    pub branch: String,
    pub commit: String,
}

/// Why a repository was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    #[error("`{name}` is not a repository name: use letters, digits, `.`, `_`, `-`, `:` and `/`")]
    BadName { name: String },
    #[error("the repository `{name}` is another one already: {known}")]
    Taken { name: String, known: Source },
    #[error("`{path}` is not a git repository")]
    NotARepository { path: PathBuf },
    #[error("keep the repository `{name}`")]
    Io {
        name: String,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Git(#[from] GitError),
}

/// All repositories of a data directory.
#[derive(Debug)]
pub struct Repositories {
    root: PathBuf,
    /// One fetch of a repository at a time.
    locks: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    name: String,
    source: Source,
}

impl Repositories {
    pub fn open(root: &Path) -> std::io::Result<Self> {
        let all = Self { root: root.to_owned(), locks: Mutex::new(HashMap::new()) };
        // What was on its way when an earlier process ended.
        match fs::remove_dir_all(all.incoming()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(all.incoming())?;
        Ok(all)
    }

    /// A folder for bundles that are not here whole.
    pub fn incoming(&self) -> PathBuf {
        // `%` is never followed by these in the folder of a repository.
        self.root.join("%incoming")
    }

    fn folder(&self, name: &str) -> PathBuf {
        // A colon would part paths in git's environment.
        self.root.join(name.replace('%', "%25").replace('/', "%2F").replace(':', "%3A"))
    }

    fn entry(&self, name: &str) -> Option<Entry> {
        if !name_is_good(name) {
            return None;
        }
        let text = fs::read(self.folder(name).join("repository.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    pub fn source(&self, name: &str) -> Option<Source> {
        self.entry(name).map(|entry| entry.source)
    }

    /// Names, in order.
    pub fn list(&self) -> std::io::Result<Vec<String>> {
        let mut names = Vec::new();
        for folder in fs::read_dir(&self.root)? {
            let text = fs::read(folder?.path().join("repository.json"));
            if let Some(entry) = text.ok().and_then(|t| serde_json::from_slice::<Entry>(&t).ok()) {
                names.push(entry.name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// The git directory with the repository's objects.
    pub fn git_dir(&self, name: &str) -> Option<PathBuf> {
        Some(match self.source(name)? {
            Source::Path(path) => path,
            Source::Url(_) | Source::Uploaded => self.folder(name).join("mirror.git"),
        })
    }

    fn lock(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        self.locks.lock().entry(name.to_owned()).or_default().clone()
    }

    /// Makes a repository known. The same again is fine.
    pub async fn add(&self, name: &str, source: Source) -> Result<(), AddError> {
        if !name_is_good(name) {
            return Err(AddError::BadName { name: name.to_owned() });
        }
        if let Some(known) = self.source(name) {
            if known == source {
                return Ok(());
            }
            if !known.is_same_place(&source) {
                return Err(AddError::Taken { name: name.to_owned(), known });
            }
        }
        match &source {
            Source::Path(path) => {
                // Whether git can read it is found when a revision is pinned.
                let bare = path.join("HEAD").is_file() && path.join("objects").is_dir();
                if !bare && !path.join(".git").exists() {
                    return Err(AddError::NotARepository { path: path.clone() });
                }
            }
            Source::Url(url) => {
                if url.starts_with('-') || url.contains("::") || url.chars().any(char::is_control) {
                    return Err(GitError::Refused(format!("`{url}` is not a git URL")).into());
                }
            }
            Source::Uploaded => {}
        }
        let fail = |error| AddError::Io { name: name.to_owned(), source: error };
        let folder = self.folder(name);
        fs::create_dir_all(&folder).map_err(fail)?;
        if !matches!(source, Source::Path(_)) {
            output(&folder, &["init", "--quiet", "--bare", "mirror.git"]).await?;
        }
        let text = serde_json::to_vec(&Entry { name: name.to_owned(), source });
        let temporary = folder.join("repository.json.new");
        fs::write(&temporary, text.expect("an entry is JSON")).map_err(fail)?;
        fs::rename(&temporary, folder.join("repository.json")).map_err(fail)
    }

    /// Brings a mirror up to date. A repository that is used in place always is.
    pub async fn refresh(&self, name: &str) -> Result<(), GitError> {
        let Some(Source::Url(url)) = self.source(name) else { return Ok(()) };
        let lock = self.lock(name);
        let _held = lock.lock().await;
        let mirror = self.folder(name).join("mirror.git");
        let remote = Remote::new(&url);
        output_with(
            &mirror,
            &remote,
            &[
                "fetch",
                "--quiet",
                "--prune",
                "--no-recurse-submodules",
                "--end-of-options",
                &remote.url,
                "+refs/heads/*:refs/heads/*",
                "+refs/tags/*:refs/tags/*",
            ],
        )
        .await?;
        let ask = ["ls-remote", "--symref", "--end-of-options", &remote.url, "HEAD"];
        let head = output_with(&mirror, &remote, &ask).await?;
        let head = String::from_utf8_lossy(&head);
        let branch = head.lines().find_map(|line| line.strip_prefix("ref: ")?.split('\t').next());
        if let Some(branch) = branch.filter(|branch| branch.starts_with("refs/heads/")) {
            output(&mirror, &["symbolic-ref", "HEAD", branch]).await?;
        }
        Ok(())
    }

    /// Takes the branches of a bundle file that a client sent. `head` is the client's current branch.
    pub async fn unbundle(&self, name: &str, bundle: &Path) -> Result<(), GitError> {
        let lock = self.lock(name);
        let _held = lock.lock().await;
        let mirror = self.folder(name).join("mirror.git");
        let remote = Remote::new(&bundle.to_string_lossy());
        output_with(
            &mirror,
            &remote,
            &[
                "-c",
                "transfer.fsckObjects=true",
                "fetch",
                "--quiet",
                "--no-recurse-submodules",
                "--end-of-options",
                &remote.url,
                "+refs/*:refs/*",
                "+HEAD:refs/phalanx/head",
            ],
        )
        .await
        .map(drop)
    }

    /// Pins a branch, tag or commit; `None` is the default branch.
    pub async fn resolve(&self, name: &str, revision: Option<&str>) -> Result<Resolved, GitError> {
        let unknown = || GitError::Refused(format!("there is no repository `{name}`"));
        let directory = self.git_dir(name).ok_or_else(unknown)?;
        let Some(revision) = revision else {
            let uploaded = self.source(name) == Some(Source::Uploaded);
            let head = if uploaded { "refs/phalanx/head" } else { "HEAD" };
            // The commit and, unless the head is detached, the branch: one process for both.
            let commit = format!("{head}^{{commit}}");
            let said = output(&directory, &["rev-parse", &commit, "--abbrev-ref", "HEAD"]).await;
            let said = said.map_err(|error| match error {
                GitError::Failed { .. } => GitError::NoCommit { name: name.to_owned() },
                error => error,
            })?;
            let said = String::from_utf8_lossy(&said);
            let mut lines = said.lines();
            let commit = lines.next().unwrap_or_default().to_owned();
            let branch = lines.next().unwrap_or("HEAD").to_owned();
            return Ok(Resolved { branch, commit });
        };
        if revision.starts_with('-') || revision.is_empty() || revision.contains("..") {
            return Err(GitError::Refused(format!("`{revision}` is not a branch, tag or commit")));
        }
        let short = revision.strip_prefix("refs/heads/").unwrap_or(revision);
        for candidate in [
            format!("refs/heads/{short}"),
            format!("refs/remotes/origin/{short}"),
            format!("refs/tags/{short}"),
            revision.to_owned(),
        ] {
            if let Ok(commit) = rev_parse(&directory, &candidate).await {
                return Ok(Resolved { branch: short.to_owned(), commit });
            }
        }
        Err(GitError::Refused(format!(
            "the repository `{name}` has no branch, tag or commit `{revision}`"
        )))
    }

    /// The folders of a commit that hold a file of this name, `""` for the root.
    pub async fn folders_with(
        &self,
        name: &str,
        commit: &str,
        file: &str,
    ) -> Result<Vec<String>, GitError> {
        let unknown = || GitError::Refused(format!("there is no repository `{name}`"));
        let directory = self.git_dir(name).ok_or_else(unknown)?;
        let listed =
            output(&directory, &["ls-tree", "-r", "-z", "--name-only", "--full-tree", commit])
                .await?;
        let mut folders = Vec::new();
        for path in listed.split(|byte| *byte == 0) {
            // A path that is not UTF-8 cannot be named by a spec.
            let Ok(path) = std::str::from_utf8(path) else { continue };
            let (folder, base) = path.rsplit_once('/').unwrap_or(("", path));
            if base == file {
                folders.push(folder.to_owned());
            }
        }
        Ok(folders)
    }
}

async fn rev_parse(directory: &Path, revision: &str) -> Result<String, GitError> {
    let revision = format!("{revision}^{{commit}}");
    let commit =
        output(directory, &["rev-parse", "--verify", "--quiet", "--end-of-options", &revision])
            .await?;
    Ok(String::from_utf8_lossy(&commit).trim().to_owned())
}

fn name_is_good(name: &str) -> bool {
    let fine =
        |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '+' | '~' | '@' | ':');
    !name.is_empty()
        && name.len() <= limit::DIMENSION_BYTES - 32
        && name.chars().all(fine)
        && name
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != ".." && !part.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sample(directory: &Path) {
        let script = "git init -q -b main . && mkdir -p a/b c && touch a/b/go.mod c/go.mod x \
            && git add -A && git -c user.name=t -c user.email=t@t commit -qm one && git branch other";
        let done = tokio::process::Command::new("sh")
            .args(["-c", script])
            .current_dir(directory)
            .status()
            .await;
        assert!(done.unwrap().success());
    }

    #[tokio::test]
    async fn a_path_a_url_and_a_bundle_resolve_alike() {
        let folder = tempfile::tempdir().unwrap();
        let origin = folder.path().join("origin");
        fs::create_dir(&origin).unwrap();
        sample(&origin).await;
        let all = Repositories::open(&folder.path().join("all")).unwrap();
        all.add("in/place", Source::Path(origin.clone())).await.unwrap();
        let url = format!("file://{}", origin.display());
        all.add("by-url", Source::Url(url)).await.unwrap();
        all.refresh("by-url").await.unwrap();
        all.add("h:80/sent", Source::Uploaded).await.unwrap();
        let bundle = folder.path().join("b.bundle");
        output(
            &origin,
            &["bundle", "create", "-q", bundle.to_str().unwrap(), "HEAD", "--branches"],
        )
        .await
        .unwrap();
        all.unbundle("h:80/sent", &bundle).await.unwrap();
        assert_eq!(all.list().unwrap(), ["by-url", "h:80/sent", "in/place"]);
        let wanted = all.resolve("in/place", None).await.unwrap();
        assert_eq!(wanted.branch, "main");
        for name in ["in/place", "by-url", "h:80/sent"] {
            assert_eq!(all.resolve(name, None).await.unwrap().commit, wanted.commit, "{name}");
            let other = all.resolve(name, Some("refs/heads/other")).await.unwrap();
            assert_eq!((other.branch.as_str(), &other.commit), ("other", &wanted.commit), "{name}");
            let folders = all.folders_with(name, &wanted.commit, "go.mod").await.unwrap();
            assert_eq!(folders, ["a/b", "c"], "{name}");
            let error = all.resolve(name, Some("gone")).await.unwrap_err().to_string();
            assert!(error.contains("`gone`"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_hostile_repository_runs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let origin = folder.path().join("origin");
        fs::create_dir(&origin).unwrap();
        sample(&origin).await;
        // Its objects are said to be elsewhere, to be had by a program of its choice.
        let mark = folder.path().join("ran");
        let script = format!(
            "git config core.repositoryFormatVersion 1; git config extensions.partialClone origin; \
             git config remote.origin.promisor true; git config remote.origin.url {0}; \
             git config remote.origin.uploadpack 'touch {1}; false #'; \
             echo 0123456789012345678901234567890123456789 > .git/refs/heads/main",
            origin.display(),
            mark.display()
        );
        let mut change = tokio::process::Command::new("sh");
        assert!(
            change.args(["-c", &script]).current_dir(&origin).status().await.unwrap().success()
        );
        let all = Repositories::open(&folder.path().join("all")).unwrap();
        all.add("r", Source::Path(origin)).await.unwrap();
        all.resolve("r", None).await.unwrap_err();
        all.resolve("r", Some("main")).await.unwrap_err();
        let missing = "0123456789012345678901234567890123456789";
        all.folders_with("r", missing, "x").await.unwrap_err();
        assert!(!mark.exists());
    }

    #[tokio::test]
    async fn credentials_may_change_and_are_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let all = Repositories::open(folder.path()).unwrap();
        let add = async |url: &str| all.add("r", Source::Url(url.to_owned())).await;
        add("https://bot:old@example.com/r").await.unwrap();
        add("https://bot:new@example.com/r").await.unwrap();
        assert_eq!(all.source("r"), Some(Source::Url("https://bot:new@example.com/r".into())));
        let error = add("https://example.com/other").await.unwrap_err().to_string();
        assert!(error.contains("example.com/r") && !error.contains("new"), "{error}");
    }

    #[tokio::test]
    async fn bad_names_and_urls_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let all = Repositories::open(folder.path()).unwrap();
        for name in ["", "../x", "a//b", "-x", "a/-b", "x y", "a\0b", "."] {
            assert!(
                matches!(all.add(name, Source::Uploaded).await, Err(AddError::BadName { .. })),
                "{name}"
            );
        }
        for url in ["ext::sh -c x", "--upload-pack=x", "http://a\nb"] {
            assert!(all.add("x", Source::Url(url.into())).await.is_err(), "{url}");
        }
        let missing = all.add("x", Source::Path("/nonexistent".into())).await.unwrap_err();
        assert!(missing.to_string().contains("/nonexistent"), "{missing}");
    }
}
