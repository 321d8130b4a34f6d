//! Where a host is and what its repositories are called. SECURITY: clone URLs are made from the operator's URL, never taken from
//! an answer, so that no credential follows a host's word to another place.

use globset::{Glob, GlobSet, GlobSetBuilder};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::connect::ConnectError;
use crate::http::is_hostile;
use crate::{GitAccess, HostError, ListedRepository, Settings};

/// All but what RFC 3986 calls unreserved.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// One part of a path, or a value of a query.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

pub(crate) struct Place {
    /// `host[:port]`, with which names begin.
    pub host: String,
    /// Without a slash at its end.
    url: String,
    pub include: Vec<String>,
    exclude: GlobSet,
}

/// What a host says about a repository, before it has a name of ours.
#[derive(Default)]
pub(crate) struct Found {
    pub external_id: String,
    /// `owner/name`.
    pub repository: String,
    pub default_branch: Option<String>,
    pub fork: bool,
    pub archived: bool,
    pub private: bool,
    pub topics: Vec<String>,
    pub description: String,
}

impl Place {
    pub fn new(settings: &Settings) -> Result<Self, ConnectError> {
        let bad = || ConnectError::BadUrl { url: crate::git::without_password(&settings.url) };
        let url = Url::parse(settings.url.trim()).map_err(|_| bad())?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ConnectError::CredentialInUrl);
        }
        if !matches!(url.scheme(), "http" | "https") || url.query().or(url.fragment()).is_some() {
            return Err(bad());
        }
        Ok(Self {
            host: authority(&url).ok_or_else(bad)?,
            url: url.as_str().trim_end_matches('/').to_owned(),
            include: settings.include.iter().map(|entry| entry.trim().to_owned()).collect(),
            exclude: globs(&settings.exclude)?,
        })
    }

    /// A URL below the host's, with a slash at its end.
    pub fn api(&self, path: &str) -> Url {
        Url::parse(&format!("{}/{path}/", self.url)).expect("its beginning was parsed before")
    }

    /// In order of name, without doubles, excluded ones and those whose names nobody could use.
    pub fn list(&self, found: Vec<Found>) -> Vec<ListedRepository> {
        let mut all: Vec<_> = found.into_iter().filter_map(|one| self.listed(one)).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all.dedup_by(|a, b| a.name == b.name);
        all
    }

    fn listed(&self, found: Found) -> Option<ListedRepository> {
        let repository = &found.repository;
        if segments(repository).is_none() {
            tracing::warn!(
                host = self.host,
                "a repository is left out for its name: {repository:?}"
            );
            return None;
        }
        let name = format!("{}/{repository}", self.host);
        if self.exclude.is_match(&name) || self.exclude.is_match(repository) {
            return None;
        }
        let web_url = format!("{}/{repository}", self.url);
        Some(ListedRepository {
            external_id: found.external_id,
            name,
            clone_url: format!("{web_url}.git"),
            web_url: Some(web_url),
            default_branch: found.default_branch.filter(|branch| !branch.is_empty()),
            fork: found.fork,
            archived: found.archived,
            private: found.private,
            topics: found.topics,
            description: crate::http::clean(&found.description),
        })
    }

    /// The repository's part of an API path; the host's own name must not lead elsewhere.
    pub fn path(&self, repository: &str) -> Result<String, HostError> {
        let segments = segments(repository).ok_or_else(|| HostError::NotFound {
            host: self.host.clone(),
            what: format!("repository `{}`", crate::http::clean(repository)),
        })?;
        Ok(segments.join("/"))
    }

    /// Where people see a pull request of an encoded repository. SECURITY: made here, as a host could answer `javascript:`.
    pub fn page(&self, repository: &str, kind: &str, number: u64) -> String {
        format!("{}/{repository}/{kind}/{number}", self.url)
    }

    /// SECURITY: only what is below the operator's URL gets the credential.
    pub fn git_access(
        &self,
        clone_url: &str,
        authorization: Option<String>,
    ) -> Result<GitAccess, HostError> {
        let below = clone_url.strip_prefix(&self.url).and_then(|rest| rest.strip_prefix('/'));
        let repository = below.map(|rest| rest.strip_suffix(".git").unwrap_or(rest));
        if repository.and_then(segments).is_none() {
            return Err(HostError::NotFound {
                host: self.host.clone(),
                what: format!(
                    "repository at `{}`",
                    crate::http::clean(&crate::git::without_password(clone_url))
                ),
            });
        }
        Ok(GitAccess { url: clone_url.to_owned(), authorization })
    }
}

