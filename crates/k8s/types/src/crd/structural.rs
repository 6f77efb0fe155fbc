//! What makes a schema structural: every field has one type, said outside of `allOf`, `anyOf`, `oneOf` and `not`.

use serde_json::{Map, Value};

use crate::cel::compile_regex;
use crate::field::{Error, Errors, Path};

/// Where a schema is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// Checks the schema of a resource, which is at `path`; errors are in the order of their texts.
pub(super) fn check(schema: &Value, path: &Path) -> Errors {
    let mut errors = Errors::new();
    invariants(schema, Level::Root, path, &mut errors);
    completeness(schema, schema, path, &mut errors);
    errors.0.sort_by_key(|error| error.to_string());
    errors.0.dedup();
    errors
}

fn truth(schema: &Value, name: &str) -> bool {
    schema[name].as_bool().unwrap_or(false)
}

fn text<'s>(schema: &'s Value, name: &str) -> &'s str {
    schema[name].as_str().unwrap_or_default()
}

fn entries<'s>(schema: &'s Value, name: &str) -> impl Iterator<Item = (&'s String, &'s Value)> {
    schema[name].as_object().into_iter().flatten()
}

fn items<'s>(schema: &'s Value, name: &str) -> impl Iterator<Item = (usize, &'s Value)> {
    schema[name].as_array().into_iter().flatten().enumerate()
}

fn invariants(schema: &Value, level: Level, path: &Path, errors: &mut Errors) {
    let kind = text(schema, "type");
    if kind == "array" && schema["items"].is_null() {
        errors.push(Error::required(&path.child("items"), "must be specified"));
    }
    if schema["items"].is_object() {
        invariants(&schema["items"], Level::Item, &path.child("items"), errors);
    }
    for (name, property) in entries(schema, "properties") {
        invariants(property, Level::Field, &path.child("properties").key(name), errors);
    }
    let additional = &schema["additionalProperties"];
    if !additional.is_null() {
        if level == Level::Root {
            errors.push(Error::forbidden(&path.child("additionalProperties"), "must not be used at the root"));
        }
        if additional.is_object() {
            invariants(additional, Level::Field, &path.child("additionalProperties"), errors);
        }
    }
    extensions(schema, path, errors);
    let skip_any = is_int_or_string(&schema["anyOf"]);
    let skip_first_all = is_int_or_string(&schema["allOf"][0]["anyOf"]);
    values(schema, skip_any, skip_first_all, path, errors);
    types(schema, kind, level, path, errors);
    metadata(schema, level, path, errors);
}

fn types(schema: &Value, kind: &str, level: Level, path: &Path, errors: &mut Errors) {
    let embedded = truth(schema, "x-kubernetes-embedded-resource");
    let preserve = truth(schema, "x-kubernetes-preserve-unknown-fields");
    let at = path.child("type");
    if embedded && kind != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(if kind.is_empty() { Error::required(&at, detail) } else { Error::invalid(&at, kind, detail) });
    } else if kind.is_empty() && !truth(schema, "x-kubernetes-int-or-string") && !preserve {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(Error::required(&at, detail));
    }
    if embedded && !schema["additionalProperties"].is_null() {
        let detail = "must not be used if x-kubernetes-embedded-resource is set";
        errors.push(Error::forbidden(&path.child("additionalProperties"), detail));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.push(Error::invalid(&at, kind, "must be object at the root"));
    }
    if embedded && !preserve && entries(schema, "properties").next().is_none() {
        let detail =
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
        errors.push(Error::required(&path.child("properties"), detail));
    }
}

