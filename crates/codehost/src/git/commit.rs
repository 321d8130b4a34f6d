//! Commits without a work tree, and pushing them.

use std::path::{Path, PathBuf};

use tokio::io::AsyncWriteExt;

use super::command::{GitError, Remote, git, last_words, output, output_with};
use super::repositories::{Repositories, Source};
use crate::GitAccess;

/// A commit that is to be. The same twice is the same commit: its date is part of it.
#[derive(Clone, Debug)]
pub struct NewCommit<'a> {
    pub base: &'a str,
    /// A unified diff against the base.
    pub diff: &'a [u8],
    /// How many leading folders the diff's names have.
    pub strip: u8,
    pub message: &'a str,
    pub author_name: &'a str,
    pub author_email: &'a str,
    /// Seconds since the epoch.
    pub date: u64,
}

/// Why there is no commit.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    #[error("the patch does not apply to `{base}`: {message}")]
    DoesNotApply { base: String, message: String },
    #[error("the patch changes nothing of `{base}`")]
    Empty { base: String },
    #[error(transparent)]
    Git(#[from] GitError),
}

/// Why a branch was not pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The branch is not what we thought. Nothing was changed.
    #[error("somebody else changed the branch")]
    Stale,
    /// The server understood, and does not want it.
    #[error("the push was refused: {0}")]
    Refused(String),
    /// Whether it arrived is not known.
    #[error(transparent)]
    Git(#[from] GitError),
}

impl Repositories {
    /// A git directory that has a repository's objects and may get more.
    async fn workshop(&self, name: &str) -> Result<PathBuf, GitError> {
        let unknown = || GitError::Refused(format!("there is no repository `{name}`"));
        let path = match self.source(name).ok_or_else(unknown)? {
            Source::Url(_) | Source::Uploaded => return Ok(self.folder(name).join("mirror.git")),
            Source::Path(path) => path,
        };
        let workshop = self.folder(name).join("workshop.git");
        let asked = ["rev-parse", "--path-format=absolute", "--git-path", "objects"];
        let objects = output(&path, &asked).await?;
        // Several branches of a repository may be made at once: one sets it up.
        let lock = self.lock(name);
        let _held = lock.lock().await;
        let alternates = workshop.join("objects/info/alternates");
        if std::fs::read(&alternates).is_ok_and(|known| known == objects) {
            return Ok(workshop);
        }
        let folder = self.folder(name);
        output(&folder, &["init", "--quiet", "--bare", "workshop.git"]).await?;
        let keep = |error: std::io::Error| GitError::Refused(format!("keep `{name}`: {error}"));
        std::fs::write(alternates, objects).map_err(keep)?;
        Ok(workshop)
    }

    /// Makes a commit of a patch. The repository it comes from is left as it is.
    pub async fn commit(&self, name: &str, new: &NewCommit<'_>) -> Result<String, CommitError> {
        let workshop = self.workshop(name).await?;
        let base = format!("{}^{{commit}}", new.base);
        let base_tree = format!("{}^{{tree}}", new.base);
        if new.base.starts_with('-') {
            return Err(GitError::Refused(format!("`{}` is not a commit", new.base)).into());
        }
        let ids = output(&workshop, &["rev-parse", &base, &base_tree]).await?;
        let ids = String::from_utf8_lossy(&ids).into_owned();
        let (base, base_tree) = ids.trim_end().split_once('\n').unwrap_or_default();
        let fail = |error: std::io::Error| GitError::Refused(format!("make a commit: {error}"));
        let index =
            tempfile::Builder::new().prefix("index-").tempdir_in(&workshop).map_err(fail)?;
        let index = Index { workshop: &workshop, file: index.path().join("index"), new };
        index.run(&["read-tree", base], b"").await?;
        let strip = format!("-p{}", new.strip);
        let apply = ["apply", "--cached", "--whitespace=nowarn", "--unidiff-zero", &strip, "-"];
        if let Err(error) = index.run(&apply, new.diff).await {
            let GitError::Failed { message, .. } = error else { return Err(error.into()) };
            return Err(CommitError::DoesNotApply { base: new.base.to_owned(), message });
        }
        let tree = index.run(&["write-tree"], b"").await?;
        if tree == base_tree {
            return Err(CommitError::Empty { base: new.base.to_owned() });
        }
        let message = format!("{}\n", new.message.trim_end());
        let commit = ["commit-tree", &tree, "-p", base, "-F", "-"];
        Ok(index.run(&commit, message.as_bytes()).await?)
    }

