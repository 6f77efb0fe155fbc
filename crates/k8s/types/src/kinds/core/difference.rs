//! What differs between two versions of a value, for errors about fields that may not change.

use std::fmt::Write;

use serde_json::Value;

use crate::policy::read::{Read, same};

/// Lines `-  path: old` and `+  path: new` for every place where two values differ.
pub fn between(old: &Value, new: &Value) -> String {
    let mut lines = String::new();
    walk(old, new, &mut String::new(), &mut lines);
    lines
}

fn walk(old: &Value, new: &Value, path: &mut String, lines: &mut String) {
    if same(old, new) {
        return;
    }
    let length = path.len();
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let added = b.keys().filter(|key| !a.contains_key(*key));
            for key in a.keys().chain(added) {
                path.push('.');
                path.push_str(key);
                walk(a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null), path, lines);
                path.truncate(length);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for index in 0..a.len().max(b.len()) {
                let _ = write!(path, "[{index}]");
                walk(a.get(index).unwrap_or(&Value::Null), b.get(index).unwrap_or(&Value::Null), path, lines);
                path.truncate(length);
            }
        }
        _ => {
            for (sign, value) in [('-', old), ('+', new)] {
                if value.is_set() {
                    let _ = writeln!(lines, "{sign}  {}: {value}", path.trim_start_matches('.'));
                }
            }
        }
    }
}
