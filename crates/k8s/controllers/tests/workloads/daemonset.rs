//! Daemon sets.

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::cluster::{Cluster, eventually, template};

async fn node(cluster: &Cluster, name: &str, labels: Value) {
    let node: Node = serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap();
    Api::<Node>::all(cluster.client.clone()).create(&PostParams::default(), &node).await.unwrap();
}

/// Nobody says that these nodes are ready.
fn agent() -> Value {
    let mut template = template(json!({"app": "agent"}), "one");
    let tolerate = |name: &str| json!({"key": format!("node.kubernetes.io/{name}"), "operator": "Exists"});
    template["spec"]["tolerations"] = json!([tolerate("not-ready"), tolerate("unreachable")]);
    template
}

async fn nodes(cluster: &Cluster, image: &str) -> Vec<String> {
    let pods = cluster.pods("app=agent").await;
    let pods = pods.iter().map(|pod| serde_json::to_value(pod).unwrap());
    let pods = pods.filter(|pod| pod["spec"]["containers"][0]["image"] == image);
    let at = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchFields/0/values/0";
    let mut nodes: Vec<_> = pods.map(|pod| pod.pointer(at).unwrap().as_str().unwrap().to_owned()).collect();
    nodes.sort();
    nodes
}

#[tokio::test]
async fn every_node_that_takes_it_has_a_pod_and_updates_go_round() {
    let mut cluster = Cluster::new().await;
    node(&cluster, "a", json!({"role": "worker"})).await;
    node(&cluster, "b", json!({"role": "worker"})).await;
    node(&cluster, "c", json!({})).await;
    let mut template = agent();
    template["spec"]["nodeSelector"] = json!({"role": "worker"});
    let set = json!({"metadata": {"name": "agent"}, "spec": {"selector": {"matchLabels": {"app": "agent"}}, "template": template}});
    cluster.create::<DaemonSet>(set).await;
    let ready = |count: i64| move |set: &Value| set["status"]["numberAvailable"] == count;
    cluster.until::<DaemonSet>("agent", "two", ready(2)).await;
    assert_eq!(nodes(&cluster, "one").await, ["a", "b"]);

    let labels = Patch::Merge(json!({"metadata": {"labels": {"role": "worker"}}}));
    let api = Api::<Node>::all(cluster.client.clone());
    api.patch("c", &PatchParams::default(), &labels).await.unwrap();
    cluster.until::<DaemonSet>("agent", "three", ready(3)).await;

    cluster.restart().await;
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "two"}]}}}});
    cluster.patch::<DaemonSet>("agent", image).await;
    let updated = |set: &Value| {
        let status = &set["status"];
        status["updatedNumberScheduled"] == 3 && status["numberAvailable"] == 3 && status["observedGeneration"] == 2
    };
    cluster.until::<DaemonSet>("agent", "updated", updated).await;
    assert_eq!(nodes(&cluster, "two").await, ["a", "b", "c"]);
    assert_eq!(cluster.list::<ControllerRevision>("app=agent").await.len(), 2);

    let taint = Patch::Merge(json!({"spec": {"taints": [{"key": "mine", "effect": "NoExecute"}]}}));
    api.patch("b", &PatchParams::default(), &taint).await.unwrap();
    eventually("left", async || nodes(&cluster, "two").await == ["a", "c"]).await;
}

#[tokio::test]
async fn what_has_failed_is_replaced() {
    let cluster = Cluster::idle().await;
    node(&cluster, "a", json!({})).await;
    let set = json!({"metadata": {"name": "agent"}, "spec": {"selector": {"matchLabels": {"app": "agent"}},
        "template": agent()}});
    cluster.create::<DaemonSet>(set).await;
    eventually("pod", async || cluster.pods("app=agent").await.len() == 1).await;
    let failed = cluster.pods("app=agent").await[0].name_any();
    cluster.end(&failed, 1).await;
    eventually("another", async || {
        let pods = cluster.pods("app=agent").await;
        pods.len() == 1 && pods[0].name_any() != failed
    })
    .await;
    cluster.event("agent", "FailedDaemonPod").await;
    assert!(cluster.json::<Pod>(&failed).await.is_null());
}
