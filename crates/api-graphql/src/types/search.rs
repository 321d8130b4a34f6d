//! Searches.

use async_graphql::{Context, ID, Object, Result, SimpleObject};
use campaign::saved_search;
use model::WallMs;

use crate::convert::{DateTime, Kind, id, int, service};
use crate::page::PageInfo;
use crate::status;
use crate::types::action::Action;
use crate::types::definition::SkippedRepository;
use crate::types::repository::Repository;

#[derive(SimpleObject, Default)]
pub(crate) struct SearchResults {
    /// What is wrong with the query, and where.
    pub error: Option<SearchError>,
    pub nodes: Vec<SearchResult>,
    /// Of the results up to the end of this page.
    pub repository_count: i32,
    pub file_count: i32,
    pub page_info: PageInfo,
    pub took_ms: i32,
    /// Repositories that could not be searched, and why.
    pub not_searched: Vec<SkippedRepository>,
}

/// Byte offsets in the query.
#[derive(SimpleObject)]
pub(crate) struct SearchError {
    pub message: String,
    pub start: i32,
    pub end: i32,
}

/// A file, or a repository when there is no path.
#[derive(SimpleObject)]
pub(crate) struct SearchResult {
    pub repository: Repository,
    pub path: Option<String>,
    pub revision: String,
    pub lines: Vec<SearchLine>,
}

#[derive(SimpleObject)]
pub(crate) struct SearchLine {
    pub number: i32,
    pub text: String,
}

pub(crate) struct SavedSearch(pub saved_search::SavedSearch);

/// How often saved searches run.
const EVERY_MS: u64 = 60_000;

#[Object]
impl SavedSearch {
    pub async fn id(&self) -> ID {
        id(Kind::SavedSearch, self.0.id)
    }

    async fn description(&self) -> &str {
        &self.0.description
    }

    async fn query(&self) -> &str {
        &self.0.query
    }

    async fn name(&self) -> &str {
        &self.0.name
    }

    async fn url(&self) -> String {
        format!("/saved-searches/{}", self.0.name)
    }

    async fn actions(&self, ctx: &Context<'_>) -> Result<Vec<Action>> {
        let of = self.0.id;
        let all = service(ctx).blocking(move |it| it.store.actions_of_saved_search(of)).await;
        Ok(all.map_err(status::store)?.into_iter().map(Action).collect())
    }

    async fn last_run_at(&self) -> Option<DateTime> {
        self.0.last_run.map(DateTime)
    }

    /// Why the last run found nothing out; the results are those of the run before.
    async fn last_error(&self) -> Option<&str> {
        self.0.last_error.as_deref()
    }

    /// Repositories in the last result.
    async fn result_count(&self) -> Option<i32> {
        self.0.results.map(int)
    }

    async fn next_run_at(&self) -> Option<DateTime> {
        self.0.last_run.map(|at| DateTime(WallMs(at.0 + EVERY_MS)))
    }

    async fn last_change_at(&self) -> Option<DateTime> {
        self.0.last_change.map(DateTime)
    }
}
