//! Small kinds of the core group: defaults, faults, updates and columns.

use serde_json::json;

use crate::kinds::testing::{faults, made, object, policy_of, row, update_faults};

fn of(kind: &str, rest: &str) -> String {
    format!("{{kind: {kind}, apiVersion: v1, metadata: {{name: x}}, {rest}}}")
}

#[track_caller]
fn fault(kind: &str, rest: &str, wanted: &str) {
    assert_eq!(faults(&of(kind, rest)), wanted);
}

#[test]
fn metadata_is_checked_for_every_kind() {
    let with = |metadata: &str| faults(&format!("{{kind: ConfigMap, apiVersion: v1, metadata: {{{metadata}}}}}"));
    let subdomain = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start \
                     and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
                     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    assert_eq!(with("name: A_b"), format!("metadata.name: Invalid value: \"A_b\": {subdomain}"));
    assert_eq!(with("name: \"\""), "metadata.name: Required value: name or generateName is required");
    assert_eq!(
        with("labels: {a: b c}"),
        "metadata.labels: Invalid value: \"b c\": a valid label must be an empty string or consist of alphanumeric characters, \
         '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', \
         regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
    );
    assert_eq!(
        with("ownerReferences: [{apiVersion: v1, kind: Pod, name: p}]"),
        "metadata.ownerReferences[0].uid: Required value: must not be empty"
    );
    assert_eq!(
        with("finalizers: [mine]"),
        "metadata.finalizers[0]: Invalid value: \"mine\": name is neither a standard finalizer name nor is it fully qualified"
    );
    let old = "{kind: ConfigMap, metadata: {name: x, uid: a, deletionTimestamp: 2026-01-01T00:00:00Z}}";
    let new =
        "{kind: ConfigMap, metadata: {name: x, uid: b, deletionTimestamp: 2026-01-01T00:00:00Z, finalizers: [a.b/c]}}";
    assert_eq!(
        update_faults(old, new),
        "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers \
         []string{\"a.b/c\"}\nmetadata.uid: Invalid value: \"b\": field is immutable"
    );
}

#[test]
fn a_namespace_has_its_name_as_a_label() {
    let namespace = made(&of("Namespace", "spec: {}"));
    assert_eq!(namespace["metadata"]["labels"], json!({ "kubernetes.io/metadata.name": "x" }));
    assert_eq!(namespace["spec"]["finalizers"], json!(["kubernetes"]));
    assert_eq!(namespace["status"]["phase"], "Active");
    assert!((policy_of(&namespace).held)(&namespace));
    let mut deleted = namespace.clone();
    (policy_of(&namespace).on_delete)(&mut deleted);
    assert_eq!(deleted["status"]["phase"], "Terminating");
    assert_eq!(
        faults("{kind: Namespace, apiVersion: v1, metadata: {name: a.b}}"),
        "metadata.name: Invalid value: \"a.b\": must not contain dots"
    );
}

#[test]
fn secrets_hold_what_their_type_needs() {
    let secret = made(&of("Secret", "stringData: {a: b}"));
    assert_eq!((&secret["type"], &secret["data"]), (&json!("Opaque"), &json!({ "a": "Yg==" })));
    assert_eq!(secret.get("stringData"), None);
    fault("Secret", "type: kubernetes.io/tls", "data[tls.crt]: Required value\ndata[tls.key]: Required value");
    fault(
        "Secret",
        "type: kubernetes.io/dockerconfigjson, stringData: {.dockerconfigjson: x}",
        "data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": expected value at line 1 column 1",
    );
    fault(
        "Secret",
        "data: {\"a b\": \"\"}",
        "data[a b]: Invalid value: \"a b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
         'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
    );
    assert_eq!(
        update_faults(&of("Secret", "type: a"), &of("Secret", "type: b")),
        "type: Invalid value: \"b\": field is immutable"
    );
}

