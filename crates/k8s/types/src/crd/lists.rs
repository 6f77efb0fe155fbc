//! Lists whose items must be told apart: sets and lists with keys. Also what must be in an embedded object.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::node::{Additional, ListType, Node};
use crate::field::{Error, Errors, Path};

/// Checks that items of sets and lists with keys are unique, and that embedded objects say what they are.
pub(super) fn check(node: &Node, value: &Value, path: &Path, errors: &mut Errors) {
    match value {
        Value::Array(items) => {
            match &node.list {
                ListType::Atomic => {}
                ListType::Set => set(items, path, errors),
                ListType::Map(keys) => map(keys, items, path, errors),
            }
            for (n, item) in items.iter().enumerate() {
                if let Some(of) = &node.items {
                    check(of, item, &path.index(n), errors);
                }
            }
        }
        Value::Object(object) => {
            if node.embedded {
                embedded(object, path, errors);
            }
            for (key, value) in object {
                match (node.properties.get(key), &node.additional) {
                    (Some(property), _) => check(property, value, &path.child(key.clone()), errors),
                    (None, Additional::Schema(of)) => check(of, value, &path.key(key), errors),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// Checks only what embedded objects must say of themselves.
pub(super) fn check_embedded(node: &Node, value: &Value, path: &Path, errors: &mut Errors) {
    if let (true, Value::Object(object)) = (node.embedded, value) {
        embedded(object, path, errors);
    }
}

/// Places of items that are there the second time.
fn repeated(items: &[Value]) -> Vec<usize> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut places = Vec::new();
    for (n, item) in items.iter().enumerate() {
        let times = seen.entry(item.to_string()).or_insert(0);
        *times += 1;
        if *times == 2 {
            places.push(n);
        }
    }
    places
}

fn set(items: &[Value], path: &Path, errors: &mut Errors) {
    for n in repeated(items) {
        errors.push(Error::duplicate(&path.index(n), items[n].clone()));
    }
}

fn map(keys: &[String], items: &[Value], path: &Path, errors: &mut Errors) {
    if let Some(n) = items.iter().position(|item| !item.is_object() && !item.is_null()) {
        let detail = "must be an object for an array of list-type map";
        errors.push(Error::invalid(&path.index(n), items[n].clone(), detail));
        return;
    }
    let key_of = |item: &Value| {
        let fields = keys.iter().filter_map(|key| item.get(key).map(|value| (key.clone(), value.clone())));
        Value::Object(fields.collect::<Map<String, Value>>())
    };
    let found: Vec<Value> = items.iter().map(key_of).collect();
    for n in repeated(&found) {
        errors.push(Error::duplicate(&path.index(n), found[n].clone()));
    }
}

fn embedded(object: &Map<String, Value>, path: &Path, errors: &mut Errors) {
    for name in ["apiVersion", "kind"] {
        match object.get(name) {
            None | Some(Value::Null) => errors.push(Error::required(&path.child(name), "must not be empty")),
            Some(Value::String(text)) if text.is_empty() => {
                errors.push(Error::required(&path.child(name), "must not be empty"));
            }
            Some(Value::String(text)) => names(name, text, path, errors),
            Some(other) => errors.push(Error::invalid(&path.child(name), other.clone(), "must be a string")),
        }
    }
    match object.get("metadata") {
        None | Some(Value::Null | Value::Object(_)) => {}
        Some(other) => errors.push(Error::invalid(&path.child("metadata"), other.clone(), "must be an object")),
    }
}

fn names(name: &'static str, text: &str, path: &Path, errors: &mut Errors) {
    let path = path.child(name);
    match name {
        "kind" => {
            for why in crate::names::dns1035_label(&text.to_ascii_lowercase()) {
                let detail = format!("may have mixed case, but should otherwise match: {why}");
                errors.push(Error::invalid(&path, text, detail));
            }
        }
        _ if text.matches('/').count() > 1 => {
            errors.push(Error::invalid(&path, text, format!("unexpected GroupVersion string: {text}")));
        }
        _ => {}
    }
}
