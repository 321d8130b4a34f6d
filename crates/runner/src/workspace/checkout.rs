//! A job's work tree at one commit, made by one git process out of borrowed objects.
//!
//! Two repositories belong to it. `tree/.git` is for the job: git commands of its steps work, and it may do to it what it
//! likes. `base.git` is the runner's: the index, the objects and the attributes by which changes are found. It lies outside of
//! what the job can write, so that no configuration, attribute, filter, hook, exclude file or replaced object of the job
//! changes what the runner sees.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::git::{Git, GitError, check_commit};
use super::mirrors::{FetchError, write_alternates, write_bare};
use super::{Directories, JobFolder};
use crate::job::{Checkout, RepositorySource};

/// The highest attributes there are: a file's bytes are the blob's bytes, whatever `.gitattributes` say. No filter (LFS) ever
/// runs, no line ending changes, no driver shapes the diff, and a text is shown as text.
const ATTRIBUTES: &str =
    "* -text -eol -filter -ident -working-tree-encoding -merge -whitespace !diff\n";

/// A work tree and what it is compared with.
#[derive(Debug)]
pub struct Tree {
    pub(crate) work_tree: PathBuf,
    pub(crate) git_dir: PathBuf,
    pub(crate) commit: String,
    /// Folders with the objects that the checkout borrows; the job's own git reads them.
    pub(crate) borrowed: Vec<PathBuf>,
}

/// Why there is no work tree.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    #[error("the repository `{name}` has no commit {commit}")]
    NoSuchCommit { name: String, commit: String },
    #[error("the repository `{name}` has no folder `{path}` at {commit}")]
    NoSuchFolder { name: String, path: String, commit: String },
    #[error("`{0}` is not a path in a repository")]
    BadPath(String),
    #[error("`{path}` is not a git repository")]
    NotARepository { path: PathBuf },
    #[error(
        "the repository `{name}` takes its objects from `{path}`, and that is not a folder of git objects"
    )]
    NotObjects { name: String, path: PathBuf },
    #[error("check out `{name}`")]
    Git {
        name: String,
        #[source]
        source: GitError,
    },
    #[error("check out `{name}`")]
    Io {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Fetch(FetchError),
}

impl CheckoutError {
    /// Whether asking again may help. If not, the order itself is wrong.
    pub fn is_infrastructure(&self) -> bool {
        match self {
            Self::NoSuchCommit { .. } | Self::NoSuchFolder { .. } | Self::BadPath(_) => false,
            Self::NotARepository { .. } | Self::NotObjects { .. } => false,
            Self::Git { source, .. } => !matches!(source, GitError::Refused(_)),
            Self::Io { .. } => true,
            Self::Fetch(_) => true,
        }
    }
}

/// Where a checkout's objects are.
struct Source {
    objects: PathBuf,
    /// The text of a `shallow` file: commits whose parents are not there.
    shallow: Option<String>,
}

impl Tree {
    /// Checks `checkout` out in `folder`. `path` is the workspace; with `only_workspace` nothing but it is written, and the
    /// ignore and attribute files on the way to it.
    pub(crate) async fn create(
        directories: &Directories,
        folder: &JobFolder,
        checkout: &Checkout,
        branch: &str,
        path: &str,
        only_workspace: bool,
    ) -> Result<Self, CheckoutError> {
        let name = &checkout.name;
        let git = |source| CheckoutError::Git { name: name.clone(), source };
        let io = |source| CheckoutError::Io { name: name.clone(), source };
        check_commit(&checkout.commit).map_err(git)?;
        check_path(path)?;
        let source = find_source(directories, checkout).await?;
        let tree = Self {
            work_tree: folder.tree(),
            git_dir: folder.base(),
            commit: checkout.commit.clone(),
            borrowed: borrowed_folders(&source.objects)
                .map_err(|path| CheckoutError::NotObjects { name: name.clone(), path })?,
        };
        write_bare(&tree.git_dir, tree.commit.len(), Some(&source.objects)).map_err(io)?;
        fs::write(tree.git_dir.join("info/attributes"), ATTRIBUTES).map_err(io)?;
        let mut command = tree.git("read-tree");
        if only_workspace && !path.is_empty() {
            fs::write(tree.git_dir.join("info/sparse-checkout"), sparse_patterns(path))
                .map_err(io)?;
            command = command.config("core.sparseCheckout", "true");
        }
        let result = command.run(["--reset", "-u", "--end-of-options", &tree.commit]).await;
        if let Err(error) = result {
            return Err(match &error {
                GitError::Failed { message, .. } if is_missing(message) => {
                    CheckoutError::NoSuchCommit { name: name.clone(), commit: tree.commit }
                }
                _ => git(error),
            });
        }
        tree.write_job_repository(&source, branch).map_err(io)?;
        tree.check_workspace(name, path)?;
        Ok(tree)
    }

