//! Saved searches: a query that is run again and again, and what it found last.

use std::collections::BTreeMap;

use dispatcher::StoreError;
use model::{SavedSearchId, WallMs};

use crate::page::{Page, Window};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedSearch {
    pub id: SavedSearchId,
    /// Unique. Actions hang on the id, so that name and query may change.
    pub name: String,
    pub query: String,
    pub description: String,
    pub owner: String,
    pub created: WallMs,
    pub updated: WallMs,
    pub last_run: Option<WallMs>,
    /// Why the last run found nothing out.
    pub last_error: Option<String>,
    pub last_change: Option<WallMs>,
    /// How many repositories were in the last result; nothing before the first run.
    pub results: Option<u64>,
}

/// What a query found in each repository, as fingerprints: not a date, so that an old commit that is pushed late counts.
pub type ResultSet = BTreeMap<String, String>;

/// What a saved search stores.
pub trait SavedSearchStore: Send + Sync {
    /// `None` when the name is taken.
    fn create_saved_search(
        &self,
        name: &str,
        query: &str,
        description: &str,
        owner: &str,
        at: WallMs,
    ) -> Result<Option<SavedSearch>, StoreError>;

    /// Another query forgets the results: what it finds first is where it starts from. `None` when there is no such search
    /// or the name is taken.
    fn update_saved_search(
        &self,
        id: SavedSearchId,
        name: &str,
        query: &str,
        description: &str,
        at: WallMs,
    ) -> Result<Option<SavedSearch>, StoreError>;

    fn delete_saved_search(&self, id: SavedSearchId) -> Result<bool, StoreError>;

    fn saved_search(&self, id: SavedSearchId) -> Result<Option<SavedSearch>, StoreError>;

    fn saved_search_named(&self, name: &str) -> Result<Option<SavedSearch>, StoreError>;

    /// In order of name.
    fn saved_searches(&self, window: Window<String>) -> Result<Page<SavedSearch>, StoreError>;

    fn saved_searches_with_query(&self, query: &str) -> Result<Vec<SavedSearch>, StoreError>;

    /// The last result set; `None` before the first run.
    fn saved_results(&self, id: SavedSearchId) -> Result<Option<ResultSet>, StoreError>;

    /// Keeps a result set, if the query is still this one.
    fn put_saved_results(
        &self,
        id: SavedSearchId,
        query: &str,
        results: &ResultSet,
        changed: bool,
        at: WallMs,
    ) -> Result<bool, StoreError>;

    /// A run that found nothing out: the results stay.
    fn put_saved_search_error(
        &self,
        id: SavedSearchId,
        error: &str,
        at: WallMs,
    ) -> Result<(), StoreError>;
}
