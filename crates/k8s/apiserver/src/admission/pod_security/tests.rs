//! Verdicts and their texts.

use serde_json::{Value, json};

use super::judge;
use super::level::{Grade, Grades, Level, grades};
use super::pod::Pod;

fn verdict(level: Level, pod: Value) -> Option<String> {
    judge(Pod::of(&pod), Grade { level, minor: None })
}

#[test]
fn a_plain_pod_is_baseline_but_not_restricted() {
    let pod = json!({"metadata": {}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    assert_eq!(verdict(Level::Baseline, pod.clone()), None);
    let expected = "allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), \
        unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), \
        runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), \
        seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")";
    assert_eq!(verdict(Level::Restricted, pod).unwrap(), expected);
}

#[test]
fn a_hardened_pod_is_restricted() {
    let pod = json!({"metadata": {}, "spec": {
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "v", "emptyDir": {}}],
        "containers": [{"name": "c", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}}]}});
    assert_eq!(verdict(Level::Restricted, pod), None);
}

#[test]
fn what_reaches_the_host_breaks_baseline() {
    let cases = [
        (json!({"hostNetwork": true, "hostPID": true}), "host namespaces (hostNetwork=true, hostPID=true)"),
        (json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}), "hostPath volumes (volume \"v\")"),
        (
            json!({"containers": [{"name": "c", "securityContext": {"privileged": true}}]}),
            "privileged (container \"c\" must not set securityContext.privileged=true)",
        ),
        (
            json!({"containers": [{"name": "c", "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}}]}),
            "non-default capabilities (container \"c\" must not include \"NET_ADMIN\" in securityContext.capabilities.add)",
        ),
        (
            json!({"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 8080}]}]}),
            "hostPort (container \"c\" uses hostPort 8080)",
        ),
        (
            json!({"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}),
            "forbidden sysctls (kernel.msgmax)",
        ),
        (
            json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}),
            "seccompProfile (pod must not set securityContext.seccompProfile.type to \"Unconfined\")",
        ),
    ];
    for (spec, expected) in cases {
        let pod = json!({"metadata": {}, "spec": spec});
        assert_eq!(verdict(Level::Baseline, pod).as_deref(), Some(expected));
    }
}

#[test]
fn restricted_replaces_checks_of_baseline() {
    let pod = json!({"metadata": {}, "spec": {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}});
    let expected = "restricted volume types (volume \"v\" uses restricted volume type \"hostPath\")";
    assert_eq!(verdict(Level::Restricted, pod).as_deref(), Some(expected));
}

#[test]
fn labels_choose_the_grade() {
    let namespace = json!({"metadata": {"labels": {
        "pod-security.kubernetes.io/enforce": "baseline",
        "pod-security.kubernetes.io/enforce-version": "v1.30",
        "pod-security.kubernetes.io/warn": "strict"}}});
    let (grades, bad) = grades(&namespace, Grades::FREE);
    assert_eq!(grades.enforce.to_string(), "baseline:v1.30");
    assert_eq!(grades.audit, Grade::FREE);
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0].key, "pod-security.kubernetes.io/warn");
    assert_eq!(bad[0].detail, "must be one of privileged, baseline, restricted");
}
