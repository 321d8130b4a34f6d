//! One bare mirror per remote repository, kept between jobs: a commit is fetched once, alone, without its history.
//!
//! A mirror has no configuration of the remote; the address and the token come with each fetch, by environment.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::git::{Git, GitError, check_commit};

/// The mirrors of a runner.
#[derive(Debug)]
pub struct Mirrors {
    root: PathBuf,
    /// One fetch into a mirror at a time; mirrors do not wait for each other.
    locks: Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>,
    /// The certificates to trust, when they are not those of the system.
    certificates: Option<PathBuf>,
}

/// Where systems keep the certificates that they trust.
const SYSTEM_CERTIFICATES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Certificates that the user named, as git and others know it.
fn named_certificates() -> Option<PathBuf> {
    let named = ["GIT_SSL_CAINFO", "SSL_CERT_FILE"].iter().find_map(std::env::var_os);
    named.map(PathBuf::from)
}

/// Why a commit is not in the mirror.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("the repository `{name}` has no commit {commit}")]
    NoSuchCommit { name: String, commit: String },
    #[error("fetch `{name}`")]
    Git {
        name: String,
        #[source]
        source: GitError,
    },
    #[error("keep a mirror of `{name}`")]
    Io {
        name: String,
        #[source]
        source: io::Error,
    },
}

