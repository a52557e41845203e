//! A Sensor object read strictly: what it waits for, and what it does then. Every mistake has the path of its field.

use super::earlier;
use super::trigger::{self, Settings};
use super::view::Shape;
use crate::cron::{Schedule, Seconds, Syntax, time_zone};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use sensor::condition::Condition;
use sensor::dependency::Judgement;
use sensor::parameter::Parameter;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// A mistake: the path of a field, and what is wrong with it.
pub type Mistake = (String, String);

/// What counts of a Sensor object.
pub struct Sensor {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub generation: i64,
    pub dependencies: Vec<Dependency>,
    pub triggers: Vec<Trigger>,
    /// Whether another round begins when one is complete.
    pub repeats: bool,
    pub service_account: String,
}

/// Events that are waited for.
pub struct Dependency {
    pub name: String,
    pub gateway: String,
    /// Empty: of all configurations.
    pub configuration: String,
    pub shape: Shape,
    pub judgement: Judgement,
    /// What is told as a Kubernetes Event when an event is rejected.
    pub escalation: Option<String>,
}

/// What happens when a condition holds.
pub struct Trigger {
    pub name: String,
    pub condition: Condition,
    pub resets: Vec<Reset>,
    /// What goes into the template before it is used.
    pub parameters: Vec<Parameter>,
    /// Its kind and that kind's settings, as JSON.
    pub template: Value,
    pub kind: &'static trigger::Kind,
    pub retry: Retry,
    pub rate: Option<Rate>,
    /// Statuses of HTTP that count as success, where they are named.
    pub allow: Vec<u16>,
    /// What is fired instead of what was given up.
    pub otherwise: Option<Box<Trigger>>,
}

/// When a round is forgotten.
pub struct Reset {
    schedule: Schedule,
    zone: TimeZone,
}

impl Reset {
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.schedule.next(after, &self.zone)
    }
}

/// How a failed action is tried again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retry {
    /// Tries in all.
    pub steps: u32,
    pub pause: Duration,
    pub factor: f64,
    pub jitter: f64,
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Retry { steps: 8, pause: Duration::from_secs(1), factor: 2.0, jitter: 0.2, longest: Duration::from_secs(60) }
    }
}

/// So many in such a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    pub requests: u32,
    pub per: Duration,
}

/// Reads with the paths of what is wrong, unknown members among them.
pub fn strict<T: DeserializeOwned>(v: &Value, path: &str, mistakes: &mut Vec<Mistake>) -> Option<T> {
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let de = serde_path_to_error::Deserializer::new(v, &mut track);
    let read: Result<T, _> = serde_ignored::deserialize(de, |at| unknown.push(at.to_string()));
    mistakes
        .extend(unknown.into_iter().map(|at| (join(path, &at.replace(".?", "")), "it is not known here".to_owned())));
    match read {
        Ok(t) => Some(t),
        Err(e) => {
            let at = track.path().to_string();
            mistakes.push((join(path, if at == "." { "" } else { &at }), e.to_string()));
            None
        }
    }
}

pub fn join(path: &str, at: &str) -> String {
    match at {
        "" => path.to_owned(),
        at if at.starts_with('[') => format!("{path}{at}"),
        at => format!("{path}.{at}"),
    }
}

fn list<'v>(v: &'v Value, name: &str) -> &'v [Value] {
    v[name].as_array().map_or(&[], Vec::as_slice)
}

