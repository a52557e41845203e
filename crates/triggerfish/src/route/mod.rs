//! Decides, without doing anything, what an event starts.

use apiserver::Admitted;
use serde_json::Value;

pub fn admit(_new: &Value, _old: Option<&Value>) -> Admitted {
    Admitted::default()
}
