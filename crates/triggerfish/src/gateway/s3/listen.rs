//! A store's own notifications, listened to over one long request: an extension of MinIO's.

use super::super::Failure;
use super::super::outlet::{Outlet, pump};
use super::S3;
use futures_util::{StreamExt, TryStreamExt, stream};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// The longest line of notifications, in bytes.
const LINE: usize = 1024 * 1024;
/// The store says something this often, in seconds, also when nothing happens: one that does not is gone.
const PING: &str = "2";
const SILENCE: std::time::Duration = std::time::Duration::from_secs(35);

pub async fn run(s3: &S3, out: &Outlet) -> Result<(), Failure> {
    let mut query: Vec<(&str, &str)> = s3.events.iter().map(|e| ("events", e.as_str())).collect();
    query.extend([("ping", PING), ("prefix", s3.prefix()), ("suffix", &s3.settings.filter.suffix)]);
    let client = super::client(out).await?;
    let request = s3.request(&s3.keys(out).await?, query)?;
    // The store's answer goes on for as long as it is listened to.
    let body = super::answered(&client, request, &s3.base).await?;
    out.running();
    let records = lines(body).map_ok(records).map_ok(|r| stream::iter(r.into_iter().map(Ok))).try_flatten();
    pump(out, Box::pin(records), super::emission, |_| async { Ok(()) }).await?;
    Err(Failure::Lost("the store ended the connection".into()))
}

/// The lines of a body; a store that says nothing for too long is gone.
fn lines(body: Incoming) -> impl futures_util::Stream<Item = Result<Vec<u8>, Failure>> {
    stream::try_unfold((body, Vec::new()), |(mut body, mut held): (Incoming, Vec<u8>)| async move {
        loop {
            if let Some(end) = held.iter().position(|b| *b == b'\n') {
                let rest = held.split_off(end + 1);
                return Ok(Some((held, (body, rest))));
            }
            if held.len() > LINE {
                return Err(Failure::Lost(format!("the store sent a line of more than {LINE} bytes")));
            }
            let frame = tokio::time::timeout(SILENCE, body.frame())
                .await
                .map_err(|_| Failure::Lost("the store has said nothing for too long".into()))?;
            match frame {
                None => return Ok(None),
                Some(f) => {
                    let f = f.map_err(|e| Failure::lost("the connection", e))?;
                    let data = f.into_data().unwrap_or_default();
                    held.extend_from_slice(if held.is_empty() { data.trim_ascii_start() } else { &data });
                }
            }
        }
    })
    .boxed()
}

/// The records of a line; none in a sign of life.
fn records(line: Vec<u8>) -> Vec<serde_json::Value> {
    super::records(&serde_json::from_slice(&line).unwrap_or_default())
}
