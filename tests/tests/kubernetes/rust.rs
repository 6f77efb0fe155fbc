//! kube-rs: typed, dynamic, watcher, reflector, and resources of one's own.

use e2e::cluster::Cluster;
use futures_util::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::{WatchStreamExt, reflector, wait, watcher};
use kube::{Client, CustomResource, CustomResourceExt, Discovery, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Runs a client's work on a thread of the cluster's network.
fn with_client<F: Future<Output = kube::Result<()>>>(cluster: &Cluster, work: impl FnOnce(Client) -> F + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            cluster.enter_network();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let file = Kubeconfig::read_from(cluster.kubeconfig()).expect("a kubeconfig");
                let config =
                    kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("a config");
                let client = Client::try_from(config).expect("a client");
                tokio::time::timeout(std::time::Duration::from_secs(40), work(client))
                    .await
                    .expect("in time")
                    .expect("done");
            });
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

fn conf(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name, "labels": {"rust": "1"}}, "data": {"a": value}}))
        .expect("a map")
}

#[test]
fn typed_objects_go_through_their_life() {
    let cluster = Cluster::new();
    with_client(&cluster, |client| async move {
        let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
        let made = maps.create(&PostParams::default(), &conf("conf", "1")).await?;
        assert!(made.uid().is_some());
        let again = maps.create(&PostParams::default(), &conf("conf", "1")).await.expect_err("it is there");
        assert!(
            matches!(&again, kube::Error::Api(status) if status.code == 409 && status.reason == "AlreadyExists"),
            "{again}"
        );
        let patched = maps.patch("conf", &PatchParams::default(), &Patch::Merge(json!({"data": {"a": "2"}}))).await?;
        assert_eq!(patched.data.unwrap_or_default()["a"], "2");
        let apply = PatchParams::apply("rust").force();
        let applied = maps
            .patch("conf", &apply, &Patch::Apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"b": "3"}})))
            .await?;
        assert_eq!(applied.data.unwrap_or_default().len(), 2);
        let deployments: Api<Deployment> = Api::default_namespaced(client.clone());
        let web = json!({"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {
            "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "main", "image": "box:1"}]}}}});
        deployments.create(&PostParams::default(), &serde_json::from_value(web).expect("a deployment")).await?;
        let scaled = deployments
            .patch_scale("web", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 7}})))
            .await?;
        assert_eq!(scaled.spec.and_then(|spec| spec.replicas), Some(7));
        let page = Api::<Namespace>::all(client).list(&ListParams::default().limit(1)).await?;
        assert_eq!(page.items.len(), 1);
        assert!(page.metadata.continue_.is_some() && page.metadata.remaining_item_count >= Some(3));
        maps.delete("conf", &DeleteParams::default()).await?;
        assert!(maps.get_opt("conf").await?.is_none());
        Ok(())
    });
}

#[test]
fn a_reflector_holds_what_is_there() {
    let cluster = Cluster::new();
    with_client(&cluster, |client| async move {
        let maps: Api<ConfigMap> = Api::default_namespaced(client);
        maps.create(&PostParams::default(), &conf("before", "1")).await?;
        for config in
            [watcher::Config::default().labels("rust"), watcher::Config::default().labels("rust").streaming_lists()]
        {
            let (store, writer) = reflector::store();
            let mut events = std::pin::pin!(reflector(writer, watcher(maps.clone(), config)).applied_objects());
            assert_eq!(events.next().await.expect("an event").expect("no error").name_any(), "before");
            maps.create(&PostParams::default(), &conf("after", "1")).await?;
            assert_eq!(events.next().await.expect("an event").expect("no error").name_any(), "after");
            assert_eq!(store.len(), 2);
            maps.delete("after", &DeleteParams::default()).await?;
        }
        Ok(())
    });
}
