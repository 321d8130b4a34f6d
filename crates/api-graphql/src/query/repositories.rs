//! Repositories, code hosts, searches.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use async_graphql::{Context, ID, Object, Result};
use campaign::scope::{HEAD, Hit, PatternType, Prepared};
use campaign::service::Service;

use crate::convert::{self, Kind, int, number, service};
use crate::page::{Connection, PageInfo, cost, window};
use crate::status;
use crate::types::definition::SkippedRepository;
use crate::types::repository::{CodeHost, Repository};
use crate::types::search::{SavedSearch, SearchError, SearchLine, SearchResult, SearchResults};

#[derive(Default)]
pub(crate) struct RepositoryQueries;

/// The longest that a search from here may take.
const SEARCH_TIME: Duration = Duration::from_secs(20);
/// Lines of one file that are shown, and bytes of one line.
const LINES_MAX: usize = 20;
const LINE_BYTES: usize = 500;

#[Object]
impl RepositoryQueries {
    /// In order of name; `query` is a part of it.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn repositories(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        query: Option<String>,
        code_host: Option<ID>,
        failed: Option<bool>,
    ) -> Result<Connection<Repository>> {
        let host = code_host.map(|id| number(&id, Kind::CodeHost)).transpose()?;
        let query = query.unwrap_or_default().to_lowercase();
        let mut all = service(ctx).searcher.repositories().list();
        all.retain(|it| {
            it.name.to_lowercase().contains(&query)
                && host
                    .is_none_or(|host| it.host.as_ref().is_some_and(|link| link.code_host == host))
                && failed.is_none_or(|failed| it.sync.error.is_some() == failed)
        });
        let all = all.into_iter().map(Repository::of).collect();
        Connection::sliced(all, first, after.as_deref())
    }

    async fn repository(&self, ctx: &Context<'_>, name: String) -> Option<Repository> {
        let known = service(ctx).searcher.repositories().get(&name)?;
        Some(Repository::of(known))
    }

    async fn code_hosts(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<CodeHost>> {
        let all = service(ctx).blocking(|it| it.store.code_hosts()).await;
        let all = all.map_err(status::store)?.into_iter().map(CodeHost).collect();
        Connection::sliced(all, first, after.as_deref())
    }

    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn saved_searches(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<SavedSearch>> {
        let window = window(first, after.as_deref())?;
        let page = service(ctx).blocking(move |it| it.store.saved_searches(window)).await;
        let page = page.map_err(status::store)?.map(SavedSearch);
        Ok(Connection::new(page, after.is_some(), |it| it.0.name.clone()))
    }

    async fn saved_search(&self, ctx: &Context<'_>, name: String) -> Result<Option<SavedSearch>> {
        let found = service(ctx).blocking(move |it| it.store.saved_search_named(&name)).await;
        Ok(found.map_err(status::store)?.map(SavedSearch))
    }

    /// Files and repositories that a query finds, in order of name. The search stops when the page is full.
    #[graphql(complexity = "500 + child_complexity")]
    async fn search(
        &self,
        ctx: &Context<'_>,
        query: String,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<SearchResults> {
        let prepared = match Prepared::new(&query, PatternType::Keyword) {
            Ok(prepared) => prepared,
            Err(error) => {
                let error = SearchError {
                    message: error.to_string(),
                    start: int(error.span.start as u64),
                    end: int(error.span.end as u64),
                };
                return Ok(SearchResults { error: Some(error), ..SearchResults::default() });
            }
        };
        let window = window::<usize>(first, after.as_deref())?;
        Ok(service(ctx).searching(move |it| search(it, &prepared, window)).await)
    }
}

fn search(
    service: &Service,
    prepared: &Prepared,
    window: campaign::page::Window<usize>,
) -> SearchResults {
    let started = Instant::now();
    let skip = window.after.map_or(0, |last| last.saturating_add(1));
    let mut found = SearchResults::default();
    let (mut place, mut more) = (0, false);
    let ended = service.searcher.run(prepared, Some(started + SEARCH_TIME), |hit| {
        found.repository_count += 1;
        let files = hit.found.files.iter().map(Some);
        let whole = hit.found.is_result.then_some(None);
        for file in whole.into_iter().chain(files) {
            found.file_count += i32::from(file.is_some());
            place += 1;
            if place <= skip {
                continue;
            }
            if found.nodes.len() == window.first {
                more = true;
                return ControlFlow::Break(());
            }
            found.nodes.push(result(service, &hit, file));
        }
        ControlFlow::Continue(())
    });
    let last = skip + found.nodes.len();
    let at = |place: usize| Some(convert::cursor(place)).filter(|_| last > skip);
    found.page_info = PageInfo {
        has_next_page: more,
        end_cursor: at(last.saturating_sub(1)),
        has_previous_page: skip > 0,
        start_cursor: at(skip),
    };
    let why = "the search took too long, and what comes after is not searched";
    let late = ended.timed_out.then(|| (String::new(), why.to_owned()));
    let skipped = ended.not_searched.into_iter().chain(late);
    found.not_searched = skipped
        .map(|(repository, reason)| SkippedRepository { repository, path: String::new(), reason })
        .collect();
    found.took_ms = int(started.elapsed().as_millis() as u64);
    found
}

fn result(service: &Service, hit: &Hit, file: Option<&search::FileMatch>) -> SearchResult {
    let repository = Repository::of(hit.repository.clone());
    let label = file.map_or(HEAD, |file| &file.revision);
    let resolved = hit.revisions.get(label);
    let revision = resolved.map(|it| it.branch.clone()).unwrap_or_default();
    let Some(file) = file else {
        return SearchResult { repository, path: None, revision, lines: Vec::new() };
    };
    let commit = resolved.map(|it| it.commit.as_str()).unwrap_or_default();
    let tree = service.searcher.repositories().tree(&hit.repository.name, commit);
    let text = tree.ok().and_then(|tree| {
        let text = tree.find(&file.path).and_then(|file| tree.text(file))?;
        Some(String::from_utf8_lossy(text).into_owned())
    });
    let wanted = file.lines.iter().flat_map(|range| range.first..=range.last).take(LINES_MAX);
    let lines: Vec<&str> = text.as_deref().map(|text| text.lines().collect()).unwrap_or_default();
    let lines = wanted.filter_map(|number| {
        let line = lines.get(usize::try_from(number).ok()?.checked_sub(1)?)?;
        let end = line.char_indices().map(|(at, _)| at).find(|at| *at >= LINE_BYTES);
        let text = line[..end.unwrap_or(line.len())].to_owned();
        Some(SearchLine { number: int(number), text })
    });
    SearchResult { repository, path: Some(file.path.clone()), revision, lines: lines.collect() }
}
