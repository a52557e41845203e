//! Objects on disk: one SQLite table of versions, one of current objects, one writer, many readers.
//!
//! Every accepted write is durable (WAL, `synchronous=FULL`) before its caller hears of it. Superseded versions are kept
//! for watches and consistent paging, and compacted when there are more than `history` of them.

mod recent;
mod schema;
pub mod watch;
mod writer;

use crate::object::Key;
use crate::status::Status;
use bytes::Bytes;
use recent::Recent;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use watch::Hub;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Added,
    Modified,
    Deleted,
}

impl Change {
    fn code(self) -> i64 {
        match self {
            Change::Added => 1,
            Change::Modified => 2,
            Change::Deleted => 3,
        }
    }
    fn from_code(code: i64) -> Self {
        match code {
            1 => Change::Added,
            2 => Change::Modified,
            _ => Change::Deleted,
        }
    }
}

/// Stands in the owner index for "is being deleted": such objects are found without looking at all of them.
pub const DELETING: &str = "!deleting";

/// An object as it is stored: its version and its JSON, `metadata.resourceVersion` included.
#[derive(Debug, Clone)]
pub struct Stored {
    pub rv: u64,
    pub json: Bytes,
}

impl Stored {
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.json).unwrap_or(Value::Null)
    }
}

/// What a write expects to find; anything else is a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    Absent,
    Version(u64),
}

#[derive(Debug)]
pub enum WriteError {
    /// The object exists, is gone, or has another version than expected.
    Conflict,
    /// The disk refused: full, read-only, broken.
    Storage(String),
    /// The object is larger than may be stored.
    TooLarge,
}

/// Largest stored object, in bytes; the same as the original's limit.
const MAX_OBJECT: usize = 1_572_864;

impl WriteError {
    /// As who asked hears of it; a conflict is better told by who knows what was expected.
    pub fn status(&self) -> Status {
        match self {
            WriteError::Conflict => Status::new(
                409,
                "Conflict",
                "the object has been modified; please apply your changes to the latest version and try again",
            ),
            WriteError::Storage(why) => Status::internal(format!(
                "the data directory refused the write ({why}); free space or mend the disk, then try again"
            )),
            WriteError::TooLarge => Status::too_large(MAX_OBJECT),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Options {
    /// Superseded versions kept for watches and paging.
    pub history: u64,
    /// Events a watcher may lag behind before it is dropped with 410.
    pub watch_buffer: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { history: 20_000, watch_buffer: 4_096 }
    }
}

/// A page of objects and where the next one starts.
#[derive(Debug)]
pub struct Page {
    pub items: Vec<Stored>,
    /// The version that the whole page reflects.
    pub rv: u64,
    /// The last key of the page, if more follow.
    pub next: Option<(String, String)>,
    pub remaining: u64,
}

/// Which objects a list asks for.
#[derive(Debug, Clone, Default)]
pub struct Range<'a> {
    pub resource: &'a str,
    /// Empty: every namespace.
    pub namespace: &'a str,
    /// Only this name.
    pub name: Option<&'a str>,
    /// At most so many; 0 is all.
    pub limit: usize,
    pub after: Option<(String, String)>,
    /// An older version of the collection.
    pub at: Option<u64>,
}

pub struct Store {
    path: PathBuf,
    readers: Mutex<Vec<Connection>>,
    writer: writer::Handle,
    committed: Arc<AtomicU64>,
    compacted: Arc<AtomicU64>,
    recent: Arc<Recent>,
    pub hub: Arc<Hub>,
}

impl Store {
    pub fn open(path: &Path, options: Options) -> Result<Self, String> {
        let connection = schema::open(path).map_err(|e| format!("cannot open {}: {e}", path.display()))?;
        let committed = Arc::new(AtomicU64::new(0));
        let compacted = Arc::new(AtomicU64::new(0));
        let hub = Arc::new(Hub::new(options.watch_buffer));
        let recent = Arc::new(Recent::default());
        let shared = writer::Shared {
            committed: committed.clone(),
            compacted: compacted.clone(),
            recent: recent.clone(),
            hub: hub.clone(),
        };
        let writer = writer::start(connection, options.history, shared)
            .map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        Ok(Self { path: path.into(), readers: Mutex::new(Vec::new()), writer, committed, compacted, recent, hub })
    }

