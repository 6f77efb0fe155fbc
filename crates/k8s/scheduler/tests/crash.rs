//! A scheduler that ends in the middle of its work, again and again: no pod is left without a node, none gets two, no node gets more than it has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use k8s_apiserver::{ApiServer, Config, Identity};
use k8s_client::Informers;
use k8s_openapi::api::core::v1::{Node, Pod, ServiceAccount};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{from_value, json};

const NODES: usize = 20;
/// Pods of one node, exactly as many as there is room for in all: a room that is lost would be missed.
const ROOM: usize = 10;

async fn nodes(client: &Client) {
    let api = Api::<Node>::all(client.clone());
    for at in 0..NODES {
        let name = format!("node-{at}");
        let node: Node = from_value(json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            "status": {"allocatable": {"cpu": "8", "memory": "16Gi", "pods": ROOM.to_string()}}}))
        .unwrap();
        api.create(&PostParams::default(), &node).await.unwrap();
        let patch = Patch::Merge(json!({"spec": {"taints": null}}));
        api.patch(&name, &PatchParams::default(), &patch).await.unwrap();
    }
}

async fn pods(client: &Client) {
    let api = Api::<Pod>::namespaced(client.clone(), "default");
    futures_util::stream::iter(0..NODES * ROOM)
        .for_each_concurrent(32, |at| {
            let api = api.clone();
            async move {
                let pod: Pod = from_value(json!({"metadata": {"name": format!("pod-{at}"), "labels": {"app": "a"}},
                    "spec": {"containers": [{"name": "c", "image": "i"}]}}))
                .unwrap();
                api.create(&PostParams::default(), &pod).await.unwrap();
            }
        })
        .await;
}

/// Every node that each pod was ever seen on.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<HashMap<String, Vec<String>>>>);

impl Seen {
    fn note(&self, pod: &Pod) {
        let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()) else { return };
        let mut all = self.0.lock().unwrap();
        let nodes = all.entry(pod.name_any()).or_default();
        if !nodes.contains(&node) {
            nodes.push(node);
        }
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

async fn eventually(what: &str, test: impl Fn() -> bool) {
    let begun = Instant::now();
    while !test() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheduler_that_dies_in_a_burst_leaves_no_pod_without_a_node_and_gives_none_two() {
    let folder = tempfile::tempdir().unwrap();
    let server = ApiServer::open(Config::new(folder.path())).await.unwrap();
    let client = Client::new(server.service(Identity::loopback()), "default");
    let account: ServiceAccount = from_value(json!({"metadata": {"name": "default"}})).unwrap();
    Api::namespaced(client.clone(), "default").create(&PostParams::default(), &account).await.unwrap();
    nodes(&client).await;
    pods(&client).await;

    let watching = Informers::new(client.clone());
    let seen = Seen::default();
    let noted = seen.clone();
    let cache = watching.get::<Pod>();
    cache.synced().await;
    let _subscription = cache.on(move |change| {
        if let Some(pod) = &change.new {
            noted.note(pod);
        }
    });
    // Each of them dies when it has placed some; what it had under way may be written or not.
    for round in 1..=4 {
        let scheduler = k8s_scheduler::start(&Informers::new(client.clone()));
        let enough = round * NODES * ROOM / 6;
        eventually(&format!("{enough} pods have a node"), || seen.count() >= enough).await;
        drop(scheduler);
    }
    let scheduler = k8s_scheduler::start(&Informers::new(client.clone()));
    eventually("every pod has a node", || seen.count() == NODES * ROOM).await;
    let mut load: HashMap<String, usize> = HashMap::new();
    for (pod, nodes) in seen.0.lock().unwrap().iter() {
        assert_eq!(nodes.len(), 1, "{pod} was on {nodes:?}");
        *load.entry(nodes[0].clone()).or_default() += 1;
    }
    assert!(load.len() == NODES && load.values().all(|pods| *pods == ROOM), "{load:?}");
    scheduler.shutdown().await;
    server.shutdown().await;
}
