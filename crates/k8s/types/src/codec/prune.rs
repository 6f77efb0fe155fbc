//! Removes the fields that a type does not know.

use crate::schema::{Struct, Type};
use serde_json::Value;

/// Removes unknown fields, except where the type keeps them. Of an embedded object `apiVersion`, `kind` and `metadata` stay.
pub fn prune(value: &mut Value, ty: &Type) {
    match (value, ty) {
        (Value::Object(object), Type::Struct(of)) => {
            if !of.preserve_unknown {
                object.retain(|name, _| known(of, name));
            }
            for field in &of.fields {
                if let Some(value) = object.get_mut(field.name.as_str()) {
                    prune(value, &field.ty);
                }
            }
        }
        (Value::Object(object), Type::Map(map)) => object.values_mut().for_each(|value| prune(value, &map.value)),
        (Value::Array(items), Type::List(list)) => items.iter_mut().for_each(|item| prune(item, &list.item)),
        _ => {}
    }
}

fn known(of: &Struct, name: &str) -> bool {
    of.field(name).is_some() || (of.embedded && matches!(name, "apiVersion" | "kind" | "metadata"))
}
