//! HorizontalPodAutoscaler, in the form of autoscaling/v2, and Scale.

use serde_json::{Value, json};

use super::{convert, metrics};
use crate::field::Errors;
use crate::names;
use crate::policy::read::{Read, age_cell, at_mut, name_cell, or_set, put};
use crate::policy::{At, Column, Policy, check};

/// The policy of autoscalers.
pub static POLICY: Policy = Policy {
    defaults,
    validate: |object, errors| validate_spec(&At::root(object).get("spec"), errors),
    validate_status: |new, _, errors| {
        let root = At::root(new);
        let status = root.get("status");
        check::nonnegative(&status.get("currentReplicas"), errors);
        // the name is Kubernetes'
        let desired = status.named("desiredReplicasa", &new["status"]["desiredReplicas"]);
        check::nonnegative(&desired, errors);
    },
    columns: &[
        Column::NAME,
        Column::text("Reference", "What is scaled."),
        Column::text("Targets", "Measures now, and what they should be."),
        Column::text("MinPods", "How many pods there are at least."),
        Column::text("MaxPods", "How many pods there are at most."),
        Column::integer("Replicas", "How many pods there are."),
        Column::AGE,
    ],
    cells: |object, now| {
        let (spec, status) = (&object["spec"], &object["status"]);
        let target = &spec["scaleTargetRef"];
        let least = spec["minReplicas"].int().map_or("<unset>".to_owned(), |count| count.to_string());
        vec![
            name_cell(object),
            format!("{}/{}", target["kind"].text(), target["name"].text()).into(),
            metrics::shown(&spec["metrics"], &status["currentMetrics"]).into(),
            least.into(),
            spec["maxReplicas"].int().unwrap_or(0).to_string().into(),
            status["currentReplicas"].int().unwrap_or(0).into(),
            age_cell(object, now),
        ]
    },
    convert: Some(convert::convert),
    ..Policy::SPEC_STATUS
};

/// The policy of the scale of a workload.
pub static SCALE: Policy = Policy {
    validate: |scale, errors| check::nonnegative(&At::root(scale).down(&["spec", "replicas"]), errors),
    columns: &[Column::NAME, Column { name: "Created At", kind: "date", ..Column::AGE }],
    cells: |scale, _| vec![name_cell(scale), scale["metadata"]["creationTimestamp"].clone()],
    ..Policy::NEUTRAL
};

/// The measure that is used where none is named: 80 % of the processor time that was asked for.
pub fn default_metric() -> Value {
    json!({
        "type": "Resource",
        "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 80 } },
    })
}

fn defaults(object: &mut Value) {
    let Some(spec) = at_mut(object, &["spec"]).filter(|spec| spec.is_object()) else { return };
    or_set(spec, "minReplicas", 1);
    if spec["metrics"].is_unset() {
        put(spec, &["metrics"], json!([default_metric()]));
    }
    let percent = json!({ "type": "Percent", "value": 100, "periodSeconds": 15 });
    let pods = json!({ "type": "Pods", "value": 4, "periodSeconds": 15 });
    let Some(behavior) = at_mut(spec, &["behavior"]).filter(|behavior| behavior.is_object()) else { return };
    for (direction, policies) in [("scaleUp", json!([pods, percent])), ("scaleDown", json!([percent]))] {
        if behavior[direction].is_null() {
            put(behavior, &[direction], json!({}));
        }
        let Some(rules) = at_mut(behavior, &[direction]) else { continue };
        if direction == "scaleUp" {
            or_set(rules, "stabilizationWindowSeconds", 0);
        }
        or_set(rules, "selectPolicy", "Max");
        if rules["policies"].is_unset() {
            put(rules, &["policies"], policies);
        }
    }
}

fn validate_spec(spec: &At, errors: &mut Errors) {
    let (least, most) = (spec.get("minReplicas"), spec.get("maxReplicas"));
    if least.int().is_some_and(|count| count < 1) {
        least.invalid(errors, "must be greater than or equal to 1");
    }
    let count = most.int().unwrap_or(0);
    if count < 1 {
        most.invalid_value(errors, count, "must be greater than 0");
    }
    if least.int().is_some_and(|least| count < least) {
        most.invalid_value(errors, count, "must be greater than or equal to `minReplicas`");
    }
    reference(&spec.get("scaleTargetRef"), errors);
    for metric in spec.get("metrics").each() {
        metrics::validate(&metric, errors);
    }
    let behavior = spec.get("behavior");
    for direction in ["scaleUp", "scaleDown"] {
        if behavior[direction].is_set() {
            rules(&behavior.get(direction), errors);
        }
    }
}

/// Checks a reference to an object of any kind.
pub fn reference(reference: &At, errors: &mut Errors) {
    for field in ["kind", "name"] {
        let at = reference.get(field);
        if at.needed(errors) {
            check::messages(&at, names::path_segment(at.text()), errors);
        }
    }
}

fn rules(rules: &At, errors: &mut Errors) {
    let window = rules.get("stabilizationWindowSeconds");
    if window.int().is_some_and(|seconds| seconds < 0) {
        window.invalid(errors, "must be greater than or equal to zero");
    } else if window.int().is_some_and(|seconds| seconds > 3600) {
        window.invalid(errors, "must be less than or equal to 3600");
    }
    check::one_of(&rules.get("selectPolicy"), &["Disabled", "Max", "Min"], errors);
    let tolerance = rules.get("tolerance");
    if crate::quantity::Quantity::from_value(tolerance.value()).is_ok_and(|tolerance| tolerance.sign() < 0) {
        tolerance.invalid(errors, check::NEGATIVE);
    }
    let policies = rules.get("policies");
    if policies.is_unset() {
        policies.required(errors, "must specify at least one Policy");
    }
    for policy in policies.each() {
        check::one_of(&policy.get("type"), &["Percent", "Pods"], errors);
        for field in ["value", "periodSeconds"] {
            let at = policy.get(field);
            let number = at.int().unwrap_or(0);
            if number <= 0 {
                at.invalid_value(errors, number, check::NOT_POSITIVE);
            }
            if field == "periodSeconds" && number > 1800 {
                at.invalid(errors, "must be less than or equal to 1800");
            }
        }
    }
}
