//! The one way in which objects are written: `kind`, `apiVersion` and `metadata` first, everything else sorted, no resource version.
//!
//! So the place of the resource version is known from the kind alone, and it can be put in without parsing: [`prefix_len`], [`with_revision`].

mod yaml;

pub use yaml::encode_yaml;

use serde_json::{Map, Value};

/// The canonical bytes of an object, without `metadata.resourceVersion`.
pub fn encode_json(value: &Value) -> Vec<u8> {
    let empty = Map::new();
    let object = value.as_object().unwrap_or(&empty);
    let metadata = object.get("metadata").and_then(Value::as_object).unwrap_or(&empty);
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(b"{\"kind\":");
    write(&mut out, text("kind"));
    out.extend_from_slice(b",\"apiVersion\":");
    write(&mut out, text("apiVersion"));
    out.extend_from_slice(b",\"metadata\":{");
    members(&mut out, metadata, true, |name| name != "resourceVersion");
    out.push(b'}');
    members(&mut out, object, false, |name| !matches!(name, "kind" | "apiVersion" | "metadata"));
    out.push(b'}');
    out
}

/// How many bytes are before the first field of the metadata: of `{"kind":"K","apiVersion":"g/v","metadata":{`.
pub fn prefix_len(kind: &str, api_version: &str) -> usize {
    r#"{"kind":"","apiVersion":"","metadata":{"#.len() + kind.len() + api_version.len()
}

/// What to put at [`prefix_len`] so that the object has a resource version: `"resourceVersion":"7",`, without the comma if no other field follows.
pub fn with_revision(encoded: &[u8], prefix: usize, revision: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(encoded.len() + 42);
    let (before, after) = encoded.split_at(prefix.min(encoded.len()));
    out.extend_from_slice(before);
    out.extend_from_slice(format!("\"resourceVersion\":\"{revision}\"").as_bytes());
    if after.first() != Some(&b'}') {
        out.push(b',');
    }
    out.extend_from_slice(after);
    out
}

fn members(out: &mut Vec<u8>, object: &Map<String, Value>, mut first: bool, wanted: impl Fn(&str) -> bool) {
    for (name, value) in object {
        if wanted(name) {
            if !first {
                out.push(b',');
            }
            first = false;
            write(out, name);
            out.push(b':');
            write(out, value);
        }
    }
}

fn write<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // writing JSON values to memory cannot fail
    let _ = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn metadata_is_where_the_prefix_ends() {
        let pod = json!({"spec": {"b": 1, "a": "x"}, "metadata": {"name": "p", "resourceVersion": "9", "labels": {}},
            "apiVersion": "v1", "kind": "Pod"});
        let bytes = encode_json(&pod);
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert_eq!(
            text,
            r#"{"kind":"Pod","apiVersion":"v1","metadata":{"labels":{},"name":"p"},"spec":{"a":"x","b":1}}"#
        );
        let prefix = prefix_len("Pod", "v1");
        assert_eq!(&text[..prefix], r#"{"kind":"Pod","apiVersion":"v1","metadata":{"#);
        let with: Value = serde_json::from_slice(&with_revision(&bytes, prefix, 12)).unwrap();
        assert_eq!(with["metadata"]["resourceVersion"], "12");
        assert_eq!(with["metadata"]["name"], "p");
    }

    #[test]
    fn an_object_without_metadata_takes_a_revision() {
        let bytes = encode_json(&json!({"kind": "K", "apiVersion": "g/v"}));
        let with: Value = serde_json::from_slice(&with_revision(&bytes, prefix_len("K", "g/v"), 1)).unwrap();
        assert_eq!(with, json!({"kind": "K", "apiVersion": "g/v", "metadata": {"resourceVersion": "1"}}));
    }
}
