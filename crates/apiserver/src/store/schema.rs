//! The tables, and how a connection for writing is opened.

use rusqlite::Connection;
use std::path::Path;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS versions(
    rv INTEGER PRIMARY KEY, change INTEGER NOT NULL, prev INTEGER NOT NULL,
    resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, data BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS versions_of ON versions(resource, namespace, name, rv);
CREATE TABLE IF NOT EXISTS objects(
    resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, rv INTEGER NOT NULL,
    PRIMARY KEY(resource, namespace, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS owners(
    owner TEXT NOT NULL, resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    PRIMARY KEY(owner, resource, namespace, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
";

pub fn open(path: &Path) -> rusqlite::Result<Connection> {
    let c = Connection::open(path)?;
    c.pragma_update(None, "journal_mode", "WAL")?;
    c.pragma_update(None, "synchronous", "FULL")?;
    c.pragma_update(None, "wal_autocheckpoint", 4000)?;
    c.set_prepared_statement_cache_capacity(32);
    c.execute_batch(TABLES)?;
    Ok(c)
}
