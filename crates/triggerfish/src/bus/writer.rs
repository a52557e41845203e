//! The only writer of the log: commits what is waiting in one transaction.

use super::ledger;
use super::recent::Recent;
use super::{Accepted, Identity, Options, Refused};
use crate::event::{Event, Outcome};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use tokio::sync::{Notify, oneshot};

/// Jobs that share one commit, at most.
const GROUP: usize = 512;
/// Jobs that may wait for the writer; senders wait beyond it.
const QUEUE: usize = 8192;
/// How far a source has come: its name, and a mark of its own.
pub type Position = (String, String);

/// Appends between two looks at what can be dropped.
const TRIM_EVERY: u64 = 4096;

pub enum Job {
    Append {
        event: Arc<Event>,
        text: String,
        identity: Option<Identity>,
        position: Option<Position>,
        reply: oneshot::Sender<Result<Accepted, Refused>>,
    },
    /// Moves a watcher's cursor, or drops it.
    Watch {
        name: String,
        seq: Option<u64>,
        reply: oneshot::Sender<Result<(), Refused>>,
    },
    /// Writes what a reader keeps.
    Write {
        lines: Vec<ledger::Write>,
        reply: oneshot::Sender<Result<(), Refused>>,
    },
    Finish {
        outcomes: Vec<(u64, Outcome)>,
        cursor: u64,
        reply: oneshot::Sender<Result<(), Refused>>,
    },
}

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS events(seq INTEGER PRIMARY KEY, id TEXT NOT NULL, namespace TEXT NOT NULL, received INTEGER NOT NULL, event TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS outcomes(seq INTEGER PRIMARY KEY, outcome TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_id ON events(id);
CREATE TABLE IF NOT EXISTS identities(identity TEXT PRIMARY KEY, seq INTEGER NOT NULL, id TEXT NOT NULL, received INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS positions(name TEXT PRIMARY KEY, mark TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cursors(name TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
";

pub fn open(path: &Path) -> rusqlite::Result<Connection> {
    let c = Connection::open(path)?;
    c.pragma_update(None, "journal_mode", "WAL")?;
    c.pragma_update(None, "synchronous", "FULL")?;
    c.pragma_update(None, "wal_autocheckpoint", 4000)?;
    c.set_prepared_statement_cache_capacity(32);
    c.execute_batch(TABLES)?;
    c.execute_batch(ledger::TABLES)?;
    Ok(c)
}

pub struct Handle {
    queue: mpsc::SyncSender<Job>,
}

impl Handle {
    pub async fn send(&self, mut job: Job) -> Result<(), Refused> {
        loop {
            match self.queue.try_send(job) {
                Ok(()) => return Ok(()),
                Err(mpsc::TrySendError::Full(back)) => {
                    job = back;
                    tokio::task::yield_now().await;
                }
                Err(mpsc::TrySendError::Disconnected(_)) => {
                    return Err(Refused::Storage("the event log is closed".into()));
                }
            }
        }
    }
}

struct Writer {
    connection: Connection,
    options: Options,
    next: u64,
    trimmed_at: u64,
    counters: Counters,
    recent: Arc<Recent>,
    arrived: Arc<Notify>,
}

/// What the writer tells about the log.
pub struct Counters {
    /// The newest event's place.
    pub appended: Arc<AtomicU64>,
    /// Rises with every event that was dispatched.
    pub finished: Arc<AtomicU64>,
    /// Rises with every event that a watcher lost.
    pub dropped: Arc<AtomicU64>,
}

/// A job that was carried out inside the transaction, to be answered after the commit.
enum Done {
    Appended(oneshot::Sender<Result<Accepted, Refused>>, Accepted, Arc<Event>, usize),
    Finished(oneshot::Sender<Result<(), Refused>>, u64, u64),
    Watched(oneshot::Sender<Result<(), Refused>>),
}

pub fn start(
    connection: Connection,
    options: Options,
    counters: Counters,
    recent: Arc<Recent>,
    arrived: Arc<Notify>,
) -> Result<Handle, String> {
    let next = counters.appended.load(Ordering::Relaxed) + 1;
    let (queue, inbox) = mpsc::sync_channel(QUEUE);
    let mut writer = Writer { connection, options, next, trimmed_at: next, counters, recent, arrived };
    std::thread::Builder::new()
        .name("bus-store".into())
        .spawn(move || writer.run(&inbox))
        .map_err(|e| format!("cannot start the event log's writer: {e}"))?;
    Ok(Handle { queue })
}

impl Writer {
    fn run(&mut self, inbox: &mpsc::Receiver<Job>) {
        while let Ok(first) = inbox.recv() {
            let mut group = vec![first];
            while group.len() < GROUP {
                match inbox.try_recv() {
                    Ok(more) => group.push(more),
                    Err(_) => break,
                }
            }
            self.commit(group);
            if self.next - self.trimmed_at >= TRIM_EVERY {
                self.trimmed_at = self.next;
                if let Err(e) = self.trim() {
                    tracing::warn!(error = %e, "could not drop old events; it is tried again later");
                }
            }
        }
    }

    fn commit(&mut self, group: Vec<Job>) {
        let start = self.next;
        let mut done = Vec::with_capacity(group.len());
        match self.transaction(group, &mut done) {
            Ok(()) => {
                self.counters.appended.store(self.next - 1, Ordering::Relaxed);
                let mut arrived = false;
                for d in done {
                    match d {
                        Done::Appended(reply, accepted, event, size) => {
                            if !accepted.repeated {
                                arrived = true;
                                self.recent.push(accepted.seq, event, size);
                            }
                            // Whoever waited may be gone; the event stays.
                            let _ = reply.send(Ok(accepted));
                        }
                        Done::Watched(reply) => drop(reply.send(Ok(()))),
                        Done::Finished(reply, count, cursor) => {
                            self.counters.finished.fetch_add(count, Ordering::Relaxed);
                            self.recent.finished(cursor);
                            let _ = reply.send(Ok(()));
                        }
                    }
                }
                if arrived {
                    self.arrived.notify_waiters();
                }
            }
            Err(e) => {
                self.next = start;
                let text = e.to_string();
                tracing::error!(error = %text, "a commit of the event log failed; its events are refused");
                for d in done {
                    match d {
                        Done::Appended(reply, ..) => drop(reply.send(Err(Refused::Storage(text.clone())))),
                        Done::Finished(reply, ..) | Done::Watched(reply) => {
                            drop(reply.send(Err(Refused::Storage(text.clone()))));
                        }
                    }
                }
            }
        }
    }

    fn transaction(&mut self, group: Vec<Job>, done: &mut Vec<Done>) -> rusqlite::Result<()> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let now = jiff::Timestamp::now().as_millisecond();
        let oldest = now - self.options.window.as_millis() as i64;
        let mut failed = None;
        for job in group {
            match job {
                Job::Append { event, text, identity, position, reply } => {
                    let mut accepted = Accepted { seq: self.next, id: event.id.clone(), repeated: false };
                    match append(&tx, &event, &text, identity.as_ref(), self.next, now, oldest) {
                        Ok(None) => self.next += 1,
                        Ok(Some(known)) => accepted = known,
                        Err(e) => failed = Some(e),
                    }
                    if let Some((name, mark)) = position
                        && let Err(e) = tx
                            .prepare_cached("INSERT OR REPLACE INTO positions(name, mark) VALUES(?1, ?2)")
                            .and_then(|mut s| s.execute([name, mark]))
                    {
                        failed = Some(e);
                    }
                    done.push(Done::Appended(reply, accepted, event, text.len()));
                }
                Job::Watch { name, seq, reply } => {
                    let moved = match seq {
                        Some(seq) => tx.execute(
                            "INSERT OR REPLACE INTO cursors(name, seq) VALUES(?1, ?2)",
                            params![name, seq as i64],
                        ),
                        None => tx.execute("DELETE FROM cursors WHERE name = ?1", [name]),
                    };
                    if let Err(e) = moved {
                        failed = Some(e);
                    }
                    done.push(Done::Watched(reply));
                }
                Job::Write { lines, reply } => {
                    if let Some(e) = lines.iter().find_map(|line| ledger::write(&tx, line).err()) {
                        failed = Some(e);
                    }
                    done.push(Done::Watched(reply));
                }
                Job::Finish { outcomes, cursor, reply } => {
                    let count = outcomes.len() as u64;
                    if let Err(e) = finish(&tx, &outcomes, cursor) {
                        failed = Some(e);
                    }
                    done.push(Done::Finished(reply, count, cursor));
                }
            }
        }
        match failed {
            Some(e) => Err(e),
            None => tx.commit(),
        }
    }

    /// Drops events that are too old, too many or too large, and identities outside the window.
    fn trim(&mut self) -> rusqlite::Result<()> {
        let now = jiff::Timestamp::now().as_millisecond();
        let o = &self.options;
        let newest = self.next as i64 - 1;
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let by_count = newest - o.keep_count as i64;
        // Receipt times rise with the sequence, so the scan stops at the first young one.
        let by_age = tx
            .query_row(
                "SELECT seq - 1 FROM events WHERE received >= ?1 ORDER BY seq LIMIT 1",
                [now - o.keep.as_millis() as i64],
                |r| r.get(0),
            )
            .optional()?
            .unwrap_or(newest);
        let by_size = o.keep_bytes.map_or(Ok(0), |keep| too_large(&tx, keep))?;
        let wanted = by_count.max(by_age).max(by_size);
        // What the slowest watcher has not had stays, unless it was said to go; what bindings and alerts
        // have not had stays in any case.
        let held: &str = if o.drop_unread { "WHERE name IN ('dispatch', 'notify')" } else { "" };
        let cursor: i64 =
            tx.query_row(&format!("SELECT coalesce(min(seq), 0) FROM cursors {held}"), [], |r| r.get(0))?;
        let up_to = wanted.min(cursor);
        let lost = if o.drop_unread { skip(&tx, up_to)? } else { Vec::new() };
        tx.execute("DELETE FROM events WHERE seq <= ?1", [up_to])?;
        tx.execute("DELETE FROM outcomes WHERE seq < (SELECT coalesce(min(seq), 0) FROM events)", [])?;
        ledger::trim(&tx)?;
        tx.execute("DELETE FROM identities WHERE received < ?1", [now - o.window.as_millis() as i64])?;
        tx.commit()?;
        for (watcher, count) in lost {
            self.counters.dropped.fetch_add(count as u64, Ordering::Relaxed);
            tracing::warn!(
                watcher,
                count,
                "a watcher lost events that it had not had yet: they were dropped, as the server was told to"
            );
        }
        Ok(())
    }
}

/// Up to which place events have to go for the log to take so many bytes, taking all for equally large.
fn too_large(tx: &rusqlite::Transaction, keep: u64) -> rusqlite::Result<i64> {
    let pragma = |name: &str| tx.query_row(&format!("PRAGMA {name}"), [], |r| r.get::<_, i64>(0));
    let used = (pragma("page_count")? - pragma("freelist_count")?) * pragma("page_size")?;
    let over = used - keep as i64;
    if over <= 0 {
        return Ok(0);
    }
    let (first, count): (i64, i64) =
        tx.query_row("SELECT coalesce(min(seq), 0), count(*) FROM events", [], |r| Ok((r.get(0)?, r.get(1)?)))?;
    Ok(first - 1 + (count as f64 * (over as f64 / used as f64)).ceil() as i64)
}

/// Moves watchers that are behind a place up to it; each one's name, and how many events it has lost.
fn skip(tx: &rusqlite::Transaction, up_to: i64) -> rusqlite::Result<Vec<(String, i64)>> {
    let lost = tx
        .prepare("SELECT name, (SELECT count(*) FROM events WHERE events.seq > cursors.seq AND events.seq <= ?1) FROM cursors WHERE seq < ?1")?
        .query_map([up_to], |r| Ok((r.get(0)?, r.get(1)?)))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    tx.execute("UPDATE cursors SET seq = ?1 WHERE seq < ?1", [up_to])?;
    Ok(lost.into_iter().filter(|(_, n)| *n > 0).collect())
}

/// Stores an event, unless the same one is known: then that one's place.
fn append(
    tx: &rusqlite::Transaction,
    event: &Event,
    text: &str,
    identity: Option<&Identity>,
    seq: u64,
    now: i64,
    oldest: i64,
) -> rusqlite::Result<Option<Accepted>> {
    if let Some(Identity { text: identity, renewed }) = identity {
        let known: Option<(i64, String, i64)> = tx
            .prepare_cached("SELECT seq, id, received FROM identities WHERE identity = ?1")?
            .query_row([identity], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
            .optional()?;
        if let Some((seq, id, received)) = known
            && received >= oldest
            && !renewed
        {
            return Ok(Some(Accepted { seq: seq as u64, id, repeated: true }));
        }
        tx.prepare_cached("INSERT OR REPLACE INTO identities(identity, seq, id, received) VALUES(?1,?2,?3,?4)")?
            .execute(params![identity, seq as i64, event.id, now])?;
    }
    tx.prepare_cached("INSERT INTO events(seq, id, namespace, received, event) VALUES(?1,?2,?3,?4,?5)")?
        .execute(params![seq as i64, event.id, event.namespace, now, text])?;
    Ok(None)
}

fn finish(tx: &rusqlite::Transaction, outcomes: &[(u64, Outcome)], cursor: u64) -> rusqlite::Result<()> {
    for (seq, outcome) in outcomes {
        let text = serde_json::to_string(outcome).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
        tx.prepare_cached("INSERT OR REPLACE INTO outcomes(seq, outcome) VALUES(?1, ?2)")?
            .execute(params![*seq as i64, text])?;
    }
    tx.prepare_cached(
        "INSERT INTO cursors(name, seq) VALUES('dispatch', ?1) ON CONFLICT(name) DO UPDATE SET seq = max(seq, ?1)",
    )?
    .execute([cursor as i64])?;
    Ok(())
}
