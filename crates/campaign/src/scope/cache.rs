//! What queries found, as long as it is still so.

use std::collections::HashMap;
use std::sync::Arc;

use codehost::git::{Repository, Resolved};
use parking_lot::Mutex;
use search::RepositoryMatch;

/// Queries that are remembered; the one that was not asked for longest goes first.
const QUERIES: usize = 64;

/// A repository in which more files were found is searched again.
const FILES_MAX: usize = 2000;

/// Everything that a result depends on beside the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(blake3::Hash);

impl Fingerprint {
    pub fn of<'a>(
        repository: &Repository,
        revisions: impl Iterator<Item = (&'a str, &'a Resolved)>,
    ) -> Self {
        let mut hasher = blake3::Hasher::new();
        let facts = serde_json::to_vec(&repository.facts).expect("facts are JSON");
        hasher.update(&facts);
        for (label, resolved) in revisions {
            for part in [label, &resolved.branch, &resolved.commit] {
                hasher.update(&(part.len() as u64).to_le_bytes());
                hasher.update(part.as_bytes());
            }
        }
        Self(hasher.finalize())
    }
}

type Found = Option<Arc<RepositoryMatch>>;

#[derive(Debug, Default)]
pub(super) struct Cache {
    queries: Mutex<HashMap<Arc<str>, OfQuery>>,
}

#[derive(Debug, Default)]
struct OfQuery {
    used: u64,
    found: HashMap<String, (Fingerprint, Found)>,
}

impl Cache {
    pub fn get(&self, query: &Arc<str>, name: &str, fingerprint: Fingerprint) -> Option<Found> {
        let queries = self.queries.lock();
        let (known, found) = queries.get(query)?.found.get(name)?;
        (*known == fingerprint).then(|| found.clone())
    }

    pub fn put(&self, query: &Arc<str>, name: &str, fingerprint: Fingerprint, found: Found) {
        if found.as_ref().is_some_and(|found| found.files.len() > FILES_MAX) {
            return;
        }
        let mut queries = self.queries.lock();
        let newest = queries.values().map(|query| query.used).max().unwrap_or(0);
        if queries.len() >= QUERIES && !queries.contains_key(query) {
            let oldest = queries.iter().min_by_key(|(_, of)| of.used).map(|(key, _)| key.clone());
            oldest.map(|oldest| queries.remove(&oldest));
        }
        let of = queries
            .entry(query.clone())
            .or_insert_with(|| OfQuery { used: newest + 1, found: HashMap::new() });
        of.found.insert(name.to_owned(), (fingerprint, found));
    }
}
