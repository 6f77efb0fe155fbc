//! Labels that the server joins into the selectors of affinity and spread when a pod is made.

use serde_json::{Value, json};

use crate::policy::read::{Read, at_mut, each, put};

/// Adds an expression for every key of `matchLabelKeys` and `mismatchLabelKeys` that the pod has a label of.
pub fn join(pod: &mut Value) {
    let labels = pod["metadata"]["labels"].clone();
    let Some(spec) = at_mut(pod, &["spec"]) else { return };
    for constraint in each(spec, &["topologySpreadConstraints"]) {
        add(constraint, "matchLabelKeys", "In", &labels);
    }
    let Some(affinity) = at_mut(spec, &["affinity"]) else { return };
    for kind in ["podAffinity", "podAntiAffinity"] {
        for term in each(affinity, &[kind, "requiredDuringSchedulingIgnoredDuringExecution"]) {
            both(term, &labels);
        }
        for weighted in each(affinity, &[kind, "preferredDuringSchedulingIgnoredDuringExecution"]) {
            if let Some(term) = at_mut(weighted, &["podAffinityTerm"]) {
                both(term, &labels);
            }
        }
    }
}

fn both(term: &mut Value, labels: &Value) {
    add(term, "matchLabelKeys", "In", labels);
    add(term, "mismatchLabelKeys", "NotIn", labels);
}

fn add(term: &mut Value, field: &str, operator: &str, labels: &Value) {
    if term["labelSelector"].is_null() {
        return;
    }
    let keys = term[field].items().to_vec();
    for key in keys {
        let Some(value) = labels.get(key.text()) else { continue };
        let expression = json!({ "key": key, "operator": operator, "values": [value] });
        match at_mut(term, &["labelSelector", "matchExpressions"]).and_then(Value::as_array_mut) {
            Some(list) => list.push(expression),
            None => put(term, &["labelSelector", "matchExpressions"], json!([expression])),
        }
    }
}
