//! What requests for certificates are refused for.

use serde_json::{Value, json};

use crate::field::Errors;
use crate::policy;

fn faults(kind: &str, mut object: Value) -> String {
    let policy = policy::of("certificates.k8s.io", kind);
    (policy.defaults)(&mut object);
    let mut errors = Errors::new();
    (policy.validate)(&object, &mut errors);
    errors.to_string()
}

#[test]
fn requests() {
    let request = json!({"spec": {"signerName": "x", "expirationSeconds": 10}});
    let expected = "[spec.usages: Required value, \
        spec.signerName: Invalid value: \"x\": must be a fully qualified domain and path of the form 'example.com/signer-name', \
        spec.expirationSeconds: Invalid value: 10: may not specify a duration less than 600 seconds (10 minutes)]";
    assert_eq!(faults("CertificateSigningRequest", request), expected);
}

#[test]
fn decisions_stay_and_exclude_each_other() {
    let condition = |kind: &str| json!({"type": kind, "status": "True"});
    let old = json!({"status": {"conditions": [condition("Approved")]}});
    let new = json!({"status": {"conditions": [condition("Approved"), condition("Denied")]}});
    let part = policy::of("certificates.k8s.io", "CertificateSigningRequest").part("approval").unwrap();
    let mut errors = Errors::new();
    (part.validate)(&new, &old, &mut errors);
    let expected =
        "status.conditions[1].type: Invalid value: \"Denied\": Approved and Denied conditions are mutually exclusive";
    assert_eq!(errors.to_string(), expected);
    let mut errors = Errors::new();
    (part.validate)(&json!({"status": {}}), &old, &mut errors);
    assert_eq!(
        errors.to_string(),
        "status.conditions: Forbidden: updates may not remove a condition of type \"Approved\""
    );
}
