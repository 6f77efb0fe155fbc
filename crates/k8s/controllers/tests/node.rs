//! The life of nodes over an API server in this process.

mod world;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, from_value, json};

use world::{World, eventually};

struct Cluster(World);

impl Cluster {
    async fn new() -> Cluster {
        Cluster(World::new().await)
    }

    fn nodes(&self) -> Api<Node> {
        Api::all(self.0.client.clone())
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.0.client.clone(), "default")
    }

    async fn node(&self, name: &str) {
        let node: Node = from_value(json!({"metadata": {"name": name}})).unwrap();
        self.nodes().create(&PostParams::default(), &node).await.unwrap();
    }

    async fn ready(&self, name: &str, status: &str) {
        let patch = json!({"status": {"conditions": [{"type": "Ready", "status": status, "reason": "Test"}]}});
        self.nodes().patch_status(name, &PatchParams::default(), &Patch::Strategic(patch)).await.unwrap();
    }

    async fn pod(&self, name: &str, node: &str, tolerations: Value) {
        let pod: Pod =
            from_value(json!({"metadata": {"name": name}, "spec": {"nodeName": node, "tolerations": tolerations,
            "terminationGracePeriodSeconds": 0, "containers": [{"name": "c", "image": "i"}]}}))
            .unwrap();
        self.pods().create(&PostParams::default(), &pod).await.unwrap();
    }

    async fn taints(&self, node: &str) -> Vec<String> {
        let node = self.nodes().get(node).await.unwrap();
        let taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
        taints.iter().map(|t| format!("{}:{}", t.key.trim_start_matches("node.kubernetes.io/"), t.effect)).collect()
    }
}

#[tokio::test]
async fn every_node_has_addresses_of_its_own_and_they_come_back() {
    let cluster = Cluster::new().await;
    let range = async |name: &str| cluster.nodes().get(name).await.unwrap().spec.and_then(|spec| spec.pod_cidr);
    cluster.node("a").await;
    eventually("a range", async || range("a").await.as_deref() == Some("10.42.0.0/24")).await;
    cluster.node("b").await;
    eventually("another", async || range("b").await.as_deref() == Some("10.42.1.0/24")).await;
    let spec = cluster.nodes().get("b").await.unwrap().spec.unwrap();
    assert_eq!(spec.pod_cidrs, Some(vec!["10.42.1.0/24".to_owned()]));
    cluster.nodes().delete("a", &DeleteParams::default()).await.unwrap();
    cluster.node("c").await;
    eventually("given again", async || range("c").await.as_deref() == Some("10.42.0.0/24")).await;
}

#[tokio::test]
async fn taints_follow_conditions_and_pods_leave_while_there_is_somewhere_to_go() {
    let cluster = Cluster::new().await;
    cluster.node("good").await;
    cluster.node("bad").await;
    cluster.ready("good", "True").await;
    cluster.ready("bad", "True").await;
    eventually("untainted", async || cluster.taints("good").await.is_empty() && cluster.taints("bad").await.is_empty())
        .await;
    cluster
        .pod(
            "leaves",
            "bad",
            json!([{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}]),
        )
        .await;
    cluster.pod("stays", "bad", json!([{"operator": "Exists"}])).await;
    cluster.ready("bad", "False").await;
    eventually("left", async || cluster.pods().get_opt("leaves").await.unwrap().is_none()).await;
    assert!(cluster.pods().get("stays").await.unwrap().metadata.deletion_timestamp.is_none());
    assert_eq!(cluster.taints("bad").await, ["not-ready:NoSchedule", "not-ready:NoExecute"]);
    // With no node ready pods stay where they are.
    cluster.ready("good", "False").await;
    eventually("stopped", async || cluster.taints("bad").await == ["not-ready:NoSchedule"]).await;
    let cordon = json!({"spec": {"unschedulable": true}});
    cluster.nodes().patch("good", &PatchParams::default(), &Patch::Merge(cordon)).await.unwrap();
    eventually("cordoned", async || cluster.taints("good").await.contains(&"unschedulable:NoSchedule".to_owned()))
        .await;
    cluster.ready("good", "True").await;
    eventually("goes on", async || cluster.taints("bad").await.contains(&"not-ready:NoExecute".to_owned())).await;
    assert!(cluster.pods().get("stays").await.unwrap().name_any() == "stays");
}
