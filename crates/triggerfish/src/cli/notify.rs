//! `triggerfish notify test|render|list|show|replay|explain`

use super::connect::Connection;
use super::{Output, columns, print};
use crate::kube_api::{Api, encode, path, secret_data};
use ::notify::alert::{Step, Verdict, arrived, is_update, merged, without_token};
use ::notify::http::Exchange;
use ::notify::provider::{self, Call};
use ::notify::{Alert, AlertRef, Http, Network, Notice, Provider, Secret, Setup};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub enum Notify {
    /// Send a sample to a provider from this host, and show the requests, with secrets masked, and the answers.
    Test(Test),
    /// Show what an alert would send for an event; nothing is sent.
    Render(Render),
    /// List deliveries, newest first.
    List(List),
    /// Show a delivery.
    Show(Show),
    /// Have deliveries that were given up made again.
    Replay(Replay),
    /// Ask the alerts of now about an event, and show why each does or does not send it.
    Explain(Explain),
}

#[derive(Debug, clap::Args)]
pub struct Test {
    /// The provider's name.
    provider: String,
    /// An event as JSON, or - for standard input, instead of the sample.
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
    /// Send nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Render {
    /// The alert's name.
    alert: String,
    /// The event as JSON, or - for standard input.
    #[arg(long, value_name = "FILE")]
    event: PathBuf,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct List {
    /// Only those that are waiting, done or dead.
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: u64,
    #[arg(short, long, value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Show {
    /// Its id in `notify list`.
    id: String,
    #[arg(short, long, value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Replay {
    /// Its id in `notify list`, or `all`.
    id: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Explain {
    /// The event's id in `event list`; its namespace is that of the object that it is about.
    #[arg(required_unless_present = "event")]
    id: Option<String>,
    /// An event as JSON, or - for standard input, instead of one that was posted.
    #[arg(long, value_name = "FILE", conflicts_with = "id")]
    event: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

impl Notify {
    pub async fn run(self) -> Result<(), String> {
        match self {
            Notify::Test(c) => c.run().await,
            Notify::Render(c) => c.run().await,
            Notify::List(c) => c.run().await,
            Notify::Show(c) => c.run().await,
            Notify::Replay(c) => c.run().await,
            Notify::Explain(c) => c.run().await,
        }
    }
}

fn text<'a>(v: &'a Value, key: &str) -> &'a str {
    v[key].as_str().unwrap_or("")
}

/// What a provider is tried with.
fn sample(namespace: &str) -> Notice {
    let v = json!({
        "involvedObject": {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "name": "sample", "namespace": namespace,
            "uid": "00000000-0000-4000-8000-000000000000"},
        "severity": "info", "reason": "Test", "message": "This is a test of triggerfish: if you can read it, notifications arrive.",
        "reportingController": "triggerfish", "timestamp": crate::clock::now_text(),
        "metadata": {"revision": "main@sha1:0000000000000000000000000000000000000000", "change_request": "1"},
    });
    Notice::from_value(&v).unwrap_or_default()
}

fn read(file: &std::path::Path) -> Result<Notice, String> {
    let text = super::apply::read(file)?;
    Notice::read(text.as_bytes()).map_err(|e| format!("{}: {e}", file.display()))
}

/// As the server takes it in.
fn taken(file: &std::path::Path) -> Result<Notice, String> {
    let mut n = read(file)?;
    arrived(&mut n);
    without_token(&mut n);
    Ok(n)
}

/// A provider's object and what its Secrets hold.
async fn provider_of(api: &Api, namespace: &str, name: &str) -> Result<(Value, BTreeMap<String, Secret>), String> {
    let object = api.get(&path("providers", namespace, name)).await.map_err(|e| e.message)?;
    let mut secrets = BTreeMap::new();
    for name in Provider::read(&object).secrets() {
        let found = match api.get(&path("secrets", namespace, name)).await {
            Err(e) if e.code == 404 => continue,
            other => other.map_err(|e| e.message)?,
        };
        secrets.insert(name.to_owned(), secret_data(&found));
    }
    Ok((object, secrets))
}

/// Sends, or shows what would be sent.
async fn deliver(
    (object, secrets): &(Value, BTreeMap<String, Secret>),
    n: &Notice,
    alert: &Alert,
    channel: Option<String>,
    dry: bool,
) -> Result<(), String> {
    let mut p = Provider::read(object);
    if let Some(c) = channel {
        p.channel = c;
    }
    let about = AlertRef { namespace: alert.namespace.clone(), name: alert.name.clone(), uid: alert.uid.clone() };
    let mut setup = Setup::of(&p, secrets, &about)?;
    if provider::named(&p.kind).is_some_and(|k| k.group == provider::Group::CommitStatus) {
        setup.commit_status = provider::commit_status::id(n, object, &alert.object)?;
    }
    setup.doubts.iter().for_each(|d| eprintln!("warning: {}", setup.masked(d)));
    let kind = provider::check(&setup).map_err(|why| setup.masked(&why))?;
    let network = Network::system();
    let http = Http::new(&network, &setup).map_err(|why| setup.masked(&why))?.watched(dry);
    let shown = alert.shaping.as_ref().map(|s| s.shown(n)).transpose()?.unwrap_or_default();
    let mut n = n.clone();
    if let Some(text) = &shown.text {
        n.message.clone_from(text);
    }
    let call = Call {
        setup: &setup,
        notice: &n,
        http: &http,
        network: &network,
        title: shown.title.as_deref(),
        body: shown.body.as_deref(),
    };
    let outcome = if dry && kind.name == "nats" {
        println!("PUB {}\n{}", setup.provider.channel, n.json());
        Ok(())
    } else {
        (kind.post)(&call).await
    };
    let exchanges = http.transcript();
    exchanges.iter().for_each(|e| println!("{}", setup.masked(&exchange(e, dry))));
    match outcome {
        Ok(()) if dry => {
            if exchanges.is_empty() && kind.name != "nats" {
                println!("this type sends nothing for such an event");
            }
            Ok(())
        }
        Ok(()) => {
            println!("delivered");
            Ok(())
        }
        // What answers nothing cannot go on with an answer.
        Err(_) if dry && !exchanges.is_empty() => Ok(()),
        Err(e) => Err(setup.masked(&e.why)),
    }
}

/// A request and its answer as people read them. Headers that prove who asks are masked whole.
fn exchange(e: &Exchange, dry: bool) -> String {
    let r = &e.request;
    let mut out = format!("{} {}\n", r.method, r.url);
    for (name, value) in &r.headers {
        let proof =
            ["authorization", "key", "token", "secret", "signature"].iter().any(|w| name.to_lowercase().contains(w));
        out.push_str(&format!("{name}: {}\n", if proof { ::notify::setup::MASK } else { value }));
    }
    if !r.body.is_empty() {
        out.push_str(&format!("\n{}\n", String::from_utf8_lossy(&r.body)));
    }
    match &e.answer {
        _ if dry => {}
        Ok(a) => out.push_str(&format!("\n< {}\n< {}\n", a.status, a.told())),
        Err(f) => out.push_str(&format!("\n< {}\n", f.why)),
    }
    out
}

/// An alert that is none, for what is sent without one.
fn no_alert(namespace: &str) -> Alert {
    Alert::read(&json!({"metadata": {"namespace": namespace, "name": "test"}, "spec": {}}))
}

impl Test {
    async fn run(self) -> Result<(), String> {
        let (api, namespace) = self.connection.kubernetes().await?;
        let found = provider_of(&api, &namespace, &self.provider).await?;
        let n = match &self.event {
            Some(file) => read(file)?,
            None => sample(&namespace),
        };
        deliver(&found, &n, &no_alert(&namespace), None, self.dry_run).await
    }
}

impl Render {
    async fn run(self) -> Result<(), String> {
        let (api, namespace) = self.connection.kubernetes().await?;
        let n = taken(&self.event)?;
        let object = api.get(&path("alerts", &namespace, &self.alert)).await.map_err(|e| e.message)?;
        let alert = Alert::read(&object);
        let verdict = judge(&api, &alert, &n).await;
        println!(
            "{}: {}",
            alert.path(),
            verdict.as_ref().map_or_else(|why| format!("it sends nothing: {why}"), |what| what.clone())
        );
        let (made, conflicts) = merged(&n, &alert);
        conflicts.iter().for_each(|(k, who)| println!("metadata {k} is set more than once: {who}"));
        for t in alert.targets() {
            let found = provider_of(&api, &namespace, &t.provider).await?;
            println!("\n{} ({}):", t.provider, text(&found.0["spec"], "type"));
            match takes(&found.0, &n) {
                Err(why) => println!("it does not get this event: {why}"),
                Ok(()) => deliver(&found, &made, &alert, t.channel, true).await?,
            }
        }
        Ok(())
    }
}

/// Whether a type of providers gets an event.
fn takes(object: &Value, n: &Notice) -> Result<(), String> {
    let p = Provider::read(object);
    if p.suspend {
        return Err("it is suspended".into());
    }
    let kind = provider::named(&p.kind).ok_or_else(|| format!("provider {} not supported", p.kind))?;
    kind.group.takes(n, |key| is_update(n, key)).map_err(str::to_owned)
}

/// What an alert makes of an event: the error is why it sends nothing.
async fn judge(api: &Api, alert: &Alert, n: &Notice) -> Result<String, String> {
    let o = &n.object;
    let labels = match alert.sources.iter().any(|s| s.labels.is_some()) {
        true => api.labels(&o.api_version, &o.kind, &o.namespace, &o.name).await,
        false => Err(String::new()),
    };
    match alert.verdict(n, || labels.as_ref().map_err(Clone::clone)) {
        Verdict::Passes { because, .. } => return Err(because),
        Verdict::Asks => {}
    }
    let Some(shaping) = &alert.shaping else { return Ok("it sends this event".into()) };
    match shaping.step(&mut Default::default(), n, jiff::Timestamp::now()) {
        Step::Send => Ok("it sends this event".into()),
        Step::Hold(until) => Ok(format!("it holds this event, until {until} if nothing came before")),
        Step::Drop(why) => Err(format!("{why} (as if nothing came before)")),
    }
}

impl List {
    async fn run(self) -> Result<(), String> {
        let (api, namespace) = self.connection.rest().await?;
        let state = self.state.as_deref().unwrap_or("");
        let place = format!("/api/v1/deliveries/{}?limit={}&state={}", encode(&namespace), self.limit, encode(state));
        let found = api.get(&place).await.map_err(|e| e.message)?;
        if let Some(how @ (Output::Json | Output::Yaml)) = self.output {
            return print(&found, how);
        }
        let mut rows = vec![
            ["CHANGED", "ID", "STATE", "ALERT", "PROVIDER", "ABOUT", "TRIES", "RESULT"].map(String::from).to_vec(),
        ];
        for d in found["items"].as_array().into_iter().flatten() {
            let mut row = vec![text(d, "changed").chars().take(19).collect()];
            row.extend(["id", "state", "alert", "provider", "about"].map(|k| text(d, k).to_owned()));
            row.push(d["attempts"].to_string());
            row.push(text(d, "result").lines().next().unwrap_or("").chars().take(80).collect());
            rows.push(row);
        }
        if rows.len() == 1 {
            eprintln!("there are no such deliveries in the namespace {namespace}");
            return Ok(());
        }
        columns(&rows);
        Ok(())
    }
}

impl Show {
    async fn run(self) -> Result<(), String> {
        let (api, namespace) = self.connection.rest().await?;
        let found = api.get(&format!("/api/v1/deliveries/{}/{}", encode(&namespace), encode(&self.id))).await;
        print(&found.map_err(|e| e.message)?, self.output.unwrap_or(Output::Yaml))
    }
}

impl Replay {
    async fn run(self) -> Result<(), String> {
        let (api, namespace) = self.connection.rest().await?;
        let place = format!("/api/v1/deliveries/{}/{}/replay", encode(&namespace), encode(&self.id));
        let done = api.create(&place, &json!({})).await.map_err(|e| e.message)?;
        println!("{} deliveries are made again", done["replayed"]);
        Ok(())
    }
}

impl Explain {
    async fn run(self) -> Result<(), String> {
        let n = match (&self.id, &self.event) {
            (_, Some(file)) => taken(file)?,
            (id, None) => {
                let (rest, namespace) = self.connection.rest().await?;
                let id = id.as_deref().unwrap_or("");
                let place = format!("/api/v1/event-records/{}/{}", encode(&namespace), encode(id));
                let record = rest.get(&place).await.map_err(|e| e.message)?;
                Notice::from_value(&record["payload"]).map_err(|e| format!("the event {id} is no notice: {e}"))?
            }
        };
        let (api, _) = self.connection.kubernetes().await?;
        let all = api.get(&path("alerts", "", "")).await.map_err(|e| e.message)?;
        println!("{} {}: {}", n.severity, n.path(), n.message.lines().next().unwrap_or(""));
        let all: Vec<Alert> = all["items"].as_array().into_iter().flatten().map(Alert::read).collect();
        if all.is_empty() {
            println!("there are no alerts");
        }
        for alert in all {
            match judge(&api, &alert, &n).await {
                Err(why) => println!("no   {}: {why}", alert.path()),
                Ok(what) => {
                    println!("yes  {}: {what}", alert.path());
                    for t in alert.targets() {
                        let found = api.get(&path("providers", &alert.namespace, &t.provider)).await;
                        let found = found.map_err(|e| e.message).and_then(|o| takes(&o, &n));
                        println!(
                            "       {}: {}",
                            t.provider,
                            found.map_or_else(|why| format!("no: {why}"), |()| "yes".into())
                        );
                    }
                }
            }
        }
        Ok(())
    }
}