impl Mirrors {
    pub(super) fn open(root: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&root)?;
        Ok(Self { root, locks: Mutex::default(), certificates: named_certificates() })
    }

    /// Trusts these certificates beside the others. git takes one file for all.
    pub(super) fn trust(&mut self, pem: &[u8]) -> io::Result<()> {
        let known = named_certificates()
            .or_else(|| SYSTEM_CERTIFICATES.iter().map(PathBuf::from).find(|path| path.is_file()));
        let mut all = match known {
            Some(path) => fs::read(path)?,
            None => Vec::new(),
        };
        all.push(b'\n');
        all.extend(pem);
        let path = self.root.with_file_name("certificates.pem");
        fs::write(&path, all)?;
        self.certificates = Some(path);
        Ok(())
    }

    /// Removes what fetches that died with an earlier runner left. Only when no fetch runs.
    pub(super) fn clean(&self) -> io::Result<()> {
        for mirror in fs::read_dir(&self.root)? {
            let mirror = mirror?.path();
            if mirror.extension().is_some_and(|e| e == "new") {
                fs::remove_dir_all(&mirror)?;
                continue;
            }
            for folder in [mirror.clone(), mirror.join("refs/phalanx"), mirror.join("objects/pack")]
            {
                let Ok(entries) = fs::read_dir(&folder) else { continue };
                for entry in entries {
                    let path = entry?.path();
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    if name.ends_with(".lock") || name.starts_with("tmp_") {
                        fs::remove_file(&path)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The mirror of `url`, with `commit` in it.
    pub(super) async fn ensure(
        &self,
        name: &str,
        url: &str,
        headers: &[(String, String)],
        commit: &str,
    ) -> Result<PathBuf, FetchError> {
        let git = |source| FetchError::Git { name: name.to_owned(), source };
        let io = |source| FetchError::Io { name: name.to_owned(), source };
        check_commit(commit).map_err(git)?;
        check_url(url).map_err(git)?;
        let mirror = self.root.join(folder_name(name, url));
        let lock = Arc::clone(self.locks.lock().entry(mirror.clone()).or_default());
        let _guard = lock.lock().await;
        let have = mirror.join("refs/phalanx").join(commit);
        if have.exists() {
            return Ok(mirror);
        }
        if !mirror.join("HEAD").exists() {
            let new = mirror.with_extension("new");
            let _ = fs::remove_dir_all(&new);
            write_bare(&new, commit.len(), None).map_err(io)?;
            fs::rename(&new, &mirror).map_err(io)?;
        }
        // A fetch that was dropped on the way may have left its lock; ours is the only fetch here.
        let _ = fs::remove_file(mirror.join("shallow.lock"));
        let mut command = Git::new(&mirror, "fetch")
            .env("GIT_ALLOW_PROTOCOL", "http:https")
            .config("protocol.http.allow", "always")
            .config("protocol.https.allow", "always")
            .config("protocol.version", "2")
            .config("http.lowSpeedLimit", "1000")
            .config("http.lowSpeedTime", "60")
            .config("fetch.writeCommitGraph", "false")
            .config("remote.origin.url", url);
        if let Some(certificates) = &self.certificates {
            command = command.config("http.sslCAInfo", &certificates.to_string_lossy());
        }
        for (header, value) in headers {
            // SECURITY: a line break would smuggle another header in.
            if header.contains(['\r', '\n', ':']) || value.contains(['\r', '\n']) {
                return Err(git(GitError::Refused(format!(
                    "the header `{}` has a line break",
                    header.escape_debug()
                ))));
            }
            command = command.config("http.extraHeader", &format!("{header}: {value}"));
        }
        let reference = format!("{commit}:refs/phalanx/{commit}");
        let arguments = [
            "--quiet",
            "--no-tags",
            "--depth=1",
            "--no-write-fetch-head",
            "--no-auto-gc",
            "--no-recurse-submodules",
            "--end-of-options",
            "origin",
            &reference,
        ];
        match command.run(arguments).await {
            Ok(_) => Ok(mirror),
            Err(GitError::Failed { message, .. })
                if message.contains("not our ref")
                    || message.contains("couldn't find remote ref") =>
            {
                Err(FetchError::NoSuchCommit { name: name.to_owned(), commit: commit.to_owned() })
            }
            Err(GitError::Failed { subcommand, message })
                if message.contains("could not read Username")
                    || message.contains("Authentication failed") =>
            {
                let message = "the server refused the credentials".to_owned();
                Err(git(GitError::Failed { subcommand, message }))
            }
            // SECURITY: git names the address in its messages, and an address may hold a password.
            Err(GitError::Failed { subcommand, message }) => {
                let message = message.replace(url, name).replace(url.trim_end_matches('/'), name);
                Err(git(GitError::Failed { subcommand, message }))
            }
            Err(other) => Err(git(other)),
        }
    }
}

/// SECURITY: git understands many more addresses than these (`ext::`, `file://`, `-oProxyCommand`).
fn check_url(url: &str) -> Result<(), GitError> {
    let known = url.starts_with("https://") || url.starts_with("http://");
    if known && !url.contains(|c: char| c.is_control() || c == ' ') {
        return Ok(());
    }
    Err(GitError::Refused(
        "a repository's address begins with https:// or http:// and has no spaces".into(),
    ))
}

/// A folder for `name`: readable, and different for different addresses.
fn folder_name(name: &str, url: &str) -> String {
    let keep =
        |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' };
    let readable: String = name.chars().map(keep).take(80).collect();
    let hash = hex::encode(&Sha256::digest(format!("{name}\n{url}"))[..8]);
    format!("{}-{hash}.git", readable.trim_start_matches('.'))
}

/// Makes a bare repository by hand: a `git init` less per job, and no template can add to it. `objects` are borrowed.
pub(super) fn write_bare(
    git_dir: &Path,
    hash_digits: usize,
    objects: Option<&Path>,
) -> io::Result<()> {
    fs::create_dir_all(git_dir.join("objects/info"))?;
    fs::create_dir_all(git_dir.join("refs"))?;
    fs::create_dir(git_dir.join("info"))?;
    let (version, extension) = match hash_digits {
        64 => (1, "[extensions]\n\tobjectFormat = sha256\n"),
        _ => (0, ""),
    };
    let config =
        format!("[core]\n\trepositoryformatversion = {version}\n\tbare = true\n{extension}");
    fs::write(git_dir.join("config"), config)?;
    if let Some(objects) = objects {
        write_alternates(git_dir, objects)?;
    }
    // Last: git, and `ensure`, take a folder with a HEAD for a repository.
    fs::write(git_dir.join("HEAD"), "ref: refs/heads/none\n")
}

/// Lets `git_dir` borrow from `objects`.
pub(super) fn write_alternates(git_dir: &Path, objects: &Path) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let mut line = Vec::new();
    let path = objects.as_os_str().as_bytes();
    // A line that begins with `"` is C-quoted, one with `#` is a comment; our paths are absolute and begin with neither.
    if path.contains(&b'\n') {
        return Err(io::Error::other("a path with a line break cannot be borrowed from"));
    }
    line.extend_from_slice(path);
    line.push(b'\n');
    fs::write(git_dir.join("objects/info/alternates"), line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_not_http_are_refused() {
        for url in [
            "ext::sh -c id",
            "file:///etc",
            "-oProxyCommand=x",
            "ssh://h/p",
            "https://h/\np",
            "http://a b",
        ] {
            assert!(check_url(url).is_err(), "{url}");
        }
        assert!(check_url("https://host/r.git").is_ok());
    }

    #[test]
    fn folder_names_are_safe_and_distinct() {
        let a = folder_name("github.com/o/r", "https://github.com/o/r");
        assert!(a.starts_with("github.com_o_r-"));
        assert_ne!(a, folder_name("github.com/o_r", "https://github.com/o_r"));
        assert!(!folder_name("../../etc", "u").contains('/'));
        assert!(!folder_name("..", "u").starts_with('.'));
    }
}
