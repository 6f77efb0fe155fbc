//! Services: defaults, faults, updates and columns.

use serde_json::json;

use crate::kinds::testing::{faults, made, object, row, update_faults};

fn service(spec: &str) -> String {
    format!("{{kind: Service, apiVersion: v1, metadata: {{namespace: a}}, spec: {{{spec}}}}}")
}

const WEB: &str = "ports: [{port: 80}]";

#[test]
fn defaults_are_those_of_kubernetes() {
    assert_eq!(
        made(&service(WEB))["spec"],
        json!({
            "internalTrafficPolicy": "Cluster", "sessionAffinity": "None", "type": "ClusterIP",
            "ports": [{ "port": 80, "protocol": "TCP", "targetPort": 80 }],
        })
    );
    let balanced = made(&service("type: LoadBalancer, sessionAffinity: ClientIP, ports: [{port: 1, targetPort: web}]"));
    assert_eq!(
        balanced["spec"],
        json!({
            "allocateLoadBalancerNodePorts": true, "externalTrafficPolicy": "Cluster", "internalTrafficPolicy": "Cluster",
            "sessionAffinity": "ClientIP", "sessionAffinityConfig": { "clientIP": { "timeoutSeconds": 10800 } },
            "type": "LoadBalancer", "ports": [{ "port": 1, "protocol": "TCP", "targetPort": "web" }],
        })
    );
    assert_eq!(made(&service("clusterIP: None"))["spec"]["clusterIPs"], json!(["None"]));
}

#[track_caller]
fn fault(spec: &str, wanted: &str) {
    assert_eq!(faults(&service(spec)), wanted);
}

#[test]
fn specifications_are_checked() {
    fault(WEB, "");
    fault("clusterIP: None", "");
    fault("type: ClusterIP", "spec.ports: Required value");
    fault(
        "ports: [{port: 0}]",
        "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive\nspec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
    );
    fault("ports: [{port: 80}, {port: 81}]", "spec.ports[0].name: Required value\nspec.ports[1].name: Required value");
    fault(
        "ports: [{port: 80, nodePort: 30000}]",
        "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
    );
    fault(
        "ports: [{port: 80, name: a}, {port: 80, name: b}]",
        "spec.ports[1]: Duplicate value: {\"port\":80,\"protocol\":\"TCP\",\"targetPort\":0}",
    );
    fault("type: ExternalName", "spec.externalName: Required value");
    fault("type: ExternalName, externalName: example.org.", "");
    fault(
        "type: Other, ports: [{port: 80}]",
        "spec.type: Unsupported value: \"Other\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"",
    );
    fault(
        "clusterIP: nine, ports: [{port: 80}]",
        "spec.clusterIPs[0]: Invalid value: \"nine\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
    );
    fault(
        "externalIPs: [127.0.0.1], ports: [{port: 80}]",
        "spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
    );
    fault(
        "externalTrafficPolicy: Local, ports: [{port: 80}]",
        "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services",
    );
    fault(
        "loadBalancerSourceRanges: [1.2.3.4], type: LoadBalancer, ports: [{port: 80}]",
        "spec.LoadBalancerSourceRanges[0]: Invalid value: \"1.2.3.4\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or \
         2001:db8::/64)",
    );
}

#[test]
fn an_update_keeps_what_was_allocated() {
    let old = made(&service("type: NodePort, clusterIP: 10.0.0.1, ports: [{port: 80, nodePort: 30001}]"));
    let mut new = made(&service("type: NodePort, ports: [{port: 80}]"));
    (super::POLICY.prepare_update)(&mut new, &old);
    assert_eq!(new["spec"]["clusterIPs"], json!(["10.0.0.1"]));
    assert_eq!(new["spec"]["ports"][0]["nodePort"], 30001);
    let mut new = made(&service("type: ExternalName, externalName: a.b, clusterIP: 10.0.0.1, clusterIPs: [10.0.0.1]"));
    (super::POLICY.prepare_update)(&mut new, &old);
    assert_eq!(new["spec"].get("clusterIP"), None);
    let mut new = made(&service("type: ClusterIP, ports: [{port: 80, nodePort: 30001}]"));
    (super::POLICY.prepare_update)(&mut new, &old);
    assert_eq!(new["spec"]["ports"][0].get("nodePort"), None);
}

#[test]
fn an_address_does_not_change() {
    assert_eq!(
        update_faults(
            &service(&format!("clusterIP: 10.0.0.1, {WEB}")),
            &service(&format!("clusterIP: 10.0.0.2, {WEB}"))
        ),
        "spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set"
    );
    assert_eq!(update_faults(&service(&format!("clusterIP: 10.0.0.1, {WEB}")), &service(WEB)), "");
}

#[test]
fn columns_show_addresses_and_ports() {
    let shown = |more: &str| row(&format!("{{kind: Service, metadata: {{}}, {more}}}"));
    assert_eq!(
        shown(
            "spec: {type: NodePort, clusterIPs: [10.0.0.1], ports: [{port: 80, nodePort: 30001, protocol: TCP}], selector: {a: b}}"
        ),
        "x | NodePort | 10.0.0.1 | <none> | 80:30001/TCP | 60m | a=b"
    );
    assert_eq!(
        shown("spec: {type: LoadBalancer, clusterIP: 10.0.0.1, ports: [{port: 80, protocol: TCP}]}"),
        "x | LoadBalancer | 10.0.0.1 | <pending> | 80/TCP | 60m | <none>"
    );
    assert_eq!(
        shown("spec: {type: ExternalName, externalName: a.b}"),
        "x | ExternalName | <none> | a.b | <none> | 60m | <none>"
    );
}

#[test]
fn a_headless_service_is_known() {
    assert!(super::is_headless(&object("{spec: {clusterIP: None}}")));
    assert!(!super::is_headless(&object("{spec: {}}")));
}
