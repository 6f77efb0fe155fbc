//! The controllers over an API server in this process.

use std::time::Duration;

use k8s_apiserver::{ApiServer, Config, Identity};
use k8s_controllers::Controllers;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ResourceQuota, Secret, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, PostParams, PropagationPolicy};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

struct Cluster {
    client: Client,
    _server: ApiServer,
    _controllers: Controllers,
    _folder: tempfile::TempDir,
}

impl Cluster {
    async fn new() -> Cluster {
        let folder = tempfile::tempdir().unwrap();
        let server = ApiServer::open(Config::new(folder.path())).await.unwrap();
        let client = Client::new(server.service(Identity::loopback()), "default");
        let controllers = k8s_controllers::start(&k8s_client::Informers::new(client.clone()));
        Cluster { client, _server: server, _controllers: controllers, _folder: folder }
    }

    fn maps(&self, namespace: &str) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn namespace(&self, name: &str) {
        let namespace: Namespace = object(json!({"metadata": {"name": name}}));
        Api::all(self.client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    }

    async fn map(&self, namespace: &str, name: &str, owner: Option<(&ConfigMap, bool)>) -> ConfigMap {
        let owners = owner.map(|(owner, block)| {
            json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": owner.name_any(), "uid": owner.uid(), "blockOwnerDeletion": block}])
        });
        let map: ConfigMap = object(json!({"metadata": {"name": name, "ownerReferences": owners}}));
        self.maps(namespace).create(&PostParams::default(), &map).await.unwrap()
    }
}

fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

async fn eventually(what: &str, mut test: impl AsyncFnMut() -> bool) {
    for _ in 0..1000 {
        if test().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

fn policy(policy: PropagationPolicy) -> DeleteParams {
    DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() }
}

#[tokio::test]
async fn every_namespace_has_its_account_and_the_authority_and_goes_with_its_content() {
    let cluster = Cluster::new().await;
    cluster.namespace("work").await;
    let accounts = Api::<ServiceAccount>::namespaced(cluster.client.clone(), "work");
    eventually("account", async || accounts.get_opt("default").await.unwrap().is_some()).await;
    eventually("authority", async || {
        let map = cluster.maps("work").get_opt("kube-root-ca.crt").await.unwrap();
        map.is_some_and(|map| map.data.unwrap()["ca.crt"].contains("BEGIN CERTIFICATE"))
    })
    .await;
    cluster.map("work", "one", None).await;
    let held: ConfigMap = object(json!({"metadata": {"name": "held", "finalizers": ["example.com/hold"]}}));
    cluster.maps("work").create(&PostParams::default(), &held).await.unwrap();
    let namespaces = Api::<Namespace>::all(cluster.client.clone());
    namespaces.delete("work", &DeleteParams::default()).await.unwrap();
    eventually("told", async || {
        let namespace = namespaces.get("work").await.unwrap();
        let conditions = namespace.status.unwrap().conditions.unwrap_or_default();
        conditions.iter().any(|c| c.type_ == "NamespaceFinalizersRemaining" && c.status == "True")
    })
    .await;
    assert!(cluster.maps("work").get_opt("one").await.unwrap().is_none());
    let patch = kube::api::Patch::Merge(json!({"metadata": {"finalizers": null}}));
    cluster.maps("work").patch("held", &Default::default(), &patch).await.unwrap();
    eventually("gone", async || namespaces.get_opt("work").await.unwrap().is_none()).await;
}

#[tokio::test]
async fn dependents_go_with_their_owner_in_the_background() {
    let cluster = Cluster::new().await;
    let owner = cluster.map("default", "owner", None).await;
    let child = cluster.map("default", "child", Some((&owner, false))).await;
    cluster.map("default", "grandchild", Some((&child, false))).await;
    let other = cluster.map("default", "other", None).await;
    cluster.maps("default").delete("owner", &policy(PropagationPolicy::Background)).await.unwrap();
    let maps = cluster.maps("default");
    eventually("gone", async || maps.get_opt("grandchild").await.unwrap().is_none()).await;
    assert!(maps.get_opt("child").await.unwrap().is_none());
    assert!(maps.get_opt("other").await.unwrap().is_some());
    cluster.namespace("far").await;
    cluster.map("far", "stranger", Some((&other, false))).await;
    eventually("stranger", async || cluster.maps("far").get_opt("stranger").await.unwrap().is_none()).await;
}

#[tokio::test]
async fn foreground_waits_and_orphans_stay() {
    let cluster = Cluster::new().await;
    let maps = cluster.maps("default");
    let owner = cluster.map("default", "owner", None).await;
    cluster.map("default", "child", Some((&owner, true))).await;
    let held: ConfigMap =
        object(json!({"metadata": {"name": "held", "finalizers": ["example.com/hold"], "ownerReferences": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.uid(), "blockOwnerDeletion": true}]}}));
    maps.create(&PostParams::default(), &held).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    maps.delete("owner", &policy(PropagationPolicy::Foreground)).await.unwrap();
    eventually("child", async || maps.get_opt("child").await.unwrap().is_none()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(maps.get_opt("owner").await.unwrap().is_some(), "it waits for what is held");
    let patch = kube::api::Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("held", &Default::default(), &patch).await.unwrap();
    eventually("owner", async || maps.get_opt("owner").await.unwrap().is_none()).await;

    let owner = cluster.map("default", "parent", None).await;
    cluster.map("default", "orphan", Some((&owner, true))).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    maps.delete("parent", &policy(PropagationPolicy::Orphan)).await.unwrap();
    eventually("parent", async || maps.get_opt("parent").await.unwrap().is_none()).await;
    let orphan = maps.get("orphan").await.unwrap();
    assert!(orphan.owner_references().is_empty());
}

#[tokio::test]
async fn custom_objects_own_and_are_owned() {
    let cluster = Cluster::new().await;
    let definition: CustomResourceDefinition = object(json!({
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]},
    }));
    Api::all(cluster.client.clone()).create(&PostParams::default(), &definition).await.unwrap();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Widget"));
    let widgets = Api::<DynamicObject>::namespaced_with(cluster.client.clone(), "default", &resource);
    eventually("served", async || widgets.list(&Default::default()).await.is_ok()).await;
    let widget = widgets.create(&PostParams::default(), &DynamicObject::new("w", &resource)).await.unwrap();
    let map: ConfigMap = object(json!({"metadata": {"name": "owned", "ownerReferences": [
        {"apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "uid": widget.uid()}]}}));
    cluster.maps("default").create(&PostParams::default(), &map).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(cluster.maps("default").get_opt("owned").await.unwrap().is_some());
    widgets.delete("w", &DeleteParams::default()).await.unwrap();
    eventually("owned", async || cluster.maps("default").get_opt("owned").await.unwrap().is_none()).await;
}

#[tokio::test]
async fn quotas_are_counted_and_tokens_go_with_their_account() {
    let cluster = Cluster::new().await;
    cluster.namespace("work").await;
    cluster.map("work", "before", None).await;
    let quota: ResourceQuota =
        object(json!({"metadata": {"name": "q"}, "spec": {"hard": {"configmaps": "10", "count/secrets": "5"}}}));
    let quotas = Api::<ResourceQuota>::namespaced(cluster.client.clone(), "work");
    quotas.create(&PostParams::default(), &quota).await.unwrap();
    let used = async |name: &str| {
        let status = quotas.get("q").await.unwrap().status.unwrap_or_default();
        status.used.unwrap_or_default().get(name).map(|quantity| quantity.0.clone())
    };
    eventually("counted", async || used("configmaps").await.as_deref() == Some("2")).await;
    cluster.maps("work").delete("before", &DeleteParams::default()).await.unwrap();
    eventually("counted again", async || used("configmaps").await.as_deref() == Some("1")).await;

    let accounts = Api::<ServiceAccount>::namespaced(cluster.client.clone(), "default");
    let account: ServiceAccount = object(json!({"metadata": {"name": "robot"}}));
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let secrets = Api::<Secret>::namespaced(cluster.client.clone(), "default");
    let secret: Secret =
        object(json!({"metadata": {"name": "t", "annotations": {"kubernetes.io/service-account.name": "robot"}},
        "type": "kubernetes.io/service-account-token"}));
    secrets.create(&PostParams::default(), &secret).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    accounts.delete("robot", &DeleteParams::default()).await.unwrap();
    eventually("token", async || secrets.get_opt("t").await.unwrap().is_none()).await;
}

async fn phase<K>(api: &Api<K>, name: &str) -> String
where
    K: kube::Resource + Clone + DeserializeOwned + serde::Serialize + std::fmt::Debug,
{
    let object = api.get_opt(name).await.unwrap();
    let value = object.map(|object| serde_json::to_value(object).unwrap()).unwrap_or_default();
    value["status"]["phase"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_are_given_the_smallest_volume_that_suits_and_what_is_kept_for_them() {
    use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
    let cluster = Cluster::new().await;
    cluster.namespace("ns").await;
    let volumes = Api::<PersistentVolume>::all(cluster.client.clone());
    let claims = Api::<PersistentVolumeClaim>::namespaced(cluster.client.clone(), "ns");
    let volume = |name: &str, size: &str, more: Value| {
        let mut spec = json!({"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"},
            "storageClassName": "s"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        object::<PersistentVolume>(json!({"metadata": {"name": name}, "spec": spec}))
    };
    let claim = |name: &str, size: &str| {
        object::<PersistentVolumeClaim>(json!({"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteOnce"],
            "storageClassName": "s", "resources": {"requests": {"storage": size}}}}))
    };
    claims.create(&PostParams::default(), &claim("early", "2Gi")).await.unwrap();
    eventually("it is pending", async || phase(&claims, "early").await == "Pending").await;
    let kept = json!({"claimRef": {"namespace": "ns", "name": "kept"}});
    for volume in [
        volume("small", "1Gi", json!({})),
        volume("large", "9Gi", json!({})),
        volume("fits", "3Gi", json!({})),
        volume("kept", "5Gi", kept),
        volume("other", "2Gi", json!({"storageClassName": "other"})),
    ] {
        volumes.create(&PostParams::default(), &volume).await.unwrap();
    }
    // Whichever of the two that are large enough was there when it looked.
    eventually("it is bound", async || phase(&claims, "early").await == "Bound").await;
    claims.create(&PostParams::default(), &claim("kept", "1Gi")).await.unwrap();
    eventually("the kept one is bound", async || phase(&claims, "kept").await == "Bound").await;
    let bound = claims.get("kept").await.unwrap();
    assert_eq!(bound.spec.unwrap().volume_name.as_deref(), Some("kept"));
    assert_eq!(bound.status.unwrap().capacity.unwrap()["storage"].0, "5Gi");
    assert_eq!(phase(&volumes, "kept").await, "Bound");
    claims.create(&PostParams::default(), &claim("least", "1Gi")).await.unwrap();
    eventually("the least is bound", async || phase(&claims, "least").await == "Bound").await;
    let least = claims.get("least").await.unwrap();
    assert_eq!(least.spec.unwrap().volume_name.as_deref(), Some("small"));
    eventually("what nobody wants is available", async || phase(&volumes, "other").await == "Available").await;
    claims.delete("least", &DeleteParams::default()).await.unwrap();
    eventually("its volume is released", async || phase(&volumes, "small").await == "Released").await;
    volumes.delete("kept", &DeleteParams::default()).await.unwrap();
    eventually("what was lost is told", async || phase(&claims, "kept").await == "Lost").await;
}
