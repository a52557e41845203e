//! How a source hands over what it received: an event is on disk when it returns.

use super::door::Open;
use super::{Failure, Gateway};
use crate::bus::ledger::Write;
use crate::bus::{Bus, Identity, Refused};
use crate::event::{Event, Origin};
use crate::kube_api::Api;
use futures_util::stream::{FuturesOrdered, Stream, StreamExt};
use jiff::Timestamp;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// Between two tries to store an event: the log is full, or the disk refuses.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What a source received.
#[derive(Debug, Clone, Default)]
pub struct Emission {
    pub data: Vec<u8>,
    /// Its media type as the sender said it; guessed from the bytes when it is empty.
    pub content_type: String,
    /// When it happened, where the source knows it.
    pub time: Option<Timestamp>,
    /// What a repeat of it is recognised by, within this configuration.
    pub identity: Option<String>,
    /// The identity is used anew: whatever had it before was another event.
    pub renewed: bool,
    /// The configuration that it comes from, where the source speaks for several.
    pub configuration: Option<String>,
    /// What the source has come to with it, to go on from after a restart.
    pub position: Option<String>,
    /// What expressions see as `metadata`.
    pub metadata: BTreeMap<String, Vec<String>>,
    /// The sender's own attributes, where what it sent was a CloudEvent.
    pub attributes: Attributes,
}

/// Attributes of a CloudEvent that its sender gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes {
    pub id: Option<String>,
    pub source: Option<String>,
    pub kind: Option<String>,
    pub subject: Option<String>,
}

/// How a configuration is getting on; read while it runs.
#[derive(Debug, Default)]
pub struct Progress {
    pub running: AtomicBool,
    pub events: AtomicU64,
    /// Milliseconds since 1970; 0: none yet.
    pub last_event: AtomicI64,
    pub repeated: AtomicU64,
    /// How often it was lost, or could not begin.
    pub lost: AtomicU64,
}

/// Configurations by namespace, gateway and name, for those who count.
#[derive(Default)]
pub struct Board(Mutex<Vec<([String; 3], Weak<Progress>)>>);

impl Board {
    pub fn add(&self, gateway: &Gateway, configuration: &str, progress: &Arc<Progress>) {
        let mut all = self.0.lock().unwrap_or_else(|e| e.into_inner());
        // What was stopped leaves a place.
        all.retain(|(_, p)| p.strong_count() > 0);
        let names = [&gateway.namespace, &gateway.name, configuration].map(str::to_owned);
        all.push((names, Arc::downgrade(progress)));
    }

    pub fn all(&self) -> Vec<([String; 3], Arc<Progress>)> {
        let all = self.0.lock().unwrap_or_else(|e| e.into_inner());
        all.iter().filter_map(|(names, p)| Some((names.clone(), p.upgrade()?))).collect()
    }
}

/// Where events go.
#[derive(Clone)]
pub enum Destination {
    /// Into the log.
    Log(Arc<Bus>),
    /// To somebody who looks on. Nothing is taken away from those who get the events otherwise: sources have no name at
    /// their broker that lasts, and share no queue.
    Shown(mpsc::UnboundedSender<Event>),
}

/// One configuration's way out.
#[derive(Clone)]
pub struct Outlet {
    pub gateway: Arc<Gateway>,
    pub configuration: String,
    /// The kind of the source.
    pub source: &'static str,
    pub destination: Destination,
    /// The Kubernetes API, as the gateway's service account.
    pub api: Api,
    /// Opens endpoints.
    pub open: Open,
    pub progress: Arc<Progress>,
    /// Told when progress should be looked at.
    pub changed: Arc<Notify>,
}

impl Outlet {
    /// Says that the source is connected.
    pub fn running(&self) {
        if !self.progress.running.swap(true, Ordering::AcqRel) {
            self.changed.notify_one();
        }
    }

    /// Whether somebody only looks on.
    pub fn is_trial(&self) -> bool {
        matches!(self.destination, Destination::Shown(_))
    }

    /// What keeps this configuration apart from others: for positions, identities and names at brokers.
    pub fn key(&self) -> String {
        format!("{}/{}", self.gateway.uid, self.configuration)
    }

    /// How far this configuration had come.
    pub fn position(&self) -> Result<Option<String>, Failure> {
        match &self.destination {
            Destination::Log(bus) => bus.position(&self.key()).map_err(|e| Failure::lost("the event log", e)),
            Destination::Shown(_) => Ok(None),
        }
    }

    /// Remembers how far this configuration has come, where no event says it.
    pub async fn keep_position(&self, mark: String) -> Result<(), Failure> {
        let Destination::Log(bus) = &self.destination else { return Ok(()) };
        let place = Write::Position { name: self.key(), mark };
        bus.write(vec![place]).await.map_err(|e| Failure::Lost(format!("the event log: {e:?}")))
    }

    /// Stores an event for each discriminator; true when it was known already.
    pub async fn emit(&self, e: Emission) -> Result<bool, Refused> {
        let anyone = [String::new()];
        let discriminators = self.gateway.bindings.as_deref().unwrap_or(&anyone);
        let mut repeated = true;
        for (n, discriminator) in discriminators.iter().enumerate() {
            let configuration = e.configuration.as_ref().unwrap_or(&self.configuration);
            let discriminator = if discriminator.is_empty() { configuration } else { discriminator };
            let mut identity = e.identity.as_ref().map(|i| format!("gateway\0{}\0{i}", self.key()));
            if n > 0
                && let Some(i) = &mut identity
            {
                i.push_str(&format!("\0{n}"));
            }
            let last = n + 1 == discriminators.len();
            let position = e.position.clone().filter(|_| last).map(|p| (self.key(), p));
            let event = self.event(&e, discriminator, n)?;
            repeated &= match &self.destination {
                Destination::Log(bus) => {
                    bus.append_at(event, identity.map(|text| Identity { text, renewed: e.renewed }), position)
                        .await?
                        .repeated
                }
                // Who looked on may have left.
                Destination::Shown(to) => to.send(event).is_err(),
            };
        }
        if repeated {
            self.progress.repeated.fetch_add(1, Ordering::Relaxed);
        } else {
            self.progress.events.fetch_add(1, Ordering::Relaxed);
            self.progress.last_event.store(Timestamp::now().as_millisecond(), Ordering::Relaxed);
        }
        Ok(repeated)
    }

