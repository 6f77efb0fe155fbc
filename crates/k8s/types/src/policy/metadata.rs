//! Checks of `metadata`, the same for every kind: names, labels, annotations, owners, finalizers, and what an update may not change.

use serde_json::Value;

use crate::field::Errors;

/// What the name of an object of a kind must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameRule {
    /// DNS subdomain (RFC 1123): most kinds.
    Subdomain,
    /// DNS label (RFC 1123): namespaces.
    Label,
    /// DNS label that starts with a letter (RFC 1035).
    Label1035,
    /// Anything that can stand in a URL's path: roles and bindings.
    PathSegment,
    /// The kind's `validate` checks its name itself.
    Own,
}

/// Checks the metadata of a new object.
pub fn validate(object: &Value, rule: NameRule, namespaced: bool, errors: &mut Errors) {
    let _ = (object, rule, namespaced, errors);
}

/// Checks the metadata of an update. `(new, old)`
pub fn validate_update(new: &Value, old: &Value, namespaced: bool, errors: &mut Errors) {
    let _ = (new, old, namespaced, errors);
}
