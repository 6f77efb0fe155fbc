//! JSON values as YAML that every reader understands alike, those of YAML 1.1 too: a string that could be taken for something else stands in quotes.

use serde_json::Value;

/// One document, in block style.
pub fn encode_yaml(value: &Value) -> String {
    let mut out = String::new();
    block(&mut out, value, 0, Start::Line);
    out
}

/// Where a value begins.
#[derive(Clone, Copy, PartialEq)]
enum Start {
    /// At the beginning of a line.
    Line,
    /// After a key.
    Key,
    /// After the dash of an item.
    Dash,
}

fn block(out: &mut String, value: &Value, indent: usize, start: Start) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            let inner = if start == Start::Line { indent } else { indent + 2 };
            for (at, (name, value)) in object.iter().enumerate() {
                lead(out, inner, start, at);
                text(out, name);
                out.push(':');
                block(out, value, inner, Start::Key);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            // as is usual, items of a list stand below their key
            let inner = if start == Start::Dash { indent + 2 } else { indent };
            for (at, item) in items.iter().enumerate() {
                lead(out, inner, start, at);
                out.push('-');
                block(out, item, inner, Start::Dash);
            }
        }
        scalar => {
            if start != Start::Line {
                out.push(' ');
            }
            match scalar {
                Value::String(string) => text(out, string),
                // numbers, true, false, null, [] and {} are the same in YAML
                other => out.push_str(&other.to_string()),
            }
            out.push('\n');
        }
    }
}

/// Brings the next member or item to its place; the first one of an item stands behind the dash.
fn lead(out: &mut String, indent: usize, start: Start, at: usize) {
    match (start, at) {
        (Start::Dash, 0) => out.push(' '),
        (Start::Key, 0) => {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
        }
        _ => out.extend(std::iter::repeat_n(' ', indent)),
    }
}

fn text(out: &mut String, string: &str) {
    match is_plain(string) {
        true => out.push_str(string),
        // a JSON string is a YAML string, but for three characters that end lines
        false => {
            for c in Value::from(string).to_string().chars() {
                match c {
                    '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{7f}'..='\u{9f}' => {
                        out.push_str(&format!("\\u{:04x}", c as u32));
                    }
                    c => out.push(c),
                }
            }
        }
    }
}

/// Whether nobody takes a string for anything else: it begins with a letter, holds nothing that means something, and is no word for a truth value.
fn is_plain(string: &str) -> bool {
    let quiet = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '$');
    let word = matches!(
        string.to_ascii_lowercase().as_str(),
        "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
    );
    string.starts_with(|c: char| c.is_ascii_alphabetic()) && string.chars().all(quiet) && !word
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn documents_look_as_people_write_them() {
        let value = json!({"kind": "Pod", "metadata": {"labels": {}, "name": "a", "time": "2024-01-01T00:00:00Z"},
            "spec": {"on": "yes", "list": [[1, 2], {"a": 1, "b": ["x"]}, {"c": {"d": null}}, "0x1f"], "n": 1.5, "t": "a\nb"}});
        let wanted = "kind: Pod\nmetadata:\n  labels: {}\n  name: a\n  time: \"2024-01-01T00:00:00Z\"\nspec:\n  list:\n  - - 1\n    - 2\n  \
            - a: 1\n    b:\n    - x\n  - c:\n      d: null\n  - \"0x1f\"\n  \"n\": 1.5\n  \"on\": \"yes\"\n  t: \"a\\nb\"\n";
        assert_eq!(encode_yaml(&value), wanted);
        assert_eq!(encode_yaml(&json!([])), "[]\n");
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[a-z0-9.:_ #-]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 30, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z~: -]{0,3}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in any_value()) {
            let text = encode_yaml(&value);
            let read: Value = yaml_serde::from_str(&text).map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
            prop_assert_eq!(read, value, "{}", text);
        }
    }
}
