//! Answers about what is made on demand, and about what is not there.

mod world;

use std::time::Duration;

use serde_json::{Value, json};
use world::World;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

#[tokio::test]
async fn components_say_how_they_are() {
    let world = World::new().await;
    let list = world.ask("GET", "/api/v1/componentstatuses", Value::Null).await.expect(200);
    let names: Vec<&str> =
        list["items"].as_array().unwrap().iter().map(|it| it["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["controller-manager", "etcd-0", "scheduler"]);
    let health = async |name: &str| {
        let one = world.ask("GET", &format!("/api/v1/componentstatuses/{name}"), Value::Null).await.expect(200);
        one["conditions"][0]["status"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(health("etcd-0").await, "True");
    assert_eq!(health("scheduler").await, "False", "nobody leads here");
    let now = jiff::Timestamp::now().to_string();
    let lease = json!({"metadata": {"name": "sampan-controllers"}, "spec": {"holderIdentity": "one", "leaseDurationSeconds": 3600, "renewTime": now}});
    world.ask("POST", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases", lease).await.expect(201);
    assert_eq!(health("scheduler").await, "True");
    assert_eq!(world.ask("GET", "/api/v1/componentstatuses/other", Value::Null).await.code, 404);
    let table = [("accept", "application/json;as=Table;g=meta.k8s.io;v=v1")];
    let table = world.ask_as("GET", "/api/v1/componentstatuses", &table, Value::Null).await.expect(200);
    assert_eq!(table["rows"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn conversion_webhooks_are_refused_plainly() {
    let world = World::new().await;
    let version = |name: &str, storage: bool| json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": {"type": "object"}}});
    let webhook = json!({"conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://192.0.2.1/convert"}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "boats.example.com"},
        "spec": {
            "group": "example.com", "scope": "Cluster", "names": {"plural": "boats", "kind": "Boat", "singular": "boat", "listKind": "BoatList"},
            "versions": [version("v1", true), version("v2", false)],
            "conversion": {"strategy": "Webhook", "webhook": webhook},
        },
    });
    world.ask("POST", DEFINITIONS, definition).await.expect(201);
    let stored = "/apis/example.com/v1/boats";
    for _ in 0..3000 {
        if world.ask("GET", stored, Value::Null).await.code == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let boat = json!({"apiVersion": "example.com/v1", "kind": "Boat", "metadata": {"name": "b"}});
    world.ask("POST", stored, boat).await.expect(201);
    let (code, why) = world.ask("GET", "/apis/example.com/v2/boats", Value::Null).await.refusal();
    assert_eq!(code, 501);
    assert!(why.contains("converted by a webhook"), "{why}");
    let definition =
        async || world.ask("GET", &format!("{DEFINITIONS}/boats.example.com"), Value::Null).await.expect(200);
    for _ in 0..3000 {
        let definition = definition().await;
        let conditions = definition["status"]["conditions"].as_array().cloned().unwrap_or_default();
        if conditions.iter().any(|it| it["type"] == "ConversionSupported" && it["status"] == "False") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the definition does not say so: {}", definition().await);
}
