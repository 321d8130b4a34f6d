//! The embedded store: SQLite with a write-ahead log, full sync, one writer and many readers.

mod blocks;
mod campaigns;
mod fleet;
mod house;
mod labels;
mod load;
mod migrate;
mod read;
mod shared;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

pub use campaigns::SqliteCampaigns;
pub use fleet::SqliteFleet;
pub use house::SqliteHouse;
pub use read::SqliteReader;
pub use write::SqliteStore;

/// The file in the data directory.
const FILE: &str = "phalanx.sqlite";

/// Why a data directory's database cannot be used. Never answered by making an empty one (I37).
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("open the database `{path}`")]
    Open {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error(
        "the database `{path}` has schema {found}, newer than this program's {known}; use the newer program"
    )]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error("order the finished jobs of `{path}`")]
    Blocks {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("`{path}` is a database of another program")]
    Foreign { path: PathBuf },
}

fn configure(connection: &Connection, writer: bool) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    // Plans do not depend on what is bound. Without this a statement whose plan might is compiled again at each use, and that
    // was a fifth of what a task cost.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    if writer {
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "wal_autocheckpoint", 4000)?;
        connection.pragma_update(None, "cache_size", -65_536)?;
    } else {
        connection.pragma_update(None, "query_only", true)?;
    }
    Ok(())
}

/// An open database: the engine's half, its readers, and the campaigns' half.
#[derive(Debug)]
pub struct Sqlite {
    pub jobs: SqliteStore,
    pub reader: SqliteReader,
    pub campaigns: SqliteCampaigns,
    pub fleet: SqliteFleet,
    pub house: SqliteHouse,
}

/// Opens the database of a data directory, making it when the directory has none.
pub fn open(directory: &Path) -> Result<Sqlite, OpenError> {
    let path = directory.join(FILE);
    let fail = |source| OpenError::Open { path: path.clone(), source };
    let mut connection = Connection::open(&path).map_err(fail)?;
    configure(&connection, true).map_err(fail)?;
    migrate::run(&mut connection, &path)?;
    fold(&mut connection).map_err(|source| OpenError::Blocks { path: path.clone(), source })?;
    let connection = Arc::new(Mutex::new(connection));
    let renumbered = Arc::new(AtomicBool::new(false));
    let reader = || SqliteReader::new(path.clone());
    Ok(Sqlite {
        jobs: SqliteStore::new(connection.clone(), renumbered.clone()),
        reader: reader(),
        campaigns: SqliteCampaigns::new(connection.clone(), reader()),
        fleet: SqliteFleet::new(connection.clone(), reader()),
        house: SqliteHouse::new(connection, reader(), renumbered),
    })
}

/// An older program's database has no blocks.
fn fold(connection: &mut Connection) -> Result<(), read::Boxed> {
    loop {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let folded = blocks::fold(&transaction)?;
        transaction.commit()?;
        if folded.is_none() {
            return Ok(());
        }
    }
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    configure(&connection, false)?;
    Ok(connection)
}

/// A pattern for `LIKE … ESCAPE '\'` that finds a part of a text.
fn part(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}
