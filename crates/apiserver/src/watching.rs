//! watch: changes as they are committed, from any version that is still known.

use crate::body::Body;
use crate::object;
use crate::read::{Selection, include};
use crate::request::Info;
use crate::resource::Resource;
use crate::respond::{Answer, Shape, negotiate};
use crate::server::{Call, State};
use crate::status::{FieldError, Status};
use crate::store::watch::Event;
use crate::store::{Change, Range};
use crate::table::{self, Include};
use bytes::Bytes;
use http::{HeaderValue, Response};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A watch without `timeoutSeconds` ends after this long; clients start another.
const LONGEST: Duration = Duration::from_secs(3600);
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// Changes read from the history at once.
const CHUNK: usize = 500;
/// Lines that a slow reader may leave waiting; then the hub's own buffer fills, then the watch ends with 410.
const LINES: usize = 64;

struct Watch {
    state: Arc<State>,
    resource: Arc<Resource>,
    selection: Selection,
    namespace: String,
    shape: Shape,
    include: Include,
    bookmarks: bool,
    out: mpsc::Sender<Bytes>,
    columns_sent: bool,
    seen: u64,
}

/// Why a stream ends.
enum End {
    Gone,
    Expired(u64),
}

impl State {
    pub fn watch(self: &Arc<Self>, call: &Call, info: &Info, r: &Arc<Resource>) -> Result<Answer, Status> {
        let form = negotiate(&call.headers, false)?;
        let q = &call.query;
        let selection = Selection::read(q, info, r)?;
        let initial = check_initial_events(call)?;
        let since = match q.get("resourceVersion") {
            "" | "0" => None,
            text => Some(text.parse::<u64>().map_err(|_| crate::read::invalid_version(text, false))?),
        };
        let timeout = q
            .number("timeoutSeconds")?
            .and_then(|n| u64::try_from(n).ok())
            .filter(|n| *n > 0)
            .map_or(LONGEST, Duration::from_secs);
        let timeout = match q.get("timeout").trim_end_matches('s').parse::<u64>() {
            Ok(n) if n > 0 => timeout.min(Duration::from_secs(n)),
            _ => timeout,
        };
        if self.watches.fetch_add(1, Ordering::Relaxed) >= self.config.max_watches {
            self.watches.fetch_sub(1, Ordering::Relaxed);
            return Err(Status::too_many_requests(
                "too many watches are open on this server, please try again later",
                5,
            ));
        }
        let (out, lines) = mpsc::channel(LINES);
        let watch = Watch {
            state: self.clone(),
            resource: r.clone(),
            selection,
            namespace: if r.namespaced { info.namespace.clone() } else { String::new() },
            shape: form.shape,
            include: include(q)?,
            bookmarks: q.flag("allowWatchBookmarks"),
            out,
            columns_sent: false,
            seen: 0,
        };
        let state = self.clone();
        tokio::spawn(async move {
            watch.run(since, initial, timeout).await;
            state.watches.fetch_sub(1, Ordering::Relaxed);
        });
        let mut answer = Response::new(Body::Stream(lines));
        answer.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(answer)
    }
}

/// Whether the stream starts with what exists, and whether its end is marked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Initial {
    /// As the version says: none with one, all without.
    ByVersion,
    Yes,
    No,
}

