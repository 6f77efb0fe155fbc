//! A schema as a row of the table of kinds.

use std::sync::Arc;

use super::node::{Additional, JsonType, ListType, Node};
use crate::schema::{self, Field, ListKind, StringType, Struct, StructRef, Type, builtin};

/// The type of the objects of a resource.
pub(super) fn object(node: &Node, kind: &str) -> StructRef {
    let mut of = structure(node);
    of.fields.retain(|field| !matches!(field.name.as_str(), "apiVersion" | "kind" | "metadata"));
    of.name = kind.to_owned().into();
    of.kind = true;
    of.fields.extend([
        Field::new("apiVersion", Type::STRING),
        Field::new("kind", Type::STRING),
        Field::new("metadata", Type::Struct(builtin().object_meta())),
    ]);
    of.fields.sort_by(|a, b| a.name.cmp(&b.name));
    of.into()
}

fn structure(node: &Node) -> Struct {
    let fields = node.properties.iter().map(|(name, property)| field(name, property, node.embedded));
    Struct {
        fields: fields.collect(),
        atomic: node.atomic,
        preserve_unknown: node.preserve,
        embedded: node.embedded,
        ..Struct::default()
    }
}

fn field(name: &str, node: &Node, embedded: bool) -> Field {
    let ty = match name {
        "metadata" if embedded => Type::Struct(builtin().object_meta()),
        _ => value(node),
    };
    let mut field = Field::new(name.to_owned(), ty);
    field.nullable = node.nullable;
    field.default = node.default.clone();
    field
}

pub(super) fn value(node: &Node) -> Type {
    if node.int_or_string {
        return Type::IntOrString;
    }
    match node.kind {
        JsonType::Boolean => Type::Bool,
        JsonType::Integer => Type::Int64,
        JsonType::Number => Type::Number,
        JsonType::String => Type::String(StringType::default()),
        JsonType::Array => match &node.items {
            Some(items) => Type::List(Arc::new(list(node, items))),
            None => Type::Any,
        },
        JsonType::Object | JsonType::Any => map_or_struct(node),
    }
}

fn list(node: &Node, items: &Node) -> schema::List {
    let kind = match &node.list {
        ListType::Atomic => ListKind::Atomic,
        ListType::Set => ListKind::Set,
        ListType::Map(keys) => ListKind::Map(keys.iter().map(|key| key.clone().into()).collect()),
    };
    schema::List { item: value(items), kind, nullable: items.nullable, wrapped: false }
}

fn map_or_struct(node: &Node) -> Type {
    let map = |value, nullable| Type::Map(Arc::new(schema::Map { value, atomic: node.atomic, nullable }));
    match &node.additional {
        Additional::Schema(of) if node.properties.is_empty() => map(value(of), of.nullable),
        Additional::Allowed(true) if node.properties.is_empty() => map(Type::Any, true),
        _ if node.kind == JsonType::Any && node.properties.is_empty() => Type::Any,
        _ => Type::Struct(structure(node).into()),
    }
}
