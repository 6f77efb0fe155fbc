//! APIService objects tell what is served, custom resources included.

mod world;

use std::time::Duration;

use serde_json::{Value, json};
use world::World;

const PATH: &str = "/apis/apiregistration.k8s.io/v1/apiservices";

async fn until(world: &World, code: u16) -> Value {
    for _ in 0..100 {
        let answer = world.ask("GET", &format!("{PATH}/v1.example.com"), Value::Null).await;
        if answer.code == code {
            return answer.json();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the APIService never answered {code}");
}

#[tokio::test]
async fn api_services_come_and_go_with_definitions() {
    let world = World::new().await;
    let apps = world.ask("GET", &format!("{PATH}/v1.apps"), Value::Null).await.expect(200);
    assert_eq!(apps["status"]["conditions"][0]["status"], "True");
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}],
        },
    });
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    world.ask("POST", definitions, definition).await.expect(201);
    let service = until(&world, 200).await;
    assert_eq!(service["metadata"]["labels"]["kube-aggregator.kubernetes.io/automanaged"], "true");
    assert_eq!(service["spec"]["groupPriorityMinimum"], 1000);
    let gone = world.ask("DELETE", &format!("{definitions}/things.example.com"), Value::Null).await;
    assert_eq!(gone.code, 200);
    until(&world, 404).await;
}
