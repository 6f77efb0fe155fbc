//! Fills in what the table gives as a default.

use crate::schema::{Struct, Type};
use serde_json::{Map, Value};

/// Gives fields that are missing (or null, where null is not a value) the default that their row states, inside of what is there and of what it adds.
pub fn default(value: &mut Value, ty: &Type) {
    match (value, ty) {
        (Value::Object(object), Type::Struct(of)) => fields(object, of),
        (Value::Object(object), Type::Map(map)) => object.values_mut().for_each(|value| default(value, &map.value)),
        (Value::Array(items), Type::List(list)) => items.iter_mut().for_each(|item| default(item, &list.item)),
        _ => {}
    }
}

fn fields(object: &mut Map<String, Value>, of: &Struct) {
    for field in &of.fields {
        let present = match object.get(field.name.as_str()) {
            None => false,
            Some(Value::Null) => field.nullable,
            Some(_) => true,
        };
        if let (false, Some(value)) = (present, &field.default) {
            object.insert(field.name.to_string(), (**value).clone());
        }
        if let Some(value) = object.get_mut(field.name.as_str()) {
            default(value, &field.ty);
        }
    }
}
