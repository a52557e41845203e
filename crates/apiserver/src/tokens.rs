//! `…/serviceaccounts/NAME/token`: short-lived tokens on request.

use crate::auth::token::{AUDIENCE, Binding, Claims};
use crate::object::{self, Key};
use crate::request::Info;
use crate::respond::{self, Answer, negotiate};
use crate::server::{Call, State};
use crate::status::{FieldError, Status};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

const GROUP: &str = "authentication.k8s.io";
/// Seconds.
const SHORTEST: i64 = 600;
const LONGEST: i64 = 1 << 32;
const USUAL: i64 = 3600;

impl State {
    pub fn token_request(&self, call: &Call, info: &Info) -> Result<Answer, Status> {
        let form = negotiate(&call.headers, false)?;
        let body = self.token_body(call)?;
        let account = self.store.get(&Key::new("serviceaccounts", &info.namespace, &info.name))?;
        let account = account.ok_or_else(|| Status::not_found("", "serviceaccounts", &info.name))?.value();
        let named = object::name(&body);
        if !named.is_empty() && named != info.name {
            let e = FieldError::invalid("metadata.name", named, "must match the service account name if specified");
            return Err(Status::invalid(GROUP, "TokenRequest", &info.name, &[e]));
        }
        let seconds = body.pointer("/spec/expirationSeconds").and_then(Value::as_i64).unwrap_or(USUAL);
        let wrong = |why: &str| {
            Err(Status::invalid(
                GROUP,
                "TokenRequest",
                "",
                &[FieldError::invalid("spec.expirationSeconds", seconds, why)],
            ))
        };
        if seconds < SHORTEST {
            return wrong("may not specify a duration less than 10 minutes");
        }
        if seconds > LONGEST {
            return wrong("may not specify a duration larger than 2^32 seconds");
        }
        let mut audiences: Vec<String> =
            object::strings(body.pointer("/spec/audiences")).into_iter().map(str::to_owned).collect();
        if audiences.is_empty() {
            audiences = vec![AUDIENCE.into()];
        }
        let reference = body.pointer("/spec/boundObjectRef").filter(|v| !v.is_null());
        let binding = reference.map(|b| self.binding(b, info)).transpose()?;
        let now = Timestamp::now();
        let expires = now + SignedDuration::from_secs(seconds);
        let id = uuid::Uuid::new_v4().to_string();
        let claims = Claims {
            namespace: &info.namespace,
            account: &info.name,
            account_uid: object::uid(&account),
            audiences: &audiences,
            now: now.as_second(),
            expires: Some(expires.as_second()),
            binding: binding.as_ref(),
            id: Some(&id),
        };
        let token = self.signer.sign(&claims.to_json()).map_err(Status::internal)?;
        let answer = json!({
            "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"name": info.name, "namespace": info.namespace, "uid": object::uid(&account), "creationTimestamp": object::timestamp(now)},
            "spec": {"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": reference},
            "status": {"token": token, "expirationTimestamp": object::timestamp(expires)},
        });
        Ok(respond::value(201, &answer, form))
    }

    fn token_body(&self, call: &Call) -> Result<Value, Status> {
        if call.body.starts_with(crate::protobuf::MAGIC) {
            return crate::protobuf::decode(&call.body).map_err(Status::bad_request);
        }
        if call.body.is_empty() {
            return Ok(json!({}));
        }
        let body: Value = serde_json::from_slice(&call.body).map_err(|_| {
            Status::bad_request(format!(
                "couldn't get version/kind; json parse error: {}",
                crate::gojson::error(&call.body)
            ))
        })?;
        match object::text(&body, &["kind"]) {
            "" | "TokenRequest" => Ok(body),
            other => Err(Status::bad_request(format!("a TokenRequest was expected, not a {other}"))),
        }
    }

    fn binding(&self, reference: &Value, info: &Info) -> Result<Binding, Status> {
        let (kind, name) = (object::text(reference, &["kind"]), object::text(reference, &["name"]));
        let plural = match kind {
            "Secret" => "secrets",
            "Pod" => "pods",
            other => {
                return Err(Status::bad_request(format!(
                    "cannot bind token for serviceaccount {:?} to object with kind {other:?}: use Pod or Secret",
                    info.name
                )));
            }
        };
        let found = self
            .store
            .get(&Key::new(plural, &info.namespace, name))?
            .ok_or_else(|| Status::not_found("", plural, name))?
            .value();
        let asked = object::text(reference, &["uid"]);
        if !asked.is_empty() && asked != object::uid(&found) {
            let why = format!(
                "the UID in the bound object reference ({asked}) does not match the UID in record ({}). The object might have been deleted and then recreated",
                object::uid(&found)
            );
            return Err(Status::conflict("", plural, name, &why));
        }
        Ok(Binding { kind: kind.to_lowercase(), name: name.into(), uid: object::uid(&found).into() })
    }
}
