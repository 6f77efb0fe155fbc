//! What pods have and get: claims that are made for them, limits that change while they run, replicas by load, and what a budget protects.

use std::time::{Duration, Instant};

use e2e::cluster::Cluster;
use serde_json::{Value, json};

use crate::workloads::says;

fn one(cluster: &Cluster, what: &[&str]) -> Value {
    let words = [&["get"], what, &["-o", "json"]].concat();
    serde_json::from_str(&cluster.kubectl(words).out).unwrap_or_default()
}

/// Autoscaling looks every fifteen seconds.
#[track_caller]
fn scaled(cluster: &Cluster, what: &str, holds: impl Fn(u64) -> bool) {
    let start = Instant::now();
    loop {
        let replicas = one(cluster, &["deployment", "load"])["spec"]["replicas"].as_u64().unwrap_or(0);
        if holds(replicas) {
            return;
        }
        let late = start.elapsed() > Duration::from_secs(240);
        assert!(!late, "{what}: {replicas}\n{}", cluster.kubectl(["describe", "hpa", "load"]).out);
        std::thread::sleep(Duration::from_millis(500));
    }
}

const CLAIMING: &str = r#"
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  securityContext: {runAsUser: 1000, fsGroup: 2000}
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
  containers:
  - {name: c, image: box:1, command: [sh, -c, "SCRIPT"], volumeMounts: [{name: data, mountPath: /data}]}
"#;

#[test]
fn a_claim_gets_a_volume_with_its_first_pod_and_both_go_together() {
    let cluster = Cluster::with_node();
    let default = "jsonpath={.items[?(@.metadata.annotations.storageclass\\.kubernetes\\.io/is-default-class=='true')].metadata.name}";
    says(&cluster, &["get", "storageclasses", "-o", default], "local-path");
    let claiming = |name: &str, script: &str| cluster.apply(&CLAIMING.replace("NAME", name).replace("SCRIPT", script));
    claiming("first", "echo kept > /data/file");
    says(&cluster, &["get", "pod", "first", "-o", "jsonpath={.status.phase}"], "Succeeded");
    let claim = one(&cluster, &["pvc", "data"]);
    assert_eq!(
        (&claim["status"]["phase"], &claim["spec"]["storageClassName"]),
        (&json!("Bound"), &json!("local-path"))
    );
    let volume = claim["spec"]["volumeName"].as_str().expect("a volume").to_owned();
    cluster.kubectl(["delete", "pod", "first"]).ok();
    claiming("second", "cat /data/file; exec sleep 100000");
    says(&cluster, &["logs", "second"], "kept");
    let path = one(&cluster, &["pv", &volume])["spec"]["local"]["path"].as_str().expect("a path").to_owned();
    assert_eq!(std::fs::read_to_string(format!("{path}/file")).expect("text"), "kept\n");
    cluster.kubectl(["delete", "pod", "second"]).ok();
    cluster.kubectl(["delete", "pvc", "data"]).ok();
    cluster.wait("the volume goes with its claim", || cluster.kubectl(["get", "pv", &volume]).code != 0);
    assert!(!std::path::Path::new(&path).exists());
}

