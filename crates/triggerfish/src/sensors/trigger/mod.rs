//! What triggers do: one file for each kind, one line in `KINDS`.

pub mod argo_workflow;
pub mod http;
pub mod k8s;
pub mod kafka;
pub mod log;
pub mod nats;

use super::specification::{Mistake, Sensor, Trigger, strict};
use crate::kube_api::Api;
use futures_util::future::BoxFuture;
use sensor::parameter::{self, Events, Parameter};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

pub const KINDS: &[Kind] = &[k8s::KIND, argo_workflow::KIND, http::KIND, log::KIND, nats::KIND, kafka::KIND];

/// One kind of trigger.
pub struct Kind {
    /// The member of a template that holds its settings.
    pub name: &'static str,
    /// Finds what is wrong with settings, before anything happens.
    pub check: fn(&Settings, &mut Vec<Mistake>),
    /// Does it once; the answer is what was done, in a word or two. The same action may be fired again after a crash: its id
    /// tells what was there already.
    pub fire: for<'a> fn(&'a Firing<'a>) -> BoxFuture<'a, Result<String, Failure>>,
}

/// Settings, and where they stand in the object.
pub struct Settings<'v> {
    pub value: &'v Value,
    pub path: String,
}

impl Settings<'_> {
    pub fn read<T: DeserializeOwned>(&self, mistakes: &mut Vec<Mistake>) -> Option<T> {
        strict(self.value, &self.path, mistakes)
    }
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// It may work the next time; the other side may have said when that is.
    Again(String, Option<Duration>),
    /// It never will.
    Never(String),
}

impl Failure {
    pub fn again(why: impl ToString) -> Self {
        Failure::Again(why.to_string(), None)
    }
    pub fn never(why: impl ToString) -> Self {
        Failure::Never(why.to_string())
    }
    pub fn why(&self) -> &str {
        match self {
            Failure::Again(why, _) | Failure::Never(why) => why,
        }
    }
}

/// What stopped a source stops a trigger alike.
impl From<crate::gateway::Failure> for Failure {
    fn from(e: crate::gateway::Failure) -> Self {
        match e {
            crate::gateway::Failure::Lost(why) => Failure::Again(why, None),
            crate::gateway::Failure::Wrong(why) => Failure::Never(why),
        }
    }
}

/// One action to be done.
pub struct Firing<'a> {
    pub sensor: &'a Sensor,
    pub trigger: &'a Trigger,
    pub settings: Value,
    pub events: &'a Events,
    /// What the action is recognised by.
    pub id: &'a str,
    /// The Kubernetes API, as the sensor's service account.
    pub api: Api,
    /// The only folder that files are read from.
    pub files: &'a Path,
}

impl<'a> Firing<'a> {
    /// An action with its template's own parameters put in.
    pub fn prepare(
        sensor: &'a Sensor,
        trigger: &'a Trigger,
        events: &'a Events,
        id: &'a str,
        api: Api,
        files: &'a Path,
    ) -> Result<Self, Failure> {
        let text =
            parameter::apply(&trigger.template.to_string(), &trigger.parameters, events).map_err(Failure::Never)?;
        let template: Value = serde_json::from_str(&text).map_err(Failure::never)?;
        let settings = template[trigger.kind.name].clone();
        let mut mistakes = Vec::new();
        (trigger.kind.check)(&Settings { value: &settings, path: trigger.kind.name.into() }, &mut mistakes);
        match mistakes.first() {
            Some((path, why)) => Err(Failure::Never(format!("after its parameters: {path}: {why}"))),
            None => Ok(Firing { sensor, trigger, settings, events, id, api, files }),
        }
    }

    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let mut mistakes = Vec::new();
        strict(&self.settings, self.trigger.kind.name, &mut mistakes).ok_or_else(|| {
            Failure::Never(mistakes.first().map_or_else(String::new, |(path, why)| format!("{path}: {why}")))
        })
    }

    /// What is sent, made by parameters; without any, the events as they are.
    pub fn payload(&self, parameters: &[Parameter]) -> Result<String, Failure> {
        let made = parameter::payload(parameters, self.events).map_err(Failure::Never)?;
        Ok(made.unwrap_or_else(|| "{}".into()))
    }
}

pub fn named(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|k| k.name == name)
}
