//! A bucket's listing, read again and again, where the store has no notifications: an object is new when it was written after the
//! newest that was there before.

use super::super::Failure;
use super::super::outlet::{Emission, Outlet, pump};
use super::S3;
use futures_util::stream;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

/// Clocks of a store's machines differ, and an upload takes time: what was written so long before the newest is looked at again;
/// what was told already is recognised.
const OVERLAP: SignedDuration = SignedDuration::from_mins(5);
/// An object that is listed so long after it was written is not new.
const FORGOTTEN: SignedDuration = SignedDuration::from_hours(12);
/// Objects of one bucket, at most.
const OBJECTS: usize = 1_000_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listing {
    #[serde(default)]
    contents: Vec<Object>,
    next_continuation_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Object {
    key: String,
    last_modified: String,
    #[serde(rename = "ETag", default)]
    etag: String,
    #[serde(default)]
    size: u64,
}

/// How far it has come.
#[derive(Clone, Copy)]
struct Place {
    /// When the newest object that was told was written.
    newest: Timestamp,
    /// What was written up to here was there when the bucket was looked at for the first time.
    first: Timestamp,
}

impl Place {
    fn read(text: &str) -> Option<Self> {
        let (newest, first) = text.split_once(' ')?;
        Some(Place { newest: newest.parse().ok()?, first: first.parse().ok()? })
    }

    fn text(self) -> String {
        format!("{} {}", self.newest, self.first)
    }

    /// The place after an object, where it is a new one.
    fn after(self, at: Timestamp) -> Option<Self> {
        let from = self.newest.checked_sub(OVERLAP).unwrap_or(self.newest).max(self.first);
        // What was told is forgotten a day later.
        let late = at <= self.newest && Timestamp::now().duration_since(at) > FORGOTTEN;
        (at > from && !late).then_some(Place { newest: self.newest.max(at), ..self })
    }
}

pub async fn run(s3: &S3, every: Duration, out: &Outlet) -> Result<(), Failure> {
    let client = super::client(out).await?;
    let mut place = out.position()?.and_then(|p| Place::read(&p));
    loop {
        let mut objects = list(s3, &client, out).await?;
        out.running();
        objects.sort_by_key(|(at, _)| *at);
        match place {
            // What there is when it is looked at for the first time is not new.
            None => {
                let newest = objects.last().map_or(Timestamp::UNIX_EPOCH, |(at, _)| *at);
                let here = Place { newest, first: newest };
                out.keep_position(here.text()).await?;
                place = Some(here);
            }
            Some(before) => {
                let new = objects.into_iter().filter_map(|(at, o)| Some((before.after(at)?, at, o)));
                let new: Vec<(Place, Timestamp, Object)> = new.collect();
                place = new.last().map_or(place, |(p, ..)| Some(*p));
                let read = |(p, at, o): &(Place, Timestamp, Object)| emission(s3, *at, o, *p);
                pump(out, stream::iter(new.into_iter().map(Ok)), read, |_| async { Ok(()) }).await?;
            }
        }
        tokio::time::sleep(every).await;
    }
}

async fn list(s3: &S3, client: &super::Https, out: &Outlet) -> Result<Vec<(Timestamp, Object)>, Failure> {
    let keys = s3.keys(out).await?;
    let (mut objects, mut page): (Vec<(Timestamp, Object)>, Option<String>) = (Vec::new(), None);
    loop {
        let mut query = vec![("list-type", "2"), ("encoding-type", "url"), ("prefix", s3.prefix())];
        query.extend(page.as_deref().map(|p| ("continuation-token", p)));
        let text = super::read_whole(client, s3.request(&keys, query)?, &s3.base).await?;
        let listing: Listing = quick_xml::de::from_reader(text.as_ref())
            .map_err(|e| Failure::Lost(format!("{}: its listing cannot be read: {e}", s3.base)))?;
        for mut object in listing.contents {
            object.key = decoded(&object.key);
            if object.key.ends_with(&s3.settings.filter.suffix)
                && let Ok(at) = object.last_modified.parse()
            {
                objects.push((at, object));
            }
        }
        if objects.len() > OBJECTS {
            return Err(Failure::Wrong(format!("the bucket has more than {OBJECTS} such objects: give a prefix")));
        }
        page = listing.next_continuation_token;
        if page.is_none() {
            return Ok(objects);
        }
    }
}

/// A key as listings write it: with a plus for a blank.
fn decoded(key: &str) -> String {
    percent_encoding::percent_decode_str(&key.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// As a notification would have it, as far as a listing tells.
fn emission(s3: &S3, at: Timestamp, o: &Object, place: Place) -> Emission {
    let etag = o.etag.trim_matches('"');
    let record = json!({
        "eventVersion": "2.0", "eventSource": "triggerfish:poll", "eventTime": crate::clock::precise(at),
        "eventName": "s3:ObjectCreated:*",
        "s3": {"bucket": {"name": s3.bucket},
            "object": {"key": crate::kube_api::encode(&o.key), "size": o.size, "eTag": etag,
                "sequencer": format!("{:016X}", at.as_nanosecond())}},
    });
    let mut e = super::emission(&record);
    e.identity = Some(format!("{}/{}/{etag}/{at}", s3.bucket, o.key));
    e.position = Some(place.text());
    e
}