    /// Stores an event, however long it takes: its broker keeps what comes after it meanwhile.
    pub async fn emit_patiently(&self, e: Emission) -> bool {
        let mut pause = PAUSE;
        loop {
            match self.emit(e.clone()).await {
                Ok(repeated) => return repeated,
                Err(why) => tracing::warn!(
                    gateway = self.gateway.name,
                    configuration = self.configuration,
                    ?why,
                    "an event cannot be stored; trying again"
                ),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn event(&self, e: &Emission, discriminator: &str, n: usize) -> Result<Event, Refused> {
        let g = &self.gateway;
        let configuration = e.configuration.clone().unwrap_or_else(|| self.configuration.clone());
        let (data, content_type, base64) = data(&e.data, &e.content_type).map_err(Refused::Storage)?;
        let given = e.attributes.id.clone().filter(|_| n == 0);
        Ok(Event {
            id: given.unwrap_or_else(|| uuid::Uuid::now_v7().to_string()),
            source: e.attributes.source.clone().unwrap_or_else(|| {
                format!("/apis/argoproj.io/v1alpha1/namespaces/{}/gateways/{}", g.namespace, g.name)
            }),
            kind: e.attributes.kind.clone().unwrap_or_else(|| g.event_type.clone()),
            subject: e.attributes.subject.clone().unwrap_or_else(|| configuration.clone()),
            time: crate::clock::precise(e.time.unwrap_or_else(Timestamp::now)),
            datacontenttype: content_type,
            data,
            namespace: g.namespace.clone(),
            discriminator: discriminator.to_owned(),
            metadata: e.metadata.clone(),
            caller: g.caller(),
            origin: Some(Origin {
                gateway: g.name.clone(),
                configuration,
                bindings: g.bindings.is_some(),
                source: self.source.to_owned(),
                copy: n > 0,
            }),
            base64,
        })
    }
}

/// Data as JSON, its media type, and whether it is base64. Text is a JSON string; bytes that are no text are base64.
fn data(raw: &[u8], content_type: &str) -> Result<(Option<Box<RawValue>>, String, bool), String> {
    let of = |v: Value| RawValue::from_string(v.to_string()).map_err(|e| e.to_string());
    let media = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    // What curl says of any body when it is told nothing.
    let unsaid = media.is_empty() || media == "application/x-www-form-urlencoded";
    let json = media == "application/json" || media.ends_with("+json");
    let said = |default: &str| if unsaid || json { default.to_owned() } else { content_type.to_owned() };
    if raw.is_empty() {
        return Ok((None, said("application/json"), false));
    }
    if (unsaid || json)
        && let Ok(v) = serde_json::from_slice::<Box<RawValue>>(raw)
    {
        let kind = if json { content_type } else { "application/json" };
        return Ok((Some(v), kind.to_owned(), false));
    }
    if let Ok(text) = std::str::from_utf8(raw) {
        let kind = if media.is_empty() || json { "text/plain" } else { content_type };
        return Ok((Some(of(text.into())?), kind.to_owned(), false));
    }
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(raw);
    Ok((Some(of(text.into())?), said("application/octet-stream"), true))
}

/// Messages of one configuration that are on their way to the disk, at most.
const AT_ONCE: usize = 256;

/// Stores what a stream brings, many at once and in its order, and acknowledges each when it is on disk.
/// Ends with the stream, or with its first error. A position is remembered when all up to it is on disk: one that has to be
/// stored again may come after the next.
pub async fn pump<M, S, A>(
    out: &Outlet,
    mut stream: S,
    read: impl Fn(&M) -> Emission,
    acknowledge: impl Fn(M) -> A,
) -> Result<(), Failure>
where
    S: Stream<Item = Result<M, Failure>> + Unpin,
    A: Future<Output = Result<(), Failure>>,
{
    let mut going = FuturesOrdered::new();
    let mut reached: Option<String> = None;
    loop {
        tokio::select! {
            biased;
            Some((stored, position)) = going.next(), if !going.is_empty() => {
                acknowledge(stored).await?;
                reached = Option::or(position, reached);
                if going.is_empty() && let Some(position) = reached.take() {
                    out.keep_position(position).await?;
                }
            }
            // A full pipeline takes nothing: what waits, waits at the broker.
            item = stream.next(), if going.len() < AT_ONCE => {
                let Some(message) = item else { break };
                let message = message?;
                let mut emission = read(&message);
                // On its way to the disk it takes along how far those before it have come.
                let position = std::mem::replace(&mut emission.position, reached.take());
                going.push_back(async move {
                    out.emit_patiently(emission).await;
                    (message, position)
                });
            }
        }
    }
    while let Some((stored, position)) = going.next().await {
        acknowledge(stored).await?;
        reached = position.or(reached);
    }
    match reached {
        Some(position) => out.keep_position(position).await,
        None => Ok(()),
    }
}
