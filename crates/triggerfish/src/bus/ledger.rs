//! What those who read the log keep beside it: how far they are, what they hold, what they still have to do, and what became
//! of each event for them. Everything that belongs together is written in one commit.

use super::{Bus, Refused, writer};
use rusqlite::{Connection, Row, params};
use serde_json::Value;
use tokio::sync::oneshot;

/// Actions that were given up are kept up to this many; beyond it the oldest go.
pub const DEAD: u64 = 100_000;

pub const TABLES: &str = "
CREATE TABLE IF NOT EXISTS rounds(owner TEXT NOT NULL, part TEXT NOT NULL, dependency TEXT NOT NULL, event TEXT NOT NULL, PRIMARY KEY(owner, part, dependency)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS actions(number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, part TEXT NOT NULL, seq INTEGER NOT NULL, events TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL, result TEXT NOT NULL, changed TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS actions_state ON actions(state, owner);
CREATE INDEX IF NOT EXISTS actions_seq ON actions(seq);
CREATE TABLE IF NOT EXISTS watched(seq INTEGER NOT NULL, watcher TEXT NOT NULL, outcome TEXT NOT NULL, PRIMARY KEY(seq, watcher)) WITHOUT ROWID;
";

/// One line of what a reader writes.
#[derive(Debug, Clone)]
pub enum Write {
    /// It has read so far.
    Cursor { name: String, seq: u64 },
    /// A source has come so far.
    Position { name: String, mark: String },
    /// A part of it holds this event for a dependency.
    Hold { owner: String, part: String, dependency: String, event: String },
    /// A part of it holds nothing any more.
    Release { owner: String, part: String },
    /// Something is to be done.
    Act(Action),
    /// What became of an action.
    Settle { id: String, state: State, attempts: u32, result: String },
    /// An action is done with these events.
    Rewrite { id: String, events: String },
    /// What an event was to it.
    Watched { seq: u64, watcher: String, outcome: Value },
    /// It is gone: nothing of it is kept but what it has done.
    Forget { owner: String },
}

/// How an action is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is tried, for the first time or again.
    Waiting,
    Done,
    /// It was given up, and waits for somebody to look at it.
    Dead,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Done => "done",
            State::Dead => "dead",
        }
    }
    fn named(name: &str) -> Self {
        match name {
            "done" => State::Done,
            "dead" => State::Dead,
            _ => State::Waiting,
        }
    }
}

/// Something that a trigger has to do, with the events that it fired with.
#[derive(Debug, Clone)]
pub struct Action {
    /// It follows from what caused it: the same cause is the same action.
    pub id: String,
    /// The reader: a sensor's uid.
    pub owner: String,
    pub namespace: String,
    /// The reader's name.
    pub name: String,
    /// The trigger.
    pub part: String,
    /// The place of the event that completed the round.
    pub seq: u64,
    /// By dependency, as JSON.
    pub events: String,
    pub state: State,
    pub attempts: u32,
    /// What it made, or why it failed the last time.
    pub result: String,
    /// RFC 3339.
    pub changed: String,
}

const COLUMNS: &str = "id, owner, namespace, name, part, seq, events, state, attempts, result, changed";

fn action(r: &Row) -> rusqlite::Result<Action> {
    Ok(Action {
        id: r.get(0)?,
        owner: r.get(1)?,
        namespace: r.get(2)?,
        name: r.get(3)?,
        part: r.get(4)?,
        seq: r.get::<_, i64>(5)? as u64,
        events: r.get(6)?,
        state: State::named(&r.get::<_, String>(7)?),
        attempts: r.get(8)?,
        result: r.get(9)?,
        changed: r.get(10)?,
    })
}

