//! `triggerfish event send|list|show`

use super::connect::Connection;
use super::{Output, columns, print};
use crate::kube_api::encode;
use crate::route::{self, Binding, Decision, Facts};
use serde_json::Value;
use std::io::Read;

#[derive(Debug, clap::Subcommand)]
pub enum Event {
    /// Send an event.
    Send(Send),
    /// List events, newest first.
    List(List),
    /// Show what became of an event.
    Show(Show),
    /// Ask the bindings of now about an event, and show why each does or does not match.
    Explain(Explain),
    /// List what triggers gave up, newest first.
    DeadLetters(DeadLetters),
    /// Have something that was given up tried again.
    Retry(Retry),
}

#[derive(Debug, clap::Args)]
pub struct DeadLetters {
    #[arg(short, long, value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Retry {
    /// Its id in `event dead-letters`, or `all`.
    id: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Send {
    /// The payload: JSON, or - for standard input.
    #[arg(default_value = "{}")]
    data: String,
    /// The part of the path after the namespace.
    #[arg(short, long, default_value = "", hide_default_value = true)]
    discriminator: String,
    /// A header, such as `x-github-event: push`; may be given more than once.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Do not wait for the dispatch.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct List {
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
    id: String,
    #[arg(short, long, value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Explain {
    id: String,
    /// Only this binding, with the value of every part of its selector.
    #[arg(short, long, value_name = "NAME")]
    binding: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

impl Event {
    pub async fn run(self) -> Result<(), String> {
        match self {
            Event::Send(c) => c.run().await,
            Event::List(c) => c.run().await,
            Event::Show(c) => c.run().await,
            Event::Explain(c) => c.run().await,
            Event::DeadLetters(c) => c.run().await,
            Event::Retry(c) => c.run().await,
        }
    }
}

fn text<'a>(v: &'a Value, key: &str) -> &'a str {
    v[key].as_str().unwrap_or("")
}

impl Send {
    async fn run(self) -> Result<(), String> {
        let mut data = self.data;
        if data == "-" {
            data.clear();
            std::io::stdin().read_to_string(&mut data).map_err(|e| format!("standard input: {e}"))?;
        }
        let payload: Value = serde_json::from_str(&data)
            .map_err(|_| format!("the payload is no JSON: {}", apiserver::gojson::error(data.as_bytes())))?;
        let mut headers = vec![(
            "prefer".to_owned(),
            if self.no_wait { "return=representation" } else { "wait=30, return=representation" }.to_owned(),
        )];
        for h in &self.headers {
            let (k, v) = h.split_once(':').ok_or_else(|| format!("--header {h:?}: write it as `name: value`"))?;
            headers.push((k.trim().to_lowercase(), v.trim().to_owned()));
        }
        let (api, namespace) = self.connection.rest().await?;
        let headers: Vec<(&str, &str)> = headers.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let record = api.event(&namespace, &self.discriminator, &payload, &headers).await.map_err(|e| e.message)?;
        explain(&record);
        Ok(())
    }
}

impl List {
    async fn run(self) -> Result<(), String> {
        let (api, namespace) = self.connection.rest().await?;
        let found = api
            .get(&format!("/api/v1/event-records/{}?limit={}", encode(&namespace), self.limit))
            .await
            .map_err(|e| e.message)?;
        if let Some(how @ (Output::Json | Output::Yaml)) = self.output {
            return print(&found, how);
        }
        let mut rows = vec![["RECEIVED", "ID", "DISCRIMINATOR", "FROM", "OUTCOME"].map(String::from).to_vec()];
        for r in found["items"].as_array().into_iter().flatten() {
            rows.push(vec![
                text(r, "received").chars().take(19).collect(),
                text(r, "id").into(),
                text(r, "discriminator").into(),
                text(r, "from").into(),
                summary(r),
            ]);
        }
        if rows.len() == 1 {
            eprintln!("no events are recorded in the namespace {namespace}");
            return Ok(());
        }
        columns(&rows);
        Ok(())
    }
}

/// One line about what an event led to.
fn summary(r: &Value) -> String {
    if text(r, "phase") == "Waiting" {
        return "waiting".into();
    }
    let all: Vec<&Value> = r["bindings"].as_array().into_iter().flatten().collect();
    let count = |what: &str| all.iter().filter(|b| text(b, "outcome") == what).count();
    let started: Vec<&str> = all.iter().map(|b| text(b, "workflow")).filter(|w| !w.is_empty()).collect();
    match (started.len(), count("error")) {
        (0, 0) => "nothing matched".into(),
        (_, 0) => format!("started {}", started.join(", ")),
        (_, n) => format!(
            "{n} failed{}",
            if started.is_empty() { String::new() } else { format!(", started {}", started.join(", ")) }
        ),
    }
}

impl Show {
    async fn run(self) -> Result<(), String> {
        let (api, namespace) = self.connection.rest().await?;
        let found = api
            .get(&format!("/api/v1/event-records/{}/{}", encode(&namespace), encode(&self.id)))
            .await
            .map_err(|e| e.message)?;
        if let Some(how @ (Output::Json | Output::Yaml)) = self.output {
            return print(&found, how);
        }
        explain(&found);
        Ok(())
    }
}

