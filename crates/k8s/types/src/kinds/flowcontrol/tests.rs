//! What flow schemas and priority levels are refused for.

use serde_json::{Value, json};

use crate::field::Errors;
use crate::policy;

fn faults(kind: &str, mut object: Value) -> String {
    let policy = policy::of("flowcontrol.apiserver.k8s.io", kind);
    (policy.defaults)(&mut object);
    let mut errors = Errors::new();
    (policy.validate)(&object, &mut errors);
    errors.to_string()
}

#[test]
fn schemas() {
    let schema = json!({"metadata": {"name": "x"}, "spec": {"matchingPrecedence": 1, "priorityLevelConfiguration": {"name": "p"},
        "rules": [{"subjects": [], "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/a*"]}]}]}});
    let expected = "[spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1, \
        spec.rules[0].subjects: Required value: subjects must contain at least one value, \
        spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: \"/a*\": wildcard can only exist in the end of path, following a slash]";
    assert_eq!(faults("FlowSchema", schema), expected);
}

#[test]
fn levels() {
    let level = json!({"metadata": {"name": "x"}, "spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Queue"}}}});
    let expected =
        "spec.limited.limitResponse.queuing: Required value: must not be empty if limited.limitResponse.type is Queue";
    assert_eq!(faults("PriorityLevelConfiguration", level), expected);
}
