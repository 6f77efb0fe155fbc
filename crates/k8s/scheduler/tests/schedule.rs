//! The scheduler over an API server in this process.

use std::time::Duration;

use k8s_apiserver::{ApiServer, Config, Identity};
use k8s_client::Informers;
use k8s_openapi::api::core::v1::{Event, Node, Pod, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_scheduler::Scheduler;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, from_value, json};

struct Cluster {
    client: Client,
    _server: ApiServer,
    _scheduler: Scheduler,
    _folder: tempfile::TempDir,
}

impl Cluster {
    async fn new() -> Cluster {
        let folder = tempfile::tempdir().unwrap();
        let server = ApiServer::open(Config::new(folder.path())).await.unwrap();
        let client = Client::new(server.service(Identity::loopback()), "default");
        let account: ServiceAccount = from_value(json!({"metadata": {"name": "default"}})).unwrap();
        let accounts = Api::<ServiceAccount>::namespaced(client.clone(), "default");
        accounts.create(&PostParams::default(), &account).await.unwrap();
        let scheduler = k8s_scheduler::start(&Informers::new(client.clone()));
        Cluster { client, _server: server, _scheduler: scheduler, _folder: folder }
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), "default")
    }

    async fn node(&self, name: &str, cpu: &str) {
        let api = Api::<Node>::all(self.client.clone());
        let node: Node = from_value(json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "100"}}}))
        .unwrap();
        api.create(&PostParams::default(), &node).await.unwrap();
        // The taint that every new node has until it is known to be ready.
        let patch = json!({"spec": {"taints": null}});
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    async fn pod(&self, name: &str, cpu: &str, more: Value) {
        let mut spec = json!({"terminationGracePeriodSeconds": 0,
            "containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let pod: Pod = from_value(json!({"metadata": {"name": name, "labels": {"app": name}}, "spec": spec})).unwrap();
        self.pods().create(&PostParams::default(), &pod).await.unwrap();
    }

    async fn node_of(&self, pod: &str) -> Option<String> {
        self.pods().get_opt(pod).await.unwrap()?.spec?.node_name
    }

    async fn bound(&self, pod: &str) -> String {
        eventually(&format!("{pod} has a node"), async || self.node_of(pod).await.is_some()).await;
        self.node_of(pod).await.unwrap()
    }

    /// Waits for what the condition of a pod says.
    async fn says(&self, pod: &str, want: &str) {
        let said = async || {
            let status = self.pods().get(pod).await.unwrap().status.unwrap_or_default();
            let conditions = status.conditions.unwrap_or_default();
            conditions.into_iter().find(|c| c.type_ == "PodScheduled" && c.status == "False")?.message
        };
        eventually(want, async || said().await.as_deref() == Some(want)).await;
    }

    async fn told(&self, reason: &str, message: &str) {
        let api = Api::<Event>::namespaced(self.client.clone(), "default");
        let found = async || {
            let all = api.list(&ListParams::default()).await.unwrap().items;
            all.iter().any(|event| {
                event.reason.as_deref() == Some(reason) && event.message.as_deref().is_some_and(|m| m.contains(message))
            })
        };
        eventually(&format!("an event {reason}: {message}"), found).await;
    }
}

async fn eventually(what: &str, mut test: impl AsyncFnMut() -> bool) {
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        if test().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn pods_get_nodes_and_those_that_fit_nowhere_say_why_until_they_do() {
    let cluster = Cluster::new().await;
    cluster.pod("early", "100m", json!({})).await;
    cluster.says("early", "no nodes available to schedule pods").await;
    cluster.node("a", "1").await;
    assert_eq!(cluster.bound("early").await, "a");
    cluster.told("Scheduled", "Successfully assigned default/early to a").await;
    cluster.pod("big", "2", json!({})).await;
    let why = "0/1 nodes are available: 1 Insufficient cpu. \
               preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    cluster.says("big", why).await;
    cluster.told("FailedScheduling", "1 Insufficient cpu").await;
    cluster.node("b", "4").await;
    assert_eq!(cluster.bound("big").await, "b");
}

#[tokio::test]
async fn a_pod_waits_for_room_and_takes_it_when_another_one_goes() {
    let cluster = Cluster::new().await;
    cluster.node("a", "1").await;
    cluster.pod("first", "800m", json!({})).await;
    cluster.bound("first").await;
    cluster.pod("second", "800m", json!({})).await;
    let why = "0/1 nodes are available: 1 Insufficient cpu. \
               preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.";
    cluster.says("second", why).await;
    cluster.pods().delete("first", &DeleteParams::default()).await.unwrap();
    assert_eq!(cluster.bound("second").await, "a");
}

#[tokio::test]
async fn gates_and_other_schedulers_are_respected() {
    let cluster = Cluster::new().await;
    cluster.node("a", "1").await;
    cluster.pod("gated", "1m", json!({"schedulingGates": [{"name": "wait"}]})).await;
    cluster.pod("other", "1m", json!({"schedulerName": "mine"})).await;
    cluster.pod("after", "1m", json!({})).await;
    cluster.bound("after").await;
    assert_eq!(cluster.node_of("gated").await, None);
    assert_eq!(cluster.node_of("other").await, None);
    let open = json!({"spec": {"schedulingGates": null}});
    cluster.pods().patch("gated", &PatchParams::default(), &Patch::Merge(open)).await.unwrap();
    assert_eq!(cluster.bound("gated").await, "a");
}

#[tokio::test]
async fn a_more_important_pod_takes_the_place_of_the_least_important_ones() {
    let cluster = Cluster::new().await;
    for (name, value) in [("low", 10), ("middle", 100), ("high", 1000), ("meek", 1000)] {
        let policy = if name == "meek" { "Never" } else { "PreemptLowerPriority" };
        let class =
            from_value(json!({"metadata": {"name": name}, "value": value, "preemptionPolicy": policy})).unwrap();
        let api = Api::<k8s_openapi::api::scheduling::v1::PriorityClass>::all(cluster.client.clone());
        api.create(&PostParams::default(), &class).await.unwrap();
    }
    cluster.node("a", "1").await;
    cluster.node("b", "1").await;
    cluster.pod("low", "900m", json!({"priorityClassName": "low"})).await;
    let low = cluster.bound("low").await;
    cluster.pod("middle", "900m", json!({"priorityClassName": "middle"})).await;
    let middle = cluster.bound("middle").await;
    assert_ne!(low, middle);
    cluster.pod("meek", "900m", json!({"priorityClassName": "meek"})).await;
    let why = "0/2 nodes are available: 2 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.";
    cluster.says("meek", why).await;
    cluster.pods().delete("meek", &DeleteParams::default()).await.unwrap();
    cluster.pod("high", "900m", json!({"priorityClassName": "high"})).await;
    assert_eq!(cluster.bound("high").await, low, "where the least important pod was");
    eventually("the victim is gone", async || cluster.pods().get_opt("low").await.unwrap().is_none()).await;
    cluster.told("Preempted", "Preempted by pod").await;
    assert_eq!(cluster.node_of("middle").await, Some(middle));
}

#[tokio::test]
async fn a_budget_is_respected_where_another_victim_will_do() {
    let cluster = Cluster::new().await;
    let class = from_value(json!({"metadata": {"name": "high"}, "value": 1000})).unwrap();
    let classes = Api::<k8s_openapi::api::scheduling::v1::PriorityClass>::all(cluster.client.clone());
    classes.create(&PostParams::default(), &class).await.unwrap();
    // Nobody counts its status here: it allows nothing.
    let budget: PodDisruptionBudget = from_value(json!({"metadata": {"name": "kept"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "kept"}}}}))
    .unwrap();
    let budgets = Api::<PodDisruptionBudget>::namespaced(cluster.client.clone(), "default");
    budgets.create(&PostParams::default(), &budget).await.unwrap();
    cluster.node("a", "1").await;
    cluster.node("b", "1").await;
    cluster.pod("kept", "900m", json!({})).await;
    let kept = cluster.bound("kept").await;
    cluster.pod("other", "900m", json!({})).await;
    let other = cluster.bound("other").await;
    cluster.pod("high", "900m", json!({"priorityClassName": "high"})).await;
    assert_eq!(cluster.bound("high").await, other);
    assert_eq!(cluster.node_of("kept").await, Some(kept));
    assert!(cluster.pods().get("high").await.unwrap().name_any() == "high");
}
