//! Filters of dependencies: expressions, data, attributes, time of day and scripts.

mod data;
mod expression;
mod time;

use crate::event::{Context, Event};
use crate::script;
use serde::{Deserialize, Serialize};

/// Whether a window of the day makes sense; what is wrong with it otherwise.
pub fn check_time(window: &TimeFilter) -> Result<(), String> {
    time::ask(window, "2026-01-01T00:00:00Z").map(drop)
}

/// What an event has to be like; see each part.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Filter {
    /// Expressions over fields of the data.
    pub exprs: Option<Vec<ExpressionFilter>>,
    /// How `exprs` are combined: `and` (the default) or `or`.
    pub expr_logical_operator: String,
    /// Values of the data.
    pub data: Option<Vec<DataFilter>>,
    /// How `data` are combined: `and` (the default) or `or`.
    pub data_logical_operator: String,
    /// Attributes that must be equal; empty ones count for nothing.
    pub context: Option<ContextFilter>,
    /// A window of the day.
    pub time: Option<TimeFilter>,
    /// A Lua script over `event`, which must return true.
    pub script: String,
}

/// An expression of govaluate, and what its names stand for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExpressionFilter {
    /// The expression.
    pub expr: String,
    /// Its names.
    pub fields: Vec<Field>,
}

/// A name and a path into the data.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Field {
    /// The name in the expression.
    pub name: String,
    /// A GJSON path.
    pub path: String,
}

/// What a value of the data has to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DataFilter {
    /// A GJSON path.
    pub path: String,
    /// `bool`, `number` or `string`.
    #[serde(rename = "type")]
    pub kind: String,
    /// One of them is enough. Strings are patterns, found anywhere.
    pub value: Vec<String>,
    /// `=` (the default), `!=`, `<`, `<=`, `>` or `>=`.
    pub comparator: String,
    /// A Go template over `.Input`, the value, whose result is compared in its place.
    pub template: String,
}

/// Attributes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContextFilter {
    /// CloudEvents `type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// CloudEvents `subject`.
    pub subject: String,
    /// CloudEvents `source`.
    pub source: String,
    /// CloudEvents `datacontenttype`.
    pub datacontenttype: String,
}

/// A window of the day: from `start` until before `stop`; over midnight where `stop` is earlier.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TimeFilter {
    /// `HH:MM:SS`
    pub start: String,
    /// `HH:MM:SS`
    pub stop: String,
    /// An IANA name; UTC if there is none.
    pub timezone: String,
}

/// What a filter says to an event.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// Whether it passes.
    pub pass: bool,
    /// What could not be evaluated.
    pub error: Option<String>,
    /// Which part said no, and to which value.
    pub because: Option<String>,
}

/// What one part says: no error, and why not.
type Part = Result<Result<(), String>, String>;

/// Asks a filter. `operator` combines its parts: `and` (the default) or `or`.
pub fn filter(filter: &Filter, operator: &str, event: &Event) -> Verdict {
    type Ask = fn(&Filter, &Event) -> Option<Part>;
    const PARTS: [Ask; 4] = [
        |f, e| f.exprs.as_deref().map(|exprs| expression::ask(exprs, &f.expr_logical_operator, e)),
        |f, e| f.data.as_deref().map(|data| data::ask(data, &f.data_logical_operator, e)),
        |f, e| f.context.as_ref().map(|context| Ok(attributes(context, &e.context))),
        |f, e| f.time.as_ref().map(|window| time::ask(window, &e.context.time)),
    ];
    let any = operator == "or";
    let mut out = Verdict { pass: !any, ..Verdict::default() };
    let mut errors = Vec::new();
    for ask in PARTS {
        match ask(filter, event) {
            None => {}
            Some(Ok(Ok(()))) => out.pass |= any,
            Some(Ok(Err(because))) => {
                out.pass &= any;
                out.because.get_or_insert(because);
            }
            Some(Err(error)) => {
                errors.push(error);
                if !any {
                    break;
                }
            }
        }
    }
    // A script is asked last, and where it fails it decides alone.
    if !filter.script.is_empty() && (any || errors.is_empty()) {
        match script::ask(&filter.script, event) {
            Ok(Ok(())) => out.pass |= any,
            Ok(Err(because)) => {
                out.pass &= any;
                out.because.get_or_insert(because);
            }
            Err(error) => errors = vec![error],
        }
    }
    if !errors.is_empty() {
        out.error = Some(errors.join(" / "));
        out.pass = false;
    }
    if out.pass {
        out.because = None;
    }
    out
}

fn attributes(wanted: &ContextFilter, have: &Context) -> Result<(), String> {
    let all = [
        ("type", &wanted.kind, &have.kind),
        ("subject", &wanted.subject, &have.subject),
        ("source", &wanted.source, &have.source),
        ("datacontenttype", &wanted.datacontenttype, &have.datacontenttype),
    ];
    match all.into_iter().find(|(_, wanted, have)| !wanted.is_empty() && wanted != have) {
        None => Ok(()),
        Some((name, wanted, have)) => Err(format!("context.{name} is {have:?}, not {wanted:?}")),
    }
}

/// Combines several filters of one kind: all, or any. An error of one is an error of all only where all count.
fn combined<T>(kind: &str, filters: &[T], operator: &str, ask: impl Fn(&T) -> Part) -> Part {
    let any = operator == "or";
    let mut errors = Vec::new();
    let mut no = None;
    for f in filters {
        match ask(f) {
            Ok(Ok(())) if any => return Ok(Ok(())),
            Ok(Ok(())) => {}
            Ok(Err(because)) if any => no = Some(no.unwrap_or(because)),
            Ok(Err(because)) => return Ok(Err(because)),
            Err(error) if any => errors.push(error),
            Err(error) => return Err(format!("{kind} filter error ({error})")),
        }
    }
    if !errors.is_empty() {
        return Err(format!("{kind} filter errors [{}]", errors.join(" / ")));
    }
    match no {
        Some(because) => Ok(Err(because)),
        None if any => Ok(Err(format!("no {kind} filter is given"))),
        None => Ok(Ok(())),
    }
}

/// The data, if it is JSON; none when there is none, which every filter lets pass.
fn json<'e>(kind: &str, event: &'e Event) -> Option<Result<&'e str, String>> {
    let data = event.data.as_deref()?;
    Some(if gjson::valid(data) { Ok(data) } else { Err(format!("{kind} filter error (event data not valid JSON)")) })
}
