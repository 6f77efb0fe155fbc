//! What a walker of objects sees of a type: leaves, members, items.

use crate::schema::{Field, ListKind, Struct, Type};
use serde_json::Value;

pub(super) static ANY: Type = Type::Any;

/// A type where it is used: a field may say that its struct is one piece.
#[derive(Clone, Copy)]
pub(super) struct At<'t> {
    pub(super) ty: &'t Type,
    atomic: bool,
}

/// What is inside.
pub(super) enum Shape<'t> {
    /// Nothing that has an owner of its own: scalars and what is atomic.
    Leaf,
    /// Fields of a struct or entries of a map.
    Members(Members<'t>),
    /// Items that are told apart.
    Items { item: At<'t>, kind: &'t ListKind },
    /// As the value has it: objects have members, all else is a leaf.
    Unknown,
}

#[derive(Clone, Copy)]
pub(super) enum Members<'t> {
    Struct(&'t Struct),
    Map(&'t Type),
    Any,
}

impl<'t> At<'t> {
    pub(super) fn new(ty: &'t Type) -> Self {
        Self { ty, atomic: ty.is_atomic() }
    }

    pub(super) fn field(field: &'t Field) -> Self {
        Self { ty: &field.ty, atomic: field.is_atomic() }
    }

    pub(super) fn shape(self) -> Shape<'t> {
        match self.ty {
            ty if ty.is_opaque() => Shape::Unknown,
            _ if self.atomic => Shape::Leaf,
            Type::Struct(of) => Shape::Members(Members::Struct(of)),
            Type::Map(map) => Shape::Members(Members::Map(&map.value)),
            Type::List(list) => Shape::Items { item: At::new(&list.item), kind: &list.kind },
            _ => Shape::Leaf,
        }
    }
}

impl<'t> Members<'t> {
    /// What a member is.
    pub(super) fn at(self, name: &str) -> At<'t> {
        match self {
            Self::Struct(of) => of.field(name).map_or_else(|| At::new(&ANY), At::field),
            Self::Map(value) => At::new(value),
            Self::Any => At::new(&ANY),
        }
    }

    /// Whether it is a field that the type declares, not an entry of a map.
    pub(super) fn declares(self, name: &str) -> bool {
        matches!(self, Self::Struct(of) if of.field(name).is_some())
    }
}

/// Whether nothing is inside: absent, null, empty, or of another kind than expected.
pub(super) fn has_no_members(value: Option<&Value>) -> bool {
    value.and_then(Value::as_object).is_none_or(serde_json::Map::is_empty)
}

/// As [`has_no_members`], of lists.
pub(super) fn has_no_items(value: Option<&Value>) -> bool {
    value.and_then(Value::as_array).is_none_or(Vec::is_empty)
}
