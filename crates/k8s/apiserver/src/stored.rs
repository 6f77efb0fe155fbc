//! Objects as they are stored: canonical JSON without a resource version, and what is made of it without parsing.

use std::sync::Arc;

use bytes::Bytes;
use k8s_types::codec;
use k8s_types::status::ApiError;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::catalog::Row;

/// An object as it is stored, and of which revision it is.
#[derive(Clone)]
pub struct Stored {
    /// Its row, of the version that was asked for.
    pub row: Arc<Row>,
    /// Its bytes, of the version in which it is stored.
    pub bytes: Bytes,
    /// Its revision; 0 for one that is not stored (dry run).
    pub revision: u64,
}

impl Stored {
    /// The object in the version it is stored in, with its resource version.
    pub fn value(&self) -> Result<Value, ApiError> {
        parse(&self.bytes, self.revision)
    }

    /// The object in the row's version, with its resource version.
    pub fn in_version(&self) -> Result<Value, ApiError> {
        let mut value = self.value()?;
        self.row.from_stored(&mut value);
        Ok(value)
    }

    /// The JSON of the object in the row's version.
    pub fn json(&self) -> Result<Vec<u8>, ApiError> {
        if self.row.stored.converted {
            return Ok(to_json(&self.in_version()?));
        }
        let mut out = Vec::with_capacity(self.bytes.len() + 44);
        splice(&mut out, &self.bytes, 0, self.row.stored.metadata_at, self.revision);
        Ok(out)
    }
}

/// Writes stored bytes from `from` on with the resource version at its place.
pub fn splice(out: &mut Vec<u8>, bytes: &[u8], from: usize, metadata_at: usize, revision: u64) {
    let at = metadata_at.min(bytes.len());
    out.extend_from_slice(&bytes[from.min(at)..at]);
    if revision != 0 {
        out.extend_from_slice(b"\"resourceVersion\":\"");
        number(out, revision);
        out.extend_from_slice(b"\",");
    }
    out.extend_from_slice(&bytes[at..]);
}

/// Writes a number in decimal.
pub fn number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Parses stored bytes and puts the resource version in.
pub fn parse(bytes: &[u8], revision: u64) -> Result<Value, ApiError> {
    let mut value: Value = serde_json::from_slice(bytes)
        .map_err(|e| ApiError::internal(format_args!("a stored object cannot be read: {e}")))?;
    if revision != 0 {
        k8s_types::object::set_metadata(&mut value, "resourceVersion", revision.to_string());
    }
    Ok(value)
}

/// The bytes to store.
pub fn encode(object: &Value) -> Bytes {
    codec::encode_json(object).into()
}

/// JSON of any value.
pub fn to_json(value: &Value) -> Vec<u8> {
    // writing a JSON value to memory cannot fail
    serde_json::to_vec(value).unwrap_or_default()
}

/// The metadata of a stored object as it was written.
pub fn raw_metadata(bytes: &[u8]) -> Result<&RawValue, ApiError> {
    #[derive(serde::Deserialize)]
    struct Outer<'a> {
        #[serde(borrow)]
        metadata: &'a RawValue,
    }
    let outer: Outer<'_> = serde_json::from_slice(bytes)
        .map_err(|e| ApiError::internal(format_args!("a stored object cannot be read: {e}")))?;
    Ok(outer.metadata)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_revision_is_put_into_stored_bytes() {
        let object = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}, "data": {"b": "c"}});
        let bytes = encode(&object);
        let mut out = Vec::new();
        splice(&mut out, &bytes, 0, codec::prefix_len("ConfigMap", "v1"), 120);
        let value: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value["metadata"], json!({"name": "a", "resourceVersion": "120"}));
        assert_eq!(value, parse(&bytes, 120).unwrap());
        assert_eq!(raw_metadata(&bytes).unwrap().get(), r#"{"name":"a"}"#);
    }
}
