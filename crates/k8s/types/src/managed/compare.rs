//! What changed between two objects, field by field.

use super::key;
use super::set::{Node, Set};
use super::shape::{At, Members, Shape, has_no_items, has_no_members};
use crate::patch::json::same;
use crate::schema::ListKind;
use serde_json::{Map, Value};

/// The fields that are gone, other than before, and new. None is in two of the sets.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    pub(super) removed: Set,
    pub(super) modified: Set,
    pub(super) added: Set,
}

/// An item that cannot be told from others; the text is Kubernetes'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoKey(pub(super) String);

/// Compares two objects; absent means nothing was there before, or is there now.
pub(super) fn compare(at: At<'_>, old: Option<&Value>, new: Option<&Value>) -> Result<Changes, NoKey> {
    Ok(walk(at, old, new)?.changes)
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.modified.is_empty() && self.added.is_empty()
    }

    /// Without these fields and all beneath them.
    pub(super) fn without(mut self, fields: &Set) -> Self {
        if !fields.is_empty() {
            for set in [&mut self.removed, &mut self.modified, &mut self.added] {
                *set = set.recursive_difference(fields);
            }
        }
        self
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Here {
    Same,
    Removed,
    Modified,
    Added,
}

struct Delta {
    here: Here,
    changes: Changes,
}

impl Delta {
    fn only(here: Here) -> Self {
        Self { here, changes: Changes::default() }
    }

    /// A leaf, or something that is absent on one side.
    fn of(old: Option<&Value>, new: Option<&Value>) -> Here {
        match (old, new) {
            (None, Some(_)) => Here::Added,
            (Some(_), None) => Here::Removed,
            _ => Here::Same,
        }
    }

    fn leaf(old: Option<&Value>, new: Option<&Value>) -> Self {
        match (old, new) {
            (Some(old), Some(new)) if !same(old, new) => Self::only(Here::Modified),
            _ => Self::only(Self::of(old, new)),
        }
    }

    /// Takes over what changed at and beneath a step.
    fn put(&mut self, step: impl FnOnce() -> Box<str>, child: Delta) {
        let Delta { here, changes } = child;
        if here == Here::Same && changes.is_empty() {
            return;
        }
        let key = step();
        for (set, below, kind) in [
            (&mut self.changes.removed, changes.removed, Here::Removed),
            (&mut self.changes.modified, changes.modified, Here::Modified),
            (&mut self.changes.added, changes.added, Here::Added),
        ] {
            let node = Node { key: key.clone(), member: here == kind, below };
            if !node.is_empty() {
                set.push(node);
            }
        }
    }
}

fn walk(at: At<'_>, old: Option<&Value>, new: Option<&Value>) -> Result<Delta, NoKey> {
    match at.shape() {
        Shape::Leaf => Ok(Delta::leaf(old, new)),
        Shape::Members(members) => walk_members(members, old, new),
        Shape::Items { item, kind } => walk_items(item, kind, old, new),
        Shape::Unknown => walk_unknown(old, new),
    }
}

fn walk_members(members: Members<'_>, old: Option<&Value>, new: Option<&Value>) -> Result<Delta, NoKey> {
    if has_no_members(old) && has_no_members(new) {
        // nothing, null and empty are three things
        return Ok(Delta::leaf(old, new));
    }
    let mut delta = Delta::only(Delta::of(old, new));
    // both iterate in the order of the keys
    let (old, new) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
    if let (None, Some(new)) = (old, new) {
        delta.changes.added = everything_of_members(members, new)?;
        return Ok(delta);
    }
    let (mut old, mut new) = (old.into_iter().flatten().peekable(), new.into_iter().flatten().peekable());
    loop {
        let (name, before, after) = match (old.peek(), new.peek()) {
            (None, None) => return Ok(delta),
            (Some((name, before)), None) => (*name, Some(*before), None),
            (None, Some((name, after))) => (*name, None, Some(*after)),
            (Some((left, before)), Some((right, after))) => match left.cmp(right) {
                std::cmp::Ordering::Less => (*left, Some(*before), None),
                std::cmp::Ordering::Greater => (*right, None, Some(*after)),
                std::cmp::Ordering::Equal => (*left, Some(*before), Some(*after)),
            },
        };
        if before.is_some() {
            old.next();
        }
        if after.is_some() {
            new.next();
        }
        delta.put(|| key::of_field(name), walk(members.at(name), before, after)?);
    }
}

fn walk_items(item: At<'_>, kind: &ListKind, old: Option<&Value>, new: Option<&Value>) -> Result<Delta, NoKey> {
    if has_no_items(old) && has_no_items(new) {
        return Ok(Delta::leaf(old, new));
    }
    let mut delta = Delta::only(Delta::of(old, new));
    let before = grouped(item, kind, old)?;
    let after = grouped(item, kind, new)?;
    let (mut before, mut after) = (before.into_iter().peekable(), after.into_iter().peekable());
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return Ok(delta),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((left, _)), Some((right, _))) => left.cmp(right),
        };
        let old = if order.is_le() { before.next() } else { None };
        let new = if order.is_ge() { after.next() } else { None };
        let (old, new) = (
            old.map_or((None, Vec::new()), |(k, v)| (Some(k), v)),
            new.map_or((None, Vec::new()), |(k, v)| (Some(k), v)),
        );
        let step = old.0.or(new.0).unwrap_or_default();
        delta.put(|| step, walk_group(item, &old.1, &new.1)?);
    }
}