#[test]
fn what_is_immutable_does_not_change() {
    let old = of("ConfigMap", "immutable: true, data: {a: b}");
    assert_eq!(
        update_faults(&old, &of("ConfigMap", "immutable: true, data: {a: c}")),
        "data: Forbidden: field is immutable when `immutable` is set"
    );
    assert_eq!(
        update_faults(&old, &of("ConfigMap", "data: {a: b}")),
        "immutable: Forbidden: field is immutable when `immutable` is set"
    );
    fault(
        "ConfigMap",
        "data: {a: b}, binaryData: {a: YQ==}",
        "data[a]: Invalid value: \"a\": duplicate of key present in binaryData",
    );
}

const CLAIM: &str = "spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}";

#[test]
fn claims_are_checked() {
    fault("PersistentVolumeClaim", CLAIM, "");
    fault(
        "PersistentVolumeClaim",
        "spec: {}",
        "spec.accessModes: Required value: at least 1 access mode is required\nspec.resources[storage]: Required value",
    );
    fault(
        "PersistentVolumeClaim",
        &CLAIM.replace("1Gi", "0"),
        "spec.resources[storage]: Invalid value: \"0\": must be greater than zero",
    );
    fault(
        "PersistentVolumeClaim",
        &CLAIM.replace("ReadWriteOnce", "Sometimes"),
        "spec.accessModes: Unsupported value: \"Sometimes\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \
         \"ReadWriteOnce\", \"ReadWriteOncePod\"",
    );
}

#[test]
fn a_claim_may_grow_when_it_is_bound() {
    let claim = |phase: &str, size: &str| {
        let mut claim = object(&of("PersistentVolumeClaim", &CLAIM.replace("1Gi", size)));
        claim["status"] = json!({ "phase": phase, "capacity": { "storage": "1Gi" } });
        claim["spec"]["volumeName"] = "v".into();
        claim
    };
    let update = |phase: &str, size: &str| {
        let mut errors = crate::field::Errors::new();
        let (new, old) = (claim(phase, size), claim(phase, "1Gi"));
        (super::persistent_volume_claim::POLICY.validate_update)(&new, &old, &mut errors);
        errors.to_string()
    };
    assert_eq!(update("Bound", "2Gi"), "[]");
    assert_eq!(
        update("Pending", "2Gi"),
        "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound \
         claims\n-  resources.requests.storage: \"1Gi\"\n+  resources.requests.storage: \"2Gi\"\n"
    );
    assert_eq!(
        update("Bound", "1Mi"),
        "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"
    );
}

#[test]
fn volumes_are_checked() {
    let volume = "spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /a}}";
    fault("PersistentVolume", volume, "");
    fault(
        "PersistentVolume",
        &volume.replace(", hostPath: {path: /a}", ""),
        "spec: Required value: must specify a volume type",
    );
    fault(
        "PersistentVolume",
        &volume.replace("hostPath", "local"),
        "spec.nodeAffinity: Required value: Local volume requires node affinity",
    );
    assert_eq!(
        update_faults(&of("PersistentVolume", volume), &of("PersistentVolume", &volume.replace("/a", "/b"))),
        "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n-  hostPath.path: \
         \"/a\"\n+  hostPath.path: \"/b\"\n"
    );
    assert_eq!(
        row(
            "{kind: PersistentVolume, metadata: {}, spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteMany, ReadWriteOnce], \
             persistentVolumeReclaimPolicy: Retain, storageClassName: fast, claimRef: {namespace: a, name: b}}, status: {phase: Bound}}"
        ),
        "x | 1Gi | RWO,RWX | Retain | Bound | a/b | fast | <unset> |  | 60m | <unset>"
    );
}

