//! Where notices are posted, as to the original: any method and path, 202 once it is on disk, 429 for what was posted already.

use super::answer::{Answer, respond};
use crate::bus::{Bus, Refused};
use crate::notices::{Window, event};
use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use jiff::Timestamp;
use notify::Notice;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The largest body, in bytes.
pub const BODY: usize = 3 * 1024 * 1024;
/// How long a sender may take for its body.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Intake {
    pub bus: Arc<Bus>,
    pub window: Mutex<Window>,
    /// What has to stand in `Authorization: Bearer`; none: anybody who reaches the port may post.
    pub token: Option<String>,
}

/// Answers one request.
pub async fn handle<B>(intake: Arc<Intake>, request: Request<B>) -> Answer
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    if let Some(place) = super::routes::elsewhere(&parts.uri) {
        return place;
    }
    if intake.token.as_deref().is_some_and(|t| !bears(&parts.headers, t)) {
        let mut answer = empty(401);
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return answer;
    }
    // A page of another site that a browser shows here is nobody who may post.
    if parts.headers.get("sec-fetch-site").is_some_and(|site| site != "none" && site != "same-origin") {
        return empty(403);
    }
    let body = match read(body).await {
        Ok(b) => b,
        Err(status) => return empty(status),
    };
    let Ok(mut n) = Notice::read(&body) else { return empty(400) };
    let key = Window::key(&mut n);
    let (rest, repeated) = intake.window.lock().unwrap_or_else(|e| e.into_inner()).enter(&key, Instant::now());
    if repeated {
        return limited(respond(429, "text/plain; charset=utf-8", "Too Many Requests\n"), rest, true);
    }
    match intake.bus.append(event(&n, "/notifications"), None).await {
        Ok(_) => limited(empty(202), rest, false),
        Err(refused) => {
            intake.window.lock().unwrap_or_else(|e| e.into_inner()).leave(&key);
            let why = match refused {
                Refused::Full => "the queue of events is full".to_owned(),
                Refused::Storage(why) => why,
            };
            tracing::warn!(why, "a notice was not accepted; its sender is told to come back");
            // A sender of Flux's tries again after such an answer.
            respond(503, "text/plain; charset=utf-8", "the event could not be stored; send it again\n")
        }
    }
}

/// A body within its bounds; otherwise the status that says why not.
pub async fn read<B>(body: B) -> Result<Bytes, u16>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match tokio::time::timeout(PATIENCE, Limited::new(body, BODY).collect()).await {
        Ok(Ok(b)) => Ok(b.to_bytes()),
        Ok(Err(e)) if e.downcast_ref::<LengthLimitError>().is_some() => Err(413),
        Ok(Err(_)) => Err(400),
        Err(_) => Err(408),
    }
}

pub fn empty(status: u16) -> Answer {
    let mut answer = respond(status, "text/plain", "");
    answer.headers_mut().remove(header::CONTENT_TYPE);
    answer
}

/// Whether a request bears a token.
fn bears(headers: &http::HeaderMap, token: &str) -> bool {
    let given =
        headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
    notify::http::equal(given.unwrap_or("").as_bytes(), token.as_bytes())
}

/// Says until when a repeat is refused.
fn limited(mut answer: Answer, rest: Duration, refused: bool) -> Answer {
    let at = Timestamp::now().saturating_add(jiff::SignedDuration::try_from(rest).unwrap_or_default());
    let at = at.map(|t| t.strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()).unwrap_or_default();
    let headers = answer.headers_mut();
    headers.insert("x-ratelimit-limit", HeaderValue::from_static("1"));
    headers.insert("x-ratelimit-remaining", HeaderValue::from_static("0"));
    if let Ok(at) = HeaderValue::from_str(&at) {
        headers.insert("x-ratelimit-reset", at.clone());
        if refused {
            headers.insert(header::RETRY_AFTER, at);
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        }
    }
    answer
}
