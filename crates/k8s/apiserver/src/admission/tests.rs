//! Plug-ins on a registry over a store in memory.

use std::sync::Arc;

use k8s_store::{Options, Store};
use serde_json::{Value, json};

use crate::allocate::Allocator;
use crate::catalog::Catalog;
use crate::registry::{Call, Registry};
use crate::{Config, Identity};

struct World {
    registry: Registry,
}

impl World {
    async fn new() -> World {
        let allocator = Allocator::new(&Config::new("/nonexistent")).unwrap();
        let registry = Registry::new(Store::in_memory(Options::default()), Catalog::default(), allocator);
        let world = World { registry };
        world.create("", "namespaces", "", json!({"kind": "Namespace", "metadata": {"name": "ns"}})).await.unwrap();
        let account = json!({"kind": "ServiceAccount", "metadata": {"name": "default"},
            "imagePullSecrets": [{"name": "pull"}]});
        world.create("", "serviceaccounts", "ns", account).await.unwrap();
        world
    }

    async fn create(&self, group: &str, plural: &str, namespace: &str, object: Value) -> Result<Value, String> {
        self.create_as(&Call::internal(), group, plural, namespace, object).await
    }

    async fn create_as(
        &self,
        call: &Call,
        group: &str,
        plural: &str,
        namespace: &str,
        mut object: Value,
    ) -> Result<Value, String> {
        let row = self.registry.row(group, plural).unwrap();
        object["apiVersion"] = row.resource.api_version().into();
        self.registry.create(call, &row, namespace, object).await.map_err(|error| error.message)
    }

    async fn pod(&self, name: &str, spec: Value) -> Result<Value, String> {
        self.create("", "pods", "ns", pod(name, spec)).await
    }

    /// Sets the status that a controller would.
    async fn count_quota(&self, name: &str, status: Value) {
        let row = self.registry.row("", "resourcequotas").unwrap();
        let mut quota = self.registry.get(&row, "ns", name).await.unwrap().unwrap();
        quota["status"] = status;
        self.registry.update(&Call::internal(), &row, "status", quota).await.unwrap();
    }

    async fn used(&self, name: &str) -> Value {
        let row = self.registry.row("", "resourcequotas").unwrap();
        self.registry.get(&row, "ns", name).await.unwrap().unwrap()["status"]["used"].clone()
    }
}

