//! Relay connections.

use async_graphql::{Error, Object, OutputType, SimpleObject, TypeName};
use campaign::page::{Page, Window};

use crate::convert::{self, int};
use crate::status;

/// How long a list is when nobody says, and at most.
pub(crate) const FIRST: i32 = 50;
const FIRST_MAX: i32 = 1000;

#[derive(SimpleObject, Clone, Debug, Default)]
pub(crate) struct PageInfo {
    pub has_next_page: bool,
    pub end_cursor: Option<String>,
    pub has_previous_page: bool,
    pub start_cursor: Option<String>,
}

/// A piece of a list: `totalCount`, `pageInfo` and `nodes`.
pub(crate) struct Connection<T> {
    nodes: Vec<T>,
    info: PageInfo,
    total: u64,
}

impl<T> Connection<T> {
    /// `cursor` is the key of an item, after which the next page begins.
    pub fn new(page: Page<T>, after: bool, cursor: impl Fn(&T) -> String) -> Self {
        let info = PageInfo {
            has_next_page: page.more,
            end_cursor: page.items.last().map(|it| convert::cursor(cursor(it))),
            has_previous_page: after,
            start_cursor: page.items.first().map(|it| convert::cursor(cursor(it))),
        };
        Self { nodes: page.items, info, total: page.total }
    }

    pub fn info(&self) -> &PageInfo {
        &self.info
    }

    pub fn into_nodes(self) -> Vec<T> {
        self.nodes
    }

    /// A list that is whole.
    pub fn whole(nodes: Vec<T>) -> Self {
        let total = nodes.len() as u64;
        Self { nodes, info: PageInfo::default(), total }
    }
}

/// The length that is asked for, and the cursor's key.
pub(crate) fn window<K: std::str::FromStr>(
    first: Option<i32>,
    after: Option<&str>,
) -> Result<Window<K>, Error> {
    Ok(Window { after: convert::from_cursor(after)?, first: length(first)? })
}

pub(crate) fn length(first: Option<i32>) -> Result<usize, Error> {
    let first = first.unwrap_or(FIRST);
    let fine = usize::try_from(first).ok().filter(|_| first <= FIRST_MAX);
    fine.ok_or_else(|| status::bad(format!("`first` is from 0 to {FIRST_MAX}, not {first}")))
}

/// What a page costs against the complexity limit.
pub(crate) fn cost(first: Option<i32>, each: usize) -> usize {
    usize::try_from(first.unwrap_or(FIRST)).unwrap_or(0) * each
}

/// A piece of a list that is in memory, by its place.
pub(crate) fn slice<T>(
    items: Vec<T>,
    first: Option<i32>,
    after: Option<&str>,
) -> Result<(Page<T>, usize), Error> {
    let window: Window<usize> = window(first, after)?;
    let start = window.after.map_or(0, |last| last.saturating_add(1));
    let total = items.len() as u64;
    let more = items.len() > start.saturating_add(window.first);
    let items = items.into_iter().skip(start).take(window.first).collect();
    Ok((Page { items, more, total }, start))
}

impl<T> Connection<T> {
    /// From a list in memory.
    pub fn sliced(items: Vec<T>, first: Option<i32>, after: Option<&str>) -> Result<Self, Error> {
        let (page, start) = slice(items, first, after)?;
        let count = page.items.len();
        let at = |place: usize| Some(convert::cursor(place)).filter(|_| count > 0);
        let info = PageInfo {
            has_next_page: page.more,
            end_cursor: at((start + count).saturating_sub(1)),
            has_previous_page: start > 0,
            start_cursor: at(start),
        };
        Ok(Self { nodes: page.items, info, total: page.total })
    }
}

impl<T: OutputType> TypeName for Connection<T> {
    fn type_name() -> std::borrow::Cow<'static, str> {
        format!("{}Connection", T::type_name()).into()
    }
}

#[Object(name_type)]
impl<T: OutputType> Connection<T> {
    async fn total_count(&self) -> i32 {
        int(self.total)
    }

    async fn page_info(&self) -> PageInfo {
        self.info.clone()
    }

    #[graphql(complexity = "child_complexity")]
    async fn nodes(&self) -> &[T] {
        &self.nodes
    }
}
