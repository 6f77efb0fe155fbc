//! What Go's types do to an object between decoding and encoding, which clients rely on.

use crate::quantity::Quantity;
use crate::schema::{Field, Presence, Struct, Type};
use serde_json::{Map, Value, json};

/// Brings an object of a built-in kind into the form in which clients know it: null fields are left out, as are zero values of fields that have no zero
/// value of their own, empty lists and maps; fields that are always there get their zero value.
pub fn normalize(value: &mut Value, ty: &Type) {
    match (value, ty) {
        (Value::Object(object), Type::Struct(of)) => normalize_fields(object, of),
        (Value::Object(object), Type::Map(map)) => object.values_mut().for_each(|value| normalize(value, &map.value)),
        (Value::Array(items), Type::List(list)) => items.iter_mut().for_each(|item| normalize(item, &list.item)),
        (value, Type::Quantity) => amount(value),
        _ => {}
    }
}

/// An amount is a text, in its canonical form where Go does not keep the one it was written in. What is no amount stays, to be told.
fn amount(value: &mut Value) {
    if !matches!(value, Value::String(_) | Value::Number(_)) {
        return;
    }
    let Ok(amount) = Quantity::from_value(value) else { return };
    let text = amount.to_string();
    if value.as_str() != Some(text.as_str()) {
        *value = text.into();
    }
}

/// As [`normalize`], of an object whose type is known to be a struct.
pub(super) fn normalize_fields(object: &mut Map<String, Value>, of: &Struct) {
    for field in &of.fields {
        let name = field.name.as_str();
        if let Some(value) = object.get_mut(name) {
            normalize(value, &field.ty);
            if drops(value, field) {
                object.remove(name);
            }
        }
        if field.presence == Presence::Always
            && !object.contains_key(name)
            && let Some(mut zero) = zero(&field.ty)
        {
            normalize(&mut zero, &field.ty);
            object.insert(name.to_owned(), zero);
        }
    }
}

/// Whether the value says no more than its absence.
fn drops(value: &Value, field: &Field) -> bool {
    match value {
        Value::Null => true,
        // FieldsV1 and unstructured values are kept as they are
        _ if field.ty.is_opaque() => false,
        Value::Array(items) => items.is_empty() && field.presence == Presence::Omitted,
        Value::Object(of) if matches!(field.ty, Type::Map(_)) => of.is_empty() && field.presence == Presence::Omitted,
        // encoding/json never finds a struct empty
        Value::Object(_) => false,
        _ if field.presence != Presence::Omitted => false,
        Value::Bool(is) => !is,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
    }
}

/// What a field that is always there has when nothing was given. Absent lists, maps and times stay absent: null says the same.
pub(super) fn zero(ty: &Type) -> Option<Value> {
    Some(match ty {
        Type::Bool => json!(false),
        Type::Int32 | Type::Int64 | Type::Number | Type::IntOrString => json!(0),
        Type::String(_) => json!(""),
        Type::Quantity => json!("0"),
        Type::Duration => json!("0s"),
        Type::Struct(_) => json!({}),
        _ => return None,
    })
}
