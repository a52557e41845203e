//! The notice itself, to any address; signed if it should be.

use super::{Call, Group, Kind};
use crate::go_url::GoUrl;
use crate::http::{Failure, Request, hex};
use crate::setup::Setup;
use ring::hmac;

pub const KIND: Kind = Kind {
    name: "generic",
    title: "Any address",
    group: Group::Whole,
    check,
    post: |c| Box::pin(send(c, false)),
    example: "type: generic\naddress: https://example.com/hook\nsecretRef: {name: generic}\n# Secret: headers, YAML such as\n#   Authorization: token\n",
    notes: "The body is the event as JSON, `Gotk-Component` the controller. An alert may give the whole body. `headers` go before all others.",
};

pub const SIGNED: Kind = Kind {
    name: "generic-hmac",
    title: "Any address, signed",
    group: Group::Whole,
    check: check_signed,
    post: |c| Box::pin(send(c, true)),
    example: "type: generic-hmac\naddress: https://example.com/hook\nsecretRef: {name: generic-hmac}\n# Secret: token, the key of the signature; headers as those of generic\n",
    notes: "`X-Signature: sha256=` and the HMAC of the body's bytes in hexadecimal digits. `headers` cannot change it.",
};

fn check(s: &Setup) -> Result<(), String> {
    GoUrl::for_request(&s.address).map(drop).map_err(|why| format!("invalid hook URL {}: {why}", s.address))
}

fn check_signed(s: &Setup) -> Result<(), String> {
    check(s)?;
    if s.token().is_empty() { Err("HMAC key is empty".into()) } else { Ok(()) }
}

async fn send(c: &Call<'_>, signed: bool) -> Result<(), Failure> {
    let body = c.body.map_or_else(|| c.notice.json(), str::to_owned);
    let signature = signed.then(|| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, c.token().as_bytes());
        format!("sha256={}", hex(hmac::sign(&key, body.as_bytes()).as_ref()))
    });
    let mut r = Request::post(&c.setup.address).text("application/json", body);
    r = r.header("Gotk-Component", &c.notice.controller);
    for (name, value) in &c.setup.headers {
        r = r.set(name, value);
    }
    if let Some(signature) = signature {
        r = r.set("X-Signature", signature);
    }
    c.post(r).await.map(drop)
}
