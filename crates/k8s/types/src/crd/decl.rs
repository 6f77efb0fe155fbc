//! A schema as a type of expressions, with bounds on how large values can be.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::node::{Additional, JsonType, ListType, Node};
use crate::cel::{self, Field, Keyed, Kind, Object, Type};

/// How large a request can be, in bytes; bounds what no schema bounds.
pub(super) const REQUEST_SIZE: u64 = 3 << 20;

/// A type with the fewest bytes that a value of it has in JSON.
#[derive(Debug, Clone)]
pub(super) struct Sized {
    pub of: Type,
    pub least: u64,
}

/// The type of `node` in expressions; none where nothing can be said. At the root of a resource the names of the object are fields, too.
pub(super) fn declare(node: &Node, root: bool) -> Option<Sized> {
    if node.int_or_string {
        let max = max_length(node).map_or(REQUEST_SIZE - 2, |length| length.saturating_mul(4));
        return Some(Sized { of: Type::sized(Kind::Dyn, max), least: 1 });
    }
    match node.kind {
        JsonType::Object => object(node, root),
        JsonType::Array => {
            let items = node.items.as_deref()?;
            let item = declare(items, items.embedded)?;
            let limit = node.checks.as_ref().and_then(|checks| checks.max_items);
            let max = limit.unwrap_or((REQUEST_SIZE - 2) / (item.least + 1));
            let keyed = match &node.list {
                ListType::Atomic => Keyed::Position,
                ListType::Set => Keyed::Set,
                ListType::Map(keys) => Keyed::Fields(keys.clone()),
            };
            Some(Sized { of: Type::sized(Kind::List(Arc::new(item.of), keyed), max), least: 2 })
        }
        JsonType::String => Some(string(node)),
        JsonType::Boolean => Some(Sized { of: Type::scalar(Kind::Bool), least: 4 }),
        JsonType::Number => Some(Sized { of: Type::scalar(Kind::Double), least: 1 }),
        JsonType::Integer => Some(Sized { of: Type::scalar(Kind::Int), least: 1 }),
        JsonType::Any if root => object(node, root),
        JsonType::Any => None,
    }
}

fn max_length(node: &Node) -> Option<u64> {
    node.checks.as_ref().and_then(|checks| checks.max_length)
}

fn string(node: &Node) -> Sized {
    let format = node.checks.as_ref().map_or("", |checks| checks.format.as_str());
    let sized = |kind, max, least| Sized { of: Type::sized(kind, max), least };
    match format {
        "byte" => sized(Kind::Bytes, max_length(node).unwrap_or(REQUEST_SIZE - 2), 2),
        "duration" => sized(Kind::Duration, 32, 3),
        "date" => sized(Kind::Timestamp, 12, 12),
        "date-time" => sized(Kind::Timestamp, 32, 21),
        _ => {
            let allowed = node.checks.iter().flat_map(|checks| &checks.allowed);
            let longest = allowed.filter_map(|value| value.as_str()).map(|text| text.len() as u64).max();
            let max = match (max_length(node), longest) {
                (Some(length), _) => length.saturating_mul(4),
                (None, Some(longest)) => longest,
                (None, None) => REQUEST_SIZE - 2,
            };
            sized(Kind::String, max, 2)
        }
    }
}

fn object(node: &Node, root: bool) -> Option<Sized> {
    if let Additional::Schema(value) = &node.additional {
        let value = declare(value, value.embedded)?;
        let limit = node.checks.as_ref().and_then(|checks| checks.max_properties);
        let max = limit.unwrap_or((REQUEST_SIZE - 2) / (value.least + 6));
        return Some(Sized { of: Type::map(value.of, max), least: 2 });
    }
    let mut fields = BTreeMap::new();
    let mut least = 2;
    for (name, property) in &node.properties {
        if root && matches!(name.as_str(), "metadata" | "kind" | "apiVersion") {
            continue;
        }
        let Some(declared) = declare(property, property.embedded) else { continue };
        if node.required.contains(name) && property.default.is_none() {
            least += name.len() as u64 + declared.least + 4;
        }
        fields.insert(escape(name), Field { property: name.as_str().into(), of: declared.of });
    }
    if root {
        add_names(&mut fields);
    }
    Some(Sized { of: Type::scalar(Kind::Object(Arc::new(Object { fields }))), least })
}

fn add_names(fields: &mut BTreeMap<String, Field>) {
    let text = || Type::sized(Kind::String, REQUEST_SIZE - 2);
    let field = |name: &str, of| (name.to_owned(), Field { property: name.into(), of });
    let names = BTreeMap::from([field("name", text()), field("generateName", text())]);
    let metadata = Type::scalar(Kind::Object(Arc::new(Object { fields: names })));
    fields.extend([field("kind", text()), field("apiVersion", text()), field("metadata", metadata)]);
}

/// The name of a property in expressions.
pub(super) fn escape(name: &str) -> String {
    if cel::RESERVED.contains(&name) || ["true", "false", "null"].contains(&name) {
        return format!("__{name}__");
    }
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("__") {
            out.push_str("__underscores__");
            rest = after;
            continue;
        }
        match c {
            '.' => out.push_str("__dot__"),
            '-' => out.push_str("__dash__"),
            '/' => out.push_str("__slash__"),
            c => out.push(c),
        }
        rest = &rest[c.len_utf8()..];
    }
    out
}