    /// A git command on the runner's own repository of this tree.
    pub(crate) fn git(&self, subcommand: &'static str) -> Git {
        Git::new(&self.git_dir, subcommand)
            .work_tree(&self.work_tree)
            // Nothing here outlives the job.
            .config("core.fsync", "none")
            .config("core.looseCompression", "0")
            .config("core.sparseCheckoutCone", "false")
            .config("index.version", "2")
            .config("index.threads", "1")
    }

    /// The `.git` of the work tree: the job's own.
    fn write_job_repository(&self, source: &Source, branch: &str) -> io::Result<()> {
        let git_dir = self.work_tree.join(".git");
        for folder in ["objects/info", "refs/heads", "info"] {
            fs::create_dir_all(git_dir.join(folder))?;
        }
        let (version, extension) = match self.commit.len() {
            64 => (1, "[extensions]\n\tobjectFormat = sha256\n"),
            _ => (0, ""),
        };
        let config = format!(
            "[core]\n\trepositoryformatversion = {version}\n\tfilemode = true\n\tbare = false\n\tautocrlf = false\n{extension}"
        );
        fs::write(git_dir.join("config"), config)?;
        write_alternates(&git_dir, &source.objects)?;
        if let Some(shallow) = &source.shallow {
            fs::write(git_dir.join("shallow"), shallow)?;
        }
        // Its git, too, sees the files as they are.
        fs::write(git_dir.join("info/attributes"), ATTRIBUTES.replace("-merge -whitespace ", ""))?;
        fs::copy(self.git_dir.join("index"), git_dir.join("index"))?;
        if is_plain_branch(branch) {
            let file = git_dir.join("refs/heads").join(branch);
            fs::create_dir_all(file.parent().expect("a branch lies in a folder"))?;
            fs::write(file, format!("{}\n", self.commit))?;
            fs::write(git_dir.join("HEAD"), format!("ref: refs/heads/{branch}\n"))
        } else {
            fs::write(git_dir.join("HEAD"), format!("{}\n", self.commit))
        }
    }

    /// SECURITY: the repository is not trusted; a workspace that is, or lies behind, a symbolic link could be anywhere.
    fn check_workspace(&self, name: &str, path: &str) -> Result<(), CheckoutError> {
        let mut at = self.work_tree.clone();
        for part in Path::new(path).components() {
            at.push(part);
            if !fs::symlink_metadata(&at).is_ok_and(|found| found.is_dir()) {
                return Err(CheckoutError::NoSuchFolder {
                    name: name.to_owned(),
                    path: path.to_owned(),
                    commit: self.commit.clone(),
                });
            }
        }
        Ok(())
    }
}

async fn find_source(
    directories: &Directories,
    checkout: &Checkout,
) -> Result<Source, CheckoutError> {
    let (git_dir, shallow) = match &checkout.source {
        RepositorySource::Local(path) => {
            let git_dir =
                common_git_dir(path).ok_or(CheckoutError::NotARepository { path: path.clone() })?;
            let shallow = fs::read_to_string(git_dir.join("shallow")).ok();
            (git_dir, shallow)
        }
        RepositorySource::Http { url, headers } => {
            let fetched =
                directories.mirrors.ensure(&checkout.name, url, headers, &checkout.commit).await;
            let mirror = fetched.map_err(|error| match error {
                FetchError::NoSuchCommit { name, commit } => {
                    CheckoutError::NoSuchCommit { name, commit }
                }
                FetchError::Git { name, source: source @ GitError::Refused(_) } => {
                    CheckoutError::Git { name, source }
                }
                other => CheckoutError::Fetch(other),
            })?;
            (mirror, Some(format!("{}\n", checkout.commit)))
        }
    };
    Ok(Source { objects: git_dir.join("objects"), shallow })
}

/// The folder that holds the objects of the repository at `path`: a work tree, a linked work tree, or a bare repository. Read
/// without git, which would obey that repository's configuration.
fn common_git_dir(path: &Path) -> Option<PathBuf> {
    let path = path.canonicalize().ok()?;
    let dot_git = path.join(".git");
    let mut git_dir = path.clone();
    if dot_git.is_dir() {
        git_dir = dot_git;
    } else if let Ok(text) = fs::read_to_string(&dot_git) {
        git_dir = path.join(text.strip_prefix("gitdir:")?.trim());
    }
    if let Ok(common) = fs::read_to_string(git_dir.join("commondir")) {
        git_dir = git_dir.join(common.trim());
    }
    let git_dir = git_dir.canonicalize().ok()?;
    (git_dir.join("objects").is_dir() && git_dir.join("HEAD").exists()).then_some(git_dir)
}

