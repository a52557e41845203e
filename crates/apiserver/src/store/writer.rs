//! The only writer: takes what is waiting, commits it in one transaction, then tells callers and watchers.

use super::recent::Recent;
use super::watch::{Event, Hub};
use super::{Change, Expect, MAX_OBJECT, Stored, WriteError};
use crate::object::{self, Key};
use crate::write::contains;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use tokio::sync::oneshot;

/// Writes that share one commit, at most.
const GROUP: usize = 512;
/// Writes that may wait for the writer; beyond it callers wait.
const QUEUE: usize = 4096;

struct Write {
    key: Key,
    expect: Expect,
    object: Value,
    remove: bool,
    reply: oneshot::Sender<Result<Stored, WriteError>>,
}

pub struct Handle {
    queue: mpsc::SyncSender<Write>,
}

impl Handle {
    pub async fn submit(&self, key: Key, expect: Expect, object: Option<Value>) -> Result<Stored, WriteError> {
        self.send(key, expect, object.unwrap_or(Value::Null), false).await
    }

    pub async fn submit_removal(&self, key: Key, expect: Expect, last: Value) -> Result<Stored, WriteError> {
        self.send(key, expect, last, true).await
    }

    async fn send(&self, key: Key, expect: Expect, object: Value, remove: bool) -> Result<Stored, WriteError> {
        let (reply, answer) = oneshot::channel();
        let mut write = Write { key, expect, object, remove, reply };
        loop {
            match self.queue.try_send(write) {
                Ok(()) => break,
                Err(mpsc::TrySendError::Full(back)) => {
                    write = back;
                    tokio::task::yield_now().await;
                }
                Err(mpsc::TrySendError::Disconnected(_)) => {
                    return Err(WriteError::Storage("the store is closed".into()));
                }
            }
        }
        answer.await.unwrap_or_else(|_| Err(WriteError::Storage("the store is closed".into())))
    }
}

/// What the writer tells readers and watchers.
pub struct Shared {
    pub committed: Arc<AtomicU64>,
    pub compacted: Arc<AtomicU64>,
    pub recent: Arc<Recent>,
    pub hub: Arc<Hub>,
}

struct Writer {
    connection: Connection,
    history: u64,
    next: u64,
    shared: Shared,
}

/// What a write did, once the transaction it belongs to is on disk.
type Done = (oneshot::Sender<Result<Stored, WriteError>>, Result<(Stored, String, Arc<Event>), WriteError>);

pub fn start(connection: Connection, history: u64, shared: Shared) -> rusqlite::Result<Handle> {
    let newest: i64 = connection.query_row("SELECT coalesce(max(rv), 0) FROM versions", [], |r| r.get(0))?;
    let oldest: Option<i64> =
        connection.query_row("SELECT value FROM meta WHERE key='compacted'", [], |r| r.get(0)).optional()?;
    let oldest = oldest.unwrap_or(0) as u64;
    // Deletions leave the table when compacted, so the counter may be ahead of the newest row.
    let newest = (newest as u64).max(oldest).max(1);
    shared.committed.store(newest, Ordering::Release);
    shared.compacted.store(oldest, Ordering::Release);
    let (queue, inbox) = mpsc::sync_channel(QUEUE);
    let mut writer = Writer { connection, history, next: newest + 1, shared };
    std::thread::Builder::new()
        .name("api-store".into())
        .spawn(move || writer.run(&inbox))
        .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
    Ok(Handle { queue })
}

impl Writer {
    fn run(&mut self, inbox: &mpsc::Receiver<Write>) {
        while let Ok(first) = inbox.recv() {
            let mut group = vec![first];
            while group.len() < GROUP {
                match inbox.try_recv() {
                    Ok(more) => group.push(more),
                    Err(_) => break,
                }
            }
            self.commit(group);
            if self.next - self.shared.compacted.load(Ordering::Relaxed) > self.history * 2
                && let Err(e) = self.compact()
            {
                tracing::warn!(error = %e, "could not compact the history of the store; it is tried again after the next write");
            }
        }
    }

    fn commit(&mut self, group: Vec<Write>) {
        let start = self.next;
        let mut done: Vec<Done> = Vec::with_capacity(group.len());
        let result = self.transaction(group, &mut done);
        match result {
            Ok(()) => {
                let entries = done.iter().filter_map(|(_, outcome)| {
                    let (stored, resource, event) = outcome.as_ref().ok()?;
                    let removed = event.change == Change::Deleted;
                    Some((Key::new(resource, &event.namespace, &event.name), (!removed).then(|| stored.clone())))
                });
                self.shared.recent.committed(entries);
                self.shared.committed.store(self.next - 1, Ordering::Release);
                for (reply, outcome) in done {
                    let answer = outcome.map(|(stored, resource, event)| {
                        self.shared.hub.publish(&resource, &event);
                        stored
                    });
                    // A caller that went away no longer wants its answer.
                    let _ = reply.send(answer);
                }
            }
            Err(e) => {
                self.next = start;
                let text = e.to_string();
                tracing::error!(error = %text, "a commit of the store failed; its writes are refused");
                for (reply, _) in done {
                    let _ = reply.send(Err(WriteError::Storage(text.clone())));
                }
            }
        }
    }

