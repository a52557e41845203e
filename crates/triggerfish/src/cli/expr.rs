//! `triggerfish expr eval`: evaluates an expression, and says why it gives what it gives.

use super::connect::Connection;
use crate::kube_api::encode;
use crate::route::Facts;
use expr::{Functions, Program};
use serde_json::{Map, Value, json};
use std::io::Read;

#[derive(Debug, clap::Subcommand)]
pub enum Expr {
    /// Evaluate an expression over an event, recorded or given here.
    Eval(Box<Eval>),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  triggerfish expr eval 'payload.n > 2 && discriminator == \"d\"' --payload '{\"n\": 3}' --discriminator d
  triggerfish expr eval --event 0198c5… 'metadata[\"x-github-event\"][0]'
  triggerfish expr eval --metadata 'sprig.trunc(8, payload.sha)' --payload @push.json")]
pub struct Eval {
    /// The expression; - reads it from standard input.
    #[arg(required_unless_present = "file")]
    expression: Option<String>,
    /// Read the expression from a file.
    #[arg(short, long, value_name = "FILE", conflicts_with = "expression")]
    file: Option<String>,
    /// The payload: JSON, or @FILE, or @- for standard input.
    #[arg(short, long, value_name = "JSON", default_value = "null", hide_default_value = true)]
    payload: String,
    /// A header, such as `x-github-event: push`; may be given more than once.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    #[arg(short, long, default_value = "", hide_default_value = true)]
    discriminator: String,
    /// Take payload, headers, discriminator and namespace from a recorded event.
    #[arg(long, value_name = "ID", conflicts_with_all = ["payload", "headers", "discriminator"])]
    event: Option<String>,
    /// With the functions that submit.metadata has: sprig, jsonpath, asInt, asFloat, toJson.
    #[arg(short, long)]
    metadata: bool,
    /// Show the value of every part, and the part that decided.
    #[arg(short = 'x', long)]
    explain: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Expr {
    pub async fn run(self) -> Result<(), String> {
        match self {
            Expr::Eval(c) => c.run().await,
        }
    }
}

/// The text that an argument names: itself, a file or standard input.
fn read(named: &str) -> Result<String, String> {
    if named == "-" {
        let mut out = String::new();
        std::io::stdin().read_to_string(&mut out).map_err(|e| format!("standard input: {e}"))?;
        return Ok(out);
    }
    std::fs::read_to_string(named).map_err(|e| format!("{named}: {e}"))
}

impl Eval {
    async fn run(self) -> Result<(), String> {
        let source = match (&self.file, self.expression.as_deref()) {
            (Some(file), _) => read(file)?,
            (None, Some("-")) => read("-")?,
            (None, given) => given.unwrap_or("").to_owned(),
        };
        let facts = self.facts().await?;
        let functions = if self.metadata { Functions::Metadata } else { Functions::Builtins };
        let program = Program::parse_with(source.trim_end(), functions).map_err(|e| e.to_string())?;
        let variables = facts.variables();
        if self.explain {
            print!("{}", expr::explain(&program, &variables));
            return Ok(());
        }
        let value = program.run(&variables).map_err(|e| e.to_string())?;
        println!("{}", value.to_json_text().unwrap_or_else(|_| value.shown()));
        Ok(())
    }

    async fn facts(&self) -> Result<Facts, String> {
        if let Some(id) = &self.event {
            let (api, namespace) = self.connection.rest().await?;
            let record = api
                .get(&format!("/api/v1/event-records/{}/{}", encode(&namespace), encode(id)))
                .await
                .map_err(|e| e.message)?;
            return Ok(of_record(&record));
        }
        let text = self.payload.strip_prefix('@').map_or_else(|| Ok(self.payload.clone()), read)?;
        let payload = serde_json::from_str(&text)
            .map_err(|_| format!("--payload is no JSON: {}", apiserver::gojson::error(text.as_bytes())))?;
        let mut metadata = Map::new();
        for h in &self.headers {
            let (name, value) =
                h.split_once(':').ok_or_else(|| format!("--header {h:?}: write it as `name: value`"))?;
            let list = metadata.entry(name.trim().to_lowercase()).or_insert_with(|| json!([]));
            list.as_array_mut().into_iter().for_each(|l| l.push(value.trim().into()));
        }
        let namespace = self.connection.namespace.clone().unwrap_or_else(|| "default".into());
        Ok(Facts::new(payload, metadata.into(), namespace, self.discriminator.clone()))
    }
}

/// What expressions saw of a recorded event.
pub fn of_record(record: &Value) -> Facts {
    let text = |k: &str| record[k].as_str().unwrap_or("").to_owned();
    Facts::new(record["payload"].clone(), record["metadata"].clone(), text("namespace"), text("discriminator"))
}
