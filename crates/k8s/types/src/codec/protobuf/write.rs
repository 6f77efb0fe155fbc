//! Objects to messages.

use super::super::scalar;
use super::backwards::Backwards;
use super::{MAGIC, envelope};
use crate::schema::{Field, SchemaOr, Struct, StructRef, Type, builtin};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// Encodes an object of a type, with its envelope; the kind is what the object says it is.
pub fn encode(value: &Value, ty: &Type) -> Vec<u8> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut out = Backwards::default();
    // Go writes the content's encoding and type though they are empty
    out.bytes_field(b"", envelope::CONTENT_TYPE);
    out.bytes_field(b"", envelope::CONTENT_ENCODING);
    out.message(envelope::RAW, |out| {
        if let Type::Struct(of) = ty {
            out.object(value, of);
        }
    });
    out.type_meta(text("apiVersion"), text("kind"));
    out.raw(MAGIC);
    out.finish()
}

/// Encodes an object of a type without an envelope.
pub fn message(value: &Value, of: &Struct) -> Vec<u8> {
    let mut out = Backwards::default();
    out.object(value, of);
    out.finish()
}

/// What a list begins with: the envelope up to its items, whose encoded items ([`item`]) take `items` bytes together and come behind it. `metadata`
/// is the list's (`resourceVersion`, `continue`, `remainingItemCount`).
pub fn list_head(api_version: &str, kind: &str, metadata: &Value, items: usize) -> Vec<u8> {
    let mut out = Backwards::default();
    out.object(metadata, &builtin().list_meta());
    out.head(out.len(), 1);
    out.head(out.len() + items, envelope::RAW);
    out.type_meta(api_version, kind);
    out.raw(MAGIC);
    out.finish()
}

/// Adds an item of a list, an object of this type, to what stands before it.
pub fn item(value: &Value, of: &Struct, to: &mut Vec<u8>) {
    let mut out = Backwards::default();
    out.object(value, of);
    out.head(out.len(), 2);
    out.append_to(to);
}

/// A watch event as one message (in a stream a length of four bytes, big endian, stands before it): its type, such as `ADDED`, and a whole document.
pub fn watch_event(event: &str, document: &[u8]) -> Vec<u8> {
    let mut out = Backwards::with_capacity(document.len() + event.len() + 16);
    out.message(2, |out| out.bytes_field(document, 1));
    out.bytes_field(event.as_bytes(), 1);
    out.finish()
}

impl Backwards {
    fn type_meta(&mut self, api_version: &str, kind: &str) {
        self.message(envelope::TYPE_META, |out| {
            out.bytes_field(kind.as_bytes(), envelope::KIND);
            out.bytes_field(api_version.as_bytes(), envelope::API_VERSION);
        });
    }

    fn object(&mut self, value: &Value, of: &Struct) {
        if let Value::Object(object) = value {
            self.level(object, of, &of.wire, 0);
        }
    }

    /// Writes fields that are in the same message; those of a message that JSON does not show are next to each other.
    fn level(&mut self, object: &Map<String, Value>, of: &Struct, mut order: &[u16], depth: usize) {
        while let Some((last, before)) = order.split_last() {
            let field = &of.fields[usize::from(*last)];
            let outer = field.outer.get(depth).copied().unwrap_or_default();
            if outer == 0 {
                order = before;
                if let Some(value) = object.get(field.name.as_str()).filter(|value| !value.is_null()) {
                    self.field(value, field);
                }
                continue;
            }
            let start = order.iter().rposition(|at| of.fields[usize::from(*at)].outer[depth] != outer);
            let (rest, inside) = order.split_at(start.map_or(0, |at| at + 1));
            self.message(u32::from(outer), |out| out.level(object, of, inside, depth + 1));
            order = rest;
        }
    }

    fn field(&mut self, value: &Value, field: &Field) {
        match (&field.ty, value) {
            (Type::List(list), Value::Array(items)) if !list.wrapped => {
                items.iter().rev().for_each(|item| self.value(item, &list.item, field.number));
            }
            (Type::Map(map), Value::Object(entries)) => {
                for (key, value) in entries.iter().rev() {
                    self.message(field.number, |out| {
                        out.value(value, &map.value, 2);
                        out.bytes_field(key.as_bytes(), 1);
                    });
                }
            }
            (ty, value) => self.value(value, ty, field.number),
        }
    }

