//! The event log: durable before yes, read by cursor, trimmed by age and size.
//!
//! One SQLite file with one writer that commits what is waiting together. A repeated event (same identity within the
//! window) is recognised by the log itself.

pub mod ledger;
mod recent;
mod waiting;
mod writer;

pub use waiting::Waiting;
pub use writer::Position;

use crate::event::{Event, Outcome};
use recent::Recent;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

#[derive(Debug, Clone)]
pub struct Options {
    /// Repeats of an event within this time are recognised.
    pub window: Duration,
    /// Dispatched events older than this are dropped.
    pub keep: Duration,
    /// Dispatched events beyond this many are dropped, oldest first.
    pub keep_count: u64,
    /// Dispatched events are dropped, oldest first, while the log takes more bytes of the disk. None: no such bound.
    pub keep_bytes: Option<u64>,
    /// These bounds hold also for what a watcher has not had yet; what it loses is counted and said. Events that were not
    /// dispatched to bindings and alerts stay in any case.
    pub drop_unread: bool,
    /// Events that may wait for dispatch; more are refused. None: as many as the disk holds.
    pub queue: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            window: Duration::from_secs(24 * 3600),
            keep: Duration::from_secs(7 * 24 * 3600),
            keep_count: 1_000_000,
            keep_bytes: None,
            drop_unread: false,
            queue: None,
        }
    }
}

/// Milliseconds that a clock may be corrected by without a word.
const CLOCK_SLACK: i64 = 60_000;

/// What a repeat of an event is recognised by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub text: String,
    /// The sender uses it anew: whatever had it before was another event.
    pub renewed: bool,
}

/// An accepted event: where it is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub seq: u64,
    pub id: String,
    /// The same event had been accepted before; nothing new was stored.
    pub repeated: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// As many events wait as may.
    Full,
    /// The disk refused.
    Storage(String),
}

/// An event with its place in the log and what became of it.
#[derive(Debug, Clone)]
pub struct Record {
    pub seq: u64,
    pub event: Arc<Event>,
    pub outcome: Option<Outcome>,
}

pub struct Bus {
    path: PathBuf,
    readers: Mutex<Vec<Connection>>,
    writer: writer::Handle,
    appended: Arc<AtomicU64>,
    finished: Arc<AtomicU64>,
    dropped: Arc<AtomicU64>,
    queue: Option<u64>,
    recent: Arc<Recent>,
    /// Tells those who wait that something was appended.
    pub arrived: Arc<Notify>,
    /// Tells those who act that something is to be tried again.
    pub retried: Notify,
}

impl Bus {
    pub fn open(path: &Path, options: Options) -> Result<Self, String> {
        let fail = |e: rusqlite::Error| format!("cannot open {}: {e}", path.display());
        let connection = writer::open(path).map_err(fail)?;
        let appended: i64 =
            connection.query_row("SELECT coalesce(max(seq), 0) FROM events", [], |r| r.get(0)).map_err(fail)?;
        let waiting: i64 = connection.query_row("SELECT count(*) FROM events WHERE seq > (SELECT coalesce(max(seq), 0) FROM cursors WHERE name='dispatch')", [], |r| r.get(0)).map_err(fail)?;
        let newest: i64 = connection
            .query_row(
                "SELECT coalesce(max(received), 0) FROM (SELECT received FROM events ORDER BY seq DESC LIMIT 1)",
                [],
                |r| r.get(0),
            )
            .map_err(fail)?;
        let behind = newest - jiff::Timestamp::now().as_millisecond();
        if behind > CLOCK_SLACK {
            tracing::warn!(
                minutes = behind / 60_000,
                "the clock is behind the newest event: it was set back; events go on in their order, tokens issued since then are not valid yet"
            );
        }
        let appended = Arc::new(AtomicU64::new(appended as u64));
        // Counted from the start, so that appended − finished is what waits.
        let finished = Arc::new(AtomicU64::new(appended.load(Ordering::Relaxed) - waiting as u64));
        let arrived = Arc::new(Notify::new());
        let recent = Arc::new(Recent::default());
        let dropped = Arc::default();
        let counters =
            writer::Counters { appended: appended.clone(), finished: finished.clone(), dropped: Arc::clone(&dropped) };
        let writer = writer::start(connection, options.clone(), counters, recent.clone(), arrived.clone())?;
        Ok(Self {
            path: path.into(),
            readers: Mutex::default(),
            writer,
            appended,
            finished,
            dropped,
            queue: options.queue,
            recent,
            arrived,
            retried: Notify::new(),
        })
    }

    /// Events accepted and not yet dispatched.
    pub fn waiting(&self) -> u64 {
        self.appended.load(Ordering::Relaxed).saturating_sub(self.finished.load(Ordering::Relaxed))
    }

