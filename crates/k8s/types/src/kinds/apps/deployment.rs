//! Deployment.

use serde_json::{Value, json};

use super::rollout::{self, at_most_all, int_or_percent, is_none};
use crate::field::{Error, Errors};
use crate::kinds::core::pod_template::{CONTAINERS, IMAGES, SELECTOR, containers};
use crate::kinds::core::replication_controller::count;
use crate::policy::read::{Read, age_cell, at_mut, name_cell, or_set, put, selector_text};
use crate::policy::{At, Column, Policy, ScalePaths, check, prepare};

/// The policy of deployments.
pub static POLICY: Policy = Policy {
    defaults,
    prepare_update: |new, old| {
        prepare::keep_status(new, old);
        // annotations travel to the replica set, so they count
        let annotated = new["metadata"]["annotations"] != old["metadata"]["annotations"];
        if annotated && new["spec"] == old["spec"] {
            let generation = old["metadata"]["generation"].int().unwrap_or(0);
            put(new, &["metadata", "generation"], generation + 1);
        }
    },
    validate,
    validate_update: |new, old, errors| {
        let root = At::root(new);
        check::immutable(&root.down(&["spec", "selector"]), &old["spec"]["selector"], errors);
    },
    validate_status: |new, old, errors| {
        let root = At::root(new);
        let status = root.get("status");
        let all = [
            "replicas",
            "updatedReplicas",
            "readyReplicas",
            "availableReplicas",
            "unavailableReplicas",
            "observedGeneration",
        ];
        rollout::counts(&status, &all, &["updatedReplicas", "readyReplicas", "availableReplicas"], errors);
        rollout::collisions(&status, old, errors);
    },
    warnings: rollout::warnings,
    columns: &[
        Column::NAME,
        Column::text("Ready", "Pods that are ready, of those that are wanted."),
        Column::integer("Up-to-date", "Pods made of the latest template."),
        Column::integer("Available", "Pods that have been ready for long enough."),
        Column::AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    cells: |object, now| {
        let (spec, status) = (&object["spec"], &object["status"]);
        let number = |value: &Value| value.int().unwrap_or(0);
        let [names, images] = containers(&spec["template"]);
        vec![
            name_cell(object),
            format!("{}/{}", number(&status["readyReplicas"]), number(&spec["replicas"])).into(),
            count(&status["updatedReplicas"]),
            count(&status["availableReplicas"]),
            age_cell(object, now),
            names,
            images,
            selector_text(&spec["selector"]).into(),
        ]
    },
    scale: Some(ScalePaths::REPLICAS),
    ..Policy::SPEC_STATUS
};

fn defaults(object: &mut Value) {
    rollout::template_defaults(object);
    let Some(spec) = at_mut(object, &["spec"]).filter(|spec| spec.is_object()) else { return };
    or_set(spec, "replicas", 1);
    or_set(spec, "revisionHistoryLimit", 10);
    or_set(spec, "progressDeadlineSeconds", 600);
    if spec["strategy"]["type"].is_unset() {
        put(spec, &["strategy", "type"], "RollingUpdate");
    }
    if spec["strategy"]["type"].text() == "RollingUpdate" {
        if spec["strategy"]["rollingUpdate"].is_null() {
            put(spec, &["strategy", "rollingUpdate"], json!({}));
        }
        if let Some(rolling) = at_mut(spec, &["strategy", "rollingUpdate"]) {
            or_set(rolling, "maxUnavailable", "25%");
            or_set(rolling, "maxSurge", "25%");
        }
    }
}

fn validate(object: &Value, errors: &mut Errors) {
    let root = At::root(object);
    let spec = root.get("spec");
    check::nonnegative(&spec.get("replicas"), errors);
    rollout::selected_template(&spec, "empty selector is invalid for deployment", "ReplicaSet", errors);
    strategy(&spec.get("strategy"), errors);
    check::nonnegative(&spec.get("minReadySeconds"), errors);
    check::nonnegative(&spec.get("revisionHistoryLimit"), errors);
    let deadline = spec.get("progressDeadlineSeconds");
    check::nonnegative(&deadline, errors);
    if deadline.int().is_some_and(|seconds| seconds <= spec["minReadySeconds"].int().unwrap_or(0)) {
        deadline.invalid(errors, "must be greater than minReadySeconds");
    }
}

fn strategy(strategy: &At, errors: &mut Errors) {
    let rolling = strategy.get("rollingUpdate");
    match strategy["type"].text() {
        "Recreate" => {
            if rolling.is_set() {
                rolling.forbidden(errors, "may not be specified when strategy `type` is 'Recreate'");
            }
        }
        "RollingUpdate" => {
            let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
            int_or_percent(&unavailable, errors);
            int_or_percent(&surge, errors);
            if is_none(&unavailable) && is_none(&surge) {
                unavailable.invalid(errors, "may not be 0 when `maxSurge` is 0");
            }
            at_most_all(&unavailable, errors);
        }
        other => errors.push(Error::not_supported(&strategy.get("type").path(), other, &["Recreate", "RollingUpdate"])),
    }
}
