//! Lists in pieces.

/// Which piece of a list: what comes after a key, in the list's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window<K> {
    pub after: Option<K>,
    pub first: usize,
}

/// A piece of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// More come after these.
    pub more: bool,
    /// How many there are in all.
    pub total: u64,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { items: Vec::new(), more: false, total: 0 }
    }
}

impl<T> Page<T> {
    /// From a query that asked for one more than `first`.
    pub fn cut(mut items: Vec<T>, first: usize, total: u64) -> Self {
        let more = items.len() > first;
        items.truncate(first);
        Self { items, more, total }
    }

    pub fn map<U>(self, map: impl FnMut(T) -> U) -> Page<U> {
        let items = self.items.into_iter().map(map).collect();
        Page { items, more: self.more, total: self.total }
    }
}
