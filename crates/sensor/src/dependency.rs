//! What a dependency does to an event: transforms it, then asks its filters.

use crate::event::Event;
use crate::filter::{Filter, filter};
use crate::transform::{Transform, transform};
use serde::{Deserialize, Serialize};

/// How a dependency looks at events.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Judgement {
    /// What the data becomes first.
    pub transform: Option<Transform>,
    /// What it has to be like then.
    pub filters: Option<Filter>,
    /// How the kinds of filters are combined: `and` (the default) or `or`.
    pub filters_logical_operator: String,
}

impl Judgement {
    /// Whether it runs programs that somebody wrote: those are run apart, where they can be ended.
    pub fn runs_programs(&self) -> bool {
        self.transform.as_ref().is_some_and(|t| !t.jq.is_empty() || !t.script.is_empty())
            || self.filters.as_ref().is_some_and(|f| !f.script.is_empty())
    }

    /// The event as it passes, or why it does not.
    pub fn judge(&self, event: &Event) -> Result<Event, String> {
        let event = match &self.transform {
            Some(how) => transform(how, event)?,
            None => event.clone(),
        };
        let Some(wanted) = &self.filters else { return Ok(event) };
        let verdict = filter(wanted, &self.filters_logical_operator, &event);
        if verdict.pass {
            return Ok(event);
        }
        Err(verdict.error.or(verdict.because).unwrap_or_else(|| "no filter lets it pass".into()))
    }
}