pub fn write(c: &Connection, w: &Write) -> rusqlite::Result<()> {
    match w {
        Write::Cursor { name, seq } => {
            c.prepare_cached("INSERT OR REPLACE INTO cursors(name, seq) VALUES(?1, ?2)")?
                .execute(params![name, *seq as i64])?;
        }
        Write::Position { name, mark } => {
            c.prepare_cached("INSERT OR REPLACE INTO positions(name, mark) VALUES(?1, ?2)")?.execute([name, mark])?;
        }
        Write::Hold { owner, part, dependency, event } => {
            c.prepare_cached("INSERT OR REPLACE INTO rounds(owner, part, dependency, event) VALUES(?1, ?2, ?3, ?4)")?
                .execute([owner, part, dependency, event])?;
        }
        Write::Release { owner, part } => {
            c.prepare_cached("DELETE FROM rounds WHERE owner = ?1 AND part = ?2")?.execute([owner, part])?;
        }
        Write::Act(a) => {
            // The same round may be counted again after a crash: then it is there.
            c.prepare_cached("INSERT OR IGNORE INTO actions(id, owner, namespace, name, part, seq, events, state, attempts, result, changed) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)")?
                .execute(params![a.id, a.owner, a.namespace, a.name, a.part, a.seq as i64, a.events, a.state.name(), a.attempts, a.result, a.changed])?;
        }
        Write::Settle { id, state, attempts, result } => {
            c.prepare_cached("UPDATE actions SET state = ?2, attempts = ?3, result = ?4, changed = ?5 WHERE id = ?1")?
                .execute(params![id, state.name(), attempts, result, crate::clock::now_text()])?;
            if *state == State::Done {
                // What it fired with is in the log; only what it made is worth keeping here.
                c.prepare_cached("UPDATE actions SET events = '' WHERE id = ?1")?.execute([id])?;
            }
        }
        Write::Rewrite { id, events } => {
            c.prepare_cached("UPDATE actions SET events = ?2 WHERE id = ?1")?.execute([id, events])?;
        }
        Write::Watched { seq, watcher, outcome } => {
            c.prepare_cached("INSERT OR REPLACE INTO watched(seq, watcher, outcome) VALUES(?1, ?2, ?3)")?
                .execute(params![*seq as i64, watcher, outcome.to_string()])?;
        }
        Write::Forget { owner } => {
            c.execute("DELETE FROM rounds WHERE owner = ?1", [owner])?;
            c.execute("DELETE FROM actions WHERE owner = ?1 AND state <> 'done'", [owner])?;
            c.execute("DELETE FROM positions WHERE name = ?1", [owner])?;
        }
    }
    Ok(())
}

/// Drops what belongs to events that are gone, and the oldest of too many that were given up.
pub fn trim(c: &Connection) -> rusqlite::Result<()> {
    c.execute("DELETE FROM watched WHERE seq < (SELECT coalesce(min(seq), 0) FROM events)", [])?;
    c.execute("DELETE FROM actions WHERE state = 'done' AND seq < (SELECT coalesce(min(seq), 0) FROM events)", [])?;
    c.execute("DELETE FROM actions WHERE state = 'dead' AND number <= (SELECT number FROM actions WHERE state = 'dead' ORDER BY number DESC LIMIT 1 OFFSET ?1)", [DEAD as i64])?;
    Ok(())
}

impl Bus {
    /// Writes lines that belong together, in one commit.
    pub async fn write(&self, lines: Vec<Write>) -> Result<(), Refused> {
        let (reply, answer) = oneshot::channel();
        self.writer.send(writer::Job::Write { lines, reply }).await?;
        answer.await.unwrap_or_else(|_| Err(Refused::Storage("the event log is closed".into())))
    }

