//! Who owns what after every kind of write.

mod apply;
mod many;
mod update;

use super::*;
use crate::schema::builtin;
use serde_json::json;

const NOW: &str = "2026-01-02T03:04:05Z";
const LATER: &str = "2026-01-02T04:00:00Z";

/// A kind of the built-in table.
fn ty(api_version: &str, kind: &str) -> Type {
    let gvk = object::Gvk::of(api_version, kind);
    Type::Struct(builtin().kind(&gvk.group, &gvk.version, &gvk.kind).expect("is in the table"))
}

/// A write of `manager` to an object of this kind.
fn write<'a>(api_version: &'a str, kind: &'a str, ty: &'a Type, manager: &'a str) -> Request<'a> {
    Request { api_version, kind, ty, manager, subresource: "", now: NOW, reset: &[], versions: &OneVersion }
}

fn config_map(ty: &Type, manager: &'static str, work: impl FnOnce(&Request<'_>)) {
    work(&write("v1", "ConfigMap", ty, manager));
}

fn data(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "default"}, "data": data})
}

/// Who owns what, briefly: `{"kubectl Update": [".data", ".data.a"]}`.
fn owners(object: &Value) -> Value {
    let managers = managers::Managers::decode(object::managed_fields(object)).expect("reads").0;
    let entries = managers.into_iter().map(|entry| {
        let subresource = if entry.identity.subresource.is_empty() {
            String::new()
        } else {
            format!(" {}", entry.identity.subresource)
        };
        let who = format!("{} {}{subresource}", entry.identity.name, entry.identity.operation.as_str());
        (who, Value::from(entry.fields.paths()))
    });
    entries.collect()
}
