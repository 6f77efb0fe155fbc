//! Deployments, stateful sets and daemon sets on a node, driven by kubectl: rollouts, scaling, healing, cordon and drain.

use e2e::cluster::Cluster;

/// Waits until kubectl says what is wanted.
#[track_caller]
pub fn says(cluster: &Cluster, words: &[&str], wanted: &str) {
    cluster.until(&format!("kubectl {} says {wanted}", words.join(" ")), || {
        cluster.kubectl(words.iter().copied()).out.trim() == wanted
    });
}

fn web(replicas: u32, word: &str) -> String {
    format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, annotations: {{kubernetes.io/change-cause: {word}}}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {{name: c, image: box:1, env: [{{name: WORD, value: {word}}}], command: [sleep, "3600"]}}
"#
    )
}

const WORDS: &[&str] =
    &["get", "pods", "-l", "app=web", "-o", "jsonpath={range .items[*]}{.spec.containers[0].env[0].value} {end}"];
const STATUS: &[&str] = &["rollout", "status", "deployment/web", "--timeout=60s"];

#[test]
fn a_deployment_rolls_goes_back_and_heals() {
    let cluster = Cluster::with_node();
    cluster.apply(&web(3, "one"));
    cluster.kubectl(STATUS).ok();
    cluster.apply(&web(3, "two"));
    cluster.kubectl(STATUS).ok();
    says(&cluster, WORDS, "two two two");
    let history = cluster.kubectl(["rollout", "history", "deployment/web"]).ok();
    assert!(history.contains("1         one") && history.contains("2         two"), "{history}");
    cluster.kubectl(["rollout", "undo", "deployment/web"]).ok();
    cluster.kubectl(STATUS).ok();
    says(&cluster, WORDS, "one one one");

    cluster.kubectl(["rollout", "pause", "deployment/web"]).ok();
    cluster.kubectl(["set", "env", "deployment/web", "WORD=three"]).ok();
    cluster.kubectl(["scale", "deployment/web", "--replicas=2"]).ok();
    says(&cluster, WORDS, "one one");
    cluster.kubectl(["rollout", "resume", "deployment/web"]).ok();
    cluster.kubectl(STATUS).ok();
    says(&cluster, WORDS, "three three");
    cluster.kubectl(["rollout", "restart", "deployment/web"]).ok();
    cluster.kubectl(STATUS).ok();

    let pod = cluster.kubectl(["get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}"]).ok();
    cluster.kubectl(["delete", "pod", &pod]).ok();
    assert!(!cluster.kubectl(["get", "pods", "-l", "app=web", "-o", "name"]).ok().contains(&pod));
    cluster.kubectl(["wait", "--for=jsonpath={.status.availableReplicas}=2", "deployment/web", "--timeout=60s"]).ok();
    cluster.kubectl(["delete", "deployment", "web"]).ok();
    says(&cluster, &["get", "pods", "-l", "app=web", "-o", "name"], "");
}

#[test]
fn a_stateful_set_has_names_order_and_addresses() {
    let cluster = Cluster::with_node();
    cluster.apply(
        r#"
apiVersion: v1
kind: Service
metadata: {name: dbs}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: dbs
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: c, image: box:1, command: [sleep, "3600"]}
"#,
    );
    cluster.kubectl(["rollout", "status", "statefulset/db", "--timeout=60s"]).ok();
    says(&cluster, &["get", "pods", "-l", "app=db", "-o", "name"], "pod/db-0\npod/db-1");
    assert_eq!(cluster.kubectl(["exec", "db-1", "--", "hostname"]).ok(), "db-1");
    let address = cluster.kubectl(["get", "pod", "db-1", "-o", "jsonpath={.status.podIP}"]).ok();
    cluster.until("db-0 finds db-1 by its name", || {
        cluster.kubectl(["exec", "db-0", "--", "nslookup", "db-1.dbs.default.svc.cluster.local"]).out.contains(&address)
    });
    let uid = ["get", "pod", "db-0", "-o", "jsonpath={.metadata.uid}"];
    let before = cluster.kubectl(uid).ok();
    cluster.kubectl(["delete", "pod", "db-0"]).ok();
    cluster.until("db-0 is another", || {
        let now = cluster.kubectl(uid);
        now.code == 0 && now.out != before
    });
    cluster.kubectl(["scale", "statefulset/db", "--replicas=1"]).ok();
    says(&cluster, &["get", "pods", "-l", "app=db", "-o", "name"], "pod/db-0");
}

#[test]
fn a_daemon_set_stays_when_a_node_is_drained_and_nothing_else_does() {
    let cluster = Cluster::with_node();
    let daemon = web(1, "one").replace("kind: Deployment", "kind: DaemonSet").replace("  replicas: 1\n", "");
    cluster.apply(&daemon.replace("web", "agent"));
    cluster.kubectl(["rollout", "status", "daemonset/agent", "--timeout=60s"]).ok();
    cluster.apply(&web(1, "one"));
    cluster.kubectl(STATUS).ok();
    let node = cluster.kubectl(["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"]).ok();
    cluster.kubectl(["drain", &node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s"]).ok();
    let phases = ["get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].status.phase}"];
    says(&cluster, &phases, "Pending");
    let reason = [
        "get",
        "pods",
        "-l",
        "app=web",
        "-o",
        "jsonpath={.items[*].status.conditions[?(@.type=='PodScheduled')].reason}",
    ];
    says(&cluster, &reason, "Unschedulable");
    says(&cluster, &["get", "daemonset", "agent", "-o", "jsonpath={.status.numberReady}"], "1");
    cluster.kubectl(["uncordon", &node]).ok();
    cluster.kubectl(STATUS).ok();
    cluster.kubectl(["taint", "node", &node, "mine=yes:NoExecute"]).ok();
    says(&cluster, &["get", "daemonset", "agent", "-o", "jsonpath={.status.desiredNumberScheduled}"], "0");
    cluster.kubectl(["taint", "node", &node, "mine-"]).ok();
    cluster.kubectl(STATUS).ok();
    says(&cluster, &["get", "daemonset", "agent", "-o", "jsonpath={.status.numberReady}"], "1");
}
