//! authorization.k8s.io: questions about who may what. Nothing of it is stored.

use serde_json::Value;

use crate::field::{Error, Errors, Path};
use crate::policy::Policy;
use crate::policy::read::Read;

#[cfg(test)]
mod tests;

static SUBJECT: Policy = Policy {
    validate: |review, errors| {
        attributes(review, errors);
        somebody(review, errors);
        no_metadata(review, &[], errors);
    },
    ..Policy::NEUTRAL
};

static SELF_SUBJECT: Policy = Policy {
    validate: |review, errors| {
        attributes(review, errors);
        no_metadata(review, &[], errors);
    },
    ..Policy::NEUTRAL
};

static LOCAL_SUBJECT: Policy = Policy {
    validate: |review, errors| {
        attributes(review, errors);
        somebody(review, errors);
        no_metadata(review, &["namespace"], errors);
        let (spec, path) = (&review["spec"], Path::new("spec"));
        let namespace = &review["metadata"]["namespace"];
        if spec["resourceAttributes"].is_set() && spec["resourceAttributes"]["namespace"].text() != namespace.text() {
            let place = path.child("resourceAttributes").child("namespace");
            let value = spec["resourceAttributes"]["namespace"].text();
            errors.push(Error::invalid(&place, value, "must match metadata.namespace"));
        }
        if spec["nonResourceAttributes"].is_set() {
            let place = path.child("nonResourceAttributes");
            let wrong = "disallowed on this kind of request";
            errors.push(Error::invalid(&place, spec["nonResourceAttributes"].clone(), wrong));
        }
    },
    ..Policy::NEUTRAL
};

/// The policy of a kind of this group.
pub fn of(kind: &str) -> Option<&'static Policy> {
    match kind {
        "SubjectAccessReview" => Some(&SUBJECT),
        "SelfSubjectAccessReview" => Some(&SELF_SUBJECT),
        "LocalSubjectAccessReview" => Some(&LOCAL_SUBJECT),
        _ => None,
    }
}

fn attributes(review: &Value, errors: &mut Errors) {
    let (spec, path) = (&review["spec"], Path::new("spec"));
    let (resource, other) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    if resource.is_set() && other.is_set() {
        let wrong = "cannot be specified in combination with resourceAttributes";
        errors.push(Error::invalid(&path.child("nonResourceAttributes"), other.clone(), wrong));
    }
    if resource.is_null() && other.is_null() {
        let wrong = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        errors.push(Error::invalid(&path.child("resourceAttributes"), resource.clone(), wrong));
    }
}

fn somebody(review: &Value, errors: &mut Errors) {
    let spec = &review["spec"];
    if spec["user"].is_unset() && spec["groups"].items().is_empty() {
        let wrong = "at least one of user or group must be specified";
        errors.push(Error::invalid(&Path::new("spec").child("user"), spec["user"].text(), wrong));
    }
}

fn no_metadata(review: &Value, but: &[&str], errors: &mut Errors) {
    let set_by_server = ["creationTimestamp", "managedFields", "uid"];
    let metadata = review["metadata"].fields();
    let more = metadata.iter().any(|(key, value)| {
        !value.is_unset() && !but.contains(&key.as_str()) && !set_by_server.contains(&key.as_str())
    });
    if more {
        let wrong = if but.is_empty() { "must be empty" } else { "must be empty except for namespace" };
        errors.push(Error::invalid(&Path::new("metadata"), review["metadata"].clone(), wrong));
    }
}
