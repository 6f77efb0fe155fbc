//! The verbs over objects, through the in-process service.

mod world;

use serde_json::{Value, json};
use world::World;

fn config_map(name: &str) -> Value {
    json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name, "labels": {"app": name}}, "data": {"a": "b"}})
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn config_maps_come_and_go() {
    let world = World::new().await;
    let made = world.ask("POST", MAPS, config_map("one")).await.expect(201);
    assert_eq!(made["metadata"]["namespace"], "default");
    assert!(made["metadata"]["uid"].as_str().is_some_and(|uid| uid.len() == 36), "{made}");
    let again = world.ask("POST", MAPS, config_map("one")).await.refusal();
    assert_eq!(again, (409, "configmaps \"one\" already exists".to_owned()));
    let got = world.ask("GET", &format!("{MAPS}/one"), Value::Null).await.expect(200);
    assert_eq!(got, made);
    let mut stale = got.clone();
    stale["metadata"]["resourceVersion"] = "1".into();
    let refused = world.ask("PUT", &format!("{MAPS}/one"), stale).await.refusal();
    let text = "Operation cannot be fulfilled on configmaps \"one\": the object has been modified; please apply your changes to the latest version and try again";
    assert_eq!(refused, (409, text.to_owned()));
    let same = world.ask("PUT", &format!("{MAPS}/one"), got.clone()).await.expect(200);
    assert_eq!(same["metadata"]["resourceVersion"], got["metadata"]["resourceVersion"], "nothing changed");
    let mut other = got.clone();
    other["metadata"]["name"] = "two".into();
    let refused = world.ask("PUT", &format!("{MAPS}/one"), other).await.refusal();
    assert_eq!(refused, (400, "the name of the object (two) does not match the name on the URL (one)".to_owned()));
    let list = world.ask("GET", "/api/v1/configmaps?labelSelector=app%3Done", Value::Null).await.expect(200);
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(list["kind"], "ConfigMapList");
    let gone = world.ask("DELETE", &format!("{MAPS}/one"), Value::Null).await.expect(200);
    assert_eq!(gone["status"], "Success");
    let missing = world.ask("GET", &format!("{MAPS}/one"), Value::Null).await.refusal();
    assert_eq!(missing, (404, "configmaps \"one\" not found".to_owned()));
}

#[tokio::test]
async fn finalizers_hold_what_is_deleted() {
    let world = World::new().await;
    let mut held = config_map("held");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    world.ask("POST", MAPS, held).await.expect(201);
    let deleted = world.ask("DELETE", &format!("{MAPS}/held"), Value::Null).await.expect(200);
    assert!(deleted["metadata"]["deletionTimestamp"].is_string(), "{deleted}");
    let mut free = world.ask("GET", &format!("{MAPS}/held"), Value::Null).await.expect(200);
    free["metadata"]["finalizers"] = json!([]);
    world.ask("PUT", &format!("{MAPS}/held"), free).await.expect(200);
    assert_eq!(world.ask("GET", &format!("{MAPS}/held"), Value::Null).await.code, 404);
}

#[tokio::test]
async fn pages_are_of_one_revision() {
    let world = World::new().await;
    for n in 0..5 {
        world.ask("POST", MAPS, config_map(&format!("m{n}"))).await.expect(201);
    }
    let first = world.ask("GET", &format!("{MAPS}?limit=2&labelSelector=app"), Value::Null).await.expect(200);
    let token = first["metadata"]["continue"].as_str().unwrap().to_owned();
    world.ask("POST", MAPS, config_map("m9")).await.expect(201);
    let mut names = Vec::new();
    let mut path = format!("{MAPS}?limit=2&labelSelector=app&continue={token}");
    loop {
        let page = world.ask("GET", &path, Value::Null).await.expect(200);
        assert_eq!(page["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
        names.extend(
            page["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()),
        );
        match page["metadata"]["continue"].as_str() {
            Some(token) => path = format!("{MAPS}?limit=2&labelSelector=app&continue={token}"),
            None => break,
        }
    }
    assert_eq!(names, ["m2", "m3", "m4"]);
}
