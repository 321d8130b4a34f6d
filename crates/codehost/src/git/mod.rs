//! Plain git: the server's repositories by name, kept in place (a path on this host) or as mirrors (a URL, an upload).

mod command;
mod host;
mod repositories;

pub use command::{GitError, git, without_password};
pub(crate) use host::PlainGit;
pub use repositories::{AddError, Repositories, Resolved, Source};
