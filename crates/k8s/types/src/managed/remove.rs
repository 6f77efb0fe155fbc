//! Fields taken out of an object.

use super::key;
use super::set::Set;
use super::shape::{At, Members, Shape};
use serde_json::Value;

/// The value without the members of the set. What becomes empty by that is gone, too: `None`.
pub(super) fn remove(at: At<'_>, value: &Value, fields: &Set) -> Option<Value> {
    match (at.shape(), value) {
        (Shape::Members(members), Value::Object(_)) => remove_members(members, value, fields),
        (Shape::Unknown, Value::Object(_)) => remove_members(Members::Any, value, fields),
        (Shape::Items { item, kind }, Value::Array(items)) if !items.is_empty() => {
            let kept: Vec<Value> = items
                .iter()
                .filter_map(|value| match key::of_item(value, kind, item).ok().and_then(|step| fields.get(&step)) {
                    Some(node) if node.member => None,
                    Some(node) if !node.below.is_empty() => remove(item, value, &node.below),
                    _ => Some(value.clone()),
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        _ => Some(value.clone()),
    }
}

fn remove_members(members: Members<'_>, value: &Value, fields: &Set) -> Option<Value> {
    let map = value.as_object().filter(|map| !map.is_empty());
    let Some(map) = map else { return Some(value.clone()) };
    let mut kept = serde_json::Map::new();
    for (name, value) in map {
        let step = key::of_field(name);
        let value = match fields.get(&step) {
            Some(node) if node.member => None,
            Some(node) if !node.below.is_empty() => remove(members.at(name), value, &node.below),
            _ => Some(value.clone()),
        };
        if let Some(value) = value {
            kept.insert(name.clone(), value);
        }
    }
    (!kept.is_empty()).then_some(Value::Object(kept))
}
