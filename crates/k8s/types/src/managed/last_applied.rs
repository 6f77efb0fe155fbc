//! From client-side to server-side apply: the annotation in which kubectl keeps what it applied.

use super::compare::compare;
use super::set::Set;
use super::shape::At;
use super::{Request, conform, owned};
use crate::names::MOST_ANNOTATION_BYTES;
use crate::object;
use serde_json::Value;

/// The annotation.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The fields that client-side apply has applied and that are still as applied.
pub(super) fn still_applied(request: &Request<'_>, live: &Value) -> Option<Set> {
    let text = object::annotation(live, LAST_APPLIED).filter(|text| !text.is_empty())?;
    let applied: Value = serde_json::from_str(text).ok()?;
    if object::api_version(&applied) != request.api_version {
        return None;
    }
    let at = At::new(request.ty);
    conform::check(at, &applied).ok()?;
    let changes = compare(at, Some(&applied), Some(live)).ok()?;
    let fields = owned::fields(at, &applied).ok()?;
    Some(fields.difference(&changes.modified).difference(&changes.added).difference(&changes.removed))
}

/// Writes the configuration into the annotation, where there is one: client-side apply can be gone back to.
pub(super) fn renew(object: &mut Value, config: &Value) {
    if object::annotation(object, LAST_APPLIED).is_none_or(str::is_empty) {
        return;
    }
    let mut config = config.clone();
    if let Some(annotations) = config.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    let text = format!("{config}\n");
    object::set_annotation(object, LAST_APPLIED, &text);
    let bytes = |(key, value): (&String, &Value)| key.len() + value.as_str().map_or(0, str::len);
    let size: usize = object::annotations(object).map_or(0, |all| all.iter().map(bytes).sum());
    if size > MOST_ANNOTATION_BYTES
        && let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut)
    {
        annotations.remove(LAST_APPLIED);
    }
}
