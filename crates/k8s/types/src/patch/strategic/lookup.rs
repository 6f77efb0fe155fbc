//! What the table says of a member: its type, and how it is merged.

use crate::schema::{PatchStrategy, Text, Type};

/// How one member of an object is merged.
pub(super) struct Meta {
    /// Of the member; for a list, of its items.
    pub(super) ty: Type,
    /// The list is merged, not replaced.
    pub(super) merges: bool,
    /// The object is replaced, not merged.
    pub(super) replaces: bool,
    /// The field by which items are told apart; `None` for a list of values.
    pub(super) key: Option<Text>,
    /// The type's name, for errors.
    pub(super) name: Text,
}

impl Meta {
    /// Of a member of an object of type `ty`. What the table does not know is merged if it is an object and replaced if it is a list.
    pub(super) fn of(ty: &Type, member: &str) -> Self {
        let field = ty.as_struct().and_then(|of| of.field(member));
        let (ty, patch) = match (field, ty) {
            (Some(field), _) => (field.ty.clone(), field.patch.clone()),
            (None, Type::Map(map)) => (map.value.clone(), Default::default()),
            (None, _) => (Type::Any, Default::default()),
        };
        let ty = match &ty {
            Type::List(list) => list.item.clone(),
            _ => ty,
        };
        let name = ty.as_struct().map(|of| of.name.clone()).unwrap_or_default();
        Self {
            ty,
            merges: patch.strategy == PatchStrategy::Merge,
            replaces: patch.strategy == PatchStrategy::Replace,
            key: patch.merge_key,
            name,
        }
    }
}