impl DeadLetters {
    async fn run(self) -> Result<(), String> {
        let (api, namespace) = self.connection.rest().await?;
        let found = api.get(&format!("/api/v1/dead-letters/{}", encode(&namespace))).await.map_err(|e| e.message)?;
        if let Some(how @ (Output::Json | Output::Yaml)) = self.output {
            return print(&found, how);
        }
        let mut rows = vec![["GIVEN UP", "ID", "SENSOR", "TRIGGER", "TRIES", "WHY"].map(String::from).to_vec()];
        for l in found["items"].as_array().into_iter().flatten() {
            rows.push(vec![
                text(l, "changed").into(),
                text(l, "id").into(),
                text(l, "sensor").into(),
                text(l, "trigger").into(),
                l["attempts"].to_string(),
                text(l, "result").into(),
            ]);
        }
        if rows.len() == 1 {
            eprintln!("nothing was given up in the namespace {namespace}");
            return Ok(());
        }
        columns(&rows);
        Ok(())
    }
}

impl Retry {
    async fn run(self) -> Result<(), String> {
        let (api, namespace) = self.connection.rest().await?;
        let place = format!("/api/v1/dead-letters/{}/{}/retry", encode(&namespace), encode(&self.id));
        let answer = api.create(&place, &Value::Null).await.map_err(|e| e.message)?;
        println!("{} tried again", answer["retried"]);
        Ok(())
    }
}

/// Bindings read at once.
const PAGE: usize = 500;

impl Explain {
    async fn run(self) -> Result<(), String> {
        let (api, namespace) = self.connection.rest().await?;
        let record = api
            .get(&format!("/api/v1/event-records/{}/{}", encode(&namespace), encode(&self.id)))
            .await
            .map_err(|e| e.message)?;
        let facts = super::expr::of_record(&record);
        let mut page = String::new();
        let mut found = false;
        loop {
            let list = api
                .get(&format!(
                    "/api/v1/workflow-event-bindings/{}?listOptions.limit={PAGE}&listOptions.continue={}",
                    encode(&namespace),
                    encode(&page)
                ))
                .await
                .map_err(|e| e.message)?;
            for o in list["items"].as_array().into_iter().flatten() {
                let b = Binding::read(o)?;
                if self.binding.as_ref().is_none_or(|name| *name == b.name) {
                    found = true;
                    self.one(&b, &facts);
                }
            }
            page = list.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or("").to_owned();
            if page.is_empty() {
                break;
            }
        }
        match &self.binding {
            Some(name) if !found => Err(format!("there is no binding {name:?} in the namespace {namespace}")),
            _ => Ok(()),
        }
    }

    fn one(&self, b: &Binding, facts: &Facts) {
        let name = format!("{}/{}", b.namespace, b.name);
        let line = match route::decide(b, facts) {
            Decision::Pass { because } => format!("not matched, false is: {because}"),
            Decision::Nothing => "matches, submits nothing".into(),
            Decision::Start(s) => s
                .failure
                .map_or_else(|| format!("matches, starts {}", s.template), |e| format!("matches, then fails: {e}")),
            Decision::Fail { message } => format!("error: {message}"),
        };
        println!("{name}: {line}");
        if let (Some(_), Ok(p)) = (&self.binding, &b.selector) {
            print!("{}", expr::explain(p, &facts.variables()));
        }
    }
}

/// An event and one line for each binding.
fn explain(r: &Value) {
    println!("id             {}", text(r, "id"));
    println!("received       {} from {}", text(r, "received"), text(r, "from"));
    println!("namespace      {}   discriminator {:?}", text(r, "namespace"), text(r, "discriminator"));
    println!("payload        {}", r["payload"]);
    if !text(r, "error").is_empty() {
        println!("error          {}", text(r, "error"));
    }
    for b in r["bindings"].as_array().into_iter().flatten() {
        let name = format!("{}/{}", text(b, "namespace"), text(b, "name"));
        match text(b, "outcome") {
            "matched" if text(b, "workflow").is_empty() => println!("binding        {name}: matched, submits nothing"),
            "matched" => println!("binding        {name}: matched, started {}", text(b, "workflow")),
            "notMatched" => println!("binding        {name}: not matched, false is: {}", text(b, "because")),
            _ => println!("binding        {name}: error: {}", text(b, "message")),
        }
    }
    for (reason, n) in r["moreFailed"].as_object().into_iter().flatten() {
        println!("bindings       {n} more failed: {reason}");
    }
    if let Some(n) = r["moreNotMatched"].as_u64() {
        println!("bindings       {n} more did not match; `triggerfish event explain {}` says why", text(r, "id"));
    }
    for w in r["watchers"].as_array().into_iter().flatten() {
        watcher(w);
    }
    if text(r, "phase") == "Waiting" {
        println!("outcome        waits for dispatch");
    }
}

/// What an event was to a sensor: a line for each dependency, and one for each thing that it did.
fn watcher(w: &Value) {
    let name = format!("sensor {}", text(w, "name"));
    for d in w["dependencies"].as_array().into_iter().flatten() {
        match text(d, "because") {
            "" => println!("{name:<14} {}: passed", text(d, "dependency")),
            why => println!("{name:<14} {}: rejected: {why}", text(d, "dependency")),
        }
    }
    for a in w["actions"].as_array().into_iter().flatten() {
        let state = match text(a, "state") {
            "dead" => format!("given up after {} tries: {}", a["attempts"], text(a, "result")),
            "waiting" if a["attempts"] == 0 => "waits to be done".to_owned(),
            "waiting" => format!("failed {} times, is tried again: {}", a["attempts"], text(a, "result")),
            _ => text(a, "result").to_owned(),
        };
        println!("{name:<14} trigger {}: {state}", text(a, "trigger"));
    }
}
