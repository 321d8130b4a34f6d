//! Deliveries of hosts: whether they are theirs, and what they are about.

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use serde_json::Value;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::{HostError, HostEvent};

/// A delivery whose sender is known.
pub(crate) struct Delivery {
    host: String,
    body: Value,
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|name| headers.get(*name)?.to_str().ok())
}

/// SECURITY: compares in constant time, and a secret that is empty matches nothing.
pub(crate) fn signed(
    host: &str,
    signature: Option<&str>,
    body: &[u8],
    secret: &str,
) -> Result<Delivery, HostError> {
    let signature = signature.unwrap_or_default();
    let bytes = hex::decode(signature.strip_prefix("sha256=").unwrap_or(signature));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length is a key");
    mac.update(body);
    let is_right = bytes.is_ok_and(|bytes| mac.verify_slice(&bytes).is_ok());
    read(host, is_right && !secret.is_empty(), body)
}

/// The same where the secret itself is sent.
pub(crate) fn told(
    host: &str,
    token: Option<&str>,
    body: &[u8],
    secret: &str,
) -> Result<Delivery, HostError> {
    let is_right = bool::from(token.unwrap_or_default().as_bytes().ct_eq(secret.as_bytes()));
    read(host, is_right && !secret.is_empty(), body)
}

fn read(host: &str, is_right: bool, body: &[u8]) -> Result<Delivery, HostError> {
    let host = host.to_owned();
    if !is_right {
        let message = "the delivery is not signed with the secret of this webhook".to_owned();
        return Err(HostError::Unauthorized { host, message });
    }
    match serde_json::from_slice(body) {
        Ok(body) => Ok(Delivery { host, body }),
        Err(_) => Err(HostError::Refused { host, message: "the delivery is not JSON".to_owned() }),
    }
}

impl Delivery {
    /// The text or number at a path like `/pull_request/number`.
    fn at(&self, path: &str) -> Result<String, HostError> {
        let text = match self.body.pointer(path) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        text.ok_or_else(|| HostError::Refused {
            host: self.host.clone(),
            message: format!("the delivery does not say `{}`", &path[1..]),
        })
    }

    /// A push to a branch; tags are not needed.
    pub fn pushed(&self, repository: &str) -> Result<Option<HostEvent>, HostError> {
        let repository = self.at(repository)?;
        let is_branch = self.at("/ref")?.starts_with("refs/heads/");
        Ok(is_branch.then_some(HostEvent::Pushed { repository }))
    }

    pub fn pull_request(
        &self,
        repository: &str,
        number: &str,
    ) -> Result<Option<HostEvent>, HostError> {
        let (repository, external_id) = (self.at(repository)?, self.at(number)?);
        Ok(Some(HostEvent::PullRequest { repository, external_id }))
    }

    pub fn checks(&self, repository: &str, commit: &str) -> Result<Option<HostEvent>, HostError> {
        let (repository, commit) = (self.at(repository)?, self.at(commit)?);
        Ok(Some(HostEvent::Checks { repository, commit }))
    }
}

/// GitHub's shapes, which Gitea and Forgejo share.
pub(crate) fn event(delivery: &Delivery, event: &str) -> Result<Option<HostEvent>, HostError> {
    let repository = "/repository/full_name";
    match event {
        "push" => delivery.pushed(repository),
        "status" => delivery.checks(repository, "/sha"),
        "check_run" => delivery.checks(repository, "/check_run/head_sha"),
        "check_suite" => delivery.checks(repository, "/check_suite/head_sha"),
        "repository" | "installation" | "installation_repositories" => {
            Ok(Some(HostEvent::Repositories))
        }
        _ if event.starts_with("pull_request") => {
            delivery.pull_request(repository, "/pull_request/number")
        }
        _ => Ok(None),
    }
}