    /// Events that watchers lost to the bounds of the log since the start, each counted for each watcher.
    pub fn dropped_unread(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub fn accepted(&self) -> u64 {
        self.appended.load(Ordering::Relaxed)
    }

    /// Stores an event; it is on disk when this returns. `identity` is the sender's own, if it gave one.
    pub async fn append(&self, event: Event, identity: Option<String>) -> Result<Accepted, Refused> {
        self.append_at(event, identity.map(|text| Identity { text, renewed: false }), None).await
    }

    /// Stores an event, and in the same commit how far its source has come.
    pub async fn append_at(
        &self,
        event: Event,
        identity: Option<Identity>,
        position: Option<Position>,
    ) -> Result<Accepted, Refused> {
        if self.queue.is_some_and(|q| self.waiting() >= q) {
            return Err(Refused::Full);
        }
        let (reply, answer) = oneshot::channel();
        let text = serde_json::to_string(&event).map_err(|e| Refused::Storage(e.to_string()))?;
        self.writer.send(writer::Job::Append { event: Arc::new(event), text, identity, position, reply }).await?;
        answer.await.unwrap_or_else(|_| Err(Refused::Storage("the event log is closed".into())))
    }

    /// Records what became of events and moves the dispatch cursor to `cursor`.
    pub async fn finish(&self, outcomes: Vec<(u64, Outcome)>, cursor: u64) -> Result<(), Refused> {
        let (reply, answer) = oneshot::channel();
        self.writer.send(writer::Job::Finish { outcomes, cursor, reply }).await?;
        answer.await.unwrap_or_else(|_| Err(Refused::Storage("the event log is closed".into())))
    }

    fn read<T>(&self, f: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, String> {
        let pooled = self.readers.lock().unwrap_or_else(|e| e.into_inner()).pop();
        let connection = match pooled {
            Some(c) => c,
            None => Connection::open_with_flags(
                &self.path,
                OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            )
            .map_err(|e| e.to_string())?,
        };
        let out = f(&connection).map_err(|e| e.to_string());
        let mut pool = self.readers.lock().unwrap_or_else(|e| e.into_inner());
        if pool.len() < 4 {
            pool.push(connection);
        }
        out
    }

    /// How far a source had come.
    pub fn position(&self, name: &str) -> Result<Option<String>, String> {
        self.read(|c| c.query_row("SELECT mark FROM positions WHERE name=?1", [name], |r| r.get(0)).optional())
    }

    /// Where dispatching goes on.
    pub fn cursor(&self) -> Result<u64, String> {
        self.cursor_of("dispatch").map(|v| v.unwrap_or(0))
    }

    /// Where a watcher goes on; none when it is new.
    pub fn cursor_of(&self, name: &str) -> Result<Option<u64>, String> {
        self.read(|c| c.query_row("SELECT seq FROM cursors WHERE name=?1", [name], |r| r.get::<_, i64>(0)).optional())
            .map(|v| v.map(|seq| seq as u64))
    }

    /// The watchers whose names begin like this.
    pub fn watchers(&self, prefix: &str) -> Result<Vec<String>, String> {
        let all: Vec<String> =
            self.read(|c| c.prepare_cached("SELECT name FROM cursors")?.query_map([], |r| r.get(0))?.collect())?;
        Ok(all.into_iter().filter(|n| n.starts_with(prefix)).collect())
    }

    /// Moves a watcher's cursor: events up to `seq` need not be kept for it. Without one it watches no more.
    pub async fn watch(&self, name: &str, seq: Option<u64>) -> Result<(), Refused> {
        let (reply, answer) = oneshot::channel();
        self.writer.send(writer::Job::Watch { name: name.to_owned(), seq, reply }).await?;
        answer.await.unwrap_or_else(|_| Err(Refused::Storage("the event log is closed".into())))
    }

    /// Events after a place that came through a gateway, oldest first, and the place up to which was looked.
    pub fn of_gateway(
        &self,
        namespace: &str,
        gateway: &str,
        after: u64,
        limit: usize,
    ) -> Result<(Vec<Record>, u64), String> {
        let mut found = self.pending(after, limit)?;
        let end = found.last().map_or(after, |r| r.seq);
        found.retain(|r| {
            r.event.namespace == namespace && r.event.origin.as_ref().is_some_and(|o| o.gateway == gateway && !o.copy)
        });
        Ok((found, end))
    }

    /// Events after a place that have not been dispatched, oldest first.
    pub fn pending(&self, after: u64, limit: usize) -> Result<Vec<Record>, String> {
        if after >= self.accepted() {
            return Ok(Vec::new());
        }
        if let Some(found) = self.recent.after(after, limit) {
            return Ok(found);
        }
        self.read(|c| {
            let mut s = c.prepare_cached("SELECT seq, event, NULL FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
            s.query_map([after as i64, limit as i64], record)?.collect()
        })
    }

    /// The newest events, newest first; those before `before` if it is given.
    pub fn list(&self, namespace: Option<&str>, before: Option<u64>, limit: usize) -> Result<Vec<Record>, String> {
        let before = before.map_or(i64::MAX, |b| b as i64);
        self.read(|c| {
            let mut s = c.prepare_cached("SELECT seq, event, outcomes.outcome FROM events LEFT JOIN outcomes USING (seq) WHERE seq < ?1 AND (?2 IS NULL OR namespace = ?2) ORDER BY seq DESC LIMIT ?3")?;
            s.query_map(params![before, namespace, limit as i64], record)?.collect()
        })
    }

    pub fn get(&self, id: &str) -> Result<Option<Record>, String> {
        self.read(|c| c.prepare_cached("SELECT seq, event, outcomes.outcome FROM events LEFT JOIN outcomes USING (seq) WHERE id = ?1 ORDER BY seq DESC LIMIT 1")?.query_row([id], record).optional())
    }
}

fn record(r: &rusqlite::Row) -> rusqlite::Result<Record> {
    let wrong = |i: usize, e: serde_json::Error| {
        rusqlite::Error::FromSqlConversionFailure(i, rusqlite::types::Type::Text, Box::new(e))
    };
    let event: String = r.get(1)?;
    let outcome: Option<String> = r.get(2)?;
    Ok(Record {
        seq: r.get::<_, i64>(0)? as u64,
        event: Arc::new(serde_json::from_str(&event).map_err(|e| wrong(1, e))?),
        outcome: outcome.map(|o| serde_json::from_str(&o)).transpose().map_err(|e| wrong(2, e))?,
    })
}