/// `host[:port]` of a URL.
pub(crate) fn authority(url: &Url) -> Option<String> {
    let host = url.host_str().filter(|host| !host.is_empty())?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

pub(crate) fn globs(globs: &[String]) -> Result<GlobSet, ConnectError> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let bad = |error: globset::Error| ConnectError::BadGlob {
            glob: glob.clone(),
            message: error.kind().to_string(),
        };
        set.add(Glob::new(glob.trim()).map_err(bad)?);
    }
    set.build().map_err(|error| ConnectError::BadGlob {
        glob: globs.join(", "),
        message: error.to_string(),
    })
}

/// The encoded parts of `owner/name` (GitLab nests deeper).
fn segments(repository: &str) -> Option<Vec<String>> {
    let fine = |part: &&str| {
        !part.is_empty()
            && !matches!(*part, "." | "..")
            && !part.starts_with('-')
            && !part
                .chars()
                .any(|c| is_hostile(c) || c.is_whitespace() || "\\:?#%\"'<>".contains(c))
    };
    let parts: Vec<&str> = repository.split('/').collect();
    let good = parts.len() >= 2 && repository.len() <= 400 && parts.iter().all(fine);
    good.then(|| parts.into_iter().map(encode).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn place(url: &str) -> Result<Place, ConnectError> {
        let (include, exclude) = (Vec::new(), vec!["*/archive-*".to_owned()]);
        Place::new(&Settings { kind: Kind::Gitea, url: url.to_owned(), include, exclude })
    }

    #[test]
    fn names_and_urls_are_the_operators() {
        let place = place("https://git.example.com:8443/sub/").ok().unwrap();
        let found = |name: &str| Found { repository: name.to_owned(), ..Found::default() };
        let names = ["z/b", "a/x", "a/x", "a/archive-1", "a/../../x", "a/\u{1b}[2J", "-a/b", "a"];
        let listed = place.list(names.into_iter().map(found).collect());
        let listed: Vec<_> =
            listed.iter().map(|r| (r.name.as_str(), r.clone_url.as_str())).collect();
        assert_eq!(
            listed,
            [
                ("git.example.com:8443/a/x", "https://git.example.com:8443/sub/a/x.git"),
                ("git.example.com:8443/z/b", "https://git.example.com:8443/sub/z/b.git"),
            ]
        );
        let api = place.api("api/v1").join(&place.path("ö/n").unwrap()).unwrap();
        assert_eq!(api.as_str(), "https://git.example.com:8443/sub/api/v1/%C3%B6/n");
        for name in ["a", "a/..", "a/b?x", "a/b#", "a/%2e%2e", "/a/b", ""] {
            assert!(place.path(name).is_err(), "{name}");
        }
    }

    #[test]
    fn the_credential_goes_nowhere_else() {
        let place = place("https://git.example.com").ok().unwrap();
        let access = |url: &str| place.git_access(url, Some("Basic x".to_owned()));
        let url = "https://git.example.com/a/b.git";
        assert_eq!(access(url).unwrap().authorization.as_deref(), Some("Basic x"));
        for url in [
            "https://git.example.com.evil.org/a/b.git",
            "https://git.example.com@evil.org/a/b.git",
            "http://git.example.com/a/b.git",
            "https://evil.org/a/b.git",
            "https://git.example.com/../b.git",
            "ext::sh -c x",
        ] {
            assert!(access(url).is_err(), "{url}");
        }
    }

    #[test]
    fn bad_settings_are_told() {
        let say = |url: &str| place(url).err().unwrap().to_string();
        assert!(say("git.example.com").contains("https://"));
        assert!(say("ftp://h").contains("`ftp://h`"));
        let secret = say("https://me:hunter2@h");
        assert!(secret.contains("credential") && !secret.contains("hunter2"), "{secret}");
        let glob = globs(&["[".to_owned()]).unwrap_err().to_string();
        assert!(glob.contains("`[`"), "{glob}");
    }
}
