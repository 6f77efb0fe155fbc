//! Affinity of pods to nodes and to each other, and node selectors.

use crate::field::Errors;
use crate::policy::At;
use crate::policy::check;
use crate::policy::read::Read;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Checks `affinity` of a pod.
pub fn validate(affinity: &At, errors: &mut Errors) {
    let node = affinity.get("nodeAffinity");
    if node[REQUIRED].is_set() {
        node_selector(&node.get(REQUIRED), errors);
    }
    for term in node.get(PREFERRED).each() {
        weight(&term.get("weight"), errors);
        // values are not checked: such a term may be of use where there is one node only
        node_term(&term.get("preference"), false, errors);
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let pods = affinity.get(kind);
        for term in pods.get(REQUIRED).each() {
            pod_term(&term, errors);
        }
        for term in pods.get(PREFERRED).each() {
            weight(&term.get("weight"), errors);
            pod_term(&term.get("podAffinityTerm"), errors);
        }
    }
}

fn weight(weight: &At, errors: &mut Errors) {
    let value = weight.int().unwrap_or(0);
    if !(1..=100).contains(&value) {
        weight.invalid_value(errors, value, "must be in the range 1-100");
    }
}

/// Checks a node selector: at least one term.
pub fn node_selector(selector: &At, errors: &mut Errors) {
    let terms = selector.get("nodeSelectorTerms");
    if terms.is_unset() {
        return terms.required(errors, "must have at least one node selector term");
    }
    for term in terms.each() {
        node_term(&term, true, errors);
    }
}

fn node_term(term: &At, values: bool, errors: &mut Errors) {
    for requirement in term.get("matchExpressions").each() {
        node_requirement(&requirement, values, errors);
    }
    for requirement in term.get("matchFields").each() {
        field_requirement(&requirement, errors);
    }
}

fn node_requirement(requirement: &At, check_values: bool, errors: &mut Errors) {
    let (operator, values) = (requirement.get("operator"), requirement.get("values"));
    let count = values.items().len();
    match operator.text() {
        "In" | "NotIn" if count == 0 => {
            values.required(errors, "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if count > 0 => {
            values.forbidden(errors, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        }
        "Gt" | "Lt" if count != 1 => {
            values.required(errors, "must be specified single value when `operator` is 'Lt' or 'Gt'");
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => operator.invalid_value(errors, other, "not a valid selector operator"),
    }
    label_name(&requirement.get("key"), errors);
    if check_values {
        for value in values.each() {
            check::label_value(&value, errors);
        }
    }
}

fn label_name(key: &At, errors: &mut Errors) {
    for message in crate::names::qualified_name(key.text()) {
        key.invalid_value(errors, key.text(), message);
    }
}

fn field_requirement(requirement: &At, errors: &mut Errors) {
    let (operator, values, key) = (requirement.get("operator"), requirement.get("values"), requirement.get("key"));
    match operator.text() {
        "In" | "NotIn" if values.items().len() != 1 => {
            let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            values.required(errors, detail);
        }
        "In" | "NotIn" => {}
        other => operator.invalid_value(errors, other, "not a valid selector operator"),
    }
    if key.text() != "metadata.name" {
        return key.invalid_value(errors, key.text(), "not a valid field selector key");
    }
    for value in values.each() {
        check::dns_subdomain(&value, errors);
    }
}

fn pod_term(term: &At, errors: &mut Errors) {
    check::label_selector(&term.get("labelSelector"), errors);
    check::label_selector(&term.get("namespaceSelector"), errors);
    for name in term["namespaces"].items() {
        for message in crate::names::dns1123_label(name.text()) {
            term.get("namespace").invalid_value(errors, name.clone(), message);
        }
    }
    label_keys(term, errors);
    let key = term.get("topologyKey");
    if key.is_unset() {
        key.required(errors, "can not be empty");
    }
    label_name(&key, errors);
}

/// `matchLabelKeys` and `mismatchLabelKeys`: label names, not in both, and not in the selector by hand.
fn label_keys(term: &At, errors: &mut Errors) {
    for field in ["matchLabelKeys", "mismatchLabelKeys"] {
        let keys = term.get(field);
        if keys.is_unset() {
            continue;
        }
        if term["labelSelector"].is_null() {
            keys.forbidden(errors, "must not be specified when labelSelector is not set");
            continue;
        }
        for key in keys.each() {
            label_name(&key, errors);
        }
    }
    let matched = term["matchLabelKeys"].items();
    let selector = &term["labelSelector"];
    let mut seen: Vec<&str> = selector["matchLabels"].fields().keys().map(String::as_str).collect();
    for expression in selector["matchExpressions"].items() {
        let key = expression["key"].text();
        if let Some(index) = matched.iter().position(|k| k.text() == key)
            && seen.contains(&key)
        {
            term.index(index).invalid_value(errors, key, "exists in both matchLabelKeys and labelSelector");
        }
        seen.push(key);
    }
    for key in term.get("matchLabelKeys").each() {
        if term["mismatchLabelKeys"].items().iter().any(|other| other == key.value()) {
            key.invalid(errors, "exists in both matchLabelKeys and mismatchLabelKeys");
        }
    }
}
