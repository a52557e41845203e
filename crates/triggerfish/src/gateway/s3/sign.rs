//! Requests signed as AWS Signature Version 4 has it.

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::Full;
use jiff::Timestamp;
use ring::{digest, hmac};

/// What authenticates a request.
pub struct Keys {
    pub access: String,
    pub secret: String,
}

/// A request without a body, to an object store.
pub fn sign(
    method: &str,
    base: &Uri,
    path: &str,
    query: Vec<(&str, &str)>,
    region: &str,
    keys: &Keys,
    now: Timestamp,
) -> Result<Request<Full<Bytes>>, String> {
    Unsigned { service: "s3", method, base, path, query, headers: Vec::new(), body: Bytes::new() }
        .sign(region, keys, now)
}

/// A request before it is signed.
pub struct Unsigned<'r> {
    pub service: &'r str,
    pub method: &'r str,
    pub base: &'r Uri,
    pub path: &'r str,
    pub query: Vec<(&'r str, &'r str)>,
    /// Signed too; names in lower case.
    pub headers: Vec<(&'r str, &'r str)>,
    pub body: Bytes,
}

impl Unsigned<'_> {
    pub fn sign(mut self, region: &str, keys: &Keys, now: Timestamp) -> Result<Request<Full<Bytes>>, String> {
        let region = if region.is_empty() { "us-east-1" } else { region };
        let (time, day) = (now.strftime("%Y%m%dT%H%M%SZ").to_string(), now.strftime("%Y%m%d").to_string());
        let encode = crate::kube_api::encode;
        self.query.sort_unstable();
        let query: Vec<String> = self.query.iter().map(|(k, v)| format!("{}={}", encode(k), encode(v))).collect();
        let query = query.join("&");
        let path: Vec<String> = self.path.split('/').map(encode).collect();
        let path = path.join("/");
        let host = self.base.authority().map_or("", |a| a.as_str());
        let content = hex(digest::digest(&digest::SHA256, &self.body).as_ref());
        let mut headers = self.headers.clone();
        headers.extend([("host", host), ("x-amz-content-sha256", content.as_str()), ("x-amz-date", time.as_str())]);
        headers.sort_unstable();
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let signed = names.join(";");
        let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!("{}\n{path}\n{query}\n{lines}\n{signed}\n{content}", self.method);
        let scope = format!("{day}/{region}/{}/aws4_request", self.service);
        let digest = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
        let mut key = format!("AWS4{}", keys.secret).into_bytes();
        for part in [day.as_str(), region, self.service, "aws4_request"] {
            key = mac(&key, part);
        }
        let signature = hex(&mac(&key, &format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}")));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={signature}",
            keys.access
        );
        let scheme = self.base.scheme_str().unwrap_or("https");
        let target = if query.is_empty() { path } else { format!("{path}?{query}") };
        let mut request = Request::builder().method(self.method).uri(format!("{scheme}://{host}{target}"));
        for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
            request = request.header(*name, *value);
        }
        request
            .header("authorization", authorization)
            .body(Full::new(self.body))
            // What is in the keys is not for the message.
            .map_err(|_| "the access key holds characters that no header may".to_owned())
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
