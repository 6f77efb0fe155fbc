//! Pods: defaults, faults, updates and columns.

use serde_json::json;

use crate::kinds::testing::{faults, made, object, row, update_faults};

const GOOD: &str = "
kind: Pod
apiVersion: v1
metadata: {name: web, namespace: a}
spec: {containers: [{name: c, image: busybox}]}";

/// A pod with one good container, and more in its specification.
fn with(spec: &str) -> String {
    format!("{GOOD}\n").replace("spec: {containers:", &format!("spec: {{{spec}, containers:"))
}

/// A pod with one container that has more.
fn container(more: &str) -> String {
    GOOD.replace("image: busybox", &format!("image: busybox, {more}"))
}

#[test]
fn defaults_are_those_of_kubernetes() {
    let pod = made(&container("livenessProbe: {httpGet: {port: 80}}, ports: [{containerPort: 1}]"));
    assert_eq!(
        pod["spec"],
        json!({
            "containers": [{
                "name": "c", "image": "busybox", "imagePullPolicy": "Always", "resources": {},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                "ports": [{ "containerPort": 1, "protocol": "TCP" }],
                "livenessProbe": {
                    "httpGet": { "path": "/", "port": 80, "scheme": "HTTP" },
                    "failureThreshold": 3, "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 1,
                },
            }],
            "dnsPolicy": "ClusterFirst", "enableServiceLinks": true, "restartPolicy": "Always",
            "schedulerName": "default-scheduler", "securityContext": {}, "terminationGracePeriodSeconds": 30,
        })
    );
    assert_eq!(pod["status"], json!({ "phase": "Pending", "qosClass": "BestEffort" }));
    assert_eq!(pod["metadata"]["generation"], 1);
}

