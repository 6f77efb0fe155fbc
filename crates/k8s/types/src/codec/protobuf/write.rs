//! Objects to messages.
//!
//! A message's length stands before it, so everything is written backwards, last field first, and the buffer is turned round at the end.

use super::super::scalar;
use super::{MAGIC, envelope};
use crate::schema::{Field, SchemaOr, Struct, StructRef, Type, builtin};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// Encodes an object of a type, with its envelope; the kind is what the object says it is.
pub fn encode(value: &Value, ty: &Type) -> Vec<u8> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut out = Backwards::default();
    if let Type::Struct(of) = ty {
        out.object(value, of);
    }
    out.envelope(text("apiVersion"), text("kind"));
    out.finish()
}

/// Encodes an object of a type without an envelope.
pub fn message(value: &Value, of: &Struct) -> Vec<u8> {
    let mut out = Backwards::default();
    out.object(value, of);
    out.finish()
}

/// A list encoded item by item, so that a long one never has to be there as values.
pub struct ListEncoder {
    api_version: String,
    kind: String,
    /// The message of the list so far, forwards.
    raw: Vec<u8>,
}

impl ListEncoder {
    /// Begins a list: its kind and version, its metadata (`resourceVersion`, `continue`, `remainingItemCount`).
    pub fn new(api_version: &str, kind: &str, metadata: &Value) -> Self {
        let mut out = Backwards::default();
        out.object(metadata, &builtin().list_meta());
        out.length_and_tag(0, 1);
        ListEncoder { api_version: api_version.into(), kind: kind.into(), raw: out.finish() }
    }

    /// Adds an object of the item's type.
    pub fn push(&mut self, item: &Value, of: &Struct) {
        let mut out = Backwards::default();
        out.object(item, of);
        out.length_and_tag(0, 2);
        self.raw.extend(out.bytes.iter().rev());
    }

    /// The document.
    pub fn finish(self) -> Vec<u8> {
        let mut head = Backwards::default();
        head.varint(self.raw.len() as u64);
        head.tag(envelope::RAW, BYTES);
        head.type_meta(&self.api_version, &self.kind);
        head.raw(MAGIC);
        let mut out = head.finish();
        out.extend_from_slice(&self.raw);
        out
    }
}

/// A watch event as one message (in a stream a length of four bytes, big endian, stands before it): its type, such as `ADDED`, and a whole document.
pub fn watch_event(event: &str, document: &[u8]) -> Vec<u8> {
    let mut out = Backwards { bytes: Vec::with_capacity(document.len() + event.len() + 16) };
    out.bytes_field(document, 1);
    out.length_and_tag(0, 2);
    out.bytes_field(event.as_bytes(), 1);
    out.finish()
}

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;

#[derive(Default)]
struct Backwards {
    bytes: Vec<u8>,
}

impl Backwards {
    fn finish(mut self) -> Vec<u8> {
        self.bytes.reverse();
        self.bytes
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes.iter().rev());
    }

    fn varint(&mut self, mut number: u64) {
        let mut digits = [0u8; 10];
        let mut count = 0;
        loop {
            digits[count] = (number & 0x7f) as u8 | 0x80;
            count += 1;
            number >>= 7;
            if number == 0 {
                break;
            }
        }
        digits[count - 1] &= 0x7f;
        self.raw(&digits[..count]);
    }

    fn tag(&mut self, number: u32, wire: u32) {
        self.varint(u64::from(number << 3 | wire));
    }

    /// Ends what began when the buffer had a length: it becomes the field of a number.
    fn length_and_tag(&mut self, before: usize, number: u32) {
        self.varint((self.bytes.len() - before) as u64);
        self.tag(number, BYTES);
    }

    fn bytes_field(&mut self, bytes: &[u8], number: u32) {
        self.raw(bytes);
        self.varint(bytes.len() as u64);
        self.tag(number, BYTES);
    }

    fn number_field(&mut self, value: u64, number: u32) {
        self.varint(value);
        self.tag(number, VARINT);
    }

    fn type_meta(&mut self, api_version: &str, kind: &str) {
        let before = self.bytes.len();
        self.bytes_field(kind.as_bytes(), envelope::KIND);
        self.bytes_field(api_version.as_bytes(), envelope::API_VERSION);
        self.length_and_tag(before, envelope::TYPE_META);
    }

    /// Puts the envelope around everything that was written.
    fn envelope(&mut self, api_version: &str, kind: &str) {
        // Go writes the content's encoding and type though they are empty
        let raw = std::mem::take(&mut self.bytes);
        self.bytes_field(b"", envelope::CONTENT_TYPE);
        self.bytes_field(b"", envelope::CONTENT_ENCODING);
        let length = raw.len() as u64;
        self.bytes.extend(raw);
        self.varint(length);
        self.tag(envelope::RAW, BYTES);
        self.type_meta(api_version, kind);
        self.raw(MAGIC);
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
            let length = self.bytes.len();
            self.level(object, of, inside, depth + 1);
            self.length_and_tag(length, u32::from(outer));
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
                    let before = self.bytes.len();
                    self.value(value, &map.value, 2);
                    self.bytes_field(key.as_bytes(), 1);
                    self.length_and_tag(before, field.number);
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
                self.raw(&value.as_f64().unwrap_or_default().to_le_bytes());
                self.tag(number, FIXED64);
            }
            (Type::String(_), Value::String(text)) => self.bytes_field(text.as_bytes(), number),
            (Type::Bytes, Value::String(text)) => {
                self.bytes_field(&STANDARD.decode(text).unwrap_or_default(), number);
            }
            (Type::Struct(of), Value::Object(_)) => self.inside(number, |out| out.object(value, of)),
            // an empty item; null anywhere else is nothing
            (Type::Struct(_), _) => self.bytes_field(b"", number),
            (Type::List(list), Value::Array(items)) => self.inside(number, |out| {
                items.iter().rev().for_each(|item| out.value(item, &list.item, 1));
            }),
            (Type::Any | Type::FieldsV1, value) => {
                self.inside(number, |out| out.bytes_field(value.to_string().as_bytes(), 1));
            }
            (ty, value) => self.special(value, ty, number),
        }
    }

    fn inside(&mut self, number: u32, write: impl FnOnce(&mut Self)) {
        let before = self.bytes.len();
        write(self);
        self.length_and_tag(before, number);
    }

    /// Types that are messages of their own in protobuf and something else in JSON.
    fn special(&mut self, value: &Value, ty: &Type, number: u32) {
        self.inside(number, |out| match (ty, value) {
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