#[test]
fn limits_are_in_order() {
    let range = |limit: &str| of("LimitRange", &format!("spec: {{limits: [{{type: Container, {limit}}}]}}"));
    assert_eq!(
        made(&range("max: {cpu: 1}"))["spec"]["limits"][0],
        json!({ "type": "Container", "max": { "cpu": 1 }, "default": { "cpu": 1 }, "defaultRequest": { "cpu": 1 } })
    );
    assert_eq!(
        faults(&range("min: {cpu: 2}, max: {cpu: 1}, default: {cpu: 1}, defaultRequest: {cpu: 1}")),
        "spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1\n\
         spec.limits[0].defaultRequest[cpu]: Invalid value: \"1\": min value 2 is greater than default request value 1\n\
         spec.limits[0].default[cpu]: Invalid value: \"2\": min value 2 is greater than default value 1"
    );
}

#[test]
fn quotas_are_checked() {
    fault("ResourceQuota", "spec: {hard: {pods: 5, count/jobs.batch: 2, requests.cpu: 1}}", "");
    fault(
        "ResourceQuota",
        "spec: {hard: {widgets: 5}}",
        "spec.hard[widgets]: Invalid value: \"widgets\": must be a standard resource type or fully qualified\n\
         spec.hard[widgets]: Invalid value: \"widgets\": must be a standard resource for quota",
    );
    fault(
        "ResourceQuota",
        "spec: {hard: {pods: 500m}}",
        "spec.hard[pods]: Invalid value: \"500m\": must be an integer",
    );
    fault(
        "ResourceQuota",
        "spec: {hard: {pods: 1}, scopes: [BestEffort, NotBestEffort]}",
        "spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\"]: conflicting scopes",
    );
    assert_eq!(
        row("{kind: ResourceQuota, metadata: {}, status: {hard: {pods: 5, limits.cpu: 2}, used: {pods: 1}}}"),
        "x | pods: 1/5 | limits.cpu: 0/2 | 60m"
    );
}

#[test]
fn nodes_show_state_and_roles() {
    let node = "{kind: Node, metadata: {labels: {node-role.kubernetes.io/worker: ''}}, spec: {unschedulable: true}, status: \
                {conditions: [{type: Ready, status: 'True'}], addresses: [{type: InternalIP, address: 10.0.0.1}], nodeInfo: \
                {kubeletVersion: v1.37.0, osImage: Debian}}}";
    assert_eq!(
        row(node),
        "x | Ready,SchedulingDisabled | worker | 60m | v1.37.0 | 10.0.0.1 | <none> | Debian | <unknown> | <unknown>"
    );
    fault(
        "Node",
        "spec: {taints: [{key: a, effect: Never}]}",
        "metadata.taints[0].effect: Unsupported value: \"Never\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \
         \"NoExecute\"",
    );
}

#[test]
fn events_show_what_happened() {
    assert_eq!(
        row(
            "{kind: Event, apiVersion: v1, metadata: {}, type: Normal, reason: Started, involvedObject: {kind: Pod, name: p}, message: up, \
             lastTimestamp: 2026-01-01T00:30:00Z, firstTimestamp: 2026-01-01T00:00:00Z, count: 3, source: {component: kubelet, host: n}}"
        ),
        "30m | Normal | Started | pod/p |  | kubelet, n | up | 60m | 3 | x"
    );
}

#[test]
fn a_replication_controller_selects_its_template() {
    let template = "template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: x}]}}";
    let controller = made(&of("ReplicationController", &format!("spec: {{{template}}}")));
    assert_eq!(controller["spec"]["selector"], json!({ "a": "b" }));
    assert_eq!(controller["metadata"]["labels"], json!({ "a": "b" }));
    fault(
        "ReplicationController",
        &format!("spec: {{selector: {{a: c}}, {template}}}"),
        "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`",
    );
}

#[test]
fn ages_are_shortened_as_kubectl_shortens_them() {
    for (seconds, wanted) in [
        (-5, "<invalid>"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (600, "10m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 1200, "3h20m"),
        (47 * 3600, "47h"),
        (3 * 86400 + 3600, "3d1h"),
        (9 * 86400, "9d"),
        (800 * 86400, "2y70d"),
        (9 * 365 * 86400, "9y"),
    ] {
        assert_eq!(crate::policy::read::human(seconds), wanted);
    }
}