impl Sensor {
    pub fn read(o: &Value) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let text = |p: &str| o.pointer(p).and_then(Value::as_str).unwrap_or("").to_owned();
        let spec = &o["spec"];
        let first_form = !list(spec, "signals").is_empty();
        let place = if first_form { "signals" } else { "dependencies" };
        let mut dependencies = Vec::new();
        for (i, d) in list(spec, place).iter().enumerate() {
            dependencies.extend(dependency(d, &format!("spec.{place}[{i}]"), &mut mistakes));
        }
        let names: Vec<&str> = dependencies.iter().map(|d: &Dependency| d.name.as_str()).collect();
        for (i, name) in names.iter().enumerate().filter(|(i, name)| names[..*i].contains(name)) {
            mistakes.push((format!("spec.{place}[{i}].name"), format!("{name:?} is the name of two dependencies")));
        }
        if dependencies.is_empty() && mistakes.is_empty() {
            mistakes.push((
                "spec.dependencies".into(),
                "name what is waited for: gatewayName (or eventSourceName) and eventName".into(),
            ));
        }
        let circuit = earlier::circuit(spec, &names, &mut mistakes);
        let mut triggers: Vec<Trigger> = Vec::new();
        for (i, t) in list(spec, "triggers").iter().enumerate() {
            let path = format!("spec.triggers[{i}]");
            if let Some(t) = trigger(t, &path, &names, circuit.as_ref(), &mut mistakes) {
                if triggers.iter().any(|known| known.name == t.name) {
                    mistakes
                        .push((format!("{path}.template.name"), format!("{:?} is the name of two triggers", t.name)));
                }
                triggers.push(t);
            }
        }
        if list(spec, "triggers").is_empty() {
            mistakes.push(("spec.triggers".into(), "say what happens: at least one trigger".into()));
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let account = [
            "/spec/template/serviceAccountName",
            "/spec/template/spec/serviceAccountName",
            "/spec/deploySpec/serviceAccountName",
            "/spec/serviceAccountName",
        ];
        Ok(Sensor {
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
            uid: text("/metadata/uid"),
            generation: o.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0),
            dependencies,
            triggers,
            repeats: !first_form || spec["repeat"] == true,
            service_account: account
                .iter()
                .map(|p| text(p))
                .find(|a| !a.is_empty())
                .unwrap_or_else(|| "default".into()),
        })
    }

    pub fn trigger(&self, name: &str) -> Option<&Trigger> {
        self.triggers.iter().find(|t| t.name == name)
    }

    /// As whom it creates and reads.
    pub fn caller(&self) -> crate::event::Caller {
        crate::event::Caller::account(&self.namespace, &self.service_account)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DependencyFields {
    name: String,
    #[serde(default)]
    event_source_name: String,
    #[serde(default)]
    gateway_name: String,
    #[serde(default)]
    event_name: String,
    #[serde(default, rename = "deadline")]
    _deadline: i64,
    #[serde(default)]
    filters: Value,
    #[serde(default)]
    filters_logical_operator: String,
    #[serde(default)]
    transform: Option<sensor::transform::Transform>,
}

fn dependency(v: &Value, path: &str, mistakes: &mut Vec<Mistake>) -> Option<Dependency> {
    let mut d: DependencyFields = strict(v, path, mistakes)?;
    let shape = if d.event_source_name.is_empty() { Shape::Data } else { Shape::EventSource };
    let (gateway, configuration) = if !d.event_source_name.is_empty() || !d.gateway_name.is_empty() {
        let gateway = if d.event_source_name.is_empty() { d.gateway_name.clone() } else { d.event_source_name.clone() };
        (gateway, d.event_name.clone())
    } else {
        match d.name.split_once(['/', ':']) {
            Some((gateway, configuration)) => (gateway.to_owned(), configuration.to_owned()),
            None => {
                let why = "say where its events come from: gatewayName (or eventSourceName) and eventName, or a name such as gateway/configuration";
                mistakes.push((path.to_owned(), why.into()));
                return None;
            }
        }
    };
    let escalation = earlier::escalation(&d.filters);
    let filters = earlier::filters(&mut d.filters, &d.name, &format!("{path}.filters"), mistakes);
    if !matches!(&*d.filters_logical_operator, "" | "and" | "or") {
        mistakes.push((format!("{path}.filtersLogicalOperator"), "expected and or or".into()));
    }
    if let Some(t) = &d.transform
        && !t.jq.is_empty()
        && let Err(why) = sensor::transform::check_jq(&t.jq)
    {
        mistakes.push((format!("{path}.transform.jq"), why));
    }
    let judgement = Judgement { transform: d.transform, filters, filters_logical_operator: d.filters_logical_operator };
    Some(Dependency { name: d.name, gateway, configuration, shape, judgement, escalation })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TriggerFields {
    template: Map<String, Value>,
    #[serde(default)]
    parameters: Vec<Parameter>,
    #[serde(default)]
    policy: Value,
    #[serde(default)]
    retry_strategy: Option<RetryFields>,
    #[serde(default)]
    rate_limit: Option<RateFields>,
    /// Every trigger fires at least once here.
    #[serde(default, rename = "atLeastOnce")]
    _at_least_once: bool,
    #[serde(default)]
    dlq_trigger: Option<Value>,
}

#[derive(Deserialize)]
struct RetryFields {
    steps: Option<u32>,
    duration: Option<Value>,
    factor: Option<Value>,
    jitter: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RateFields {
    #[serde(default)]
    unit: String,
    requests_per_unit: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResetFields {
    by_time: ByTime,
}

#[derive(Deserialize)]
struct ByTime {
    cron: String,
    #[serde(default)]
    timezone: String,
}

fn trigger(
    v: &Value,
    path: &str,
    dependencies: &[&str],
    circuit: Option<&Condition>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Trigger> {
    let v = earlier::trigger(v, path, mistakes)?;
    let mut t: TriggerFields = strict(&v, path, mistakes)?;
    let at = format!("{path}.template");
    let mut take = |name: &str| t.template.remove(name).unwrap_or(Value::Null);
    let name = take("name").as_str().unwrap_or("").to_owned();
    if name.is_empty() {
        mistakes.push((format!("{at}.name"), "a trigger needs a name".into()));
    }
    let conditions = take("conditions").as_str().unwrap_or("").to_owned();
    let condition = match (conditions.trim(), circuit) {
        ("", Some(circuit)) => circuit.clone(),
        ("", None) => Condition::all(dependencies.iter().copied()),
        (text, _) => Condition::parse(text, dependencies)
            .map_err(|why| mistakes.push((format!("{at}.conditions"), why)))
            .unwrap_or_else(|()| Condition::all(dependencies.iter().copied())),
    };
    let mut resets = Vec::new();
    for (i, r) in take("conditionsReset").as_array().into_iter().flatten().enumerate() {
        let at = format!("{at}.conditionsReset[{i}]");
        let Some(fields) = strict::<ResetFields>(r, &at, mistakes) else { continue };
        let syntax = Syntax { seconds: Seconds::None, descriptors: true };
        match (Schedule::parse(&fields.by_time.cron, syntax), time_zone(&fields.by_time.timezone)) {
            (Ok(schedule), Ok(zone)) => resets.push(Reset { schedule, zone }),
            (Err(why), _) => mistakes.push((format!("{at}.byTime.cron"), why)),
            (_, Err(why)) => mistakes.push((format!("{at}.byTime.timezone"), why)),
        }
    }
    let kind = match t.template.keys().map(String::as_str).collect::<Vec<_>>()[..] {
        [one] => match trigger::named(one) {
            Some(kind) => kind,
            None => {
                let known: Vec<&str> = trigger::KINDS.iter().map(|k| k.name).collect();
                mistakes.push((
                    format!("{at}.{one}"),
                    format!("triggers of this kind are not supported: there is {}", known.join(", ")),
                ));
                return None;
            }
        },
        [] => {
            mistakes.push((at, "say what happens: k8s, argoWorkflow, http, log, nats or kafka".into()));
            return None;
        }
        [..] => {
            mistakes.push((at, "one template makes one thing happen: name one kind".into()));
            return None;
        }
    };
    let settings = Settings { value: &t.template[kind.name], path: format!("{at}.{}", kind.name) };
    (kind.check)(&settings, mistakes);
    let otherwise = t.dlq_trigger.as_ref().and_then(|d| {
        let mut d = d.clone();
        // It fires with the events of the one that was given up: it waits for nothing itself.
        if let Some(template) = d.get_mut("template").and_then(Value::as_object_mut) {
            template.entry("name").or_insert_with(|| json!(format!("{name}-dlq")));
        }
        trigger(&d, &format!("{path}.dlqTrigger"), dependencies, circuit, mistakes).map(Box::new)
    });
    let template = Value::Object(std::mem::take(&mut t.template));
    let allow = policy(&t.policy, &format!("{path}.policy"), kind, mistakes);
    let retry = retry(t.retry_strategy, &format!("{path}.retryStrategy"), mistakes);
    let rate = t.rate_limit.and_then(|r| rate(&r, &format!("{path}.rateLimit"), mistakes));
    Some(Trigger { name, condition, resets, parameters: t.parameters, template, kind, retry, rate, allow, otherwise })
}

fn policy(v: &Value, path: &str, kind: &trigger::Kind, mistakes: &mut Vec<Mistake>) -> Vec<u16> {
    #[derive(Deserialize, Default)]
    struct Policy {
        status: Option<Status>,
        k8s: Option<Value>,
    }
    #[derive(Deserialize)]
    struct Status {
        allow: Vec<u16>,
    }
    if v.is_null() {
        return Vec::new();
    }
    let policy: Policy = strict(v, path, mistakes).unwrap_or_default();
    if policy.k8s.is_some() {
        mistakes.push((format!("{path}.k8s"), "waiting for what was created to have labels is not supported".into()));
    }
    match policy.status {
        Some(_) if kind.name != "http" => {
            mistakes.push((format!("{path}.status"), "only http triggers have statuses".into()));
            Vec::new()
        }
        Some(s) => s.allow,
        None => Vec::new(),
    }
}

/// A number, or a text that is one.
fn number(v: &Value) -> Option<f64> {
    v.as_f64().or_else(|| v.as_str()?.parse().ok())
}

fn retry(fields: Option<RetryFields>, path: &str, mistakes: &mut Vec<Mistake>) -> Retry {
    let mut out = Retry::default();
    let Some(f) = fields else { return out };
    out.steps = f.steps.unwrap_or(out.steps).clamp(1, 1000);
    if let Some(d) = &f.duration {
        let nanos = d.as_i64().map(SignedDuration::from_nanos);
        let read = nanos.map_or_else(|| crate::clock::duration(d.as_str().unwrap_or("")), Ok);
        match read.map(Duration::try_from) {
            Ok(Ok(pause)) => out.pause = pause,
            Ok(Err(_)) => mistakes.push((format!("{path}.duration"), "it must not be negative".into())),
            Err(why) => mistakes.push((format!("{path}.duration"), why)),
        }
    }
    for (name, given, to) in [("factor", &f.factor, &mut out.factor), ("jitter", &f.jitter, &mut out.jitter)] {
        match given.as_ref().map(number) {
            None => {}
            Some(Some(n)) if (0.0..=1000.0).contains(&n) => *to = n,
            Some(_) => mistakes.push((format!("{path}.{name}"), "expected a number from 0 to 1000".into())),
        }
    }
    out
}

fn rate(r: &RateFields, path: &str, mistakes: &mut Vec<Mistake>) -> Option<Rate> {
    let seconds = match &*r.unit {
        "" | "Second" => 1,
        "Minute" => 60,
        "Hour" => 3600,
        _ => {
            mistakes.push((format!("{path}.unit"), "expected Second, Minute or Hour".into()));
            return None;
        }
    };
    // None at all: the original takes it for no limit.
    (r.requests_per_unit > 0).then_some(Rate { requests: r.requests_per_unit, per: Duration::from_secs(seconds) })
}

/// A sensor that is shared between the parts that work for it.
pub type Shared = Arc<Sensor>;
