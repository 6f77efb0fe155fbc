//! PodDisruptionBudget.

use serde_json::Value;

use crate::field::Errors;
use crate::kinds::apps::rollout::{at_most_all, int_or_percent};
use crate::policy::read::{Read, age_cell, name_cell};
use crate::policy::{At, Column, Policy, check};

/// The policy of disruption budgets.
pub static POLICY: Policy = Policy {
    validate,
    validate_status: |new, _, errors| {
        let root = At::root(new);
        let status = root.get("status");
        for field in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
            check::nonnegative(&status.get(field), errors);
        }
    },
    columns: &[
        Column::NAME,
        Column::text("Min Available", "How many pods must be available at least."),
        Column::text("Max Unavailable", "How many pods may be unavailable at most."),
        Column::integer("Allowed Disruptions", "How many pods may be disrupted now."),
        Column::AGE,
    ],
    cells: |budget, now| {
        let shown = |field: &str| match &budget["spec"][field] {
            Value::Null => "N/A".into(),
            Value::String(text) => Value::from(text.as_str()),
            number => number.to_string().into(),
        };
        let allowed = budget["status"]["disruptionsAllowed"].int().unwrap_or(0);
        let (least, most) = (shown("minAvailable"), shown("maxUnavailable"));
        vec![name_cell(budget), least, most, allowed.into(), age_cell(budget, now)]
    },
    ..Policy::SPEC_STATUS
};

fn validate(budget: &Value, errors: &mut Errors) {
    let root = At::root(budget);
    let spec = root.get("spec");
    let (least, most) = (spec.get("minAvailable"), spec.get("maxUnavailable"));
    if least.is_set() && most.is_set() {
        spec.invalid(errors, "minAvailable and maxUnavailable cannot be both set");
    }
    for at in [&least, &most] {
        if at.is_set() {
            int_or_percent(at, errors);
            at_most_all(at, errors);
        }
    }
    check::label_selector(&spec.get("selector"), errors);
    check::one_of(&spec.get("unhealthyPodEvictionPolicy"), &["AlwaysAllow", "IfHealthyBudget"], errors);
}
