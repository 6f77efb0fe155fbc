//! What a node may read and write, as a kubelet does it.

mod world;

use std::time::Duration;

use k8s_apiserver::Identity;
use serde_json::{Value, json};
use world::World;

const DEFAULT: &str = "/api/v1/namespaces/default";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

fn node(name: &str) -> Identity {
    Identity::new(format!("system:node:{name}"), &["system:nodes"])
}

fn admin() -> Identity {
    Identity::new("tester", &["system:masters"])
}

async fn make(world: &mut World, path: &str, object: Value) -> Value {
    world.identity = admin();
    world.ask("POST", path, object).await.expect(201)
}

/// A pod on `one` that refers to much, and one on `two` that refers to nothing.
async fn pods(world: &mut World) {
    for name in ["one", "two"] {
        make(world, "/api/v1/nodes", json!({"metadata": {"name": name}})).await;
    }
    for name in ["used", "unused"] {
        make(world, &format!("{DEFAULT}/secrets"), json!({"metadata": {"name": name}})).await;
        make(world, &format!("{DEFAULT}/configmaps"), json!({"metadata": {"name": name}})).await;
        make(world, &format!("{DEFAULT}/serviceaccounts"), json!({"metadata": {"name": name}})).await;
    }
    let container = json!([{"name": "c", "image": "box:1", "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "used", "key": "k"}}}]}]);
    let volumes = json!([{"name": "v", "secret": {"secretName": "used"}}]);
    let far = json!({"metadata": {"name": "far"}, "spec": {"nodeName": "two", "serviceAccountName": "unused", "containers": [{"name": "c", "image": "box:1"}]}});
    let near = json!({"metadata": {"name": "near"}, "spec": {"nodeName": "one", "serviceAccountName": "used", "containers": container, "volumes": volumes}});
    for pod in [far, near] {
        make(world, &format!("{DEFAULT}/pods"), pod).await;
    }
}

async fn code(world: &World, method: &str, path: &str, body: Value) -> u16 {
    world.ask(method, path, body).await.code
}

#[tokio::test]
async fn a_node_reads_what_its_pods_refer_to_and_nothing_else() {
    let mut world = World::new().await;
    pods(&mut world).await;
    world.identity = node("one");
    for kind in ["secrets", "configmaps"] {
        assert_eq!(code(&world, "GET", &format!("{DEFAULT}/{kind}/used"), Value::Null).await, 200, "{kind}");
        let refused = world.ask("GET", &format!("{DEFAULT}/{kind}/unused"), Value::Null).await.refusal();
        assert_eq!(refused.0, 403);
        assert!(refused.1.ends_with("no relationship found between node 'one' and this object"), "{}", refused.1);
        assert_eq!(code(&world, "GET", &format!("{DEFAULT}/{kind}"), Value::Null).await, 403);
        let one = format!("{DEFAULT}/{kind}?fieldSelector=metadata.name%3Dused");
        assert_eq!(code(&world, "GET", &one, Value::Null).await, 200);
    }
    assert_eq!(code(&world, "GET", &format!("{DEFAULT}/pods/near"), Value::Null).await, 200);
    assert_eq!(code(&world, "GET", &format!("{DEFAULT}/pods/far"), Value::Null).await, 403);
    assert_eq!(code(&world, "GET", "/api/v1/pods", Value::Null).await, 403);
    let own = world.ask("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Done", Value::Null).await.expect(200);
    assert_eq!(own["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(code(&world, "GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dtwo", Value::Null).await, 403);
    for free in [
        "/api/v1/services",
        "/apis/storage.k8s.io/v1/csidrivers",
        "/apis/node.k8s.io/v1/runtimeclasses",
        "/api",
        "/version",
    ] {
        assert_eq!(code(&world, "GET", free, Value::Null).await, 200, "{free}");
    }
    // Not in the group: no node.
    world.identity = Identity::new("system:node:one", &[]);
    assert_eq!(code(&world, "GET", &format!("{DEFAULT}/secrets/used"), Value::Null).await, 403);
}

#[tokio::test]
async fn a_node_writes_itself_its_lease_its_pods_status_and_events() {
    let mut world = World::new().await;
    pods(&mut world).await;
    world.identity = node("three");
    assert_eq!(code(&world, "POST", "/api/v1/nodes", json!({"metadata": {"name": "three"}})).await, 201);
    assert_eq!(code(&world, "POST", "/api/v1/nodes", json!({"metadata": {"name": "four"}})).await, 403);
    assert_eq!(code(&world, "GET", "/api/v1/nodes/three", Value::Null).await, 200);
    assert_eq!(code(&world, "GET", "/api/v1/nodes/one", Value::Null).await, 403);
    let merge = [("content-type", "application/merge-patch+json")];
    let status = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    for (name, wanted) in [("three", 200), ("one", 403)] {
        let path = format!("/api/v1/nodes/{name}/status");
        assert_eq!(world.ask_as("PATCH", &path, &merge, status.clone()).await.code, wanted, "{name}");
    }
    for (name, wanted) in [("three", 201), ("one", 403)] {
        assert_eq!(
            code(&world, "POST", LEASES, json!({"metadata": {"name": name}, "spec": {}})).await,
            wanted,
            "{name}"
        );
    }
    assert_eq!(code(&world, "GET", &format!("{LEASES}/three"), Value::Null).await, 200);
    assert_eq!(code(&world, "GET", &format!("{LEASES}/one"), Value::Null).await, 403);
    world.identity = node("one");
    let phase = json!({"status": {"phase": "Running"}});
    for (pod, wanted) in [("near", 200), ("far", 403)] {
        assert_eq!(
            world.ask_as("PATCH", &format!("{DEFAULT}/pods/{pod}/status"), &merge, phase.clone()).await.code,
            wanted
        );
    }
    let event = json!({"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "namespace": "default", "name": "near"}, "reason": "R"});
    assert_eq!(code(&world, "POST", &format!("{DEFAULT}/events"), event).await, 201);
    let uid = {
        let pod = world.ask("GET", &format!("{DEFAULT}/pods/near"), Value::Null).await.expect(200);
        pod["metadata"]["uid"].clone()
    };
    let bound = json!({"kind": "Pod", "apiVersion": "v1", "name": "near", "uid": uid});
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": [], "boundObjectRef": bound}});
    for (account, wanted) in [("used", 201), ("unused", 403)] {
        let path = format!("{DEFAULT}/serviceaccounts/{account}/token");
        assert_eq!(code(&world, "POST", &path, request.clone()).await, wanted, "{account}");
    }
    let grace = json!({"gracePeriodSeconds": 0});
    assert_eq!(code(&world, "DELETE", &format!("{DEFAULT}/pods/far"), grace.clone()).await, 403);
    assert_eq!(code(&world, "DELETE", &format!("{DEFAULT}/pods/near"), grace).await, 200);
    // With the pod goes the right.
    let secret = format!("{DEFAULT}/secrets/used");
    for _ in 0..500 {
        if code(&world, "GET", &secret, Value::Null).await == 403 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it may read the secret of a pod that is gone");
}
