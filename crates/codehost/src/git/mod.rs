//! Plain git: the server's repositories by name, kept in place (a path on this host) or as mirrors (a URL, an upload).

mod command;
mod commit;
mod host;
mod mirror;
mod repositories;
mod revision;
#[cfg(test)]
mod tests;
mod tree;

pub use command::{GitError, git, split_credentials, without_password};
pub use commit::{CommitError, NewCommit, PushError};
pub(crate) use host::PlainGit;
pub use repositories::{
    AddError, Facts, HostLink, Repositories, Repository, Resolved, Source, Sync,
};
pub use tree::{FileKind, Tree, TreeFile};
