//! What claims and slices are refused for.

use serde_json::{Value, json};

use crate::field::Errors;
use crate::policy;

fn faults(kind: &str, mut object: Value) -> String {
    let policy = policy::of("resource.k8s.io", kind);
    (policy.defaults)(&mut object);
    let mut errors = Errors::new();
    (policy.validate)(&object, &mut errors);
    errors.to_string()
}

#[test]
fn claims() {
    let claim = |request: Value| faults("ResourceClaim", json!({"spec": {"devices": {"requests": [request]}}}));
    let expected = "spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required";
    assert_eq!(claim(json!({"name": "a"})), expected);
    let expected = "spec.devices.requests[0].exactly.deviceClassName: Required value";
    assert_eq!(claim(json!({"name": "a", "exactly": {}})), expected);
    assert_eq!(claim(json!({"name": "a", "exactly": {"deviceClassName": "gpu"}})), "[]");
}

#[test]
fn slices_are_somewhere() {
    let slice = json!({"spec": {"driver": "d.example.com", "pool": {"name": "p", "resourceSliceCount": 1}}});
    let expected = "spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    assert_eq!(faults("ResourceSlice", slice), expected);
}
