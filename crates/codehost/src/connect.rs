//! From what an operator writes to a host that can be asked.

use std::time::Duration;

use crate::gitea::Gitea;
use crate::github::GitHub;
use crate::gitlab::GitLab;
use crate::place::Place;
use crate::{CodeHost, Credential, Kind, Settings, git};

/// What tests set otherwise.
#[derive(Clone, Debug)]
pub struct Options {
    /// The least time between two writes; `None`: what the host advises.
    pub write_distance: Option<Duration>,
    /// The pause before a read is tried again, doubled each time.
    pub retry_pause: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { write_distance: None, retry_pause: Duration::from_millis(500) }
    }
}

/// Why settings cannot be used. Nobody was asked.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("`{url}` is not the URL of a code host: write it like `https://git.example.com`")]
    BadUrl { url: String },
    #[error("the URL of a code host holds no user and no password: write them as its credential")]
    CredentialInUrl,
    #[error("{kind} does not take this kind of credential: use {instead}")]
    BadCredential { kind: &'static str, instead: &'static str },
    #[error("`{glob}` in `exclude` is not a glob: {message}")]
    BadGlob { glob: String, message: String },
    #[error("the App's private key is not an RSA key in PEM: {0}")]
    BadKey(String),
    #[error("set up the HTTP client: {0}")]
    Client(String),
}

/// Makes a host that can be asked; nothing is sent yet.
pub fn connect(
    settings: &Settings,
    credential: Credential,
    options: &Options,
) -> Result<Box<dyn CodeHost>, ConnectError> {
    let place = || Place::new(settings);
    Ok(match settings.kind {
        Kind::Git => Box::new(git::PlainGit::new(settings, credential)?),
        Kind::GitHub => Box::new(GitHub::new(place()?, credential, options)?),
        Kind::GitLab => Box::new(GitLab::new(place()?, credential, options)?),
        Kind::Gitea => Box::new(Gitea::new(place()?, credential, options)?),
    })
}
