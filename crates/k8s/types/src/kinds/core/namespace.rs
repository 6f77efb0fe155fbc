//! Namespace: lives until nothing is left in it.

use serde_json::{Value, json};

use crate::field::Errors;
use crate::policy::metadata::standard_finalizer;
use crate::policy::read::{Read, age_cell, field_value, name_cell, put, take};
use crate::policy::{At, Column, NameRule, Part, Policy, check, prepare};

/// The label every namespace has its name in.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The policy of namespaces.
pub static POLICY: Policy = Policy {
    defaults: |namespace| {
        name_label(namespace);
        if namespace["status"]["phase"].is_unset() {
            put(namespace, &["status", "phase"], "Active");
        }
    },
    prepare_create: |namespace| {
        name_label(namespace);
        put(namespace, &["status"], json!({ "phase": "Active" }));
        let list = namespace["spec"]["finalizers"].items();
        if !list.iter().any(|f| f.text() == "kubernetes") {
            let mut list = list.to_vec();
            list.push("kubernetes".into());
            put(namespace, &["spec", "finalizers"], list);
        }
    },
    prepare_update: |new, old| {
        match old["spec"].get("finalizers") {
            Some(list) => put(new, &["spec", "finalizers"], list.clone()),
            None => {
                take(new, &["spec", "finalizers"]);
            }
        }
        prepare::status_from(new, old);
    },
    prepare_status: prepare::only_status,
    validate: |new, errors| finalizers(new, errors),
    validate_status,
    columns: &[Column::NAME, Column::text("Status", "Phase of the namespace."), Column::AGE],
    cells: |namespace, now| {
        vec![name_cell(namespace), namespace["status"]["phase"].text().into(), age_cell(namespace, now)]
    },
    field: |namespace, path| match path {
        "name" => namespace["metadata"]["name"].text().to_owned(),
        _ => field_value(namespace, path),
    },
    parts: &[Part {
        name: "finalize",
        prepare: |new, old| {
            prepare::status_from(new, old);
            for field in ["labels", "annotations", "finalizers"] {
                if let Some(value) = old["metadata"].get(field) {
                    put(new, &["metadata", field], value.clone());
                }
            }
        },
        validate: |new, _, errors| finalizers(new, errors),
    }],
    name: NameRule::Label,
    on_delete: |namespace| put(namespace, &["status", "phase"], "Terminating"),
    held: |namespace| !namespace["spec"]["finalizers"].is_unset(),
    ..Policy::NEUTRAL
};

fn name_label(namespace: &mut Value) {
    let name = namespace["metadata"]["name"].text().to_owned();
    if !name.is_empty() {
        put(namespace, &["metadata", "labels", NAME_LABEL], name);
    }
}

fn finalizers(namespace: &Value, errors: &mut Errors) {
    let root = At::root(namespace);
    let list = root.down(&["spec", "finalizers"]);
    for finalizer in list.each() {
        check::qualified_name(&list.with(finalizer.value()), errors);
        standard_finalizer(&finalizer, &list, errors);
    }
}

fn validate_status(new: &Value, _old: &Value, errors: &mut Errors) {
    let root = At::root(new);
    let phase = root.down(&["status", "phase"]);
    let told = root.down(&["status", "Phase"]);
    match new["metadata"]["deletionTimestamp"].is_set() {
        false if phase.text() != "Active" => {
            told.invalid_value(errors, phase.text(), "may only be 'Active' if `deletionTimestamp` is empty");
        }
        true if phase.text() != "Terminating" => {
            told.invalid_value(errors, phase.text(), "may only be 'Terminating' if `deletionTimestamp` is not empty");
        }
        _ => {}
    }
}
