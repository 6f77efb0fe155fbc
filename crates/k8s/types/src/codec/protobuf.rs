//! Objects as Kubernetes' protobuf: `k8s\0`, then `runtime.Unknown{typeMeta, raw}` with the message of the kind inside.

mod backwards;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use backwards::Backwards;
pub use write::{encode, item, list_head, message, watch_event};

use super::{DecodeError, Decoded, TypeMeta};
use crate::schema::{Struct, Type, builtin};
use read::Reader;
use serde_json::{Map, Value};

/// What every document begins with.
pub const MAGIC: &[u8; 4] = b"k8s\0";

/// `runtime.Unknown`: the numbers of its fields, and of `runtime.TypeMeta` inside.
mod envelope {
    pub(super) const TYPE_META: u32 = 1;
    pub(super) const RAW: u32 = 2;
    pub(super) const CONTENT_ENCODING: u32 = 3;
    pub(super) const CONTENT_TYPE: u32 = 4;
    pub(super) const API_VERSION: u32 = 1;
    pub(super) const KIND: u32 = 2;
}

/// An envelope, opened.
struct Unknown<'a> {
    type_meta: TypeMeta,
    raw: &'a [u8],
    json: bool,
}

/// The kind that a document names.
pub(super) fn type_meta(bytes: &[u8]) -> Result<TypeMeta, DecodeError> {
    Ok(open(bytes)?.type_meta)
}

/// Decodes an object of a type, with its envelope; normalized. Fields of unknown numbers are skipped.
pub fn decode(bytes: &[u8], ty: &Type) -> Result<Decoded, DecodeError> {
    let unknown = open(bytes)?;
    let Type::Struct(of) = ty else { return Err(DecodeError::Protobuf("only kinds are written as protobuf".into())) };
    if unknown.json {
        return super::json::decode(unknown.raw, ty, super::FieldValidation::Ignore);
    }
    let mut value = decode_message(unknown.raw, of)?;
    if let (true, Value::Object(object)) = (of.kind, &mut value) {
        for (name, text) in [("apiVersion", unknown.type_meta.api_version), ("kind", unknown.type_meta.kind)] {
            if !text.is_empty() {
                object.insert(name.to_owned(), text.into());
            }
        }
    }
    Ok(Decoded { value, warnings: Vec::new() })
}

/// Decodes a message without an envelope; normalized.
pub fn decode_message(bytes: &[u8], of: &Struct) -> Result<Value, DecodeError> {
    let mut object = Map::new();
    read::message(Reader::new(bytes), of, &mut object)?;
    super::normalize::normalize_fields(&mut object, of);
    Ok(Value::Object(object))
}

/// A document of any built-in kind, found inside another one.
fn decode_nested(bytes: &[u8]) -> Result<Value, DecodeError> {
    let TypeMeta { api_version, kind } = type_meta(bytes)?;
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let of = builtin().kind(group, version, &kind);
    let of = of.ok_or_else(|| {
        DecodeError::Protobuf(format!("no kind \"{kind}\" is registered for version \"{api_version}\""))
    })?;
    Ok(decode(bytes, &Type::Struct(of))?.value)
}

fn open(bytes: &[u8]) -> Result<Unknown<'_>, DecodeError> {
    let body = bytes.strip_prefix(MAGIC).ok_or_else(|| {
        DecodeError::Protobuf(
            "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]".into(),
        )
    })?;
    let mut unknown = Unknown { type_meta: TypeMeta::default(), raw: b"", json: false };
    let mut reader = Reader::new(body);
    while let Some((number, field)) = reader.next()? {
        match number {
            envelope::TYPE_META => {
                let mut inner = Reader::new(field.bytes()?);
                while let Some((number, field)) = inner.next()? {
                    match number {
                        envelope::API_VERSION => unknown.type_meta.api_version = field.text()?,
                        envelope::KIND => unknown.type_meta.kind = field.text()?,
                        _ => {}
                    }
                }
            }
            envelope::RAW => unknown.raw = field.bytes()?,
            envelope::CONTENT_ENCODING if !field.bytes()?.is_empty() => {
                return Err(DecodeError::Protobuf(format!("content encoding {} is not known", field.text()?)));
            }
            envelope::CONTENT_TYPE => unknown.json = field.bytes()? == b"application/json",
            _ => {}
        }
    }
    Ok(unknown)
}