    /// Puts a branch where `commit` is, if it is still at `expected`; `None` expects no such branch.
    pub async fn push(
        &self,
        name: &str,
        access: &GitAccess,
        commit: &str,
        branch: &str,
        expected: Option<&str>,
    ) -> Result<(), PushError> {
        branch_is_good(branch)?;
        let workshop = self.workshop(name).await?;
        let remote = Remote::with(access);
        let lease =
            format!("--force-with-lease=refs/heads/{branch}:{}", expected.unwrap_or_default());
        let refspec = format!("{commit}:refs/heads/{branch}");
        let push = [
            "push",
            "--porcelain",
            "--no-verify",
            &lease,
            "--end-of-options",
            &remote.url,
            &refspec,
        ];
        let mut command = super::command::reaching(&workshop, &remote, &push);
        let said = command.output().await.map_err(GitError::Start)?;
        if said.status.success() {
            return Ok(());
        }
        let report = String::from_utf8_lossy(&said.stdout);
        let rejected = report.lines().find(|line| line.starts_with('!'));
        let words = last_remote_words(&said.stderr);
        // The branch moved between git's look at it and the push; or git sent it twice, for the first answer was lost.
        let moved = words.contains("but expected") || words.contains("reference already exists");
        match rejected {
            Some(line) if line.contains("stale info") || moved => Err(PushError::Stale),
            // The connection ended before the server said how it went.
            Some(line) if line.contains("[remote failure]") => {
                let message = "the server ended the connection without an answer".to_owned();
                Err(PushError::Git(GitError::Failed { subcommand: "push".to_owned(), message }))
            }
            Some(line) => {
                let why = line.rsplit_once('(').map_or(line, |(_, why)| why.trim_end_matches(')'));
                let why: String = why.chars().filter(|c| !c.is_control()).take(200).collect();
                Err(PushError::Refused(if words.is_empty() {
                    why
                } else {
                    format!("{why}: {words}")
                }))
            }
            None => Err(PushError::Git(GitError::Failed {
                subcommand: "push".to_owned(),
                message: last_words(&said.stderr),
            })),
        }
    }

    /// The commit that a branch has at its origin.
    pub async fn remote_head(
        &self,
        name: &str,
        access: &GitAccess,
        branch: &str,
    ) -> Result<Option<String>, GitError> {
        branch_is_good(branch)?;
        let workshop = self.workshop(name).await?;
        let remote = Remote::with(access);
        let reference = format!("refs/heads/{branch}");
        let ask = ["ls-remote", "--refs", "--end-of-options", &remote.url, &reference];
        let said = output_with(&workshop, &remote, &ask).await?;
        let said = String::from_utf8_lossy(&said);
        let mut heads = said.lines().filter_map(|line| line.split_once('\t'));
        Ok(heads.find(|(_, name)| *name == reference).map(|(commit, _)| commit.to_owned()))
    }
}

/// What the other side's hooks printed last.
fn last_remote_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("remote: ")).rev();
    let last = lines.find(|line| !line.trim().is_empty()).unwrap_or_default();
    last.trim().chars().filter(|c| !c.is_control()).take(300).collect()
}

/// The rules of git for a branch's name, and none that begins with a dash.
fn branch_is_good(branch: &str) -> Result<(), GitError> {
    let bad =
        |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    let good = !branch.is_empty()
        && branch.len() <= 200
        && !branch.contains(bad)
        && !branch.contains("..")
        && !branch.contains("@{")
        && !branch.starts_with('-')
        && !branch.ends_with('.')
        && branch
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock"));
    if good { Ok(()) } else { Err(GitError::Refused(format!("`{branch}` is not a branch name"))) }
}

/// An index of its own, for one commit.
struct Index<'a> {
    workshop: &'a Path,
    file: PathBuf,
    new: &'a NewCommit<'a>,
}

impl Index<'_> {
    /// Runs git on the index and returns the line that it printed.
    async fn run(&self, arguments: &[&str], input: &[u8]) -> Result<String, GitError> {
        let date = format!("{} +0000", self.new.date);
        let mut child = git(self.workshop, arguments)
            .env("GIT_DIR", self.workshop)
            .env("GIT_INDEX_FILE", &self.file)
            .env("GIT_AUTHOR_NAME", self.new.author_name)
            .env("GIT_AUTHOR_EMAIL", self.new.author_email)
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_NAME", self.new.author_name)
            .env("GIT_COMMITTER_EMAIL", self.new.author_email)
            .env("GIT_COMMITTER_DATE", &date)
            .stdin(std::process::Stdio::piped())
            .spawn()
            .map_err(GitError::Start)?;
        let mut stdin = child.stdin.take().expect("it is piped");
        let asked = async {
            // One that stops reading says why when it ends.
            let _ = stdin.write_all(input).await;
            drop(stdin);
        };
        let ((), said) = tokio::join!(asked, child.wait_with_output());
        let said = said.map_err(GitError::Start)?;
        if !said.status.success() {
            return Err(GitError::Failed {
                subcommand: arguments[0].to_owned(),
                message: last_words(&said.stderr),
            });
        }
        Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned())
    }
}
