//! Objects as Kubernetes' protobuf: `k8s\0`, then `runtime.Unknown{typeMeta, raw}` with the message of the kind inside.

use super::{DecodeError, Decoded, TypeMeta};
use crate::schema::Type;
use serde_json::Value;

/// What every document begins with.
pub const MAGIC: &[u8; 4] = b"k8s\0";

/// The kind that a document names.
pub(super) fn type_meta(_bytes: &[u8]) -> Result<TypeMeta, DecodeError> {
    Err(DecodeError::Protobuf("not there yet".into()))
}

/// Decodes an object of a type, with its envelope; normalized.
pub fn decode(_bytes: &[u8], _ty: &Type) -> Result<Decoded, DecodeError> {
    Err(DecodeError::Protobuf("not there yet".into()))
}

/// Encodes an object of a type, with its envelope; the kind is what the object says it is.
pub fn encode(_value: &Value, _ty: &Type) -> Vec<u8> {
    Vec::new()
}

/// A list encoded item by item, so that a long one never has to be there as values.
pub struct ListEncoder {
    out: Vec<u8>,
}

impl ListEncoder {
    /// Begins a list: its kind and version, its metadata (`resourceVersion`, `continue`, `remainingItemCount`).
    pub fn new(_api_version: &str, _kind: &str, _metadata: &Value) -> Self {
        ListEncoder { out: Vec::new() }
    }

    /// Adds an object of the item's type.
    pub fn push(&mut self, _item: &Value, _ty: &Type) {}

    /// The document.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }
}

/// A watch event as one message (frames have a length of four bytes, big endian, before it): its type, such as `ADDED`, and a whole document.
pub fn watch_event(_kind: &str, _object: &[u8]) -> Vec<u8> {
    Vec::new()
}
