//! The only crate with SQL. Each store is a folder with the shape of its siblings.

mod codec;
mod sqlite;

pub use sqlite::{
    OpenError, Sqlite, SqliteCampaigns, SqliteFleet, SqliteHouse, SqliteReader, SqliteStore,
    open as open_sqlite,
};