/// Items of one key. Where there are several, they are one leaf.
fn walk_group(at: At<'_>, old: &[&Value], new: &[&Value]) -> Result<Delta, NoKey> {
    match (old, new) {
        ([] | [_], [] | [_]) => walk(at, old.first().copied(), new.first().copied()),
        ([_, _, ..], [_, _, ..]) => {
            let equal = old.len() == new.len() && old.iter().zip(new).all(|(old, new)| same(old, new));
            Ok(Delta::only(if equal { Here::Same } else { Here::Modified }))
        }
        ([_, _, ..], rest) => {
            let mut delta = match rest.first() {
                Some(single) => walk(at, None, Some(single))?,
                None => Delta::only(Here::Same),
            };
            // in Kubernetes the step is then in two sets: what remains is new, the duplicates are gone
            if delta.here == Here::Same {
                delta.here = Here::Removed;
            }
            Ok(delta)
        }
        (rest, _) => {
            let mut delta = match rest.first() {
                Some(single) => walk(at, Some(single), None)?,
                None => Delta::only(Here::Same),
            };
            delta.here = Here::Added;
            Ok(delta)
        }
    }
}

type Group<'a> = (Box<str>, Vec<&'a Value>);

/// The items of a list by their keys, in the order of these.
fn grouped<'a>(item: At<'_>, kind: &ListKind, list: Option<&'a Value>) -> Result<Vec<Group<'a>>, NoKey> {
    let list = list.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut groups: Vec<Group<'a>> = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        let step = key::of_item(value, kind, item).map_err(|why| NoKey(format!("element {index}: {why}")))?;
        groups.push((step, vec![value]));
    }
    groups.sort_by(|a, b| a.0.cmp(&b.0));
    groups.dedup_by(|later, first| {
        let same = later.0 == first.0;
        if same {
            first.1.append(&mut later.1);
        }
        same
    });
    Ok(groups)
}

fn walk_unknown(old: Option<&Value>, new: Option<&Value>) -> Result<Delta, NoKey> {
    let open = |value: &Value| matches!(value, Value::Null | Value::Object(_));
    match (old, new) {
        // an object in place of something else, or the other way round: what is inside comes or goes, too
        (Some(before), Some(after)) if open(before) != open(after) => {
            let (old, new) = if open(before) { (old, None) } else { (None, new) };
            Ok(Delta { here: Here::Modified, ..walk_members(Members::Any, old, new)? })
        }
        _ if old.or(new).is_some_and(open) => walk_members(Members::Any, old, new),
        _ => Ok(Delta::leaf(old, new)),
    }
}

/// All that is inside something new: every step is a member.
fn everything(at: At<'_>, value: &Value) -> Result<Set, NoKey> {
    match (at.shape(), value) {
        (Shape::Members(members), Value::Object(map)) => everything_of_members(members, map),
        (Shape::Unknown, Value::Object(map)) => everything_of_members(Members::Any, map),
        (Shape::Items { item, kind }, Value::Array(_)) => {
            let mut set = Set::new();
            for (key, values) in grouped(item, kind, Some(value))? {
                let below = if let [single] = values[..] { everything(item, single)? } else { Set::new() };
                set.push(Node { key, member: true, below });
            }
            Ok(set)
        }
        _ => Ok(Set::new()),
    }
}

fn everything_of_members(members: Members<'_>, map: &Map<String, Value>) -> Result<Set, NoKey> {
    let mut set = Set::with_capacity(map.len());
    for (name, value) in map {
        let below = everything(members.at(name), value)?;
        set.push(Node { key: key::of_field(name), member: true, below });
    }
    Ok(set)
}
