//! From what people call a revision to its commit.

use std::fs;
use std::path::Path;

use super::command::{GitError, output};
use super::repositories::{Repositories, Resolved, Source};

impl Repositories {
    /// Pins a branch, tag or commit; `None` is the default branch.
    pub async fn resolve(&self, name: &str, revision: Option<&str>) -> Result<Resolved, GitError> {
        let unknown = || GitError::Refused(format!("there is no repository `{name}`"));
        let directory = self.git_dir(name).ok_or_else(unknown)?;
        let Some(revision) = revision else { return self.default_branch(name, &directory).await };
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

    async fn default_branch(&self, name: &str, directory: &Path) -> Result<Resolved, GitError> {
        let uploaded = self.source(name) == Some(Source::Uploaded);
        if !uploaded && let Some(resolved) = read_head(directory) {
            return Ok(resolved);
        }
        let head = if uploaded { "refs/phalanx/head" } else { "HEAD" };
        // The commit and, unless the head is detached, the branch: one process for both.
        let commit = format!("{head}^{{commit}}");
        let said = output(directory, &["rev-parse", &commit, "--abbrev-ref", "HEAD"]).await;
        let said = said.map_err(|error| match error {
            GitError::Failed { .. } => GitError::NoCommit { name: name.to_owned() },
            error => error,
        })?;
        let said = String::from_utf8_lossy(&said);
        let mut lines = said.lines();
        let commit = lines.next().unwrap_or_default().to_owned();
        let branch = lines.next().unwrap_or("HEAD").to_owned();
        Ok(Resolved { branch, commit })
    }

    /// The names of branches and tags with their commits, as `refs/heads/main`.
    pub async fn references(&self, name: &str) -> Result<Vec<(String, String)>, GitError> {
        let unknown = || GitError::Refused(format!("there is no repository `{name}`"));
        let directory = self.git_dir(name).ok_or_else(unknown)?;
        let format = "--format=%(refname) %(objectname) %(*objectname)";
        let listed =
            output(&directory, &["for-each-ref", format, "refs/heads", "refs/tags"]).await?;
        let listed = String::from_utf8_lossy(&listed);
        let pairs = listed.lines().filter_map(|line| {
            let mut words = line.split(' ');
            let (name, object) = (words.next()?, words.next()?);
            // An annotated tag stands for what it points to.
            let commit = words.next().filter(|peeled| !peeled.is_empty()).unwrap_or(object);
            Some((name.to_owned(), commit.to_owned()))
        });
        Ok(pairs.collect())
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

/// The branch and commit at the head, read from git's own files: no process for each of thousands of repositories. Nothing
/// where it is not as simple as that: another reference store, a work tree of another repository, no commit.
fn read_head(directory: &Path) -> Option<Resolved> {
    let inside = directory.join(".git");
    let git = if inside.is_dir() { inside } else { directory.to_owned() };
    let config = fs::read_to_string(git.join("config")).ok()?.to_ascii_lowercase();
    if config.contains("refstorage") || config.contains("include") {
        return None;
    }
    let head = fs::read_to_string(git.join("HEAD")).ok()?;
    let reference = head.trim_end().strip_prefix("ref: ")?;
    let branch = reference.strip_prefix("refs/heads/")?;
    if branch.split('/').any(|part| part.is_empty() || part == "..") {
        return None;
    }
    let commit = match fs::read_to_string(git.join(reference)) {
        Ok(commit) => commit.trim_end().to_owned(),
        Err(_) => {
            let packed = fs::read_to_string(git.join("packed-refs")).ok()?;
            let mut lines = packed.lines().filter_map(|line| line.split_once(' '));
            lines.find(|(_, name)| *name == reference)?.0.to_owned()
        }
    };
    let is_id = matches!(commit.len(), 40 | 64) && commit.bytes().all(|b| b.is_ascii_hexdigit());
    is_id.then(|| Resolved { branch: branch.to_owned(), commit })
}
