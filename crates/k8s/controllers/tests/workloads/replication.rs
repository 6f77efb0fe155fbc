//! Replica sets and replication controllers.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, ReplicationController, ResourceQuota};
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::cluster::{Cluster, eventually, template};

fn set(name: &str, replicas: u32) -> Value {
    json!({"metadata": {"name": name}, "spec": {"replicas": replicas,
        "selector": {"matchLabels": {"app": name}}, "template": template(json!({"app": name}), "i")}})
}

#[tokio::test]
async fn as_many_pods_run_as_are_wanted() {
    let cluster = Cluster::new().await;
    cluster.create::<ReplicaSet>(set("web", 3)).await;
    cluster.until::<ReplicaSet>("web", "three", |set| set["status"]["availableReplicas"] == 3).await;
    let pods = cluster.pods("app=web").await;
    assert_eq!(pods.len(), 3);
    let owner = &pods[0].owner_references()[0];
    assert_eq!(
        (owner.kind.as_str(), owner.controller, owner.block_owner_deletion),
        ("ReplicaSet", Some(true), Some(true))
    );
    cluster.event("web", "SuccessfulCreate").await;

    let gone = pods[0].name_any();
    cluster.delete::<Pod>(&gone).await;
    eventually("replaced", async || {
        let pods = cluster.pods("app=web").await;
        pods.len() == 3 && pods.iter().all(|pod| pod.name_any() != gone)
    })
    .await;
    cluster.patch::<ReplicaSet>("web", json!({"spec": {"replicas": 1}})).await;
    cluster
        .until::<ReplicaSet>("web", "one", |set| {
            set["status"]["replicas"] == 1 && set["status"]["observedGeneration"] == 2
        })
        .await;
    cluster.event("web", "SuccessfulDelete").await;
    cluster.patch::<ReplicaSet>("web", json!({"spec": {"replicas": 0}})).await;
    eventually("none", async || cluster.pods("app=web").await.is_empty()).await;
}

#[tokio::test]
async fn orphans_are_adopted_and_what_is_not_selected_is_released() {
    let cluster = Cluster::new().await;
    let mut orphan = template(json!({"app": "web", "extra": "yes"}), "i");
    orphan["metadata"]["name"] = "orphan".into();
    cluster.create::<Pod>(orphan).await;
    let set = cluster.create::<ReplicaSet>(set("web", 1)).await;
    cluster.until::<ReplicaSet>("web", "adopted", |set| set["status"]["readyReplicas"] == 1).await;
    let orphan = cluster.get::<Pod>("orphan").await;
    assert_eq!(Some(&orphan.owner_references()[0].uid), set.metadata.uid.as_ref());
    cluster.patch::<Pod>("orphan", json!({"metadata": {"labels": {"app": "other"}}})).await;
    eventually("replaced", async || cluster.pods("app=web").await.len() == 1).await;
    eventually("released", async || cluster.get::<Pod>("orphan").await.owner_references().is_empty()).await;
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_told_and_the_rest_is_made_later() {
    let cluster = Cluster::new().await;
    cluster.create::<ResourceQuota>(json!({"metadata": {"name": "q"}, "spec": {"hard": {"pods": "2"}}})).await;
    cluster.until::<ResourceQuota>("q", "counted", |quota| quota["status"]["hard"]["pods"] == "2").await;
    cluster.create::<ReplicaSet>(set("web", 4)).await;
    let failure = |set: &Value| set["status"]["conditions"][0]["reason"] == "FailedCreate";
    cluster.until::<ReplicaSet>("web", "told", |set| failure(set) && set["status"]["replicas"] == 2).await;
    cluster.event("web", "FailedCreate").await;
    cluster.patch::<ResourceQuota>("q", json!({"spec": {"hard": {"pods": "4"}}})).await;
    cluster.until::<ReplicaSet>("web", "all", |set| !failure(set) && set["status"]["replicas"] == 4).await;
}

#[tokio::test]
async fn replication_controllers_do_the_same() {
    let mut cluster = Cluster::new().await;
    let controller = json!({"metadata": {"name": "old"}, "spec": {"replicas": 2, "selector": {"app": "old"},
        "template": template(json!({"app": "old"}), "i")}});
    cluster.create::<ReplicationController>(controller).await;
    cluster.until::<ReplicationController>("old", "two", |set| set["status"]["availableReplicas"] == 2).await;
    cluster.restart().await;
    cluster.patch::<ReplicationController>("old", json!({"spec": {"replicas": 3}})).await;
    cluster.until::<ReplicationController>("old", "three", |set| set["status"]["availableReplicas"] == 3).await;
    assert_eq!(cluster.pods("app=old").await.len(), 3, "no more than wanted");
}
