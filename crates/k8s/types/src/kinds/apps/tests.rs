//! Workloads of apps: defaults, faults, updates and columns.

use serde_json::json;

use crate::kinds::testing::{faults, made, row, update_faults};

fn workload(kind: &str, spec: &str) -> String {
    format!(
        "{{kind: {kind}, apiVersion: apps/v1, metadata: {{name: web, namespace: a}}, spec: {{{spec} selector: {{matchLabels: \
         {{a: b}}}}, template: {{metadata: {{labels: {{a: b}}}}, spec: {{containers: [{{name: c, image: x}}]}}}}}}}}"
    )
}

#[test]
fn a_deployment_has_defaults() {
    let mut made = made(&workload("Deployment", ""));
    made["spec"]["template"].take();
    assert_eq!(
        made["spec"],
        json!({
            "progressDeadlineSeconds": 600, "replicas": 1, "revisionHistoryLimit": 10, "template": null,
            "selector": { "matchLabels": { "a": "b" } },
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "25%", "maxUnavailable": "25%" } },
        })
    );
}

#[test]
fn other_workloads_have_defaults() {
    let mut set = made(&workload("StatefulSet", "volumeClaimTemplates: [{metadata: {name: v}, spec: {}}],"));
    set["spec"]["template"].take();
    assert_eq!(
        set["spec"],
        json!({
            "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Retain", "whenScaled": "Retain" },
            "podManagementPolicy": "OrderedReady", "replicas": 1, "revisionHistoryLimit": 10, "template": null,
            "selector": { "matchLabels": { "a": "b" } },
            "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": 0 } },
            "volumeClaimTemplates": [{
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "v" },
                "spec": { "volumeMode": "Filesystem" }, "status": { "phase": "Pending" },
            }],
        })
    );
    let daemon = made(&workload("DaemonSet", ""));
    assert_eq!(
        daemon["spec"]["updateStrategy"],
        json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 0, "maxUnavailable": 1 } })
    );
    assert_eq!(daemon["metadata"]["annotations"], json!({ "deprecated.daemonset.template.generation": "1" }));
}

#[track_caller]
fn fault(kind: &str, change: (&str, &str), wanted: &str) {
    assert_eq!(faults(&workload(kind, "").replace(change.0, change.1)), wanted);
}

#[test]
fn good_workloads_have_no_faults() {
    for kind in ["Deployment", "ReplicaSet", "DaemonSet", "StatefulSet"] {
        fault(kind, ("", ""), "");
    }
}

#[test]
fn selectors_select_the_template() {
    let labels = ("labels: {a: b}", "labels: {a: c}");
    let wanted =
        "spec.template.metadata.labels: Invalid value: {\"a\":\"c\"}: `selector` does not match template `labels`";
    for kind in ["Deployment", "ReplicaSet", "DaemonSet", "StatefulSet"] {
        fault(kind, labels, wanted);
    }
    fault(
        "Deployment",
        ("selector: {matchLabels: {a: b}}", "selector: {}"),
        "spec.selector: Invalid value: {}: empty selector is invalid for deployment",
    );
    fault("Deployment", ("selector: {matchLabels: {a: b}}, ", ""), "spec.selector: Required value");
}

#[test]
fn pods_of_workloads_start_again() {
    let never = ("containers:", "restartPolicy: Never, containers:");
    let wanted = "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"";
    for kind in ["Deployment", "ReplicaSet", "DaemonSet", "StatefulSet"] {
        fault(kind, never, wanted);
    }
    fault("Deployment", ("image: x", "tty: true"), "spec.template.spec.containers[0].image: Required value");
}

#[test]
fn strategies_are_checked() {
    let with = |kind: &str, spec: &str| faults(&workload(kind, spec));
    assert_eq!(
        with("Deployment", "strategy: {type: Recreate, rollingUpdate: {}},"),
        "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"
    );
    assert_eq!(
        with("Deployment", "strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0}},"),
        "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"
    );
    assert_eq!(
        with("Deployment", "strategy: {rollingUpdate: {maxUnavailable: 101%}},"),
        "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%"
    );
    assert_eq!(
        with("Deployment", "strategy: {type: Slow},"),
        "spec.strategy.type: Unsupported value: \"Slow\": supported values: \"Recreate\", \"RollingUpdate\""
    );
    assert_eq!(
        with("DaemonSet", "updateStrategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 1}},"),
        "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero"
    );
    assert_eq!(
        with("Deployment", "replicas: -1, progressDeadlineSeconds: 5, minReadySeconds: 5,"),
        "spec.replicas: Invalid value: -1: must be greater than or equal to 0\n\
         spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds"
    );
}

#[test]
fn claims_of_a_stateful_set_can_be_mounted() {
    let mounted = workload("StatefulSet", "volumeClaimTemplates: [{metadata: {name: v}, spec: {}}],")
        .replace("image: x", "image: x, volumeMounts: [{name: v, mountPath: /v}]");
    assert_eq!(faults(&mounted), "");
}

#[test]
fn selectors_do_not_change() {
    let other = |kind: &str| workload(kind, "").replace("{a: b}", "{a: c}");
    assert_eq!(
        update_faults(&workload("Deployment", ""), &other("Deployment")),
        "spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"c\"}}: field is immutable"
    );
    assert_eq!(
        update_faults(&workload("StatefulSet", ""), &workload("StatefulSet", "serviceName: s,")),
        "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
         'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
    );
    assert_eq!(update_faults(&workload("StatefulSet", ""), &workload("StatefulSet", "replicas: 5,")), "");
}

#[test]
fn generations_count_changes() {
    let old = made(&workload("Deployment", ""));
    let mut new = old.clone();
    let policy = crate::policy::of("apps", "Deployment");
    (policy.prepare_update)(&mut new, &old);
    assert_eq!(new["metadata"]["generation"], 1);
    new["metadata"]["annotations"]["a"] = "b".into();
    (policy.prepare_update)(&mut new, &old);
    assert_eq!(new["metadata"]["generation"], 2);
}

#[test]
fn columns_are_those_of_kubectl() {
    let spec = "spec: {replicas: 3, selector: {matchLabels: {a: b}}, template: {spec: {containers: [{name: c, image: x}, {name: d, image: y}]}}}";
    let shown = |kind: &str, status: &str| {
        row(&format!("{{kind: {kind}, apiVersion: apps/v1, metadata: {{}}, {spec}, status: {status}}}"))
    };
    assert_eq!(
        shown("Deployment", "{readyReplicas: 2, updatedReplicas: 3, availableReplicas: 1}"),
        "x | 2/3 | 3 | 1 | 60m | c,d | x,y | a=b"
    );
    assert_eq!(shown("ReplicaSet", "{replicas: 2}"), "x | 3 | 2 | 0 | 60m | c,d | x,y | a=b");
    assert_eq!(shown("StatefulSet", "{}"), "x | 0/3 | 60m | c,d | x,y");
    assert_eq!(shown("DaemonSet", "{numberReady: 1}"), "x | 0 | 0 | 1 | 0 | 0 | <none> | 60m | c,d | x,y | a=b");
    let revision = "{kind: ControllerRevision, apiVersion: apps/v1, revision: 4, metadata: {ownerReferences: [{apiVersion: apps/v1, kind: DaemonSet, name: d, controller: true}]}}";
    assert_eq!(row(revision), "x | daemonset.apps/d | 4 | 60m");
}