    /// The newest version that is on disk.
    pub fn version(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// Watches and pages can start at this version or later.
    pub fn oldest(&self) -> u64 {
        self.compacted.load(Ordering::Acquire)
    }

    fn read<T>(&self, f: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Status> {
        let pooled = self.readers.lock().unwrap_or_else(|e| e.into_inner()).pop();
        let connection = match pooled {
            Some(c) => c,
            None => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let c = Connection::open_with_flags(&self.path, flags).map_err(Status::internal)?;
                c.set_prepared_statement_cache_capacity(32);
                c.busy_timeout(std::time::Duration::from_secs(5)).map_err(Status::internal)?;
                c
            }
        };
        let result = f(&connection).map_err(Status::internal);
        let mut pool = self.readers.lock().unwrap_or_else(|e| e.into_inner());
        if pool.len() < 8 {
            pool.push(connection);
        }
        result
    }

    pub fn get(&self, key: &Key) -> Result<Option<Stored>, Status> {
        let unknown = match self.recent.get(key) {
            Ok(found) => return Ok(Some(found)),
            Err(since) => since,
        };
        let found = self.read(|c| {
            c.prepare_cached(
                "SELECT v.rv, v.data FROM objects o JOIN versions v ON v.rv = o.rv WHERE o.resource=?1 AND o.namespace=?2 AND o.name=?3",
            )?
            .query_row(params![key.resource, key.namespace, key.name], stored)
            .optional()
        })?;
        if let Some(stored) = &found {
            self.recent.found(key, stored, unknown);
        }
        Ok(found)
    }

    pub fn list(&self, range: &Range) -> Result<Page, Status> {
        self.read(|c| {
            // One read transaction: the page and the version it reflects belong together.
            let tx = c.unchecked_transaction()?;
            let newest: i64 = tx.prepare_cached("SELECT coalesce(max(rv), 0) FROM versions")?.query_row([], |r| r.get(0))?;
            let rv = range.at.unwrap_or((newest as u64).max(self.compacted.load(Ordering::Acquire)));
            let (after_ns, after_name) = range.after.clone().unwrap_or_default();
            let limit = if range.limit == 0 { -1 } else { range.limit as i64 + 1 };
            let sql = match range.at {
                None => {
                    "SELECT v.rv, v.data, o.namespace, o.name FROM objects o JOIN versions v ON v.rv = o.rv
                     WHERE o.resource=?1 AND (?2='' OR o.namespace=?2) AND (?3 IS NULL OR o.name=?3)
                       AND (o.namespace, o.name) > (?4, ?5) AND ?6=?6 ORDER BY o.namespace, o.name LIMIT ?7"
                }
                Some(_) => {
                    "SELECT v.rv, v.data, v.namespace, v.name FROM versions v JOIN
                       (SELECT max(rv) AS rv FROM versions WHERE resource=?1 AND (?2='' OR namespace=?2) AND (?3 IS NULL OR name=?3)
                          AND (namespace, name) > (?4, ?5) AND rv <= ?6 GROUP BY namespace, name) m ON m.rv = v.rv
                     WHERE v.change <> 3 ORDER BY v.namespace, v.name LIMIT ?7"
                }
            };
            let mut statement = tx.prepare_cached(sql)?;
            let mut rows = statement.query(params![range.resource, range.namespace, range.name, after_ns, after_name, rv as i64, limit])?;
            let (mut items, mut last, mut next) = (Vec::new(), None, None);
            while let Some(row) = rows.next()? {
                if range.limit > 0 && items.len() == range.limit {
                    next = last.clone();
                    break;
                }
                items.push(stored(row)?);
                last = Some((row.get(2)?, row.get(3)?));
            }
            let remaining = match &next {
                None => 0,
                Some((ns, name)) => tx
                    .prepare_cached("SELECT count(*) FROM objects WHERE resource=?1 AND (?2='' OR namespace=?2) AND (namespace, name) > (?3, ?4)")?
                    .query_row(params![range.resource, range.namespace, ns, name], |r| r.get::<_, i64>(0))? as u64,
            };
            drop(rows);
            drop(statement);
            // A rollback would make the connection prepare all its statements again.
            tx.commit()?;
            Ok(Page { items, rv, next, remaining })
        })
    }

    /// Changes of a resource after `since`, oldest first, at most `limit`.
    pub fn changes(&self, resource: &str, since: u64, limit: usize) -> Result<Vec<Arc<watch::Event>>, Status> {
        self.read(|c| {
            let mut statement = c.prepare_cached(
                "SELECT v.rv, v.change, v.namespace, v.name, v.data, p.data FROM versions v LEFT JOIN versions p ON p.rv = v.prev
                 WHERE v.resource=?1 AND v.rv > ?2 ORDER BY v.rv LIMIT ?3",
            )?;
            let rows = statement.query_map(params![resource, since as i64, limit as i64], |r| {
                let previous: Option<Vec<u8>> = r.get(5)?;
                let change = Change::from_code(r.get(1)?);
                let json = Bytes::from(r.get::<_, Vec<u8>>(4)?);
                Ok(Arc::new(watch::Event::new(r.get::<_, i64>(0)? as u64, change, r.get(2)?, r.get(3)?, json, previous.map(Bytes::from))))
            })?;
            rows.collect()
        })
    }

    /// Objects that name `uid` as an owner.
    pub fn dependents(&self, uid: &str) -> Result<Vec<Key>, Status> {
        self.read(|c| {
            let mut statement = c.prepare_cached("SELECT resource, namespace, name FROM owners WHERE owner=?1")?;
            let rows = statement
                .query_map([uid], |r| Ok(Key { resource: r.get(0)?, namespace: r.get(1)?, name: r.get(2)? }))?;
            rows.collect()
        })
    }

    /// Every owner that is named by an object, with the object.
    pub fn owned(&self) -> Result<Vec<(String, Key)>, Status> {
        self.read(|c| {
            let mut statement = c.prepare_cached("SELECT owner, resource, namespace, name FROM owners")?;
            let rows = statement.query_map([], |r| {
                Ok((r.get(0)?, Key { resource: r.get(1)?, namespace: r.get(2)?, name: r.get(3)? }))
            })?;
            rows.collect()
        })
    }

    /// Resources that hold an object in a namespace.
    pub fn resources_in(&self, namespace: &str) -> Result<Vec<String>, Status> {
        self.read(|c| {
            let mut statement = c.prepare_cached("SELECT DISTINCT resource FROM objects WHERE namespace=?1")?;
            let rows = statement.query_map([namespace], |r| r.get(0))?;
            rows.collect()
        })
    }

    /// Creates or replaces an object; the answer carries its new version once it is on disk.
    pub async fn put(&self, key: Key, expect: Expect, object: Value) -> Result<Stored, WriteError> {
        self.writer.submit(key, expect, Some(object)).await
    }

    /// Removes an object; `last` is what watchers see of it.
    pub async fn remove(&self, key: Key, expect: Expect, last: Value) -> Result<Stored, WriteError> {
        self.writer.submit_removal(key, expect, last).await
    }
}

fn stored(row: &rusqlite::Row) -> rusqlite::Result<Stored> {
    Ok(Stored { rv: row.get::<_, i64>(0)? as u64, json: Bytes::from(row.get::<_, Vec<u8>>(1)?) })
}
