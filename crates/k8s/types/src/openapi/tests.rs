//! Documents are whole: every reference leads somewhere, every field is told.

use super::*;
use crate::schema::{Struct, Text, Verbs};
use std::collections::HashSet;

fn references<'a>(value: &'a Value, into: &mut HashSet<&'a str>) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get("$ref") {
                into.insert(reference);
            }
            object.values().for_each(|value| references(value, into));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, into)),
        _ => {}
    }
}

#[track_caller]
fn is_whole(document: &Value) {
    let mut found = HashSet::new();
    references(document, &mut found);
    for reference in found {
        let target = document.pointer(reference.trim_start_matches('#'));
        assert!(target.is_some_and(Value::is_object), "{reference}");
    }
}

fn custom() -> Custom {
    let text = |text: &'static str| Text::from(text);
    let resource = Resource {
        group: text("stable.example.com"),
        version: text("v1"),
        kind: text("CronTab"),
        list_kind: text("CronTabList"),
        plural: text("crontabs"),
        singular: text("crontab"),
        short_names: vec![],
        categories: vec![],
        namespaced: true,
        verbs: Verbs::ALL,
        subresources: vec![],
        selectable: vec![],
        storage_group: text("stable.example.com"),
        storage_version: text("v1"),
        object: Struct::default().into(),
    };
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "nullable": true,
        "properties": {"cron": {"type": "string", "pattern": "^x"}, "n": {"x-kubernetes-int-or-string": true, "anyOf": []}}}}});
    Custom { resource: Arc::new(resource), schema: Arc::new(schema) }
}

#[test]
fn every_document_is_whole() {
    let custom = [custom()];
    is_whole(&v2::document(&custom));
    let paths = v3_paths(&custom);
    assert!(paths.contains(&"api/v1".into()) && paths.contains(&"apis/stable.example.com/v1".into()));
    for path in paths {
        is_whole(&serde_json::from_slice(&v3_json(&path, &custom).unwrap()).unwrap());
    }
    assert!(v3_json("apis/none/v1", &custom).is_none());
}

#[test]
fn a_deployment_is_told_in_version_3() {
    let document: Value = serde_json::from_slice(&v3_json("apis/apps/v1", &[]).unwrap()).unwrap();
    let schemas = &document["components"]["schemas"];
    let deployment = &schemas["io.k8s.api.apps.v1.Deployment"];
    assert_eq!(
        deployment["x-kubernetes-group-version-kind"],
        json!([{"group": "apps", "version": "v1", "kind": "Deployment"}])
    );
    let spec = &deployment["properties"]["spec"]["allOf"][0]["$ref"];
    assert_eq!(spec, "#/components/schemas/io.k8s.api.apps.v1.DeploymentSpec");
    let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
    let path = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"];
    assert_eq!(path["patch"]["operationId"], "patchAppsV1NamespacedDeployment");
    let parameters = path["patch"]["parameters"].as_array().unwrap();
    assert!(parameters.iter().any(|parameter| parameter["name"] == "fieldValidation"));
}

#[test]
fn a_custom_resource_is_told_in_both_versions() {
    let custom = [custom()];
    let v2 = v2::document(&custom);
    let schema = &v2["definitions"]["com.example.stable.v1.CronTab"];
    assert_eq!(schema["properties"]["spec"], json!({}));
    assert!(schema["properties"]["metadata"]["$ref"].is_string());
    let v3: Value = serde_json::from_slice(&v3_json("apis/stable.example.com/v1", &custom).unwrap()).unwrap();
    let schema = &v3["components"]["schemas"]["com.example.stable.v1.CronTab"];
    assert_eq!(schema["properties"]["spec"]["properties"]["cron"]["pattern"], "^x");
    assert!(v3["paths"]["/apis/stable.example.com/v1/namespaces/{namespace}/crontabs"]["post"].is_object());
}

#[test]
fn operations_have_names_of_their_own() {
    let document = v2::document(&[custom()]);
    let mut seen = HashSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values().filter_map(|operation| operation["operationId"].as_str()) {
            assert!(seen.insert(operation), "{path}: {operation}");
        }
    }
    assert!(seen.len() > 500, "{}", seen.len());
}
