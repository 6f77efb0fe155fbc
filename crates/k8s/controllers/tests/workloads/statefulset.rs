//! Stateful sets.

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::cluster::{Cluster, eventually, template};

fn set(replicas: u32, more: Value) -> Value {
    let mut value = json!({"metadata": {"name": "db"}, "spec": {"replicas": replicas, "serviceName": "dbs",
        "selector": {"matchLabels": {"app": "db"}}, "template": template(json!({"app": "db"}), "one")}});
    for (key, part) in more.as_object().into_iter().flatten() {
        value["spec"][key] = part.clone();
    }
    value
}

fn claims() -> Value {
    json!([{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}])
}

fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}})
}

async fn pods(cluster: &Cluster) -> Vec<(String, String)> {
    let pods = cluster.pods("app=db").await;
    pods.iter().map(|pod| (pod.name_any(), pod.spec.as_ref().unwrap().containers[0].image.clone().unwrap())).collect()
}

fn named(pods: &[(&str, &str)]) -> Vec<(String, String)> {
    pods.iter().map(|(name, image)| ((*name).to_owned(), (*image).to_owned())).collect()
}

#[tokio::test]
async fn pods_come_in_order_with_names_and_claims() {
    let cluster = Cluster::idle().await;
    cluster.create::<StatefulSet>(set(2, json!({"volumeClaimTemplates": claims()}))).await;
    cluster.until::<Pod>("db-0", "first", |pod| !pod.is_null()).await;
    let first = cluster.get::<Pod>("db-0").await;
    assert_eq!(first.labels()["apps.kubernetes.io/pod-index"], "0");
    assert_eq!(first.labels()["statefulset.kubernetes.io/pod-name"], "db-0");
    let told =
        |set: &Value| set["status"]["replicas"] == 1 && set["status"]["readyReplicas"].as_i64().unwrap_or(0) == 0;
    cluster.until::<StatefulSet>("db", "one", told).await;
    assert_eq!(pods(&cluster).await.len(), 1, "the second waits for the first");
    cluster.run("db-0").await;
    cluster.until::<Pod>("db-1", "second", |pod| !pod.is_null()).await;
    cluster.run("db-1").await;
    cluster.until::<StatefulSet>("db", "ready", |set| set["status"]["readyReplicas"] == 2).await;
    let claim = cluster.get::<PersistentVolumeClaim>("data-db-1").await;
    assert_eq!(claim.labels()["app"], "db");
    cluster.patch::<StatefulSet>("db", json!({"spec": {"replicas": 1}})).await;
    eventually("scaled down", async || pods(&cluster).await == named(&[("db-0", "one")])).await;
    assert!(!cluster.json::<PersistentVolumeClaim>("data-db-1").await.is_null(), "the claim stays");
}

#[tokio::test]
async fn updates_stop_at_the_partition_and_go_on_without_it() {
    let mut cluster = Cluster::new().await;
    let strategy = |partition: u32| json!({"type": "RollingUpdate", "rollingUpdate": {"partition": partition}});
    let more = json!({"podManagementPolicy": "Parallel", "updateStrategy": strategy(2)});
    cluster.create::<StatefulSet>(set(3, more)).await;
    cluster.until::<StatefulSet>("db", "ready", |set| set["status"]["readyReplicas"] == 3).await;
    cluster.patch::<StatefulSet>("db", image("two")).await;
    let some = [("db-0", "one"), ("db-1", "one"), ("db-2", "two")];
    eventually("the last", async || pods(&cluster).await == named(&some)).await;
    cluster.restart().await;
    let staged = |set: &Value| set["status"]["updatedReplicas"] == 1 && set["status"]["readyReplicas"] == 3;
    let set = cluster.until::<StatefulSet>("db", "staged", staged).await;
    assert_ne!(set["status"]["currentRevision"], set["status"]["updateRevision"]);
    // A pod below the partition comes back as it was.
    cluster.delete::<Pod>("db-0").await;
    eventually("as it was", async || pods(&cluster).await == named(&some)).await;
    cluster.patch::<StatefulSet>("db", json!({"spec": {"updateStrategy": strategy(0)}})).await;
    let all = [("db-0", "two"), ("db-1", "two"), ("db-2", "two")];
    eventually("all", async || pods(&cluster).await == named(&all)).await;
    let done = |set: &Value| set["status"]["currentRevision"] == set["status"]["updateRevision"];
    cluster.until::<StatefulSet>("db", "done", done).await;
    assert_eq!(cluster.list::<ControllerRevision>("app=db").await.len(), 2);
}

#[tokio::test]
async fn claims_go_with_their_pods_where_the_policy_says_so() {
    let cluster = Cluster::new().await;
    let policy = json!({"whenScaled": "Delete", "whenDeleted": "Retain"});
    let more = json!({"persistentVolumeClaimRetentionPolicy": policy, "volumeClaimTemplates": claims(), "ordinals": {"start": 3}});
    cluster.create::<StatefulSet>(set(2, more)).await;
    cluster.until::<StatefulSet>("db", "ready", |set| set["status"]["readyReplicas"] == 2).await;
    cluster.patch::<StatefulSet>("db", json!({"spec": {"replicas": 1}})).await;
    eventually("scaled down", async || pods(&cluster).await == named(&[("db-3", "one")])).await;
    // Nobody uses it any more; the protection of claims would let go.
    cluster
        .until::<PersistentVolumeClaim>("data-db-4", "going", |claim| {
            claim.is_null() || !claim["metadata"]["deletionTimestamp"].is_null()
        })
        .await;
    assert!(cluster.get::<PersistentVolumeClaim>("data-db-3").await.metadata.deletion_timestamp.is_none());
}
