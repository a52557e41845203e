//! `triggerfish get`

use super::connect::{Connection, resolve};
use super::{Output, columns, print};
use serde_json::Value;

#[derive(Debug, clap::Args)]
pub struct Get {
    /// A kind, such as wf, wfeb, wftmpl, pods.
    kind: String,
    name: Option<String>,
    /// Every namespace.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only objects with these labels.
    #[arg(short = 'l', long, default_value = "", hide_default_value = true)]
    selector: String,
    #[arg(short, long, value_enum)]
    output: Option<Output>,
    #[command(flatten)]
    connection: Connection,
}

impl Get {
    pub async fn run(self) -> Result<(), String> {
        let (api, namespace) = self.connection.kubernetes().await?;
        let r = resolve(&api, &self.kind).await?;
        let namespace = if self.all_namespaces { "" } else { namespace.as_str() };
        let mut place = r.path(namespace, self.name.as_deref().unwrap_or(""));
        if self.name.is_none() {
            place.push_str(&format!("?labelSelector={}", crate::kube_api::encode(&self.selector)));
        }
        match self.output {
            Some(how @ (Output::Json | Output::Yaml)) => print(&api.get(&place).await.map_err(|e| e.message)?, how),
            Some(Output::Name) => {
                let table = api.table(&place).await.map_err(|e| e.message)?;
                for row in table["rows"].as_array().into_iter().flatten() {
                    println!("{}/{}", r.plural, row["cells"][0].as_str().unwrap_or(""));
                }
                Ok(())
            }
            other => {
                draw(
                    &api.table(&place).await.map_err(|e| e.message)?,
                    other == Some(Output::Wide),
                    self.all_namespaces && r.namespaced,
                );
                Ok(())
            }
        }
    }
}

fn draw(table: &Value, wide: bool, with_namespace: bool) {
    let definitions = table["columnDefinitions"].as_array().cloned().unwrap_or_default();
    let shown: Vec<usize> = (0..definitions.len()).filter(|i| wide || definitions[*i]["priority"] == 0).collect();
    let rows = table["rows"].as_array().cloned().unwrap_or_default();
    if rows.is_empty() {
        eprintln!("nothing found");
        return;
    }
    let mut out =
        vec![shown.iter().map(|i| definitions[*i]["name"].as_str().unwrap_or("").to_uppercase()).collect::<Vec<_>>()];
    for row in &rows {
        let cell = |v: &Value| {
            v.as_str().map_or_else(|| if v.is_null() { String::new() } else { v.to_string() }, str::to_owned)
        };
        out.push(shown.iter().map(|i| cell(&row["cells"][*i])).collect());
    }
    if with_namespace {
        out[0].insert(0, "NAMESPACE".into());
        for (line, row) in out.iter_mut().skip(1).zip(&rows) {
            line.insert(0, row.pointer("/object/metadata/namespace").and_then(Value::as_str).unwrap_or("").into());
        }
    }
    columns(&out);
}