    /// What a reader holds: part, dependency and event.
    pub fn held(&self, owner: &str) -> Result<Vec<(String, String, String)>, String> {
        self.read(|c| {
            c.prepare_cached("SELECT part, dependency, event FROM rounds WHERE owner = ?1")?
                .query_map([owner], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
                .collect()
        })
    }

    /// What still has to be done for a reader, in its order.
    pub fn waiting_actions(&self, owner: &str) -> Result<Vec<Action>, String> {
        self.read(|c| {
            c.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM actions WHERE state = 'waiting' AND owner = ?1 ORDER BY number"
            ))?
            .query_map([owner], action)?
            .collect()
        })
    }

    /// The first of what still has to be done for a reader, in its order.
    pub fn first_waiting(&self, owner: &str, limit: usize) -> Result<Vec<Action>, String> {
        self.read(|c| {
            c.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM actions WHERE state = 'waiting' AND owner = ?1 ORDER BY number LIMIT ?2"
            ))?
            .query_map(params![owner, limit as i64], action)?
            .collect()
        })
    }

    /// Whose names begin like this, of those for whom something still has to be done.
    pub fn waiting_owners(&self, prefix: &str) -> Result<Vec<String>, String> {
        let all: Vec<String> = self.read(|c| {
            c.prepare_cached("SELECT DISTINCT owner FROM actions WHERE state = 'waiting'")?
                .query_map([], |r| r.get(0))?
                .collect()
        })?;
        Ok(all.into_iter().filter(|o| o.starts_with(prefix)).collect())
    }

    /// The newest actions of those whose owners begin like this, in a namespace (empty: in all).
    pub fn newest_actions(
        &self,
        prefix: &str,
        namespace: &str,
        state: Option<State>,
        limit: usize,
    ) -> Result<Vec<Action>, String> {
        let state = state.map_or("", State::name);
        self.read(|c| {
            c.prepare_cached(&format!("SELECT {COLUMNS} FROM actions WHERE substr(owner, 1, length(?1)) = ?1 AND (?2 = '' OR namespace = ?2) AND (?3 = '' OR state = ?3) ORDER BY number DESC LIMIT ?4"))?
                .query_map(params![prefix, namespace, state, limit as i64], action)?
                .collect()
        })
    }

    /// What sensors gave up in a namespace (empty: in all), newest first.
    pub fn dead_letters(&self, namespace: &str, limit: usize) -> Result<Vec<Action>, String> {
        self.read(|c| {
            c.prepare_cached(&format!("SELECT {COLUMNS} FROM actions WHERE state = 'dead' AND substr(owner, 1, 7) <> 'notify/' AND (?1 = '' OR namespace = ?1) ORDER BY number DESC LIMIT ?2"))?
                .query_map(params![namespace, limit as i64], action)?
                .collect()
        })
    }

    /// How much of a reader's is in a state.
    pub fn count(&self, owner: &str, state: State) -> Result<u64, String> {
        self.read(|c| {
            c.prepare_cached("SELECT count(*) FROM actions WHERE state = ?2 AND owner = ?1")?
                .query_row([owner, state.name()], |r| r.get::<_, i64>(0))
        })
        .map(|n| n as u64)
    }

    /// Has something that was given up tried again.
    pub async fn retry(&self, id: &str) -> Result<(), Refused> {
        let again = Write::Settle { id: id.to_owned(), state: State::Waiting, attempts: 0, result: String::new() };
        self.write(vec![again]).await?;
        self.retried.notify_waiters();
        Ok(())
    }

    /// One action.
    pub fn action(&self, id: &str) -> Result<Option<Action>, String> {
        use rusqlite::OptionalExtension;
        self.read(|c| {
            c.prepare_cached(&format!("SELECT {COLUMNS} FROM actions WHERE id = ?1"))?
                .query_row([id], action)
                .optional()
        })
    }

    /// What an event was to those who watch, and what they did about it.
    pub fn watched(&self, seq: u64) -> Result<Vec<(String, Value)>, String> {
        self.read(|c| {
            c.prepare_cached("SELECT watcher, outcome FROM watched WHERE seq = ?1 ORDER BY watcher")?
                .query_map([seq as i64], |r| {
                    let outcome: String = r.get(1)?;
                    Ok((r.get(0)?, serde_json::from_str(&outcome).unwrap_or_default()))
                })?
                .collect()
        })
    }

    /// The actions that an event completed.
    pub fn actions_of(&self, seq: u64) -> Result<Vec<Action>, String> {
        self.read(|c| {
            c.prepare_cached(&format!("SELECT {COLUMNS} FROM actions WHERE seq = ?1 ORDER BY number"))?
                .query_map([seq as i64], action)?
                .collect()
        })
    }
}
