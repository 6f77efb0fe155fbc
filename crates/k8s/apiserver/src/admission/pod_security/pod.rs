//! A view of a pod's spec that the security checks walk: its containers of all sorts, with paths and quoting of names.

use serde_json::Value;

/// The metadata and spec of a pod or of a pod template.
#[derive(Clone, Copy)]
pub struct Pod<'a> {
    /// Labels and annotations are read from here.
    pub metadata: &'a Value,
    /// The pod's spec.
    pub spec: &'a Value,
}

impl<'a> Pod<'a> {
    /// A pod or template from an object that has `metadata` and `spec`.
    pub fn of(object: &'a Value) -> Pod<'a> {
        Pod {
            metadata: object.get("metadata").unwrap_or(&Value::Null),
            spec: object.get("spec").unwrap_or(&Value::Null),
        }
    }

    /// Init containers, containers and ephemeral containers, in this order.
    pub fn containers(&self) -> impl Iterator<Item = &'a Value> {
        ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|list| items(self.spec, list))
    }

    /// The pod's own security context, `Null` if there is none.
    pub fn context(&self) -> &'a Value {
        self.spec.get("securityContext").unwrap_or(&Value::Null)
    }

    /// Whether the pod says that it runs on Windows.
    pub fn windows(&self) -> bool {
        self.spec.pointer("/os/name").and_then(Value::as_str) == Some("windows")
    }
}

/// The list at `key`, empty if there is none.
pub fn items<'a>(of: &'a Value, key: &str) -> &'a [Value] {
    of.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The text at `key`, empty if there is none.
pub fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of.get(key).and_then(Value::as_str).unwrap_or("")
}

/// A container's name.
pub fn name(container: &Value) -> &str {
    text(container, "name")
}

/// `"a", "b"`.
pub fn quoted<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    names.into_iter().map(|n| format!("{:?}", n.as_ref())).collect::<Vec<_>>().join(", ")
}

/// `one` for a count of one, `many` otherwise.
pub fn plural<'a>(one: &'a str, many: &'a str, count: usize) -> &'a str {
    if count == 1 { one } else { many }
}

/// `container "a"` or `containers "a", "b"`.
pub fn named_containers(names: &[&str]) -> String {
    format!("{} {}", plural("container", "containers", names.len()), quoted(names))
}

/// `pod`, `container "a"` or `pod and containers "a", "b"`: those who set something.
pub fn setters(pod: bool, names: &[&str]) -> String {
    match (pod, names.is_empty()) {
        (true, true) => "pod".to_owned(),
        (true, false) => format!("pod and {}", named_containers(names)),
        (false, _) => named_containers(names),
    }
}
