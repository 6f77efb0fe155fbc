//! What the kind of definitions does by itself.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::definition;
use crate::field::Errors;
use crate::policy::read::{put, same};
use crate::policy::{NameRule, Policy, read};

/// The finalizer that holds a definition until its objects are gone.
pub const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// The policy of `CustomResourceDefinition`.
pub static POLICY: Policy = Policy {
    defaults,
    prepare_create,
    prepare_update,
    prepare_status,
    validate: |new, errors| definition::check(new, None, errors),
    validate_update: |new, old, errors| definition::check(new, Some(old), errors),
    validate_status: |_: &Value, _: &Value, _: &mut Errors| {},
    update_alone: true,
    warnings: definition::warnings,
    columns: &[crate::policy::Column::NAME, CREATED],
    cells: |object, _: Timestamp| vec![read::name_cell(object), object["metadata"]["creationTimestamp"].clone()],
    name: NameRule::Subdomain,
    unconditional_update: false,
    on_delete,
    held: |object| condition(object, "Terminating") != "False",
    ..Policy::NEUTRAL
};

const CREATED: crate::policy::Column = crate::policy::Column {
    name: "Created At",
    kind: "date",
    format: "",
    description: "When the definition was made.",
    priority: 0,
};

fn defaults(new: &mut Value) {
    let kind = new["spec"]["names"]["kind"].as_str().unwrap_or_default().to_owned();
    let empty = |value: &Value| value.as_str().is_none_or(str::is_empty);
    if !kind.is_empty() && new["spec"]["names"].is_object() {
        if empty(&new["spec"]["names"]["singular"]) {
            put(new, &["spec", "names", "singular"], kind.to_lowercase());
        }
        if empty(&new["spec"]["names"]["listKind"]) {
            put(new, &["spec", "names", "listKind"], format!("{kind}List"));
        }
    }
    if new["spec"].is_object() && new["spec"]["conversion"].is_null() {
        put(new, &["spec", "conversion"], json!({"strategy": "None"}));
    }
}

fn prepare_create(new: &mut Value) {
    read::take(new, &["status"]);
    put(new, &["metadata", "generation"], 1);
    add_stored_version(new);
}

fn prepare_update(new: &mut Value, old: &Value) {
    match old.get("status") {
        Some(status) => put(new, &["status"], status.clone()),
        None => drop(read::take(new, &["status"])),
    }
    let generation = old["metadata"]["generation"].as_i64().unwrap_or(0);
    let changed = !same(&new["spec"], &old["spec"]);
    put(new, &["metadata", "generation"], generation + i64::from(changed));
    add_stored_version(new);
}

fn prepare_status(new: &mut Value, old: &Value) {
    put(new, &["spec"], old["spec"].clone());
    put(new, &["metadata", "generation"], old["metadata"]["generation"].clone());
}

/// A deleted definition stays until its objects are gone.
fn on_delete(object: &mut Value) {
    let mut finalizers = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        finalizers.push(FINALIZER.into());
    }
    put(object, &["metadata", "finalizers"], finalizers);
    let now = object["metadata"]["deletionTimestamp"].as_str().unwrap_or_default().to_owned();
    let message = "CustomResource deletion is in progress";
    set_condition(object, "Terminating", true, "InstanceDeletionPending", message, &now);
}

/// The version that objects are stored in from now on is among those that they may be stored in.
fn add_stored_version(new: &mut Value) {
    let versions = new["spec"]["versions"].as_array().into_iter().flatten();
    let storage = versions.filter(|version| version["storage"] == true).find_map(|version| version["name"].as_str());
    let Some(storage) = storage.map(Value::from) else { return };
    let mut stored = new["status"]["storedVersions"].as_array().cloned().unwrap_or_default();
    if !stored.contains(&storage) {
        stored.push(storage);
        put(new, &["status", "storedVersions"], stored);
    }
}

/// The status of a condition; empty if it is not there.
pub fn condition<'o>(object: &'o Value, kind: &str) -> &'o str {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.filter(|condition| condition["type"] == kind).find_map(|c| c["status"].as_str()).unwrap_or_default()
}

/// Sets a condition; its time changes only with its status. Tells whether anything changed.
pub fn set_condition(object: &mut Value, kind: &str, status: bool, reason: &str, message: &str, now: &str) -> bool {
    let status = if status { "True" } else { "False" };
    let mut conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let generation = object["metadata"]["generation"].clone();
    let mut next = json!({
        "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now,
    });
    if !generation.is_null() {
        next["observedGeneration"] = generation;
    }
    match conditions.iter_mut().find(|condition| condition["type"] == kind) {
        Some(old) => {
            if old["status"] == status {
                next["lastTransitionTime"] = old["lastTransitionTime"].clone();
            }
            if *old == next {
                return false;
            }
            *old = next;
        }
        None => conditions.push(next),
    }
    put(object, &["status", "conditions"], conditions);
    true
}
