//! The first objects over a store in memory: made once, healed, left alone where they may differ.

use serde_json::json;

use super::*;
use crate::registry::Call;
use crate::testing::Parts;

struct World {
    registry: Registry,
    pki: Pki,
    config: Config,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> World {
        let Parts { registry, pki, config, folder } = Parts::new();
        let world = World { registry, pki, config, _folder: folder };
        world.start().await;
        world
    }

    async fn start(&self) {
        run(&self.registry, &self.pki, &self.config).await.unwrap();
        api_services::sync(&self.registry).await.unwrap();
        advertise(&self.registry, &self.config, 6443).await.unwrap();
    }

    async fn get(&self, group: &str, plural: &str, namespace: &str, name: &str) -> Value {
        let row = self.registry.row(group, plural).unwrap();
        self.registry.get(&row, namespace, name).await.unwrap().unwrap_or_else(|| panic!("no {plural} {name}"))
    }

    async fn put(&self, group: &str, plural: &str, object: Value) {
        let row = self.registry.row(group, plural).unwrap();
        self.registry.update(&Call::internal(), &row, "", object).await.unwrap();
    }

    async fn delete(&self, group: &str, plural: &str, namespace: &str, name: &str) {
        let row = self.registry.row(group, plural).unwrap();
        self.registry.delete(&Call::internal(), &row, namespace, name, Value::Null).await.unwrap();
    }
}

#[tokio::test]
async fn everything_is_there_after_the_first_start() {
    let world = World::new().await;
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        world.get("", "namespaces", "", name).await;
    }
    world.get(rbac::GROUP, "clusterroles", "", "cluster-admin").await;
    world.get(rbac::GROUP, "rolebindings", "kube-public", "system:controller:bootstrap-signer").await;
    assert_eq!(
        world.get("scheduling.k8s.io", "priorityclasses", "", "system-node-critical").await["value"],
        2_000_001_000
    );
    let schema = world.get(FLOW, "flowschemas", "", "catch-all").await;
    assert_eq!(schema["status"]["conditions"][0]["type"], "Dangling");
    let service = world.get("", "services", "default", "kubernetes").await;
    assert_eq!(service["spec"]["clusterIP"], "10.43.0.1");
    assert_eq!(service["spec"]["ports"][0]["targetPort"], 6443);
    let apps = world.get("apiregistration.k8s.io", "apiservices", "", "v1.apps").await;
    assert_eq!(apps["status"]["conditions"][0]["status"], "True");
    assert_eq!(apps["spec"]["groupPriorityMinimum"], 17800);
    let core = world.get("apiregistration.k8s.io", "apiservices", "", "v1.").await;
    assert_eq!(core["spec"]["versionPriority"], 1);
    let map = world.get("", "configmaps", "kube-system", "extension-apiserver-authentication").await;
    assert!(map["data"]["client-ca-file"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
}

#[tokio::test]
async fn another_start_writes_nothing() {
    let world = World::new().await;
    let revision = world.registry.store().revision();
    world.start().await;
    assert_eq!(world.registry.store().revision(), revision);
}

#[tokio::test]
async fn what_was_deleted_or_broken_is_healed() {
    let world = World::new().await;
    world.delete(rbac::GROUP, "clusterroles", "", "view").await;
    world.delete(rbac::GROUP, "clusterrolebindings", "", "cluster-admin").await;
    let mut map = world.get("", "configmaps", "kube-system", "extension-apiserver-authentication").await;
    map["data"] = json!({"client-ca-file": "rubbish"});
    world.put("", "configmaps", map).await;
    world.start().await;
    world.get(rbac::GROUP, "clusterroles", "", "view").await;
    let binding = world.get(rbac::GROUP, "clusterrolebindings", "", "cluster-admin").await;
    assert_eq!(binding["subjects"][0]["name"], "system:masters");
    let map = world.get("", "configmaps", "kube-system", "extension-apiserver-authentication").await;
    assert_ne!(map["data"]["client-ca-file"], "rubbish");
}

#[tokio::test]
async fn the_service_follows_the_port() {
    let world = World::new().await;
    advertise(&world.registry, &world.config, 7443).await.unwrap();
    let service = world.get("", "services", "default", "kubernetes").await;
    assert_eq!(service["spec"]["ports"][0]["targetPort"], 7443);
}