#[test]
fn pull_policy_follows_the_tag() {
    let policy = crate::kinds::core::pod_spec::defaults::pull_policy;
    for (image, wanted) in [
        ("busybox", "Always"),
        ("busybox:latest", "Always"),
        ("busybox:1.36", "IfNotPresent"),
        ("host:5000/a/b", "Always"),
        ("host:5000/a/b:1", "IfNotPresent"),
        ("a@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "IfNotPresent"),
        ("", "IfNotPresent"),
        ("Not/Good", "IfNotPresent"),
    ] {
        assert_eq!(policy(image), wanted, "{image}");
    }
}

#[test]
fn requests_come_from_limits_and_decide_the_quality_of_service() {
    let pod = made(&container("resources: {limits: {cpu: 1, memory: 1Gi}}"));
    assert_eq!(pod["spec"]["containers"][0]["resources"]["requests"], json!({ "cpu": 1, "memory": "1Gi" }));
    assert_eq!(pod["status"]["qosClass"], "Guaranteed");
    let pod = made(&container("resources: {requests: {cpu: 1}}"));
    assert_eq!(pod["status"]["qosClass"], "Burstable");
}

#[test]
fn a_pod_as_a_whole_has_what_its_containers_need() {
    let pod = made(
        &container("resources: {limits: {hugepages-2Mi: 4Mi, memory: 1Gi}}")
            .replace("{containers", "{resources: {limits: {cpu: 2}}, containers"),
    );
    assert_eq!(
        pod["spec"]["resources"],
        json!({
            "limits": { "cpu": 2, "hugepages-2Mi": "4Mi" },
            "requests": { "cpu": 2, "memory": "1Gi", "hugepages-2Mi": "4Mi" },
        })
    );
}

#[test]
fn volumes_get_their_modes() {
    let pod = made(&with(
        "volumes: [{name: a}, {name: b, secret: {secretName: s}}, {name: c, hostPath: {path: /x}}, \
         {name: d, projected: {sources: [{serviceAccountToken: {path: t}}]}}]",
    ));
    assert_eq!(
        pod["spec"]["volumes"],
        json!([
            { "name": "a", "emptyDir": {} },
            { "name": "b", "secret": { "secretName": "s", "defaultMode": 420 } },
            { "name": "c", "hostPath": { "path": "/x", "type": "" } },
            { "name": "d", "projected": {
                "defaultMode": 420,
                "sources": [{ "serviceAccountToken": { "path": "t", "expirationSeconds": 3600 } }],
            } },
        ])
    );
}

#[track_caller]
fn fault(yaml: &str, wanted: &str) {
    assert_eq!(faults(yaml), wanted);
}

#[test]
fn a_good_pod_has_no_faults() {
    fault(GOOD, "");
}

#[test]
fn containers_are_checked() {
    fault(&GOOD.replace(", image: busybox", ""), "spec.containers[0].image: Required value");
    fault(&GOOD.replace("[{name: c, image: busybox}]", "[]"), "spec.containers: Required value");
    fault(
        &GOOD.replace("name: c", "name: C"),
        "spec.containers[0].name: Invalid value: \"C\": a lowercase RFC 1123 label must consist of lower case alphanumeric \
         characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used \
         for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
    );
    fault(&GOOD.replace("}]", "}, {name: c, image: x}]"), "spec.containers[1].name: Duplicate value: \"c\"");
    fault(
        &container("imagePullPolicy: Sometimes"),
        "spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \
         \"IfNotPresent\", \"Never\"",
    );
    fault(
        &GOOD.replace("image: busybox", "image: \" busybox\""),
        "spec.containers[0].image: Invalid value: \" busybox\": must not have leading or trailing whitespace",
    );
}

#[test]
fn ports_are_checked() {
    fault(
        &container("ports: [{containerPort: 70000}]"),
        "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
    );
    fault(&container("ports: [{name: a}]"), "spec.containers[0].ports[0].containerPort: Required value");
    fault(
        &container("ports: [{containerPort: 1, protocol: ICMP}]"),
        "spec.containers[0].ports[0].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
    );
    fault(
        &container("ports: [{containerPort: 1, hostPort: 5}, {containerPort: 2, hostPort: 5}]"),
        "spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//5\"",
    );
}

#[test]
fn variables_are_checked() {
    fault(
        &container("env: [{name: A, valueFrom: {}}]"),
        "spec.containers[0].env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, \
         `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
    );
    fault(
        &container("env: [{name: A, value: x, valueFrom: {secretKeyRef: {name: s, key: k}}}]"),
        "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
    );
    fault(
        &container("env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.what}}}]"),
        "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.what\": error converting fieldPath: \
         field label not supported: spec.what",
    );
    fault(
        &container("env: [{name: A, valueFrom: {fieldRef: {fieldPath: status.phase}}}]"),
        "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: \"status.phase\": supported values: \
         \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \
         \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\"",
    );
    fault(&container("env: [{name: A, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['a']\"}}}]"), "");
    fault(
        &container("envFrom: [{}]"),
        "spec.containers[0].envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`",
    );
}

#[test]
fn mounts_need_volumes() {
    fault(
        &container("volumeMounts: [{name: v, mountPath: /a}]"),
        "spec.containers[0].volumeMounts[0].name: Not found: \"v\"",
    );
    let mounts = |mounts: &str| {
        container(&format!("volumeMounts: [{mounts}]")).replace("{containers", "{volumes: [{name: v}], containers")
    };
    fault(&mounts("{name: v, mountPath: /a}"), "");
    fault(
        &mounts("{name: v, mountPath: /a}, {name: v, mountPath: /a}"),
        "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique",
    );
    fault(
        &mounts("{name: v, mountPath: /a, subPath: ../x}"),
        "spec.containers[0].volumeMounts.subPath: Invalid value: \"../x\": must not contain '..'",
    );
}

#[test]
fn volumes_are_checked() {
    fault(
        &with("volumes: [{name: v, emptyDir: {}, hostPath: {path: /a}}]"),
        "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
    );
    fault(&with("volumes: [{name: v, configMap: {}}]"), "spec.volumes[0].configMap.name: Required value");
    fault(&with("volumes: [{name: v}, {name: v}]"), "spec.volumes[1].name: Duplicate value: \"v\"");
    fault(
        &with("volumes: [{name: v, hostPath: {path: /a/../b}}]"),
        "spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
    );
    fault(
        &with("volumes: [{name: v, ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce]}}}}]"),
        "spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value",
    );
}

#[test]
fn probes_are_checked() {
    fault(
        &container("livenessProbe: {}"),
        "spec.containers[0].livenessProbe: Required value: must specify a handler type",
    );
    fault(
        &container("livenessProbe: {exec: {command: [a]}, tcpSocket: {port: 1}}"),
        "spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
    );
    fault(
        &container("livenessProbe: {exec: {command: [a]}, successThreshold: 2}"),
        "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
    );
    fault(
        &container("lifecycle: {preStop: {sleep: {seconds: 99}}}"),
        "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 99: must be non-negative and less than \
         terminationGracePeriodSeconds (30)",
    );
}

#[test]
fn resources_are_checked() {
    fault(
        &container("resources: {requests: {cpu: 2}, limits: {cpu: 1}}"),
        "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
    );
    fault(
        &container("resources: {limits: {gpu: 1}}"),
        "spec.containers[0].resources.limits[gpu]: Invalid value: \"gpu\": must be a standard resource type or fully qualified\n\
         spec.containers[0].resources.limits[gpu]: Invalid value: \"gpu\": must be a standard resource for containers\n\
         spec.containers[0].resources.requests[gpu]: Invalid value: \"gpu\": must be a standard resource type or fully qualified\n\
         spec.containers[0].resources.requests[gpu]: Invalid value: \"gpu\": must be a standard resource for containers",
    );
    fault(
        &container("resources: {limits: {cpu: \"-1\"}, requests: {cpu: \"-1\"}}"),
        "spec.containers[0].resources.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0\n\
         spec.containers[0].resources.requests[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
    );
    fault(
        &container("resources: {claims: [{name: x}]}"),
        "spec.containers[0].resources.claims[0]: Not found: \"x\": must be one of the names in pod.spec.resourceClaims which \
         is empty",
    );
}

#[test]
fn security_is_checked() {
    fault(
        &container("securityContext: {runAsUser: -1}"),
        "spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
    );
    fault(
        &with("securityContext: {seccompProfile: {type: Localhost}}"),
        "spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
    );
    fault(
        &with("securityContext: {sysctls: [{name: net.a, value: b}]}, hostNetwork: true"),
        "spec.securityContext.sysctls[0].name: Invalid value: \"net.a\": may not be specified when 'hostNetwork' is true",
    );
    fault(
        &with("os: {name: linux}, securityContext: {windowsOptions: {}}"),
        "spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod",
    );
}

#[test]
fn scheduling_is_checked() {
    fault(
        &with("tolerations: [{operator: Equal}]"),
        "spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \
         \"match all values and all keys\"",
    );
    fault(
        &with("topologySpreadConstraints: [{maxSkew: 0, topologyKey: a, whenUnsatisfiable: X}]"),
        "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero\n\
         spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: \"X\": supported values: \"DoNotSchedule\", \
         \"ScheduleAnyway\"",
    );
    fault(
        &with(
            "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: \
             [{matchExpressions: [{key: a, operator: In}]}]}}}",
        ),
        "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0]\
         .values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
    );
    fault(
        &with("nodeName: n, schedulingGates: [{name: a}]"),
        "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
    );
}

#[test]
fn other_fields_are_checked() {
    fault(
        &with("restartPolicy: Maybe"),
        "spec.restartPolicy: Unsupported value: \"Maybe\": supported values: \"Always\", \"OnFailure\", \"Never\"",
    );
    fault(
        &with("dnsPolicy: None"),
        "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
    );
    fault(
        &with("hostAliases: [{ip: nine, hostnames: [a]}]"),
        "spec.hostAliases[0].ip: Invalid value: \"nine\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
    );
    fault(
        &with("activeDeadlineSeconds: 0"),
        "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
    );
    fault(
        &with("ephemeralContainers: [{name: e, image: x}]"),
        "spec.ephemeralContainers: Forbidden: cannot be set on create",
    );
    fault(
        &with("initContainers: [{name: i, image: x, livenessProbe: {exec: {command: [a]}}}]"),
        "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
    );
}

#[test]
fn only_a_few_fields_change() {
    assert_eq!(
        update_faults(
            GOOD,
            &GOOD.replace("busybox", "busybox:2").replace("name: c", "name: c, imagePullPolicy: Always")
        ),
        ""
    );
    assert_eq!(
        update_faults(GOOD, &with("hostNetwork: true")),
        "spec: Forbidden: pod updates may not change fields other than \
         `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only \
         additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously \
         negative)\n+  hostNetwork: true\n"
    );
    assert_eq!(
        update_faults(GOOD, &GOOD.replace("}]", "}, {name: d, image: x}]")),
        "spec.containers: Forbidden: pod updates may not add or remove containers"
    );
    assert_eq!(update_faults(GOOD, &with("tolerations: [{operator: Exists}]")), "");
    assert_eq!(
        update_faults(&with("tolerations: [{operator: Exists}]"), GOOD),
        "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"
    );
}

#[test]
fn one_word_says_how_a_pod_is_doing() {
    let pod = |spec: &str, status: &str| {
        let row = row(&format!("{{kind: Pod, metadata: {{}}, spec: {spec}, status: {status}}}"));
        row.split(" | ").skip(1).take(3).collect::<Vec<_>>().join(" ")
    };
    let two = "{containers: [{name: a}, {name: b}], nodeName: n}";
    assert_eq!(pod(two, "{phase: Pending}"), "0/2 Pending 0");
    let running = "{name: a, ready: true, restartCount: 2, state: {running: {}}, \
                   lastState: {terminated: {finishedAt: 2026-01-01T00:30:00Z}}}";
    assert_eq!(
        pod(
            two,
            &format!(
                "{{phase: Running, containerStatuses: [{running}, {{name: b, state: {{waiting: {{reason: CrashLoopBackOff}}}}}}]}}"
            )
        ),
        "1/2 CrashLoopBackOff 2 (30m ago)"
    );
    assert_eq!(
        pod(two, "{phase: Failed, containerStatuses: [{name: a, state: {terminated: {exitCode: 3}}}]}"),
        "0/2 ExitCode:3 0"
    );
    let one = "{initContainers: [{name: i}, {name: j, restartPolicy: Always}], containers: [{name: a}]}";
    assert_eq!(
        pod(one, "{phase: Pending, initContainerStatuses: [{name: i, state: {running: {}}}]}"),
        "0/2 Init:0/2 0"
    );
    assert_eq!(
        pod(
            one,
            "{phase: Pending, initContainerStatuses: [{name: i, state: {terminated: {exitCode: 1, reason: Error}}}]}"
        ),
        "0/2 Init:Error 0"
    );
    assert_eq!(
        pod(
            one,
            "{phase: Running, initContainerStatuses: [{name: i, state: {terminated: {exitCode: 0}}}, {name: j, started: true, ready: true, state: {running: {}}}], containerStatuses: [{name: a, ready: true, state: {running: {}}}]}"
        ),
        "2/2 Running 0"
    );
    let gated = "{phase: Pending, conditions: [{type: PodScheduled, reason: SchedulingGated}]}";
    assert_eq!(pod(two, gated), "0/2 SchedulingGated 0");
    let deleted =
        row("{kind: Pod, metadata: {deletionTimestamp: 2026-01-01T00:30:00Z}, spec: {}, status: {phase: Running}}");
    assert_eq!(deleted, "x | 0/0 | Terminating | 0 | 60m | <none> | <none> | <none> | <none>");
}

#[test]
fn grace_is_for_what_runs() {
    let grace = super::POLICY.grace.expect("pods end gracefully");
    let pod = object("{spec: {nodeName: n, terminationGracePeriodSeconds: 30}, status: {phase: Running}}");
    assert_eq!((grace(&pod, None), grace(&pod, Some(5)), grace(&pod, Some(-1))), (30, 5, 1));
    let pod = object("{spec: {terminationGracePeriodSeconds: 30}}");
    assert_eq!(grace(&pod, None), 0);
}

#[test]
fn warnings_name_what_is_old_or_hidden() {
    let pod = made(
        &container("env: [{name: A, value: 1}, {name: A, value: 2}]")
            .replace("{containers", "{nodeSelector: {beta.kubernetes.io/os: linux}, containers"),
    );
    assert_eq!(
        (super::POLICY.warnings)(&pod, None),
        [
            "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \"kubernetes.io/os\" instead",
            "spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply",
        ]
    );
}
