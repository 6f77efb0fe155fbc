//! Whether an applied configuration is of its type: no field that is not declared, no item twice, scalars of the right kind. The texts are Kubernetes'.

use super::key;
use super::shape::{At, Members};
use crate::field::plain;
use crate::schema::{ListKind, Type};
use serde_json::{Map, Value};
use std::collections::HashSet;

/// What is wrong, joined as Kubernetes joins it. `Ok` when nothing is.
pub(super) fn check(at: At<'_>, value: &Value) -> Result<(), String> {
    let mut errors = Vec::new();
    walk(at, value, "", &mut errors);
    match errors.as_slice() {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => Err(format!("errors:\n  {}", many.join("\n  "))),
    }
}

fn walk(at: At<'_>, value: &Value, path: &str, errors: &mut Vec<String>) {
    if value.is_null() {
        return;
    }
    match at.ty {
        Type::Struct(of) => members(Members::Struct(of), of.preserve_unknown || of.embedded, value, path, errors),
        Type::Map(map) => members(Members::Map(&map.value), true, value, path, errors),
        Type::List(list) => match value {
            Value::Array(items) => walk_items(At::new(&list.item), &list.kind, items, path, errors),
            other => errors.push(said(path, &format!("expected list, got {}", plain(other)))),
        },
        ty if ty.is_opaque() => {}
        scalar => {
            if let Some(expected) = misfit(scalar, value) {
                errors.push(said(path, &format!("expected {expected}")));
            }
        }
    }
}

fn members(members: Members<'_>, open: bool, value: &Value, path: &str, errors: &mut Vec<String>) {
    let Value::Object(map) = value else {
        errors.push(said(path, &format!("expected map, got {}", plain(value))));
        return;
    };
    walk_members(members, open, map, path, errors);
}

fn walk_members(members: Members<'_>, open: bool, map: &Map<String, Value>, path: &str, errors: &mut Vec<String>) {
    for (name, value) in map {
        let path = format!("{path}.{name}");
        if !open && !members.declares(name) {
            errors.push(said(&path, "field not declared in schema"));
            // Kubernetes says no more of this object
            return;
        }
        walk(members.at(name), value, &path, errors);
    }
}

fn walk_items(item: At<'_>, kind: &ListKind, items: &[Value], path: &str, errors: &mut Vec<String>) {
    let mut seen = HashSet::with_capacity(items.len());
    for (index, value) in items.iter().enumerate() {
        if *kind == ListKind::Atomic {
            walk(item, value, &format!("{path}[{index}]"), errors);
            continue;
        }
        match key::of_item(value, kind, item) {
            Err(why) => {
                errors.push(said(path, &format!("element {index}: {why}")));
                return;
            }
            Ok(step) => {
                let spoken = key::spoken(&step);
                if !seen.insert(step) {
                    errors.push(said(path, &format!("duplicate entries for key {spoken}")));
                }
                walk(item, value, &format!("{path}{spoken}"), errors);
            }
        }
    }
}

fn misfit(ty: &Type, value: &Value) -> Option<String> {
    let scalar = matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_));
    match ty {
        Type::Bool => (!value.is_boolean()).then(|| format!("boolean, got {}", plain(value))),
        Type::Int32 | Type::Int64 | Type::Number => {
            (!value.is_number()).then(|| format!("numeric (int or float), got {}", go_kind(value)))
        }
        Type::String(_) | Type::Bytes => (!value.is_string()).then(|| format!("string, got {}", plain(value))),
        _ => (!scalar).then(|| format!("any scalar, got {}", plain(value))),
    }
}

fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
        Value::Number(_) => "float64",
        Value::Null => "<nil>",
    }
}

fn said(path: &str, what: &str) -> String {
    if path.is_empty() { what.to_owned() } else { format!("{path}: {what}") }
}
