//! Messages to objects.

use super::super::{DecodeError, scalar};
use crate::schema::{Field, List, SchemaOr, Struct, Type, builtin};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Number, Value};

/// How deep messages may be nested.
const DEPTH_LIMIT: u32 = 100;

/// Reads one message field by field.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    depth: u32,
}

/// The value of a field as it is on the wire.
#[derive(Clone, Copy)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// What no known field has.
    Other,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes, depth: 0 }
    }

    fn inside(&self, bytes: &'a [u8]) -> Result<Self, DecodeError> {
        if self.depth >= DEPTH_LIMIT {
            return Err(DecodeError::TooDeep);
        }
        Ok(Reader { rest: bytes, depth: self.depth + 1 })
    }

    /// The next field and its number, or nothing at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Wire<'a>)>, DecodeError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (number, wire) = self.tag()?;
        if wire == 4 {
            return Err(broken("a group ends that did not begin"));
        }
        Ok(Some((number, self.value(number, wire)?)))
    }

    fn tag(&mut self) -> Result<(u32, u8), DecodeError> {
        let tag = u32::try_from(self.varint()?).map_err(|_| broken("a tag that is too large"))?;
        if tag >> 3 == 0 {
            return Err(broken("a field without a number"));
        }
        Ok((tag >> 3, (tag & 7) as u8))
    }

    fn value(&mut self, number: u32, wire: u8) -> Result<Wire<'a>, DecodeError> {
        Ok(match wire {
            0 => Wire::Varint(self.varint()?),
            1 => {
                let bytes = self.take(8)?;
                Wire::Fixed64(u64::from_le_bytes(bytes.try_into().map_err(|_| broken("a short number"))?))
            }
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| broken("a length that is too large"))?;
                Wire::Bytes(self.take(length)?)
            }
            3 => {
                self.skip_group(number)?;
                Wire::Other
            }
            5 => {
                self.take(4)?;
                Wire::Other
            }
            _ => return Err(broken("a wire type that does not exist")),
        })
    }

    fn skip_group(&mut self, number: u32) -> Result<(), DecodeError> {
        let mut open = vec![number];
        while let Some(innermost) = open.last().copied() {
            let (number, wire) = self.tag()?;
            match wire {
                3 if open.len() >= DEPTH_LIMIT as usize => return Err(DecodeError::TooDeep),
                3 => open.push(number),
                4 if number == innermost => drop(open.pop()),
                4 => return Err(broken("a group ends that did not begin")),
                _ => drop(self.value(number, wire)?),
            }
        }
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for at in 0..10 {
            let byte = *self.rest.get(at).ok_or_else(|| broken("unexpected EOF"))?;
            value |= u64::from(byte & 0x7f).wrapping_shl(7 * at as u32);
            if byte < 0x80 {
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
        }
        Err(broken("integer overflow"))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| broken("unexpected EOF"))?;
        self.rest = rest;
        Ok(taken)
    }
}

impl<'a> Wire<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8], DecodeError> {
        if let Wire::Bytes(bytes) = self { Ok(bytes) } else { Err(broken("wrong wireType")) }
    }

    pub(super) fn text(self) -> Result<String, DecodeError> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| broken("a string that is not UTF-8"))
    }

    fn number(self) -> Result<u64, DecodeError> {
        if let Wire::Varint(number) = self { Ok(number) } else { Err(broken("wrong wireType")) }
    }
}

fn broken(what: &str) -> DecodeError {
    DecodeError::Protobuf(format!("proto: {what}"))
}

/// Reads a message into an object; a field that comes again is merged or replaced.
pub(super) fn message(reader: Reader<'_>, of: &Struct, into: &mut Map<String, Value>) -> Result<(), DecodeError> {
    level(reader, of, [0; 2], 0, into)
}

/// As [`message`], inside of messages that JSON does not show.
fn level(
    mut reader: Reader<'_>,
    of: &Struct,
    outer: [u8; 2],
    depth: usize,
    into: &mut Map<String, Value>,
) -> Result<(), DecodeError> {
    while let Some((number, wire)) = reader.next()? {
        if let Some(field) = of.fields.iter().find(|field| field.number == number && field.outer == outer) {
            field_value(&reader, wire, field, into)?;
        } else if depth < 2
            && of
                .fields
                .iter()
                .any(|field| u32::from(field.outer[depth]) == number && field.outer[..depth] == outer[..depth])
        {
            let mut inner = outer;
            inner[depth] = number as u8;
            level(reader.inside(wire.bytes()?)?, of, inner, depth + 1, into)?;
        }
    }
    Ok(())
}

fn field_value(
    reader: &Reader<'_>,
    wire: Wire<'_>,
    field: &Field,
    into: &mut Map<String, Value>,
) -> Result<(), DecodeError> {
    let slot = into.entry(field.name.as_str()).or_insert(Value::Null);
    match &field.ty {
        Type::List(list) if !list.wrapped => {
            if !slot.is_array() {
                *slot = Value::Array(Vec::new());
            }
            if let Value::Array(items) = slot {
                item(reader, wire, list, items)?;
            }
        }
        Type::Map(map) => {
            if !slot.is_object() {
                *slot = Value::Object(Map::new());
            }
            let (mut key, mut value) = (String::new(), None);
            let mut entry = reader.inside(wire.bytes()?)?;
            while let Some((number, wire)) = entry.next()? {
                match number {
                    1 => key = wire.text()?,
                    2 => value = Some(single(&entry, wire, &map.value, Value::Null)?),
                    _ => {}
                }
            }
            let value = value.or_else(|| super::super::normalize::zero(&map.value)).unwrap_or(Value::Null);
            if let Value::Object(entries) = slot {
                entries.insert(key, value);
            }
        }
        ty => {
            let before = slot.take();
            *slot = single(reader, wire, ty, before)?;
        }
    }
    Ok(())
}

