//! Deployments.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::cluster::{Cluster, eventually, template};

const REVISION: &str = "deployment.kubernetes.io/revision";

fn deployment(replicas: u32, more: Value) -> Value {
    let mut value = json!({"metadata": {"name": "web"}, "spec": {"replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}}, "template": template(json!({"app": "web"}), "one")}});
    for (key, part) in more.as_object().into_iter().flatten() {
        value["spec"][key] = part.clone();
    }
    value
}

fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}})
}

fn revision(value: &Value) -> &str {
    value["metadata"]["annotations"][REVISION].as_str().unwrap_or("")
}

fn progressing(value: &Value) -> &str {
    let conditions = value["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = conditions.iter().find(|condition| condition["type"] == "Progressing");
    found.and_then(|found| found["reason"].as_str()).unwrap_or("")
}

/// All pods are of the new template, available, and the only ones.
fn complete(value: &Value) -> bool {
    let (status, replicas) = (&value["status"], &value["spec"]["replicas"]);
    status["observedGeneration"] == value["metadata"]["generation"]
        && ["replicas", "updatedReplicas", "availableReplicas"].iter().all(|count| &status[*count] == replicas)
        && progressing(value) == "NewReplicaSetAvailable"
}

async fn images(cluster: &Cluster) -> Vec<String> {
    let pods = cluster.pods("app=web").await;
    pods.into_iter().filter_map(|pod| pod.spec?.containers.into_iter().next()?.image).collect()
}

#[tokio::test]
async fn a_rollout_replaces_all_pods_keeps_the_old_set_and_can_be_undone() {
    let mut cluster = Cluster::new().await;
    cluster.create::<Deployment>(deployment(3, json!({"revisionHistoryLimit": 1}))).await;
    let first = cluster.until::<Deployment>("web", "complete", complete).await;
    assert_eq!(revision(&first), "1");
    cluster.event("web", "ScalingReplicaSet").await;
    cluster.patch::<Deployment>("web", image("two")).await;
    cluster.until::<Deployment>("web", "second", |web| complete(web) && revision(web) == "2").await;
    eventually("two", async || images(&cluster).await == ["two"; 3]).await;
    assert_eq!(cluster.list::<ReplicaSet>("app=web").await.len(), 2);

    // Going back is the old template again: its set is used again, as the newest revision.
    cluster.restart().await;
    cluster.patch::<Deployment>("web", image("one")).await;
    cluster.until::<Deployment>("web", "third", |web| complete(web) && revision(web) == "3").await;
    let sets = cluster.list::<ReplicaSet>("app=web").await;
    assert_eq!(sets.len(), 2);
    let used = sets.iter().find(|set| set.spec.replicas == Some(3)).unwrap();
    assert_eq!(used.annotations()["deployment.kubernetes.io/revision-history"], "1");

    cluster.patch::<Deployment>("web", image("three")).await;
    cluster.until::<Deployment>("web", "fourth", |web| complete(web) && revision(web) == "4").await;
    eventually("only one old set", async || cluster.list::<ReplicaSet>("app=web").await.len() == 2).await;
}

#[tokio::test]
async fn a_paused_deployment_scales_but_does_not_roll() {
    let cluster = Cluster::new().await;
    cluster.create::<Deployment>(deployment(2, json!({}))).await;
    cluster.until::<Deployment>("web", "complete", complete).await;
    cluster.patch::<Deployment>("web", json!({"spec": {"paused": true}})).await;
    cluster.until::<Deployment>("web", "paused", |web| progressing(web) == "DeploymentPaused").await;
    cluster.patch::<Deployment>("web", image("two")).await;
    cluster.patch::<Deployment>("web", json!({"spec": {"replicas": 4}})).await;
    eventually("scaled", async || images(&cluster).await == ["one"; 4]).await;
    cluster.patch::<Deployment>("web", json!({"spec": {"paused": false}})).await;
    cluster.until::<Deployment>("web", "rolled", |web| complete(web) && revision(web) == "2").await;
    eventually("two", async || images(&cluster).await == ["two"; 4]).await;
}

#[tokio::test]
async fn a_rollout_that_does_not_progress_is_told_and_keeps_what_runs() {
    let cluster = Cluster::idle().await;
    cluster.create::<Deployment>(deployment(2, json!({"progressDeadlineSeconds": 2}))).await;
    eventually("pods", async || cluster.pods("app=web").await.len() == 2).await;
    for pod in cluster.pods("app=web").await {
        cluster.run(&pod.name_any()).await;
    }
    cluster.until::<Deployment>("web", "complete", complete).await;
    cluster.patch::<Deployment>("web", image("broken")).await;
    cluster.until::<Deployment>("web", "late", |web| progressing(web) == "ProgressDeadlineExceeded").await;
    let pods = images(&cluster).await;
    assert_eq!(pods.iter().filter(|image| *image == "one").count(), 2, "nothing that runs is taken: {pods:?}");
    assert_eq!(pods.len(), 3, "a quarter of two, rounded up: {pods:?}");
    cluster.patch::<Deployment>("web", image("one")).await;
    cluster.until::<Deployment>("web", "back", complete).await;
}

#[tokio::test]
async fn recreating_waits_until_the_old_pods_are_gone() {
    let cluster = Cluster::idle().await;
    cluster.create::<Deployment>(deployment(1, json!({"strategy": {"type": "Recreate"}}))).await;
    eventually("pod", async || cluster.pods("app=web").await.len() == 1).await;
    let old = cluster.pods("app=web").await[0].name_any();
    cluster.run(&old).await;
    cluster.patch::<Pod>(&old, json!({"metadata": {"finalizers": ["example.com/hold"]}})).await;
    cluster.until::<Deployment>("web", "complete", complete).await;
    cluster.patch::<Deployment>("web", image("two")).await;
    cluster.until::<Pod>(&old, "going", |pod| !pod["metadata"]["deletionTimestamp"].is_null()).await;
    cluster.until::<Deployment>("web", "told", |web| web["status"]["replicas"].as_i64().unwrap_or(0) == 0).await;
    assert!(images(&cluster).await.is_empty());
    cluster.patch::<Pod>(&old, json!({"metadata": {"finalizers": null}})).await;
    eventually("new", async || images(&cluster).await == ["two"]).await;
}
