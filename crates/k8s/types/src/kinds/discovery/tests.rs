//! What slices of endpoints are refused for.

use serde_json::{Value, json};

use crate::field::Errors;
use crate::policy;

fn faults(kind: &str, mut object: Value) -> String {
    let policy = policy::of("discovery.k8s.io", kind);
    (policy.defaults)(&mut object);
    let mut errors = Errors::new();
    (policy.validate)(&object, &mut errors);
    errors.to_string()
}

#[test]
fn slices() {
    let slice = |addresses: Value| json!({"addressType": "IPv4", "endpoints": [{"addresses": addresses}]});
    let cases = [
        (json!([]), "endpoints[0].addresses: Required value: must contain at least 1 address"),
        (json!(["fd00::1"]), "endpoints[0].addresses[0]: Invalid value: \"fd00::1\": must be an IPv4 address"),
        (
            json!(["127.0.0.1"]),
            "endpoints[0].addresses[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
        ),
        (json!(["10.0.0.1"]), "[]"),
    ];
    for (addresses, expected) in cases {
        assert_eq!(faults("EndpointSlice", slice(addresses)), expected);
    }
    let expected = "addressType: Unsupported value: \"IP\": supported values: \"FQDN\", \"IPv4\", \"IPv6\"";
    assert_eq!(faults("EndpointSlice", json!({"addressType": "IP"})), expected);
}

#[test]
fn the_generation_counts_changes_of_labels_too() {
    let old = json!({"metadata": {"generation": 3, "labels": {"a": "b"}}, "endpoints": []});
    let (mut same, mut other) = (old.clone(), old.clone());
    same["metadata"]["annotations"] = json!({"x": "y"});
    other["metadata"]["labels"]["a"] = "c".into();
    let prepare = policy::of("discovery.k8s.io", "EndpointSlice").prepare_update;
    prepare(&mut same, &old);
    prepare(&mut other, &old);
    assert_eq!((&same["metadata"]["generation"], &other["metadata"]["generation"]), (&json!(3), &json!(4)));
}