fn check_initial_events(call: &Call) -> Result<Initial, Status> {
    let q = &call.query;
    let invalid = |e: FieldError| Err(Status::invalid("meta.k8s.io", "ListOptions", "", &[e]));
    let how = q.get("resourceVersionMatch");
    if !q.has("sendInitialEvents") {
        if !how.is_empty() {
            return invalid(FieldError::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        }
        return Ok(Initial::ByVersion);
    }
    let wrong = FieldError::forbidden(
        "resourceVersionMatch",
        "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
    );
    if !how.is_empty() && how != "NotOlderThan" {
        let kind = crate::status::FieldErrorKind::NotSupported(json!(how), vec!["NotOlderThan".into()]);
        return Err(Status::invalid(
            "meta.k8s.io",
            "ListOptions",
            "",
            &[wrong, FieldError { path: "resourceVersionMatch".into(), kind, detail: String::new() }],
        ));
    }
    if how.is_empty() {
        return invalid(wrong);
    }
    Ok(if q.flag("sendInitialEvents") { Initial::Yes } else { Initial::No })
}

impl Watch {
    async fn run(mut self, since: Option<u64>, initial: Initial, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        match self.stream(since, initial, deadline).await {
            Ok(()) | Err(End::Gone) => {}
            Err(End::Expired(from)) => {
                let oldest = self.state.store.oldest();
                let status = Status::expired(format!("too old resource version: {from} ({oldest})"));
                let _ = self.line("ERROR", status.to_json()).await;
            }
        }
    }

    async fn stream(&mut self, since: Option<u64>, initial: Initial, deadline: Instant) -> Result<(), End> {
        let key = self.resource.key();
        // Subscribed first, so that nothing falls between the history and the live changes.
        let mut live = self.state.store.hub.subscribe(&key);
        let with_existing = initial == Initial::Yes || (initial == Initial::ByVersion && since.is_none());
        if with_existing {
            self.existing(&key).await?;
            if initial == Initial::Yes && self.bookmarks {
                self.bookmark(true).await?;
            }
        } else {
            let now = self.state.store.version();
            self.seen = since.unwrap_or(now);
            if self.seen > now {
                let status = crate::read::too_large(self.seen, now);
                return self.line("ERROR", status.to_json()).await;
            }
            self.history(&key).await?;
        }
        let mut bookmark_at = Instant::now() + BOOKMARK_EVERY;
        loop {
            tokio::select! {
                event = live.recv() => match event {
                    Some(e) if e.rv <= self.seen => {}
                    Some(e) => self.event(&e).await?,
                    // Fallen behind, or the kind's definition changed: the client lists again.
                    None => return Err(End::Expired(self.seen)),
                },
                () = tokio::time::sleep_until(bookmark_at), if self.bookmarks => {
                    self.seen = self.seen.max(self.state.store.version());
                    self.bookmark(false).await?;
                    bookmark_at = Instant::now() + BOOKMARK_EVERY;
                }
                () = tokio::time::sleep_until(deadline) => return Ok(()),
                () = self.out.closed() => return Err(End::Gone),
            }
        }
    }

    async fn existing(&mut self, key: &str) -> Result<(), End> {
        let (mut after, mut at) = (None, None);
        loop {
            let range = Range {
                resource: key,
                namespace: &self.namespace,
                name: self.selection.fields.name(),
                limit: CHUNK,
                after,
                at,
            };
            let page = self.state.store.list(&range).map_err(|_| End::Gone)?;
            for stored in &page.items {
                let o = State::shown(&self.resource, stored);
                if self.selection.matches(&o) {
                    self.object("ADDED", o).await?;
                }
            }
            self.seen = page.rv;
            at = Some(page.rv);
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn history(&mut self, key: &str) -> Result<(), End> {
        loop {
            if self.seen < self.state.store.oldest() {
                return Err(End::Expired(self.seen));
            }
            let changes = self.state.store.changes(key, self.seen, CHUNK).map_err(|_| End::Gone)?;
            for e in &changes {
                self.event(e).await?;
            }
            if changes.len() < CHUNK {
                return Ok(());
            }
        }
    }

    /// A change as this watch sees it: entering the selection is ADDED, leaving it DELETED.
    async fn event(&mut self, e: &Event) -> Result<(), End> {
        self.seen = e.rv;
        if !self.namespace.is_empty() && e.namespace != self.namespace {
            return Ok(());
        }
        if let Some(name) = self.selection.fields.name()
            && name != e.name
        {
            return Ok(());
        }
        // Stored objects are sent as they are where nothing about them changes.
        let plain = self.shape == Shape::Object && self.resource.is_stored_form();
        if plain && self.selection.is_everything() {
            return self.raw(kind(e.change), &e.json).await;
        }
        let is = e.change != Change::Deleted && self.selects(e.object());
        let was = match (e.before(), e.change) {
            (_, Change::Added) | (None, Change::Modified) => false,
            (None, Change::Deleted) => self.selects(e.object()),
            (Some(p), _) => self.selects(p),
        };
        let what = match (was, is) {
            (false, false) => return Ok(()),
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        if plain && (is || e.change == Change::Deleted) {
            return self.raw(what, &e.json).await;
        }
        // Leaving shows the last state that was inside, at the new version.
        let leaves = !is && e.change != Change::Deleted;
        let mut o = e.before().filter(|_| leaves).unwrap_or(e.object()).clone();
        self.resource.show(&mut o);
        if leaves {
            object::set_meta(&mut o, "resourceVersion", e.rv.to_string());
        }
        self.object(what, o).await
    }

    fn selects(&self, stored: &Value) -> bool {
        if self.resource.is_stored_form() {
            return self.selection.matches(stored);
        }
        let mut shown = stored.clone();
        self.resource.show(&mut shown);
        self.selection.matches(&shown)
    }

    async fn object(&mut self, kind: &str, o: Value) -> Result<(), End> {
        let shown = match self.shape {
            Shape::Object => o,
            Shape::Partial(v) => table::partial(&o, v),
            Shape::Table(v) => {
                let meta = json!({"resourceVersion": object::resource_version(&o)});
                let first = !std::mem::replace(&mut self.columns_sent, true);
                table::table(&self.resource, &[o], meta, self.include, v, first)
            }
        };
        self.line(kind, shown).await
    }

    async fn bookmark(&mut self, end_of_initial: bool) -> Result<(), End> {
        let mut meta = json!({"resourceVersion": self.seen.to_string()});
        if end_of_initial {
            meta["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let r = &self.resource;
        let o = match self.shape {
            Shape::Object => json!({"kind": r.kind, "apiVersion": r.api_version(), "metadata": meta}),
            Shape::Partial(v) => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{v}"), "metadata": meta})
            }
            Shape::Table(v) => {
                let row = json!({"cells": r.columns.iter().map(|_| Value::Null).collect::<Vec<_>>(), "object": {"kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{v}"), "metadata": meta}});
                json!({"kind": "Table", "apiVersion": format!("meta.k8s.io/{v}"), "metadata": {"resourceVersion": self.seen.to_string()}, "columnDefinitions": null, "rows": [row]})
            }
        };
        self.line("BOOKMARK", o).await
    }

    async fn line(&mut self, kind: &str, o: Value) -> Result<(), End> {
        self.raw(kind, &serde_json::to_vec(&o).unwrap_or_default()).await
    }

    async fn raw(&mut self, kind: &str, json: &[u8]) -> Result<(), End> {
        let mut line = Vec::with_capacity(json.len() + 40);
        line.extend_from_slice(b"{\"type\":\"");
        line.extend_from_slice(kind.as_bytes());
        line.extend_from_slice(b"\",\"object\":");
        line.extend_from_slice(json);
        line.extend_from_slice(b"}\n");
        self.out.send(line.into()).await.map_err(|_| End::Gone)
    }
}

fn kind(change: Change) -> &'static str {
    match change {
        Change::Added => "ADDED",
        Change::Modified => "MODIFIED",
        Change::Deleted => "DELETED",
    }
}
