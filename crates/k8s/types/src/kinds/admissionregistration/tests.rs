//! What webhooks and policies are refused for.

use serde_json::{Value, json};

use crate::field::Errors;
use crate::policy;

fn faults(kind: &str, mut object: Value) -> String {
    let policy = policy::of("admissionregistration.k8s.io", kind);
    (policy.defaults)(&mut object);
    let mut errors = Errors::new();
    (policy.validate)(&object, &mut errors);
    errors.to_string()
}

#[test]
fn webhooks() {
    let webhook = json!({"webhooks": [{"name": "a", "clientConfig": {"url": "http://x"}, "rules": []}]});
    let expected = "[webhooks[0].name: Invalid value: \"a\": should be a domain with at least three segments separated by dots, \
        webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun, \
        webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path], \
        webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1]";
    assert_eq!(faults("ValidatingWebhookConfiguration", webhook), expected);
}

#[test]
fn bindings() {
    let binding = json!({"spec": {"policyName": "p", "validationActions": ["Deny", "Warn"]}});
    assert!(faults("ValidatingAdmissionPolicyBinding", binding).contains("must not contain both Deny and Warn"));
    let binding = json!({"spec": {"policyName": "p"}});
    let expected = "spec.validationActions: Required value: at least one validation action is required";
    assert_eq!(faults("ValidatingAdmissionPolicyBinding", binding), expected);
}

#[test]
fn webhooks_get_their_defaults() {
    let mut config = json!({"webhooks": [{"clientConfig": {"service": {}}}]});
    (policy::of("admissionregistration.k8s.io", "MutatingWebhookConfiguration").defaults)(&mut config);
    let expected = json!({"clientConfig": {"service": {"port": 443}}, "failurePolicy": "Fail", "matchPolicy": "Equivalent",
        "namespaceSelector": {}, "objectSelector": {}, "timeoutSeconds": 10, "reinvocationPolicy": "Never"});
    assert_eq!(config["webhooks"][0], expected);
}
