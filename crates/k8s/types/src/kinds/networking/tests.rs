//! What network policies, ingresses and ranges are refused for.

use serde_json::{Value, json};

use crate::field::Errors;
use crate::policy;

fn faults(kind: &str, mut object: Value) -> String {
    let policy = policy::of("networking.k8s.io", kind);
    (policy.defaults)(&mut object);
    let mut errors = Errors::new();
    (policy.validate)(&object, &mut errors);
    errors.to_string()
}

#[test]
fn network_policies() {
    let cases = [
        (json!({"ingress": [{"from": [{}]}]}), "spec.ingress[0].from[0]: Required value: must specify a peer"),
        (
            json!({"ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}]}]}),
            "spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`",
        ),
        (
            json!({"egress": [{"ports": [{"port": 80, "endPort": 70}]}]}),
            "spec.egress[0].ports[0].endPort: Invalid value: 70: must be greater than or equal to `port`",
        ),
        (
            json!({"ingress": [{"ports": [{"port": "web", "endPort": 70}]}]}),
            "spec.ingress[0].ports[0].endPort: Invalid value: 70: may not be specified when `port` is non-numeric",
        ),
        (
            json!({"policyTypes": ["Sideways"]}),
            "spec.policyTypes[0]: Unsupported value: \"Sideways\": supported values: \"Ingress\", \"Egress\"",
        ),
    ];
    for (spec, expected) in cases {
        assert_eq!(faults("NetworkPolicy", json!({"spec": spec})), expected);
    }
}

#[test]
fn a_policy_with_egress_rules_is_about_both() {
    let mut policy = json!({"spec": {"podSelector": {}, "egress": [{}]}});
    (policy::of("networking.k8s.io", "NetworkPolicy").defaults)(&mut policy);
    assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
}

#[test]
fn ingresses() {
    let path = |path: Value| json!({"spec": {"rules": [{"http": {"paths": [path]}}]}});
    let backend = json!({"service": {"name": "s", "port": {"number": 80}}});
    let cases = [
        (json!({"spec": {}}), "spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"),
        (
            path(json!({"path": "/", "backend": backend})),
            "spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified",
        ),
        (
            path(json!({"path": "/a//b", "pathType": "Exact", "backend": backend})),
            "spec.rules[0].http.paths[0].path: Invalid value: \"/a//b\": must not contain '//'",
        ),
        (
            json!({"spec": {"defaultBackend": {}}}),
            "spec.defaultBackend: Invalid value: \"\": resource or service backend is required",
        ),
        (
            json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": "a"}},
                "spec": {"ingressClassName": "b", "defaultBackend": backend}}),
            "annotations.kubernetes.io/ingress.class: Invalid value: \"a\": must match `ingressClassName` when both are specified",
        ),
    ];
    for (ingress, expected) in cases {
        assert_eq!(faults("Ingress", ingress), expected);
    }
}

#[test]
fn addresses_and_ranges_are_canonical() {
    let range = |cidrs: Value| faults("ServiceCIDR", json!({"spec": {"cidrs": cidrs}}));
    assert_eq!(range(json!([])), "spec.cidrs: Required value: at least one CIDR required");
    let expected = "spec.cidrs[0]: Invalid value: \"10.0.0.1/8\": must not have bits set beyond the prefix length";
    assert_eq!(range(json!(["10.0.0.1/8"])), expected);
    assert!(range(json!(["10.0.0.0/8", "11.0.0.0/8"])).contains("may specify no more than one IP for each IP family"));
    let address = json!({"metadata": {"name": "fd00::0:1"},
        "spec": {"parentRef": {"resource": "services", "name": "s", "namespace": "ns"}}});
    let expected = "metadata.name: Invalid value: \"fd00::0:1\": must be in canonical form (\"fd00::1\")";
    assert_eq!(faults("IPAddress", address), expected);
}
