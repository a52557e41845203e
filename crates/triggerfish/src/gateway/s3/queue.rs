//! Notifications that a store sends to a queue of AWS' SQS, or of a server that speaks like it: deleted there when they are on disk.

use super::super::Failure;
use super::super::outlet::{Outlet, pump};
use super::sign::{Keys, Unsigned};
use super::{Https, S3};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::Uri;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

/// How long an empty queue waits with its answer, in seconds.
const WAIT: u32 = 10;
/// Messages of one answer, as many as the service gives.
const BATCH: u32 = 10;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Queue {
    /// As AWS calls it: `https://sqs.eu-central-1.amazonaws.com/123456789012/uploads`.
    url: String,
}

impl Queue {
    pub fn base(&self) -> Result<Uri, String> {
        let wrong = || {
            format!(
                "queue.url: {:?} is no address of a queue, such as https://sqs.eu-central-1.amazonaws.com/123456789012/uploads",
                self.url
            )
        };
        let uri: Uri = self.url.parse().map_err(|_| wrong())?;
        let known = matches!(uri.scheme_str(), Some("http" | "https")) && uri.path().len() > 1;
        if known { Ok(uri) } else { Err(wrong()) }
    }

    /// The region that the address names, if it is one of AWS' own.
    fn region<'q>(&'q self, given: &'q str) -> &'q str {
        let of_host = || self.url.split_once("://sqs.")?.1.split_once(".amazonaws.com").map(|(region, _)| region);
        if given.is_empty() { of_host().unwrap_or("") } else { given }
    }
}

/// A record, and the message that it came in when it is the last of it.
struct Received {
    record: Option<Value>,
    handle: Option<String>,
}

pub async fn run(s3: &S3, out: &Outlet) -> Result<(), Failure> {
    let Some(queue) = &s3.settings.queue else { return Ok(()) };
    let client = super::client(out).await?;
    let keys = s3.keys(out).await?;
    let call = |action: &'static str, body: Value| call(s3, queue, &client, &keys, action, body);
    // A queue that does not exist, or lets nobody in, is heard of before anything is said to run.
    call("GetQueueAttributes", json!({"QueueUrl": queue.url, "AttributeNames": ["QueueArn"]})).await?;
    out.running();
    let received = stream::unfold((), |()| async {
        let ask = json!({"QueueUrl": queue.url, "MaxNumberOfMessages": BATCH, "WaitTimeSeconds": WAIT});
        Some((call("ReceiveMessage", ask).await, ()))
    });
    let received = received.flat_map(|answer| {
        stream::iter(match answer {
            Err(e) => vec![Err(e)],
            Ok(v) => v["Messages"].as_array().into_iter().flatten().flat_map(|m| unpacked(s3, m)).map(Ok).collect(),
        })
    });
    // A message with nothing that is asked for is deleted in its turn.
    let keep = |r: &Received| r.record.as_ref().map(super::emission).unwrap_or_default();
    let wanted = received.filter_map(|r: Result<Received, Failure>| async {
        match r {
            Ok(Received { record: None, handle: Some(handle) }) => {
                let gone = call("DeleteMessage", json!({"QueueUrl": queue.url, "ReceiptHandle": handle})).await;
                gone.err().map(Err)
            }
            other => Some(other),
        }
    });
    pump(out, Box::pin(wanted), keep, |r: Received| async move {
        match r.handle {
            Some(handle) => {
                call("DeleteMessage", json!({"QueueUrl": queue.url, "ReceiptHandle": handle})).await.map(drop)
            }
            None => Ok(()),
        }
    })
    .await
}

/// The records of a message that are asked for; the last one carries what deletes the message.
fn unpacked(s3: &S3, message: &Value) -> Vec<Received> {
    let handle = message["ReceiptHandle"].as_str().map(str::to_owned);
    let body: Value = serde_json::from_str(message["Body"].as_str().unwrap_or("")).unwrap_or_default();
    // A topic in between wraps it once more.
    let inner = body["Message"].as_str().and_then(|text| serde_json::from_str(text).ok());
    let text = |r: &Value, p: &str| r.pointer(p).and_then(Value::as_str).unwrap_or("").to_owned();
    let asked = |r: &Value| {
        let key = text(r, "/s3/object/key").replace('+', " ");
        let key = percent_encoding::percent_decode_str(&key).decode_utf8_lossy();
        s3.wants(&text(r, "/eventName"), &text(r, "/s3/bucket/name"), &key)
    };
    let records: Vec<Value> = super::records(&inner.unwrap_or(body)).into_iter().filter(asked).collect();
    let mut out: Vec<Received> = records.into_iter().map(|r| Received { record: Some(r), handle: None }).collect();
    match out.last_mut() {
        Some(last) => last.handle = handle,
        None => out.push(Received { record: None, handle }),
    }
    out
}

async fn call(
    s3: &S3,
    queue: &Queue,
    client: &Https,
    keys: &Keys,
    action: &str,
    body: Value,
) -> Result<Value, Failure> {
    let action = format!("AmazonSQS.{action}");
    let request = Unsigned {
        service: "sqs",
        method: "POST",
        base: &s3.base,
        path: "/",
        query: Vec::new(),
        headers: vec![("content-type", "application/x-amz-json-1.0"), ("x-amz-target", &action)],
        body: Bytes::from(body.to_string()),
    };
    let request = request.sign(queue.region(&s3.settings.region), keys, Timestamp::now()).map_err(Failure::Lost)?;
    let text = super::read_whole(client, request, &s3.base).await?;
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&text).map_err(|e| Failure::Lost(format!("{}: the answer is no JSON: {e}", s3.base)))
}
