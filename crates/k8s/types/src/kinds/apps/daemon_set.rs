//! DaemonSet.

use serde_json::{Value, json};

use super::rollout::{self, at_most_all, int_or_percent, is_none};
use crate::field::{Error, Errors};
use crate::kinds::core::pod_template::{CONTAINERS, IMAGES, SELECTOR, containers, or_none};
use crate::kinds::core::replication_controller::count;
use crate::policy::read::{Read, age_cell, at_mut, labels_text, name_cell, or_set, put, selector_text};
use crate::policy::{At, Column, Policy, check, prepare};

/// Counts the templates there have been; a relic that clients still see.
const TEMPLATE_GENERATION: [&str; 3] = ["metadata", "annotations", "deprecated.daemonset.template.generation"];

/// The policy of daemon sets.
pub static POLICY: Policy = Policy {
    defaults,
    prepare_create: |new| {
        prepare::first_generation(new);
        put(new, &TEMPLATE_GENERATION, "1");
    },
    prepare_update: |new, old| {
        prepare::keep_status(new, old);
        let changed = new["spec"]["template"] != old["spec"]["template"];
        let before: i64 = crate::policy::read::at(old, &TEMPLATE_GENERATION).text().parse().unwrap_or(0);
        put(new, &TEMPLATE_GENERATION, (before + i64::from(changed)).to_string());
    },
    validate,
    validate_update: |new, old, errors| {
        let root = At::root(new);
        check::immutable(&root.down(&["spec", "selector"]), &old["spec"]["selector"], errors);
    },
    validate_status: |new, old, errors| {
        let root = At::root(new);
        let status = root.get("status");
        let counts = [
            "currentNumberScheduled",
            "numberMisscheduled",
            "desiredNumberScheduled",
            "numberReady",
            "observedGeneration",
            "updatedNumberScheduled",
            "numberAvailable",
            "numberUnavailable",
        ];
        rollout::counts(&status, &counts, &[], errors);
        rollout::collisions(&status, old, errors);
    },
    warnings: rollout::warnings,
    columns: &[
        Column::NAME,
        Column::integer("Desired", "Nodes that should have a pod."),
        Column::integer("Current", "Nodes that should have a pod and do."),
        Column::integer("Ready", "Nodes whose pod is ready."),
        Column::integer("Up-to-date", "Nodes whose pod is made of the latest template."),
        Column::integer("Available", "Nodes whose pod has been ready for long enough."),
        Column::text("Node Selector", "Labels that nodes must have."),
        Column::AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ],
    cells: |object, now| {
        let (spec, status) = (&object["spec"], &object["status"]);
        let [names, images] = containers(&spec["template"]);
        vec![
            name_cell(object),
            count(&status["desiredNumberScheduled"]),
            count(&status["currentNumberScheduled"]),
            count(&status["numberReady"]),
            count(&status["updatedNumberScheduled"]),
            count(&status["numberAvailable"]),
            or_none(labels_text(&spec["template"]["spec"]["nodeSelector"])),
            age_cell(object, now),
            names,
            images,
            selector_text(&spec["selector"]).into(),
        ]
    },
    ..Policy::SPEC_STATUS
};

fn defaults(object: &mut Value) {
    rollout::template_defaults(object);
    let Some(spec) = at_mut(object, &["spec"]).filter(|spec| spec.is_object()) else { return };
    or_set(spec, "revisionHistoryLimit", 10);
    if spec["updateStrategy"]["type"].is_unset() {
        put(spec, &["updateStrategy", "type"], "RollingUpdate");
    }
    if spec["updateStrategy"]["type"].text() == "RollingUpdate" {
        if spec["updateStrategy"]["rollingUpdate"].is_null() {
            put(spec, &["updateStrategy", "rollingUpdate"], json!({}));
        }
        if let Some(rolling) = at_mut(spec, &["updateStrategy", "rollingUpdate"]) {
            or_set(rolling, "maxUnavailable", 1);
            or_set(rolling, "maxSurge", 0);
        }
    }
}

fn validate(object: &Value, errors: &mut Errors) {
    let root = At::root(object);
    let spec = root.get("spec");
    rollout::selected_template(&spec, "empty selector is invalid for daemonset", "DaemonSet", errors);
    check::nonnegative(&spec.get("minReadySeconds"), errors);
    check::nonnegative(&spec.get("revisionHistoryLimit"), errors);
    let strategy = spec.get("updateStrategy");
    let rolling = strategy.get("rollingUpdate");
    match strategy["type"].text() {
        "OnDelete" => {}
        "RollingUpdate" if rolling.is_null() => rolling.required(errors, ""),
        "RollingUpdate" => {
            let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
            int_or_percent(&unavailable, errors);
            int_or_percent(&surge, errors);
            match (is_none(&unavailable), is_none(&surge)) {
                (false, false) => surge.invalid(errors, "may not be set when maxUnavailable is non-zero"),
                (true, true) => unavailable.required(errors, "cannot be 0 when maxSurge is 0"),
                _ => {}
            }
            at_most_all(&unavailable, errors);
            at_most_all(&surge, errors);
        }
        other => {
            let supported = ["RollingUpdate", "OnDelete"];
            errors.push(Error::not_supported(&strategy.get("type").path(), other, &supported));
        }
    }
}