    fn transaction(&mut self, group: Vec<Write>, done: &mut Vec<Done>) -> rusqlite::Result<()> {
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut failed = None;
        for write in group {
            if failed.is_some() {
                done.push((write.reply, Err(WriteError::Conflict)));
                continue;
            }
            match apply(&tx, self.next, write.key, write.expect, write.object, write.remove) {
                Ok(outcome) => {
                    self.next += u64::from(outcome.is_ok());
                    done.push((write.reply, outcome));
                }
                Err(e) => {
                    failed = Some(e);
                    done.push((write.reply, Err(WriteError::Conflict)));
                }
            }
        }
        match failed {
            Some(e) => Err(e),
            None => tx.commit(),
        }
    }

    /// Drops versions that were superseded more than `history` versions ago.
    fn compact(&mut self) -> rusqlite::Result<()> {
        let from = self.shared.compacted.load(Ordering::Relaxed) as i64;
        let to = (self.next - 1 - self.history) as i64;
        let tx = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute(
            "DELETE FROM versions WHERE rv IN (SELECT prev FROM versions WHERE rv > ?1 AND rv <= ?2)",
            [from, to],
        )?;
        tx.execute("DELETE FROM versions WHERE rv > ?1 AND rv <= ?2 AND change = 3", [from, to])?;
        tx.execute("INSERT OR REPLACE INTO meta(key, value) VALUES('compacted', ?1)", [to])?;
        tx.commit()?;
        self.shared.compacted.store(to as u64, Ordering::Release);
        Ok(())
    }
}

/// What a write left: the object, its key, and what watchers are told.
type Applied = (Stored, String, Arc<Event>);

/// One write inside the transaction; the inner error leaves the transaction as it was.
fn apply(
    tx: &rusqlite::Transaction,
    rv: u64,
    key: Key,
    expect: Expect,
    mut value: Value,
    remove: bool,
) -> rusqlite::Result<Result<Applied, WriteError>> {
    let current: Option<i64> = tx
        .prepare_cached("SELECT rv FROM objects WHERE resource=?1 AND namespace=?2 AND name=?3")?
        .query_row(params![key.resource, key.namespace, key.name], |r| r.get(0))
        .optional()?;
    match (expect, current) {
        (Expect::Absent, None) => {}
        (Expect::Version(want), Some(have)) if want == have as u64 => {}
        _ => return Ok(Err(WriteError::Conflict)),
    }
    object::set_meta(&mut value, "resourceVersion", rv.to_string());
    let json =
        Bytes::from(serde_json::to_vec(&value).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?);
    if json.len() > MAX_OBJECT && !remove {
        return Ok(Err(WriteError::TooLarge));
    }
    let change = match (remove, current) {
        (true, _) => Change::Deleted,
        (false, None) => Change::Added,
        (false, Some(_)) => Change::Modified,
    };
    let previous: Option<Vec<u8>> = match current {
        None => None,
        Some(prev) => {
            tx.prepare_cached("SELECT data FROM versions WHERE rv=?1")?.query_row([prev], |r| r.get(0)).optional()?
        }
    };
    tx.prepare_cached(
        "INSERT INTO versions(rv, change, prev, resource, namespace, name, data) VALUES(?1,?2,?3,?4,?5,?6,?7)",
    )?
    .execute(params![
        rv as i64,
        change.code(),
        current.unwrap_or(0),
        key.resource,
        key.namespace,
        key.name,
        &json[..]
    ])?;
    if remove {
        tx.prepare_cached("DELETE FROM objects WHERE resource=?1 AND namespace=?2 AND name=?3")?.execute(params![
            key.resource,
            key.namespace,
            key.name
        ])?;
    } else {
        tx.prepare_cached("INSERT OR REPLACE INTO objects(resource, namespace, name, rv) VALUES(?1,?2,?3,?4)")?
            .execute(params![key.resource, key.namespace, key.name, rv as i64])?;
    }
    own(tx, &key, &value, previous.as_deref(), remove)?;
    let event = Event::new(rv, change, key.namespace, key.name, json.clone(), previous.map(Bytes::from));
    Ok(Ok((Stored { rv, json }, key.resource, Arc::new(event))))
}

/// Keeps the owner index in step with `metadata.ownerReferences`.
fn own(
    tx: &rusqlite::Transaction,
    key: &Key,
    value: &Value,
    previous: Option<&[u8]>,
    remove: bool,
) -> rusqlite::Result<()> {
    let uids = |v: &Value| {
        let mut out: Vec<String> = object::owners(v).map(|o| object::text(o, &["uid"]).to_owned()).collect();
        if object::is_deleting(v) {
            out.push(super::DELETING.to_owned());
        }
        out
    };
    let before = match previous {
        // Parsing is skipped for the many objects without owners.
        Some(p) if contains(p, b"\"ownerReferences\"") || contains(p, b"\"deletionTimestamp\"") => {
            serde_json::from_slice(p).map(|v: Value| uids(&v)).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    let after = if remove { Vec::new() } else { uids(value) };
    for gone in before.iter().filter(|u| !after.contains(u)) {
        tx.prepare_cached("DELETE FROM owners WHERE owner=?1 AND resource=?2 AND namespace=?3 AND name=?4")?
            .execute(params![gone, key.resource, key.namespace, key.name])?;
    }
    for new in after.iter().filter(|u| !before.contains(u)) {
        tx.prepare_cached("INSERT OR IGNORE INTO owners(owner, resource, namespace, name) VALUES(?1,?2,?3,?4)")?
            .execute(params![new, key.resource, key.namespace, key.name])?;
    }
    Ok(())
}
