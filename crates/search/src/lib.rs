//! The search language of scope queries: text becomes a [`Query`], a [`Query`] becomes a [`Plan`], and a [`Plan`] says what it
//! finds in a [`Repository`].
//!
//! It must not know where repositories come from: no network, no disk, no clock. A query is hostile input, so that every
//! step is bounded by the constants of [`limit`].

mod error;
mod language;
mod lex;
pub mod limit;
mod matches;
mod parse;
mod plan;
mod predicate;
mod regexp;
mod syntax;

pub use error::{Error, ErrorKind, Position, Span};
pub use language::Language;
pub use matches::{FileMatch, LineRange, Repository, RepositoryMatch, evaluate, evaluate_all};
pub use parse::parse;
pub use plan::{
    FileFilter, Flag, Leaf, PatternTree, Plan, RepositoryFilter, Revision, Scope, Select,
    SimpleQuery, Types, Visibility, plan,
};
pub use regexp::Matcher;
pub use syntax::{
    Field, Filter, Node, Pattern, PatternSyntax, PatternType, Place, Predicate, Query, Value,
};
