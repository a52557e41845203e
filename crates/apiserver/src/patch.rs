//! Patches that clients send: merge, strategic merge, JSON operations. Server-side apply is in `managed`.

use crate::resource::Resource;
use crate::server::Call;
use crate::status::Status;
use crate::strategic;
use serde_json::Value;

/// A patch, read once, applied as often as needed.
pub enum Patch {
    Merge(Value),
    Strategic(Value),
    Json(json_patch::Patch),
}

/// Bytes that the copy operations of one JSON patch may copy together: a few of them could double an object each.
const MAX_COPIED: usize = 3 * 1024 * 1024;
/// Operations in one JSON patch, at most.
const MAX_OPERATIONS: usize = 10_000;

impl Patch {
    pub fn read(media: &str, call: &Call, r: &Resource) -> Result<Self, Status> {
        let parsed = || {
            serde_json::from_slice::<Value>(&call.body)
                .map_err(|_| Status::bad_request(format!("error decoding patch: {}", crate::gojson::error(&call.body))))
        };
        match media {
            "application/merge-patch+json" => parsed().map(Patch::Merge),
            "application/strategic-merge-patch+json" if !r.custom => parsed().map(Patch::Strategic),
            "application/json-patch+json" => {
                let patch: json_patch::Patch = serde_json::from_value(parsed()?)
                    .map_err(|e| Status::bad_request(format!("error decoding patch: {e}")))?;
                if patch.0.len() > MAX_OPERATIONS {
                    let n = patch.0.len();
                    return Err(Status::new(
                        413,
                        "RequestEntityTooLarge",
                        format!(
                            "Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {n}"
                        ),
                    ));
                }
                Ok(Patch::Json(patch))
            }
            _ if r.custom => Err(Status::unsupported_media(
                "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            )),
            _ => Err(Status::unsupported_media(
                "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml",
            )),
        }
    }

    pub fn apply(&self, new: &mut Value, r: &Resource) -> Result<(), Status> {
        match self {
            Patch::Merge(p) if !p.is_object() => return Err(Status::bad_request("a merge patch must be an object")),
            Patch::Merge(p) => json_patch::merge(new, p),
            Patch::Strategic(p) => strategic::apply(&r.schema, new, p)?,
            Patch::Json(p) => {
                let mut copied = 0;
                for operation in &p.0 {
                    if let json_patch::PatchOperation::Copy(c) = operation {
                        copied += new.pointer(c.from.as_str()).map_or(0, |v| v.to_string().len());
                        if copied > MAX_COPIED {
                            return Err(Status::new(
                                413,
                                "RequestEntityTooLarge",
                                format!(
                                    "Request entity too large: the copy operations of a JSON patch may copy {MAX_COPIED} bytes"
                                ),
                            ));
                        }
                    }
                    json_patch::patch(new, std::slice::from_ref(operation)).map_err(|_| Status::unprocessable())?;
                }
            }
        }
        Ok(())
    }
}
