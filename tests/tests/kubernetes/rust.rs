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

#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[kube(group = "example.com", version = "v1", kind = "Boat", namespaced, status = "BoatStatus", shortname = "bt")]
#[kube(scale(spec_replicas_path = ".spec.crew", status_replicas_path = ".status.aboard"))]
struct BoatSpec {
    #[schemars(range(min = 3))]
    planks: i64,
    crew: i32,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
struct BoatStatus {
    aboard: i32,
}

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
                tokio::time::timeout(std::time::Duration::from_secs(120), work(client))
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

#[test]
fn resources_of_ones_own_are_served_while_running() {
    let cluster = Cluster::new();
    with_client(&cluster, |client| async move {
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        let uid = definitions.create(&PostParams::default(), &Boat::crd()).await?.uid().unwrap_or_default();
        let established =
            wait::await_condition(definitions.clone(), "boats.example.com", wait::conditions::is_crd_established());
        established.await.expect("established");
        let boats: Api<Boat> = Api::default_namespaced(client.clone());
        let sampan =
            boats.create(&PostParams::default(), &Boat::new("sampan", BoatSpec { planks: 3, crew: 1 })).await?;
        assert_eq!(sampan.metadata.generation, Some(1));
        let raft = boats
            .create(&PostParams::default(), &Boat::new("raft", BoatSpec { planks: 2, crew: 1 }))
            .await
            .expect_err("too few");
        assert!(raft.to_string().contains("spec.planks in body should be greater than or equal to 3"), "{raft}");
        let status = boats
            .patch_status("sampan", &PatchParams::default(), &Patch::Merge(json!({"status": {"aboard": 1}})))
            .await?;
        assert_eq!((status.status.map(|it| it.aboard), status.metadata.generation), (Some(1), Some(1)));
        boats.patch_scale("sampan", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 4}}))).await?;
        let discovery = Discovery::new(client.clone()).run().await?;
        let (resource, _) = discovery.groups().find_map(|group| group.recommended_kind("Boat")).expect("discovered");
        let dynamic: Api<DynamicObject> = Api::default_namespaced_with(client, &resource);
        let sampan = dynamic.get("sampan").await?;
        assert_eq!((&sampan.data["spec"]["crew"], &sampan.data["status"]["aboard"]), (&json!(4), &json!(1)));
        definitions.delete("boats.example.com", &DeleteParams::default()).await?;
        wait::await_condition(definitions, "boats.example.com", wait::conditions::is_deleted(&uid))
            .await
            .expect("deleted");
        // The server follows its definitions, as a client does.
        loop {
            match dynamic.list(&ListParams::default()).await {
                Ok(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
                Err(kube::Error::Api(status)) if status.code == 404 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    });
}