    /// One value as the field of a number. What does not have its type is left out.
    fn value(&mut self, value: &Value, ty: &Type, number: u32) {
        match (ty, value) {
            (Type::Bool, Value::Bool(is)) => self.number_field(u64::from(*is), number),
            (Type::Int32 | Type::Int64, Value::Number(value)) => {
                self.number_field(value.as_i64().unwrap_or_default() as u64, number);
            }
            (Type::Number, Value::Number(value)) => {
                self.double_field(value.as_f64().unwrap_or_default(), number);
            }
            (Type::String(_), Value::String(text)) => self.bytes_field(text.as_bytes(), number),
            (Type::Bytes, Value::String(text)) => {
                self.bytes_field(&STANDARD.decode(text).unwrap_or_default(), number);
            }
            (Type::Struct(of), Value::Object(_)) => self.message(number, |out| out.object(value, of)),
            // an empty item; null anywhere else is nothing
            (Type::Struct(_), _) => self.bytes_field(b"", number),
            (Type::List(list), Value::Array(items)) => self.message(number, |out| {
                items.iter().rev().for_each(|item| out.value(item, &list.item, 1));
            }),
            (Type::Any | Type::FieldsV1, value) => {
                self.message(number, |out| out.bytes_field(value.to_string().as_bytes(), 1));
            }
            (ty, value) => self.special(value, ty, number),
        }
    }

    /// Types that are messages of their own in protobuf and something else in JSON.
    fn special(&mut self, value: &Value, ty: &Type, number: u32) {
        self.message(number, |out| match (ty, value) {
            (Type::IntOrString, Value::String(text)) => {
                out.bytes_field(text.as_bytes(), 3);
                out.number_field(0, 2);
                out.number_field(1, 1);
            }
            (Type::IntOrString, Value::Number(value)) => {
                out.bytes_field(b"", 3);
                out.number_field(value.as_i64().unwrap_or_default() as u64, 2);
                out.number_field(0, 1);
            }
            (Type::Quantity, Value::String(text)) => out.bytes_field(text.as_bytes(), 1),
            (Type::Quantity, Value::Number(value)) => out.bytes_field(value.to_string().as_bytes(), 1),
            (Type::Duration, Value::String(text)) => {
                out.number_field(scalar::parse_duration(text).unwrap_or_default() as u64, 1);
            }
            (Type::Time | Type::MicroTime, Value::String(text)) => {
                if let Ok(time) = scalar::parse_time(text) {
                    let nanoseconds = time.as_nanosecond().rem_euclid(1_000_000_000) as u64;
                    out.number_field(if matches!(ty, Type::Time) { 0 } else { nanoseconds }, 2);
                    out.number_field(time.as_nanosecond().div_euclid(1_000_000_000) as i64 as u64, 1);
                }
            }
            (Type::SchemaOr(or), value) => out.schema_or(value, *or),
            _ => {}
        });
    }

    fn schema_or(&mut self, value: &Value, or: SchemaOr) {
        let schema = |out: &mut Self, value: &Value, number| out.value(value, &Type::Struct(schema_props()), number);
        match (or, value) {
            (SchemaOr::Bool, Value::Bool(is)) => self.number_field(u64::from(*is), 1),
            (SchemaOr::Bool, value) => {
                schema(self, value, 2);
                self.number_field(1, 1);
            }
            (SchemaOr::Schemas, Value::Array(items)) => items.iter().rev().for_each(|item| schema(self, item, 2)),
            (SchemaOr::Strings, Value::Array(items)) => {
                items.iter().rev().for_each(|item| self.value(item, &Type::STRING, 2));
            }
            (_, value) => schema(self, value, 1),
        }
    }
}

fn schema_props() -> StructRef {
    let package = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1";
    builtin().struct_named(package, "JSONSchemaProps").expect("the table has JSONSchemaProps")
}