/// `objects` and all folders that it borrows from itself. git follows five levels. The jobs of the repository see all of them.
/// SECURITY: the repository is not trusted, and must not show its jobs another folder of this host; the error is that folder.
fn borrowed_folders(objects: &Path) -> Result<Vec<PathBuf>, PathBuf> {
    let mut found = vec![objects.to_owned()];
    let mut next = 0;
    while let Some(folder) = found.get(next).cloned() {
        next += 1;
        if !folder.canonicalize().is_ok_and(|real| holds_objects(&real)) {
            return Err(folder);
        }
        let Ok(text) = fs::read_to_string(folder.join("info/alternates")) else { continue };
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let Ok(path) = folder.join(line).canonicalize() else { continue };
            if !found.contains(&path) && found.len() < 32 {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// Whether a folder is a repository's `objects`, and has nothing in it but what git puts there.
fn holds_objects(folder: &Path) -> bool {
    let of_git = |name: &str| {
        let of_two = name.len() == 2 && name.bytes().all(|b| b.is_ascii_hexdigit());
        let temporary = ["tmp_", "incoming-", ".tmp"].iter().any(|start| name.starts_with(start));
        of_two || temporary || matches!(name, "pack" | "info" | "maintenance.lock")
    };
    let named = folder.file_name().is_some_and(|name| name == "objects");
    let in_a_repository = folder.parent().is_some_and(|parent| parent.join("HEAD").is_file());
    let only_objects = fs::read_dir(folder).is_ok_and(|entries| {
        entries
            .into_iter()
            .all(|entry| entry.is_ok_and(|entry| entry.file_name().to_str().is_some_and(of_git)))
    });
    named && in_a_repository && only_objects
}

/// What `read-tree` says when the commit itself is not there. A missing file of an existing commit is another matter.
fn is_missing(message: &str) -> bool {
    message.contains("failed to unpack tree object") || message.contains("Not a valid object name")
}

/// SECURITY: the path comes with the order.
fn check_path(path: &str) -> Result<(), CheckoutError> {
    let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if plain && !path.contains(['\n', '\0']) {
        return Ok(());
    }
    Err(CheckoutError::BadPath(path.chars().take(200).collect()))
}

/// Patterns for the workspace and the ignore and attribute files above it.
fn sparse_patterns(path: &str) -> String {
    let mut patterns = String::from("/.gitignore\n/.gitattributes\n");
    let mut at = String::from("/");
    for part in path.split('/').filter(|part| !part.is_empty()) {
        for c in part.chars() {
            if matches!(c, '*' | '?' | '[' | '\\' | ' ') {
                at.push('\\');
            }
            at.push(c);
        }
        at.push('/');
        patterns.push_str(&format!("{at}.gitignore\n{at}.gitattributes\n"));
    }
    patterns.push_str(&at);
    patterns.push('\n');
    patterns
}

/// A branch that may be a file's name under `refs/heads` as it is. Others leave the job's HEAD detached.
fn is_plain_branch(branch: &str) -> bool {
    let parts_good = branch.split('/').all(|part| {
        !part.is_empty()
            && !part.starts_with(['.', '-'])
            && !part.ends_with('.')
            && !part.ends_with(".lock")
    });
    let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/');
    branch.len() < 200 && parts_good && !branch.contains("..") && branch.bytes().all(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_repository_are_refused() {
        for path in ["..", "a/../b", "/etc", "a\nb", "./a"] {
            assert!(check_path(path).is_err(), "{path}");
        }
        assert!(check_path("").is_ok());
        assert!(check_path("a/b c").is_ok());
    }

    #[test]
    fn sparse_patterns_are_literal() {
        let text = sparse_patterns("a*/b");
        assert_eq!(
            text,
            "/.gitignore\n/.gitattributes\n/a\\*/.gitignore\n/a\\*/.gitattributes\n/a\\*/b/.gitignore\n/a\\*/b/.gitattributes\n/a\\*/b/\n"
        );
    }

    #[test]
    fn branches_with_odd_names_leave_head_detached() {
        for branch in ["", "a..b", "-x", "a/.b", "x.lock", "ä", "a//b", "a b"] {
            assert!(!is_plain_branch(branch), "{branch}");
        }
        assert!(is_plain_branch("release/1.2"));
    }
}