#[test]
fn limits_change_while_a_container_runs() {
    let cluster = Cluster::with_node();
    let sized = |cpu: &str, memory: &str| json!({ "requests": { "cpu": cpu, "memory": memory }, "limits": { "cpu": cpu, "memory": memory } });
    let restarts = json!([{ "resourceName": "memory", "restartPolicy": "RestartContainer" }]);
    let container = |name: &str, more: Value| {
        let mut container = json!({ "name": name, "image": "box:1", "command": ["sleep", "100000"], "resources": sized("100m", "64Mi") });
        container.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        container
    };
    let containers = [container("plain", json!({})), container("anew", json!({ "resizePolicy": restarts }))];
    let spec = json!({ "terminationGracePeriodSeconds": 0, "containers": containers });
    cluster.apply(&json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" }, "spec": spec }).to_string());
    cluster.kubectl(["wait", "--for=condition=Ready", "pod/p", "--timeout=60s"]).ok();
    let ids = || -> Vec<Value> {
        let all = one(&cluster, &["pod", "p"])["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
        all.iter().map(|one| one["containerID"].clone()).collect()
    };
    let before = ids();
    let resize = |container: &str, cpu: &str, memory: &str| {
        let patch = json!({ "spec": { "containers": [{ "name": container, "resources": sized(cpu, memory) }] } });
        cluster.kubectl(["patch", "pod", "p", "--subresource", "resize", "-p", &patch.to_string()]).ok();
    };
    let status = |index: usize| one(&cluster, &["pod", "p"])["status"]["containerStatuses"][index].clone();
    resize("plain", "250m", "96Mi");
    cluster.wait("the container has more", || {
        status(0)["resources"]["limits"] == json!({ "cpu": "250m", "memory": "96Mi" })
    });
    let id = cluster.docker(["ps", "-q", "--filter", "label=io.kubernetes.container.name=plain"]).ok();
    let has = cluster.docker(["inspect", "-f", "{{.HostConfig.CpuQuota}} {{.HostConfig.Memory}}", &id]).ok();
    assert_eq!(has, format!("25000 {}", 96 << 20));
    assert_eq!(ids(), before, "nothing was started again");

    resize("anew", "100m", "80Mi");
    cluster.wait("the other one begins anew", || {
        status(1)["restartCount"] == 1 && status(1)["resources"]["limits"]["memory"] == "80Mi"
    });
    assert_eq!(status(0)["restartCount"], 0);

    let pending = "jsonpath={.status.conditions[?(@.type=='PodResizePending')].reason}";
    resize("plain", "4000", "96Mi");
    says(&cluster, &["get", "pod", "p", "-o", pending], "Infeasible");
    assert_eq!(status(0)["resources"]["limits"]["cpu"], "250m");
    resize("plain", "300m", "96Mi");
    cluster.wait("what fits is had", || status(0)["resources"]["limits"]["cpu"] == "300m");
    says(&cluster, &["get", "pod", "p", "-o", pending], "");
}

const GUARDED: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: guarded}
spec:
  replicas: 2
  selector: {matchLabels: {app: guarded}}
  template:
    metadata: {labels: {app: guarded}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: c, image: box:1, command: [sleep, "100000"]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: guarded}
spec: {minAvailable: 2, selector: {matchLabels: {app: guarded}}}
"#;

#[test]
fn a_drain_waits_for_a_budget() {
    let cluster = Cluster::with_node();
    cluster.apply(GUARDED);
    cluster.kubectl(["rollout", "status", "deployment/guarded", "--timeout=60s"]).ok();
    says(&cluster, &["get", "pdb", "guarded", "-o", "jsonpath={.status.currentHealthy}"], "2");
    let node = cluster.kubectl(["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"]).ok();
    let pod = cluster.kubectl(["get", "pods", "-l", "app=guarded", "-o", "jsonpath={.items[0].metadata.name}"]).ok();
    let eviction = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": pod } }).to_string();
    let path = format!("/api/v1/namespaces/default/pods/{pod}/eviction");
    let said = cluster.kubectl_with(["create", "--raw", &path, "-f", "-"], &eviction);
    let refused = "(TooManyRequests): Cannot evict pod as it would violate the pod's disruption budget.";
    assert!(said.code != 0 && said.err.contains(refused), "{said:?}");
    let patch = r#"{"spec":{"minAvailable":0}}"#;
    cluster.kubectl(["patch", "pdb", "guarded", "--type=merge", "-p", patch]).ok();
    cluster.kubectl(["drain", &node, "--pod-selector=app=guarded", "--timeout=60s"]).ok();
    cluster.kubectl(["uncordon", &node]).ok();
    cluster.kubectl(["rollout", "status", "deployment/guarded", "--timeout=60s"]).ok();
}

const LOAD: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: load}
spec:
  replicas: 1
  selector: {matchLabels: {app: load}}
  template:
    metadata: {labels: {app: load}}
    spec:
      terminationGracePeriodSeconds: 0
      volumes: [{name: told, hostPath: {path: FOLDER}}]
      containers:
      - name: c
        image: box:1
        resources: {requests: {cpu: 20m}}
        volumeMounts: [{name: told, mountPath: /told}]
        command: [sh, -c, "while :; do if [ -e /told/work ]; then i=0; while [ $i -lt 5000 ]; do i=$((i+1)); done; else sleep 1; fi; done"]
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: load}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: load}
  minReplicas: 1
  maxReplicas: 2
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 100}}}]
  behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
"#;

#[test]
fn replicas_follow_the_load() {
    let cluster = Cluster::with_node();
    let folder = cluster.path("told");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("work"), "").expect("a file");
    cluster.apply(&LOAD.replace("FOLDER", &folder.display().to_string()));
    scaled(&cluster, "up under load", |replicas| replicas == 2);
    std::fs::remove_file(folder.join("work")).expect("removed");
    scaled(&cluster, "down after it", |replicas| replicas == 1);
}
