//! The schema of a custom resource as its author wrote it, made fit for publishing.

use super::Custom;
use super::definitions::Style;
use crate::schema::Resource;
use serde_json::{Map, Value, json};

const API_VERSION: &str = "The group and the version in which the object is written.";
const KIND: &str = "What the object is.";

/// The definition of the kind; `metadata` is the reference to its type.
pub(super) fn definition(custom: &Custom, style: Style, metadata: Value) -> Value {
    let row = &*custom.resource;
    let mut schema = (*custom.schema).clone();
    if style == Style::V2 {
        downgrade(&mut schema);
    }
    let Value::Object(mut schema) = schema else { return json!({"type": "object"}) };
    // whatever the rest is, these are there
    let preserves = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    schema.insert("type".into(), "object".into());
    if !(preserves && style == Style::V2) {
        let properties = schema.entry("properties").or_insert_with(|| json!({}));
        properties["apiVersion"] = json!({"type": "string", "description": API_VERSION});
        properties["kind"] = json!({"type": "string", "description": KIND});
        properties["metadata"] = metadata;
    }
    schema.insert("x-kubernetes-group-version-kind".into(), kind(row, &row.kind));
    Value::Object(schema)
}

/// The definition of the list.
pub(super) fn list(row: &Resource, metadata: Value, items: Value) -> Value {
    json!({
        "type": "object",
        "description": format!("A list of {} objects.", row.kind),
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": API_VERSION},
            "kind": {"type": "string", "description": KIND},
            "metadata": metadata,
            "items": {"type": "array", "description": "The objects.", "items": items},
        },
        "x-kubernetes-group-version-kind": kind(row, &row.list_kind),
    })
}

fn kind(row: &Resource, kind: &str) -> Value {
    json!([{"group": *row.group, "version": *row.version, "kind": kind}])
}

/// Takes out what version 2 has no words for, so that clients which check by it refuse nothing that is right.
fn downgrade(schema: &mut Value) {
    let Value::Object(schema) = schema else { return };
    for word in ["anyOf", "oneOf", "allOf", "not", "default", "x-kubernetes-validations"] {
        schema.remove(word);
    }
    let says = |schema: &Map<String, Value>, word: &str| schema.get(word) == Some(&Value::Bool(true));
    if says(schema, "x-kubernetes-int-or-string") {
        schema.remove("type");
    }
    if says(schema, "x-kubernetes-preserve-unknown-fields") || says(schema, "nullable") {
        for word in ["type", "items", "properties", "additionalProperties", "required"] {
            schema.remove(word);
        }
    }
    schema.remove("nullable");
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.values_mut().for_each(downgrade);
    }
    for word in ["items", "additionalProperties"] {
        schema.get_mut(word).into_iter().for_each(downgrade);
    }
}
