//! Scheduling as kubectl shows it, on nodes that nobody runs: the kubelets are missing, so pods stay Pending on them.

use e2e::cluster::Cluster;
use serde_json::json;

/// A node that says it is ready, though nobody will renew that.
fn node(cluster: &Cluster, name: &str, cpu: &str) {
    let labels = json!({"kubernetes.io/hostname": name, "fake": "yes"});
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}});
    cluster.apply(&node.to_string());
    let status = json!({"status": {"allocatable": {"cpu": cpu, "memory": "4Gi", "pods": "10"},
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]}});
    cluster.kubectl(["patch", "node", name, "--subresource=status", "--type=merge", "-p", &status.to_string()]).ok();
}

/// A pod that does not mind that its node is not heard of.
fn pod(cluster: &Cluster, name: &str, cpu: &str) {
    let away = ["not-ready", "unreachable"]
        .map(|taint| json!({"key": format!("node.kubernetes.io/{taint}"), "operator": "Exists"}));
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
        "nodeSelector": {"fake": "yes"}, "tolerations": away,
        "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]}});
    cluster.until("the account of the namespace is there", || {
        cluster.kubectl(["get", "serviceaccount", "default"]).code == 0
    });
    cluster.apply(&pod.to_string());
}

fn node_of(cluster: &Cluster, pod: &str) -> String {
    cluster.get(["pod", pod])["spec"]["nodeName"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn pods_get_nodes_with_room_and_others_say_why_not() {
    let cluster = Cluster::new();
    node(&cluster, "small", "1");
    pod(&cluster, "fits", "500m");
    cluster.kubectl(["wait", "--for=condition=PodScheduled", "pod/fits", "--timeout=60s"]).ok();
    assert_eq!(node_of(&cluster, "fits"), "small");
    cluster.until("the event", || {
        let events = cluster.kubectl(["get", "events", "--field-selector=reason=Scheduled"]).out;
        events.contains("Successfully assigned default/fits to small")
    });
    pod(&cluster, "big", "2");
    cluster.until("the reason", || cluster.kubectl(["describe", "pod", "big"]).out.contains("1 Insufficient cpu"));
    node(&cluster, "large", "4");
    cluster.until("the new node", || node_of(&cluster, "big") == "large");
}

#[test]
fn cordoned_nodes_get_no_pods_until_they_are_uncordoned() {
    let cluster = Cluster::new();
    node(&cluster, "only", "4");
    cluster.kubectl(["cordon", "only"]).ok();
    pod(&cluster, "waits", "100m");
    cluster.until("the reason", || {
        cluster.kubectl(["describe", "pod", "waits"]).out.contains("node(s) were unschedulable")
    });
    cluster.kubectl(["uncordon", "only"]).ok();
    cluster.until("the node", || node_of(&cluster, "waits") == "only");
}
