//! ReplicationController: the first of the workloads.

use jiff::Timestamp;
use serde_json::Value;

use super::pod_template::{self, CONTAINERS, IMAGES, SELECTOR, containers, or_none};
use crate::field::Errors;
use crate::policy::read::{Read, age_cell, at_mut, field_value, labels_text, name_cell, or_set, put};
use crate::policy::{At, Column, Policy, ScalePaths, ScaleSelector, check};

/// The policy of replication controllers.
pub static POLICY: Policy = Policy {
    defaults,
    validate,
    validate_status: |new, _, errors| replica_status(&At::root(new).get("status"), errors),
    warnings: |new, old| super::pod_spec::warnings::of_template(new, old, &["spec", "template"]),
    columns: COLUMNS,
    cells: |object, now| cells(object, or_none(labels_text(&object["spec"]["selector"])), now),
    scale: Some(ScalePaths {
        spec: &["spec", "replicas"],
        status: &["status", "replicas"],
        selector: ScaleSelector::Map(&["spec", "selector"]),
    }),
    field: count_field,
    orphan: true,
    ..Policy::SPEC_STATUS
};

/// Columns of what keeps a number of pods.
pub const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::integer("Desired", "Pods that are wanted."),
    Column::integer("Current", "Pods that there are."),
    Column::integer("Ready", "Pods that are ready."),
    Column::AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

/// Their cells; selectors are of two forms.
pub fn cells(object: &Value, selector: Value, now: Timestamp) -> Vec<Value> {
    let [names, images] = containers(&object["spec"]["template"]);
    vec![
        name_cell(object),
        count(&object["spec"]["replicas"]),
        count(&object["status"]["replicas"]),
        count(&object["status"]["readyReplicas"]),
        age_cell(object, now),
        names,
        images,
        selector,
    ]
}

/// A number as a cell, 0 where there is none.
pub fn count(value: &Value) -> Value {
    value.int().unwrap_or(0).into()
}

/// A selectable number, which is 0 where there is none.
pub fn count_field(object: &Value, path: &str) -> String {
    match field_value(object, path) {
        none if none.is_empty() && path == "status.replicas" => "0".to_owned(),
        text => text,
    }
}

fn defaults(object: &mut Value) {
    let Some(spec) = at_mut(object, &["spec"]) else { return };
    or_set(spec, "replicas", 1);
    if let Some(template) = at_mut(spec, &["template"]) {
        pod_template_defaults(template);
    }
    let labels = spec["template"]["metadata"]["labels"].clone();
    if labels.is_null() {
        return;
    }
    if spec["selector"].is_unset() {
        put(spec, &["selector"], labels.clone());
    }
    if object["metadata"]["labels"].is_unset() {
        put(object, &["metadata", "labels"], labels);
    }
}

fn pod_template_defaults(template: &mut Value) {
    super::pod_spec::defaults::template(template);
}

fn validate(object: &Value, errors: &mut Errors) {
    let root = At::root(object);
    let spec = root.get("spec");
    check::nonnegative(&spec.get("minReadySeconds"), errors);
    let selector = spec.get("selector");
    selector.needed(errors);
    check::nonnegative(&spec.get("replicas"), errors);
    let template = spec.get("template");
    if template.needed(errors) {
        let labels = &template["metadata"]["labels"];
        let selected = selector.fields().iter().all(|(key, value)| labels.get(key) == Some(value));
        pod_template::of_workload(&template, selected, "ReplicationController", errors);
    }
}

/// Checks the counts in a status: none below zero, no part above the whole.
pub fn replica_status(status: &At, errors: &mut Errors) {
    let number = |field: &str| status[field].int().unwrap_or(0);
    for field in ["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"] {
        check::nonnegative(&status.get(field), errors);
    }
    for field in ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"] {
        if number(field) > number("replicas") {
            status.get(field).invalid(errors, "cannot be greater than status.replicas");
        }
    }
    if number("availableReplicas") > number("readyReplicas") {
        status.get("availableReplicas").invalid(errors, "cannot be greater than readyReplicas");
    }
}