fn metadata(schema: &Value, level: Level, path: &Path, errors: &mut Errors) {
    let properties = &schema["properties"];
    let checked = level == Level::Root || truth(schema, "x-kubernetes-embedded-resource");
    for name in ["kind", "apiVersion"] {
        let property = &properties[name];
        if checked && !property.is_null() && text(property, "type") != "string" {
            let at = path.child("properties").key(name).child("type");
            errors.push(Error::invalid(&at, text(property, "type"), "must be string"));
        }
    }
    let property = &properties["metadata"];
    if property.is_null() {
        return;
    }
    let at = path.child("properties").key("metadata");
    if checked && text(property, "type") != "object" {
        errors.push(Error::invalid(&at.child("type"), text(property, "type"), "must be object"));
    }
    if level == Level::Root {
        let told = |name: &str, value: &Value| match name {
            "type" | "default" => false,
            "properties" => {
                !value.as_object().is_some_and(|map| map.keys().all(|key| key == "name" || key == "generateName"))
            }
            _ => !is_empty(value),
        };
        if property.as_object().into_iter().flatten().any(|(name, value)| told(name, value)) {
            let detail =
                "must not specify anything other than name and generateName, but metadata is implicitly specified";
            errors.push(Error::forbidden(&at, detail));
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// The pattern that is allowed beside `x-kubernetes-int-or-string`.
fn is_int_or_string(any_of: &Value) -> bool {
    let only = |value: &Value, kind: &str| {
        value.as_object().is_some_and(|map| map.len() == 1 && map.get("type") == Some(&kind.into()))
    };
    any_of.as_array().is_some_and(|items| items.len() == 2 && only(&items[0], "integer") && only(&items[1], "string"))
}

fn extensions(schema: &Value, path: &Path, errors: &mut Errors) {
    if !truth(schema, "x-kubernetes-int-or-string") {
        return;
    }
    for name in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
        if truth(schema, name) {
            errors.push(Error::invalid(&path.child(name), true, "must be false if x-kubernetes-int-or-string is true"));
        }
    }
}

fn values(schema: &Value, skip_any: bool, skip_first_all: bool, path: &Path, errors: &mut Errors) {
    if !skip_any {
        for (n, of) in items(schema, "anyOf") {
            nested(of, false, &path.child("anyOf").index(n), errors);
        }
    }
    for (n, of) in items(schema, "allOf") {
        nested(of, skip_first_all && n == 0, &path.child("allOf").index(n), errors);
    }
    for (n, of) in items(schema, "oneOf") {
        nested(of, false, &path.child("oneOf").index(n), errors);
    }
    if schema["not"].is_object() {
        nested(&schema["not"], false, &path.child("not"), errors);
    }
    let pattern = text(schema, "pattern");
    if let Err(why) = compile_regex(pattern) {
        let detail = format!("must be a valid regular expression, but isn't: {why}");
        errors.push(Error::invalid(&path.child("pattern"), pattern, detail));
    }
}

/// Checks a schema inside of `allOf` and the like: it may restrict values, not say what they are.
fn nested(schema: &Value, skip_any: bool, path: &Path, errors: &mut Errors) {
    values(schema, skip_any, false, path, errors);
    if schema["items"].is_object() {
        nested(&schema["items"], false, &path.child("items"), errors);
    }
    for (name, property) in entries(schema, "properties") {
        nested(property, false, &path.child("properties").key(name), errors);
    }
    const FORBIDDEN: [(&str, &str); 12] = [
        ("type", "must be empty to be structural"),
        ("additionalProperties", "must be undefined to be structural"),
        ("default", "must be undefined to be structural"),
        ("title", "must be empty to be structural"),
        ("description", "must be empty to be structural"),
        ("nullable", "must be false to be structural"),
        ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
        ("x-kubernetes-embedded-resource", "must be false to be structural"),
        ("x-kubernetes-int-or-string", "must be false to be structural"),
        ("x-kubernetes-list-map-keys", "must be empty to be structural"),
        ("x-kubernetes-list-type", "must be undefined to be structural"),
        ("x-kubernetes-map-type", "must be undefined to be structural"),
    ];
    for (name, detail) in FORBIDDEN {
        let set = match name {
            "additionalProperties" | "default" => !schema[name].is_null(),
            _ => !is_empty(&schema[name]),
        };
        if set {
            errors.push(Error::forbidden(&path.child(name), detail));
        }
    }
    if !is_empty(&schema["x-kubernetes-validations"]) {
        errors.push(Error::forbidden(&path.child("x-kubernetes-validations"), "must be empty to be structural"));
    }
    if !schema["properties"]["metadata"].is_null() {
        let at = path.child("properties").key("metadata");
        errors.push(Error::forbidden(&at, "must not be specified in a nested context"));
    }
}

/// Every field that is restricted inside of `allOf` and the like must be said outside, too.
fn completeness(schema: &Value, main: &Value, path: &Path, errors: &mut Errors) {
    alternatives(schema, main, path, path, errors);
    if schema["items"].is_object() {
        completeness(&schema["items"], &schema["items"], &path.child("items"), errors);
    }
    for (name, property) in entries(schema, "properties") {
        completeness(property, property, &path.child("properties").key(name), errors);
    }
    if schema["additionalProperties"].is_object() {
        let inner = &schema["additionalProperties"];
        completeness(inner, inner, &path.child("additionalProperties"), errors);
    }
}

fn alternatives(schema: &Value, main: &Value, main_path: &Path, path: &Path, errors: &mut Errors) {
    for name in ["allOf", "anyOf", "oneOf"] {
        for (n, of) in items(schema, name) {
            covered(of, main, main_path, &path.child(name).index(n), errors);
        }
    }
    if schema["not"].is_object() {
        covered(&schema["not"], main, main_path, &path.child("not"), errors);
    }
}

fn covered(of: &Value, main: &Value, main_path: &Path, path: &Path, errors: &mut Errors) {
    alternatives(of, main, main_path, path, errors);
    let because = |path: &Path| format!("because it is defined in {path}");
    if of["items"].is_object() {
        let (path, main_path) = (path.child("items"), main_path.child("items"));
        if main["items"].is_object() {
            covered(&of["items"], &main["items"], &main_path, &path, errors);
        } else {
            errors.push(Error::required(&main_path, because(&path)));
        }
    }
    for (name, property) in entries(of, "properties") {
        let (path, main_path) = (path.child("properties").key(name), main_path.child("properties").key(name));
        match main["properties"].get(name) {
            Some(main) => covered(property, main, &main_path, &path, errors),
            None => errors.push(Error::required(&main_path, because(&path))),
        }
    }
}

/// The fields of a schema as an object; empty if it is none.
pub(super) fn fields(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    schema.as_object().unwrap_or(&NONE).iter()
}
