//! Disruption budgets, autoscalers and the collection of pods over an API server in this process.

mod world;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use kube::api::{Api, DeleteParams, EvictParams, Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, from_value, json};

use world::{World, eventually};

struct Cluster(World);

impl Cluster {
    async fn new() -> Cluster {
        Cluster(World::new().await)
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.0.client.clone(), "default")
    }

    async fn create<K>(&self, object: Value)
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + Serialize,
    {
        let object: K = from_value(object).unwrap();
        self.api().create(&PostParams::default(), &object).await.unwrap();
    }

    async fn ready_pod(&self, name: &str) {
        self.create::<Pod>(json!({"metadata": {"name": name, "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]}}))
            .await;
        let status = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        self.api::<Pod>().patch_status(name, &PatchParams::default(), &Patch::Strategic(status)).await.unwrap();
    }
}

#[tokio::test]
async fn a_budget_lets_go_as_many_as_it_says() {
    let cluster = Cluster::new().await;
    for name in ["a", "b", "c"] {
        cluster.ready_pod(name).await;
    }
    cluster
        .create::<PodDisruptionBudget>(json!({"metadata": {"name": "web"},
            "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}}))
        .await;
    let status = async || -> PodDisruptionBudgetStatus {
        cluster.api::<PodDisruptionBudget>().get("web").await.unwrap().status.unwrap_or_default()
    };
    eventually("one may go", async || status().await.disruptions_allowed == Some(1)).await;
    let found = status().await;
    assert_eq!((found.current_healthy, found.desired_healthy, found.expected_pods), (Some(3), Some(2), Some(3)));
    let condition = &found.conditions.unwrap()[0];
    assert_eq!((condition.reason.as_str(), condition.status.as_str()), ("SufficientPods", "True"));
    let pods = cluster.api::<Pod>();
    pods.evict("a", &EvictParams::default()).await.unwrap();
    eventually("counted again", async || {
        let status = status().await;
        status.disruptions_allowed == Some(0) && status.current_healthy == Some(2)
    })
    .await;
    assert!(pods.evict("b", &EvictParams::default()).await.is_err());
    cluster.ready_pod("d").await;
    eventually("one may go again", async || status().await.disruptions_allowed == Some(1)).await;
}

fn deployment(name: &str, replicas: i32) -> Value {
    let labels = json!({"app": name});
    json!({"metadata": {"name": name}, "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}})
}

#[tokio::test]
async fn percentages_of_a_budget_are_those_of_what_the_controller_wants() {
    let cluster = Cluster::new().await;
    cluster.create::<Deployment>(deployment("big", 4)).await;
    cluster
        .create::<PodDisruptionBudget>(json!({"metadata": {"name": "big"},
            "spec": {"maxUnavailable": "50%", "selector": {"matchLabels": {"app": "big"}}}}))
        .await;
    let api = cluster.api::<PodDisruptionBudget>();
    let counted = async |expected: i32, desired: i32| {
        let status = api.get("big").await.unwrap().status.unwrap_or_default();
        (status.expected_pods, status.desired_healthy) == (Some(expected), Some(desired))
    };
    eventually("counted", async || counted(4, 2).await).await;
    let patch = Patch::Merge(json!({"spec": {"replicas": 6}}));
    cluster.api::<Deployment>().patch("big", &PatchParams::default(), &patch).await.unwrap();
    eventually("counted again", async || counted(6, 3).await).await;
}

#[tokio::test]
async fn an_autoscaler_keeps_within_its_bounds_and_says_what_it_lacks() {
    let cluster = Cluster::new().await;
    cluster.create::<Deployment>(deployment("web", 1)).await;
    let metric = json!({"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "1"}}});
    cluster
        .create::<HorizontalPodAutoscaler>(json!({"metadata": {"name": "web"}, "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 2, "maxReplicas": 4, "metrics": [metric]}}))
        .await;
    let deployments = cluster.api::<Deployment>();
    let replicas = async || deployments.get("web").await.unwrap().spec.replicas;
    eventually("at least the least", async || replicas().await == Some(2)).await;
    let autoscalers = cluster.api::<HorizontalPodAutoscaler>();
    let says = async |kind: &str, reason: &str| {
        let status = autoscalers.get("web").await.unwrap().status.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        conditions.iter().any(|c| c.type_ == kind && c.reason.as_deref() == Some(reason))
    };
    eventually("told", async || says("AbleToScale", "SucceededRescale").await).await;
    eventually("lacks", async || says("ScalingActive", "FailedGetExternalMetric").await).await;
    let patch = Patch::Merge(json!({"spec": {"maxReplicas": 1, "minReplicas": 1}}));
    autoscalers.patch("web", &PatchParams::default(), &patch).await.unwrap();
    eventually("at most the most", async || replicas().await == Some(1)).await;
    deployments.delete("web", &DeleteParams::default()).await.unwrap();
    eventually("no target", async || says("AbleToScale", "FailedGetScale").await).await;
    assert_eq!(autoscalers.get("web").await.unwrap().name_any(), "web");
}
