//! What reviews are refused for.

use serde_json::{Value, json};

use crate::field::Errors;
use crate::policy;

fn faults(kind: &str, mut object: Value) -> String {
    let policy = policy::of("authorization.k8s.io", kind);
    (policy.defaults)(&mut object);
    let mut errors = Errors::new();
    (policy.validate)(&object, &mut errors);
    errors.to_string()
}

#[test]
fn reviews() {
    let expected = "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified";
    assert_eq!(faults("SelfSubjectAccessReview", json!({"spec": {}})), expected);
    let review = json!({"spec": {"resourceAttributes": {"verb": "get"}}});
    let expected = "spec.user: Invalid value: \"\": at least one of user or group must be specified";
    assert_eq!(faults("SubjectAccessReview", review), expected);
}
