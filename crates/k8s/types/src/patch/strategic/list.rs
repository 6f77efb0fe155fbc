//! Lists: merged by the key or the value of their items, and put in order.
//!
//! The order of the result: items that the patch names keep the patch's order, the others that of the list before, and an item of the latter comes before
//! one of the former if it did so in the list before.

use super::lookup::Meta;
use super::{DIRECTIVE, StrategicError, merge as merge_objects};
use crate::field::plain;
use serde_json::{Map, Value};

type Result<T> = std::result::Result<T, StrategicError>;

/// Merges `patch` into `items`.
pub(super) fn merge(mut items: Vec<Value>, patch: Vec<Value>, meta: &Meta) -> Result<Vec<Value>> {
    if items.is_empty() && patch.is_empty() {
        return Ok(items);
    }
    if !of_objects(&items, &patch)? {
        let order = patch.clone();
        let before = items.clone();
        items.extend(patch);
        return in_order(without_duplicates(items), &order, &before, meta);
    }
    let key = meta.key.as_deref().ok_or_else(|| StrategicError::NoKeyDeclared(meta.name.to_string()))?;
    let Some(changes) = directives(&mut items, &patch, key)? else {
        // `$patch: replace` among the items: they are the list
        return Ok(patch.into_iter().filter(|item| item.get(DIRECTIVE).is_none()).collect());
    };
    let before = items.clone();
    let order = changes.clone();
    for change in changes {
        let wanted = key_of(&change, key)?;
        match items.iter_mut().find(|item| item.get(key) == Some(wanted)) {
            Some(item) => {
                if let (Value::Object(current), Value::Object(change)) = (item.take(), change) {
                    *item = Value::Object(merge_objects(current, change, &meta.ty)?);
                }
            }
            None => items.extend(super::plain_value(change)),
        }
    }
    in_order(items, &order, &before, meta)
}

/// Deletes what `$patch: delete` names and gives the other items of the patch; `None` when one says `$patch: replace`.
fn directives(items: &mut Vec<Value>, patch: &[Value], key: &str) -> Result<Option<Vec<Value>>> {
    let mut changes = Vec::new();
    let mut replace = false;
    for change in patch {
        let Some(directive) = change.get(DIRECTIVE) else {
            changes.push(change.clone());
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                let wanted = key_of(change, key)?;
                items.retain(|item| item.get(key) != Some(wanted));
            }
            Some("replace") => replace = true,
            Some("merge") => return Err(StrategicError::MergeDirective),
            _ => return Err(StrategicError::Directive { directive: plain(directive), map: plain(change) }),
        }
    }
    Ok((!replace).then_some(changes))
}

/// Puts `items` in order: those that `order` names as it says, the others as in `before`.
pub(super) fn in_order(items: Vec<Value>, order: &[Value], before: &[Value], meta: &Meta) -> Result<Vec<Value>> {
    let place = |list: &[Value], item: &Value| list.iter().position(|other| same(other, item, meta));
    let (mut named, mut others) = (Vec::new(), Vec::new());
    for item in items {
        if let (Some(key), Value::Object(_)) = (meta.key.as_deref(), &item) {
            key_of(&item, key)?;
        }
        match place(order, &item) {
            Some(at) => named.push((at, item)),
            None => others.push((place(before, &item).unwrap_or(usize::MAX), item)),
        }
    }
    named.sort_by_key(|(at, _)| *at);
    others.sort_by_key(|(at, _)| *at);
    let mut result = Vec::with_capacity(named.len() + others.len());
    let mut others = others.into_iter().peekable();
    for (_, item) in named {
        if let Some(at) = place(before, &item) {
            while let Some((_, other)) = others.next_if(|(other, _)| *other < at) {
                result.push(other);
            }
        }
        result.push(item);
    }
    result.extend(others.map(|(_, other)| other));
    Ok(result)
}

/// Checks that the patch's items are among those of the order, and in that order.
pub(super) fn check_order(patch: &[Value], order: &[Value], meta: &Meta) -> Result<()> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut ahead = order.iter();
    for item in patch.iter().filter(|item| item.get(DIRECTIVE).is_none()) {
        if let Some(key) = meta.key.as_deref() {
            key_of(item, key)?;
        }
        if !ahead.any(|other| same(other, item, meta)) {
            let list = |items: &[Value]| plain(&Value::Array(items.to_vec()));
            return Err(StrategicError::Order { patch: list(patch), order: list(order) });
        }
    }
    Ok(())
}

/// Whether two items are the same one: by key, or by value in a list of values.
fn same(a: &Value, b: &Value, meta: &Meta) -> bool {
    match (&meta.key, a, b) {
        (Some(key), Value::Object(a), Value::Object(b)) => {
            a.get(key.as_str()).is_some_and(|a| Some(a) == b.get(key.as_str()))
        }
        _ => a == b,
    }
}

fn key_of<'a>(item: &'a Value, key: &str) -> Result<&'a Value> {
    item.get(key).ok_or_else(|| StrategicError::NoMergeKey { map: plain(item), key: key.to_owned() })
}

/// Whether the lists are of objects; all items must be of one kind.
fn of_objects(items: &[Value], patch: &[Value]) -> Result<bool> {
    let kind = |item: &Value| match item {
        Value::Array(_) => Err(StrategicError::ListOfLists),
        item => Ok(std::mem::discriminant(item)),
    };
    let mut all = items.iter().chain(patch);
    let Some(first) = all.next() else { return Ok(false) };
    let wanted = kind(first)?;
    for item in all {
        if kind(item)? != wanted {
            let lists = [Value::Array(items.to_vec()), Value::Array(patch.to_vec())];
            return Err(StrategicError::MixedList(plain(&Value::Array(lists.to_vec()))));
        }
    }
    Ok(wanted == std::mem::discriminant(&Value::Object(Map::new())))
}

fn without_duplicates(items: Vec<Value>) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::with_capacity(items.len());
    for item in items {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    kept
}
