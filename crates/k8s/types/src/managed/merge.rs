//! An applied configuration laid over the live object. Nothing is removed here.

use super::key;
use super::shape::{At, Members, Shape, has_no_items, has_no_members};
use crate::schema::ListKind;
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

/// The live object with what the configuration says. Both fit the type.
pub(super) fn merge(at: At<'_>, live: &Value, config: &Value) -> Value {
    both(at, Some(live), Some(config)).unwrap_or_default()
}

fn both(at: At<'_>, live: Option<&Value>, config: Option<&Value>) -> Option<Value> {
    let (Some(old), Some(new)) = (live, config) else { return config.or(live).cloned() };
    match at.shape() {
        Shape::Leaf => Some(new.clone()),
        Shape::Members(members) => merge_members(members, old, new),
        Shape::Unknown => match (old, new) {
            (Value::Object(_) | Value::Null, Value::Object(_) | Value::Null) => merge_members(Members::Any, old, new),
            _ => Some(new.clone()),
        },
        Shape::Items { item, kind } => merge_items(item, kind, old, new),
    }
}

/// A null in the configuration leaves what is there.
fn merge_members(members: Members<'_>, old: &Value, new: &Value) -> Option<Value> {
    if has_no_members(Some(old)) && has_no_members(Some(new)) {
        return Some(new.clone());
    }
    let mut merged = match old {
        Value::Object(old) => old.clone(),
        _ => Map::new(),
    };
    for (name, value) in new.as_object().into_iter().flatten() {
        match both(members.at(name), merged.get(name), Some(value)) {
            Some(value) => merged.insert(name.clone(), value),
            None => merged.remove(name),
        };
    }
    (!merged.is_empty()).then_some(Value::Object(merged))
}

/// The items of both lists: in the order of the configuration where it says one, those that only the live list has where they were.
fn merge_items(item: At<'_>, kind: &ListKind, old: &Value, new: &Value) -> Option<Value> {
    if has_no_items(Some(old)) && has_no_items(Some(new)) {
        return Some(new.clone());
    }
    let (old, new) = (keyed(item, kind, old), keyed(item, kind, new));
    let mut live: HashMap<&str, Option<&Value>> = HashMap::with_capacity(old.len());
    for (step, value) in &old {
        // items of one key are not merged into, they are replaced
        live.entry(step).and_modify(|there| *there = None).or_insert(Some(value));
    }
    let config: HashMap<&str, &Value> = new.iter().map(|(step, value)| (&**step, *value)).collect();
    let mut shared = new.iter().map(|(step, _)| &**step).filter(|step| live.contains_key(step)).peekable();
    let mut done: HashSet<&str> = HashSet::new();
    let mut merged = Vec::with_capacity(old.len().max(new.len()));
    let (mut left, mut right) = (0, 0);
    while left < old.len() || right < new.len() {
        if let (Some((step, _)), Some((wanted, _))) = (old.get(left), new.get(right)) {
            if step == wanted {
                merged.extend(both(item, live[&**step], Some(config[&**step])));
                done.insert(step);
                (left, right) = (left + 1, right + 1);
                shared.next();
                continue;
            }
            // a shared item that is not the next one of the configuration waits for its turn
            if config.contains_key(&**step) && shared.peek().is_some_and(|next| *next != &**step) {
                left += 1;
                continue;
            }
        }
        if let Some((step, value)) = old.get(left) {
            if !config.contains_key(&**step) {
                merged.extend(both(item, Some(value), None));
                left += 1;
                continue;
            }
            if done.contains(&**step) {
                left += 1;
            }
        }
        if let Some((step, value)) = new.get(right) {
            merged.extend(both(item, live.get(&**step).copied().flatten(), Some(value)));
            done.insert(step);
            right += 1;
            shared.next_if(|next| *next == &**step);
        }
    }
    (!merged.is_empty()).then_some(Value::Array(merged))
}

type Keyed<'a> = Vec<(Box<str>, &'a Value)>;

/// The items with their steps. An item without one cannot be told apart and is left out (the configuration has none such, see `conform`).
fn keyed<'a>(item: At<'_>, kind: &ListKind, list: &'a Value) -> Keyed<'a> {
    let items = list.as_array().map_or(&[][..], Vec::as_slice);
    items.iter().filter_map(|value| Some((key::of_item(value, kind, item).ok()?, value))).collect()
}
