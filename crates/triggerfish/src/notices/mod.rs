//! Notices on their way: as events of the log, as what an alert makes of them, as letters that wait for a provider. Decisions only;
//! the loops are in `serve`.

mod admission;
mod desk;
mod hooks;
mod letter;
mod progress;
mod report;

pub use admission::{admit_alert, admit_provider, admit_receiver};
pub use desk::Window;
pub use hooks::{Hook, Hooks};
pub use letter::{Letter, OWNERS, letters, owner};
pub use progress::{Board, Key, Progress, condition};
pub use report::{complaint, given_up, nodes, workflow};

use crate::event::{Caller, Event, Origin};
use notify::Notice;
use serde_json::value::RawValue;

/// The type of events that are notices.
pub const KIND: &str = "dev.triggerfish.notice";
/// The type of events that came to a receiver.
pub const RECEIVED: &str = "dev.triggerfish.receiver";
/// What stands for a gateway in their origin: no object can have this name.
const GATEWAY: &str = "/notifications";

/// A notice as an event of the log. Only alerts look at it.
pub fn event(n: &Notice, source: &str) -> Event {
    let origin = Origin {
        gateway: GATEWAY.into(),
        configuration: String::new(),
        bindings: false,
        source: "notice".into(),
        copy: false,
    };
    Event {
        id: uuid::Uuid::now_v7().to_string(),
        source: source.to_owned(),
        kind: KIND.into(),
        subject: n.path(),
        time: crate::clock::precise(jiff::Timestamp::now()),
        datacontenttype: "application/json".into(),
        // What was made of text is text.
        data: RawValue::from_string(n.json()).ok(),
        namespace: n.object.namespace.clone(),
        discriminator: String::new(),
        metadata: Default::default(),
        caller: Caller::default(),
        origin: Some(origin),
        base64: false,
    }
}

/// The notice that an event is, if it is one.
pub fn of_event(e: &Event) -> Option<Notice> {
    if e.kind != KIND || e.origin.as_ref().is_none_or(|o| o.gateway != GATEWAY) {
        return None;
    }
    Notice::read(e.data.as_ref()?.get().as_bytes()).ok()
}
