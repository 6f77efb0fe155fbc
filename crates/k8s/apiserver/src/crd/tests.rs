//! Definitions come and go while the registry runs.

use std::sync::Arc;
use std::time::Duration;

use k8s_store::{Options, Store};
use k8s_types::crd::condition;
use serde_json::{Value, json};

use super::definitions::{GROUP, PLURAL};
use crate::Config;
use crate::allocate::Allocator;
use crate::catalog::{Catalog, Row};
use crate::registry::{Call, Registry};

async fn world() -> Registry {
    let config = Config::new(std::path::Path::new("/nowhere"));
    let allocator = Allocator::new(&config).unwrap();
    let registry = Registry::new(Store::in_memory(Options::default()), Catalog::default(), allocator);
    super::start(&registry).await.unwrap();
    registry
}

fn definition(plural: &str, kind: &str, properties: Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.example.com")},
        "spec": {
            "group": "example.com",
            "scope": "Cluster",
            "names": {"plural": plural, "kind": kind},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}}}],
        },
    })
}

fn definitions(registry: &Registry) -> Arc<Row> {
    registry.row(GROUP, PLURAL).unwrap()
}

async fn eventually(what: &str, mut test: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if test().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

async fn create(registry: &Registry, row: &Arc<Row>, object: Value) -> Result<Value, String> {
    registry.create(&Call::internal(), row, "", object).await.map_err(|error| error.message)
}

async fn established(registry: &Registry, name: &str) {
    let row = definitions(registry);
    eventually("established", async || {
        let definition = registry.get(&row, "", name).await.unwrap().unwrap();
        condition(&definition, "Established") == "True"
    })
    .await;
}

fn widget(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec})
}

#[tokio::test]
async fn a_definition_is_served_and_its_objects_go_with_it() {
    let registry = world().await;
    let row = definitions(&registry);
    let size = json!({"size": {"type": "integer", "minimum": 1}});
    create(&registry, &row, definition("widgets", "Widget", size)).await.unwrap();
    established(&registry, "widgets.example.com").await;
    let widgets = registry.row("example.com", "widgets").unwrap();
    create(&registry, &widgets, widget("a", json!({"size": 1}))).await.unwrap();
    let error = create(&registry, &widgets, widget("b", json!({"size": 0}))).await.unwrap_err();
    assert_eq!(
        error,
        "Widget.example.com \"b\" is invalid: spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1"
    );
    registry.delete(&Call::internal(), &row, "", "widgets.example.com", Value::Null).await.unwrap();
    eventually("gone", async || registry.get(&row, "", "widgets.example.com").await.unwrap().is_none()).await;
    assert_eq!(registry.store().count("example.com/"), 0);
    eventually("not served", async || registry.row("example.com", "widgets").is_err()).await;
    let super::super::catalog::Behaviour::Custom(custom) = &widgets.behaviour else { panic!() };
    assert!(custom.is_retired());
}

#[tokio::test]
async fn names_that_others_have_are_not_served() {
    let registry = world().await;
    let row = definitions(&registry);
    create(&registry, &row, definition("widgets", "Widget", json!({}))).await.unwrap();
    established(&registry, "widgets.example.com").await;
    create(&registry, &row, definition("gadgets", "Widget", json!({}))).await.unwrap();
    eventually("refused", async || {
        let definition = registry.get(&row, "", "gadgets.example.com").await.unwrap().unwrap();
        condition(&definition, "NamesAccepted") == "False"
    })
    .await;
    assert!(registry.row("example.com", "gadgets").is_err());
    registry.delete(&Call::internal(), &row, "", "widgets.example.com", Value::Null).await.unwrap();
    established(&registry, "gadgets.example.com").await;
    registry.row("example.com", "gadgets").unwrap();
}

#[tokio::test]
async fn objects_stored_before_a_schema_changed_are_read_in_line_with_it() {
    let registry = world().await;
    let row = definitions(&registry);
    create(&registry, &row, definition("widgets", "Widget", json!({"old": {"type": "string"}}))).await.unwrap();
    established(&registry, "widgets.example.com").await;
    let widgets = registry.row("example.com", "widgets").unwrap();
    create(&registry, &widgets, widget("a", json!({"old": "x"}))).await.unwrap();
    let mut changed = registry.get(&row, "", "widgets.example.com").await.unwrap().unwrap();
    changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"] =
        json!({"new": {"type": "string", "default": "y"}});
    registry.update(&Call::internal(), &row, "", changed).await.unwrap();
    eventually("changed", async || {
        let widgets = registry.row("example.com", "widgets").unwrap();
        let found = registry.get_stored(&widgets, "", "a", k8s_store::At::Latest).await.unwrap().unwrap();
        found.in_version().unwrap()["spec"] == json!({"new": "y"})
    })
    .await;
}
