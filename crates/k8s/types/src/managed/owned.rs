//! The fields that an applied configuration mentions, and with that owns.

use super::compare::NoKey;
use super::key;
use super::set::{Node, Set};
use super::shape::{At, Members, Shape};
use serde_json::{Map, Value};

/// The leaves and items of a value; entries of maps are members as well, declared fields with something inside are not.
pub(super) fn fields(at: At<'_>, value: &Value) -> Result<Set, NoKey> {
    Ok(walk(at, value)?.1)
}

/// Whether the value itself is a leaf, and what is inside.
fn walk(at: At<'_>, value: &Value) -> Result<(bool, Set), NoKey> {
    match (at.shape(), value) {
        (Shape::Leaf, _) => Ok((true, Set::new())),
        (Shape::Members(members), Value::Object(map)) => Ok((false, of_members(members, map)?)),
        (Shape::Unknown, Value::Object(map)) => Ok((false, of_members(Members::Any, map)?)),
        (Shape::Unknown, Value::Null) | (Shape::Members(_), _) => Ok((false, Set::new())),
        (Shape::Unknown, _) => Ok((true, Set::new())),
        (Shape::Items { item, kind }, Value::Array(list)) => {
            let mut items = Vec::with_capacity(list.len());
            for (index, value) in list.iter().enumerate() {
                let key = key::of_item(value, kind, item).map_err(|why| NoKey(format!("element {index}: {why}")))?;
                items.push((key, value));
            }
            items.sort_by(|a, b| a.0.cmp(&b.0));
            let mut set = Set::with_capacity(items.len());
            // items of one key are one leaf
            for group in items.chunk_by(|a, b| a.0 == b.0) {
                let below = if let [(_, value)] = group { walk(item, value)?.1 } else { Set::new() };
                set.push(Node { key: group[0].0.clone(), member: true, below });
            }
            Ok((false, set))
        }
        (Shape::Items { .. }, _) => Ok((false, Set::new())),
    }
}

fn of_members(members: Members<'_>, map: &Map<String, Value>) -> Result<Set, NoKey> {
    let mut set = Set::with_capacity(map.len());
    for (name, value) in map {
        let (leaf, below) = walk(members.at(name), value)?;
        let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
        let node = Node { key: key::of_field(name), member: leaf || empty || !members.declares(name), below };
        if !node.is_empty() {
            set.push(node);
        }
    }
    Ok(set)
}

/// Adds the declared fields on the way to the members: what is pruned goes with its empty containers.
pub(super) fn with_named(set: &Set, at: At<'_>) -> Set {
    let mut named = Set::with_capacity(set.nodes().len());
    for node in set.nodes() {
        let (declared, inside) = match (at.shape(), node.key.strip_prefix("f:")) {
            (Shape::Members(members), Some(name)) => (members.declares(name), members.at(name)),
            (Shape::Items { item, .. }, None) => (false, item),
            _ => (false, At::new(&super::shape::ANY)),
        };
        let member = node.member || (declared && !node.below.is_empty());
        named.push(Node { key: node.key.clone(), member, below: with_named(&node.below, inside) });
    }
    named
}

/// Makes a set fit a type that has become atomic since the set was written: what was owned inside is owned as a whole.
pub(super) fn fitted(set: &Set, at: At<'_>) -> Option<Set> {
    let inside = |node: &Node| match (at.shape(), node.key.strip_prefix("f:")) {
        (Shape::Members(members), Some(name)) => Some(members.at(name)),
        (Shape::Items { item, .. }, None) => Some(item),
        _ => None,
    };
    let mut changed: Option<Set> = None;
    for (index, node) in set.nodes().iter().enumerate().filter(|(_, node)| !node.below.is_empty()) {
        let Some(at) = inside(node) else { continue };
        let atomic = matches!(at.shape(), Shape::Leaf)
            && (at.ty.as_struct().is_some() || at.ty.as_list().is_some() || at.ty.as_map().is_some());
        let replacement = match atomic {
            true => Some(Node { key: node.key.clone(), member: true, below: Set::new() }),
            false => fitted(&node.below, at).map(|below| Node { key: node.key.clone(), member: node.member, below }),
        };
        if let Some(replacement) = replacement {
            changed.get_or_insert_with(|| set.clone()).replace(index, replacement);
        }
    }
    changed
}