fn pod(name: &str, spec: Value) -> Value {
    let mut pod = json!({"kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "i"}]}});
    for (key, value) in spec.as_object().into_iter().flatten() {
        pod["spec"][key] = value.clone();
    }
    pod
}

fn quota(name: &str, hard: Value) -> Value {
    json!({"kind": "ResourceQuota", "metadata": {"name": name}, "spec": {"hard": hard}})
}

#[tokio::test]
async fn namespaces_must_be_there_and_stay() {
    let world = World::new().await;
    let map = json!({"kind": "ConfigMap", "metadata": {"name": "m"}});
    let missing = world.create("", "configmaps", "nowhere", map.clone()).await.unwrap_err();
    assert_eq!(missing, "namespaces \"nowhere\" not found");
    let row = world.registry.row("", "namespaces").unwrap();
    world.create("", "namespaces", "", json!({"kind": "Namespace", "metadata": {"name": "default"}})).await.unwrap();
    let kept = world.registry.delete(&Call::internal(), &row, "", "default", Value::Null).await.unwrap_err();
    assert_eq!(kept.message, "namespaces \"default\" is forbidden: this namespace may not be deleted");
    world.registry.delete(&Call::internal(), &row, "", "ns", Value::Null).await.unwrap();
    let ending = world.create("", "configmaps", "ns", map).await.unwrap_err();
    let expected =
        "configmaps \"m\" is forbidden: unable to create new content in namespace ns because it is being terminated";
    assert_eq!(ending, expected);
}

#[tokio::test]
async fn pods_get_account_token_priority_and_tolerations() {
    let world = World::new().await;
    let pod = world.pod("p", json!({})).await.unwrap();
    let spec = &pod["spec"];
    assert_eq!(spec["serviceAccountName"], "default");
    assert_eq!(spec["priority"], 0);
    assert_eq!(spec["preemptionPolicy"], "PreemptLowerPriority");
    assert_eq!(spec["imagePullSecrets"], json!([{"name": "pull"}]));
    assert_eq!(spec["tolerations"].as_array().unwrap().len(), 2);
    let volume = &spec["volumes"][0];
    assert!(volume["name"].as_str().unwrap().starts_with("kube-api-access-"));
    let mount = &spec["containers"][0]["volumeMounts"][0];
    assert_eq!(mount["name"], volume["name"]);
    assert_eq!(mount["mountPath"], "/var/run/secrets/kubernetes.io/serviceaccount");
    let silent = world.pod("q", json!({"automountServiceAccountToken": false})).await.unwrap();
    assert!(silent["spec"]["volumes"].is_null());
    let unknown = world.pod("r", json!({"serviceAccountName": "x"})).await.unwrap_err();
    let expected = "pods \"r\" is forbidden: error looking up service account ns/x: serviceaccount \"x\" not found";
    assert_eq!(unknown, expected);
}

#[tokio::test]
async fn priorities_come_from_classes() {
    let world = World::new().await;
    let class = |name: &str, value: i64, default: bool| json!({"kind": "PriorityClass", "metadata": {"name": name}, "value": value, "globalDefault": default});
    let unknown = world.pod("p", json!({"priorityClassName": "x"})).await.unwrap_err();
    assert_eq!(unknown, "pods \"p\" is forbidden: no PriorityClass with name x was found");
    world.create("scheduling.k8s.io", "priorityclasses", "", class("high", 1000, false)).await.unwrap();
    world.create("scheduling.k8s.io", "priorityclasses", "", class("usual", 10, true)).await.unwrap();
    let second = world.create("scheduling.k8s.io", "priorityclasses", "", class("other", 11, true)).await.unwrap_err();
    let expected = "priorityclasses.scheduling.k8s.io \"other\" is forbidden: PriorityClass usual is already marked as default. Only one default can exist";
    assert_eq!(second, expected);
    assert_eq!(world.pod("p", json!({"priorityClassName": "high"})).await.unwrap()["spec"]["priority"], 1000);
    let usual = world.pod("q", json!({})).await.unwrap();
    assert_eq!((&usual["spec"]["priority"], &usual["spec"]["priorityClassName"]), (&json!(10), &json!("usual")));
    let wrong = world.pod("r", json!({"priorityClassName": "high", "priority": 5})).await.unwrap_err();
    let expected = "pods \"r\" is forbidden: the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 1000 from the given PriorityClass name";
    assert_eq!(wrong, expected);
}

#[tokio::test]
async fn claims_and_ingresses_get_default_classes() {
    let world = World::new().await;
    let class = json!({"kind": "StorageClass", "provisioner": "example.com/p", "metadata": {"name": "fast",
        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}});
    world.create("storage.k8s.io", "storageclasses", "", class).await.unwrap();
    let claim = json!({"kind": "PersistentVolumeClaim", "metadata": {"name": "c"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let claim = world.create("", "persistentvolumeclaims", "ns", claim).await.unwrap();
    assert_eq!(claim["spec"]["storageClassName"], "fast");
    let class = json!({"kind": "IngressClass", "spec": {"controller": "example.com/i"}, "metadata": {"name": "web",
        "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}}});
    world.create("networking.k8s.io", "ingressclasses", "", class).await.unwrap();
    let ingress = json!({"kind": "Ingress", "metadata": {"name": "i"},
        "spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}});
    let ingress = world.create("networking.k8s.io", "ingresses", "ns", ingress).await.unwrap();
    assert_eq!(ingress["spec"]["ingressClassName"], "web");
}

#[tokio::test]
async fn limit_ranges_fill_in_and_refuse() {
    let world = World::new().await;
    let range = json!({"kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": [
        {"type": "Container", "default": {"cpu": "200m"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "1"}}]}});
    world.create("", "limitranges", "ns", range).await.unwrap();
    let pod = world.pod("p", json!({})).await.unwrap();
    assert_eq!(
        pod["spec"]["containers"][0]["resources"],
        json!({"limits": {"cpu": "200m"}, "requests": {"cpu": "100m"}})
    );
    let large = json!({"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "2"}}}]});
    let expected = "pods \"q\" is forbidden: maximum cpu usage per Container is 1, but limit is 2";
    assert_eq!(world.pod("q", large).await.unwrap_err(), expected);
}

#[tokio::test]
async fn pod_security_refuses_by_label() {
    let world = World::new().await;
    let labels = json!({"pod-security.kubernetes.io/enforce": "baseline"});
    let namespace = json!({"kind": "Namespace", "metadata": {"name": "safe", "labels": labels}});
    world.create("", "namespaces", "", namespace).await.unwrap();
    let account = json!({"kind": "ServiceAccount", "metadata": {"name": "default"}});
    world.create("", "serviceaccounts", "safe", account).await.unwrap();
    let refused = world.create("", "pods", "safe", pod("p", json!({"hostNetwork": true}))).await.unwrap_err();
    let expected =
        "pods \"p\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)";
    assert_eq!(refused, expected);
    world.create("", "pods", "safe", pod("p", json!({}))).await.unwrap();
    let wrong = json!({"kind": "Namespace", "metadata": {"name": "bad",
        "labels": {"pod-security.kubernetes.io/enforce": "strict"}}});
    let refused = world.create("", "namespaces", "", wrong).await.unwrap_err();
    let expected = "Namespace \"bad\" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"strict\": must be one of privileged, baseline, restricted";
    assert_eq!(refused, expected);
}

#[tokio::test]
async fn nodes_write_what_is_theirs() {
    let world = World::new().await;
    let node = Call::of(Arc::new(Identity::new("system:node:n1", &["system:nodes"])), "kubelet");
    let node_object = |name: &str| json!({"kind": "Node", "metadata": {"name": name}});
    let own = world.create_as(&node, "", "nodes", "", node_object("n1")).await.unwrap();
    let taint = json!([{"effect": "NoSchedule", "key": "node.kubernetes.io/not-ready"}]);
    assert_eq!(own["spec"]["taints"], taint);
    let other = world.create_as(&node, "", "nodes", "", node_object("n2")).await.unwrap_err();
    assert_eq!(other, "nodes \"n2\" is forbidden: node \"n1\" is not allowed to modify node \"n2\"");
    let refused = world.create_as(&node, "", "pods", "ns", pod("p", json!({}))).await.unwrap_err();
    assert!(refused.contains("node \"n1\" can only create mirror pods"), "{refused}");
}

#[tokio::test]
async fn quotas_refuse_count_and_forget_nothing() {
    let world = World::new().await;
    world.create("", "resourcequotas", "ns", quota("q", json!({"pods": "2"}))).await.unwrap();
    world.count_quota("q", json!({"hard": {"pods": "2"}, "used": {"pods": "0"}})).await;
    world.pod("a", json!({})).await.unwrap();
    // a name that is taken counts nothing
    assert_eq!(world.pod("a", json!({})).await.unwrap_err(), "pods \"a\" already exists");
    assert_eq!(world.used("q").await, json!({"pods": "1"}));
    world.pod("b", json!({})).await.unwrap();
    let expected = "pods \"c\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2";
    assert_eq!(world.pod("c", json!({})).await.unwrap_err(), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_never_exceed_a_quota() {
    let world = Arc::new(World::new().await);
    for (name, hard) in [("few", json!({"count/configmaps": "10"})), ("many", json!({"configmaps": "25"}))] {
        world.create("", "resourcequotas", "ns", quota(name, hard.clone())).await.unwrap();
        let used = match name {
            "few" => json!({"count/configmaps": "0"}),
            _ => json!({"configmaps": "0"}),
        };
        world.count_quota(name, json!({"hard": hard, "used": used})).await;
    }
    let tasks: Vec<_> = (0..60)
        .map(|i| {
            let world = world.clone();
            let map = json!({"kind": "ConfigMap", "metadata": {"name": format!("m{i}")}});
            tokio::spawn(async move { world.create("", "configmaps", "ns", map).await })
        })
        .collect();
    let mut created = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => created += 1,
            Err(why) => assert!(why.contains("exceeded quota: few"), "{why}"),
        }
    }
    assert_eq!(created, 10);
    assert_eq!(world.used("few").await, json!({"count/configmaps": "10"}));
    assert_eq!(world.used("many").await, json!({"configmaps": "10"}));
}