/// An item of a list, or several numbers in one.
fn item(reader: &Reader<'_>, wire: Wire<'_>, list: &List, items: &mut Vec<Value>) -> Result<(), DecodeError> {
    match (wire, &list.item) {
        (Wire::Bytes(bytes), Type::Int32 | Type::Int64 | Type::Bool) => {
            let mut packed = Reader::new(bytes);
            while !packed.rest.is_empty() {
                let number = Wire::Varint(packed.varint()?);
                items.push(single(reader, number, &list.item, Value::Null)?);
            }
        }
        _ => items.push(single(reader, wire, &list.item, Value::Null)?),
    }
    Ok(())
}

/// One value; `before` is what the field already has.
fn single(reader: &Reader<'_>, wire: Wire<'_>, ty: &Type, before: Value) -> Result<Value, DecodeError> {
    Ok(match ty {
        Type::Bool => (wire.number()? != 0).into(),
        Type::Int32 => (wire.number()? as i32).into(),
        Type::Int64 => (wire.number()? as i64).into(),
        Type::Number => match wire {
            Wire::Fixed64(bits) => Number::from_f64(f64::from_bits(bits)).map_or(Value::Null, Value::Number),
            _ => return Err(broken("wrong wireType")),
        },
        Type::String(_) => wire.text()?.into(),
        Type::Bytes => STANDARD.encode(wire.bytes()?).into(),
        Type::Struct(of) => {
            let mut object = if let Value::Object(object) = before { object } else { Map::new() };
            message(reader.inside(wire.bytes()?)?, of, &mut object)?;
            Value::Object(object)
        }
        Type::List(list) => {
            let mut items = Vec::new();
            let mut inner = reader.inside(wire.bytes()?)?;
            while let Some((number, wire)) = inner.next()? {
                if number == 1 {
                    item(&inner, wire, list, &mut items)?;
                }
            }
            Value::Array(items)
        }
        // no map of maps exists
        Type::Map(_) => Value::Null,
        ty => special(reader.inside(wire.bytes()?)?, ty)?,
    })
}

/// Types that are messages of their own in protobuf and something else in JSON.
fn special(mut reader: Reader<'_>, ty: &Type) -> Result<Value, DecodeError> {
    let mut wires = [None; 4];
    let mut repeated = Vec::new();
    while let Some((number, wire)) = reader.next()? {
        if let Some(slot) = wires.get_mut(number as usize) {
            *slot = Some(wire);
        }
        if number == 2 && matches!(ty, Type::SchemaOr(_)) {
            repeated.push(wire);
        }
    }
    let number = |at: usize| wires[at].map_or(Ok(0), Wire::number);
    let text = |at: usize| wires[at].map_or(Ok(String::new()), Wire::text);
    let bytes = |at: usize| wires[at].map_or(Ok(&b""[..]), Wire::bytes);
    Ok(match ty {
        Type::IntOrString if number(1)? == 0 => (number(2)? as i32).into(),
        Type::IntOrString => text(3)?.into(),
        Type::Quantity => match text(1)?.as_str() {
            "" => "0".into(),
            written => scalar::quantity(written).map_err(DecodeError::Scalar)?,
        },
        Type::Duration => scalar::format_duration(number(1)? as i64).into(),
        Type::Time | Type::MicroTime => time(number(1)? as i64, number(2)? as i64, ty)?,
        Type::SchemaOr(or) => return schema_or(&reader, *or, wires, &repeated),
        _ => opaque(bytes(1)?)?,
    })
}

fn time(seconds: i64, nanoseconds: i64, ty: &Type) -> Result<Value, DecodeError> {
    if seconds == 0 && nanoseconds == 0 {
        return Ok(Value::Null);
    }
    let nanoseconds = i32::try_from(nanoseconds).map_err(|_| broken("nanoseconds out of range"))?;
    let time = Timestamp::new(seconds, nanoseconds).map_err(|_| broken("a time out of range"))?;
    let format = if matches!(ty, Type::Time) { scalar::format_time } else { scalar::format_micro_time };
    Ok(format(time).into())
}

/// Bytes that hold JSON, or a whole document in protobuf.
fn opaque(bytes: &[u8]) -> Result<Value, DecodeError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    if bytes.starts_with(super::MAGIC) {
        return super::decode_nested(bytes);
    }
    super::super::json::parse(bytes)
}

fn schema_or(
    reader: &Reader<'_>,
    or: SchemaOr,
    wires: [Option<Wire<'_>>; 4],
    repeated: &[Wire<'_>],
) -> Result<Value, DecodeError> {
    let package = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1";
    let of = builtin().struct_named(package, "JSONSchemaProps").expect("the table has JSONSchemaProps");
    let schema = |wire: Wire<'_>| single(reader, wire, &Type::Struct(of.clone()), Value::Null);
    Ok(match (or, wires[1], wires[2]) {
        (SchemaOr::Bool, _, Some(wire)) => schema(wire)?,
        (SchemaOr::Bool, allows, None) => (allows.map_or(Ok(0), Wire::number)? != 0).into(),
        (_, Some(wire), None) => schema(wire)?,
        (SchemaOr::Schemas, _, _) => Value::Array(repeated.iter().map(|wire| schema(*wire)).collect::<Result<_, _>>()?),
        (SchemaOr::Strings, _, _) => {
            Value::Array(repeated.iter().map(|wire| Ok(wire.text()?.into())).collect::<Result<_, DecodeError>>()?)
        }
    })
}
