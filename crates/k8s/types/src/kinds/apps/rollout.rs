//! What the workloads of apps have in common: selectors, numbers of pods that may be missing, statuses, warnings.

use serde_json::Value;

use crate::field::Errors;
use crate::kinds::core::{pod_spec, pod_template};
use crate::names;
use crate::policy::read::{Read, at_mut};
use crate::policy::{At, check};
use crate::selector::label::LabelSelector;

/// Checks `selector` and `template` of a workload whose pods run for good.
pub fn selected_template(spec: &At, empty: &str, kind: &str, errors: &mut Errors) {
    let template = spec.get("template");
    let selected = selector(spec, &template, empty, errors);
    pod_template::of_workload(&template, selected, kind, errors);
}

/// Checks `selector`; false when it does not select the template's labels.
pub fn selector(spec: &At, template: &At, empty: &str, errors: &mut Errors) -> bool {
    let selector = spec.get("selector");
    if selector.is_null() {
        selector.required(errors, "");
        return true;
    }
    check::label_selector(&selector, errors);
    if selector["matchLabels"].is_unset() && selector["matchExpressions"].is_unset() {
        selector.invalid(errors, empty);
        return true;
    }
    LabelSelector::from_object(&selector).map_or(true, |selector| selector.matches_object(template))
}

/// A number of pods, or a percentage of them.
pub fn int_or_percent(at: &At, errors: &mut Errors) {
    match at.as_str() {
        Some(text) => check::messages(at, names::percent(text), errors),
        None => check::nonnegative(at, errors),
    }
}

/// A percentage of pods is at most all of them.
pub fn at_most_all(at: &At, errors: &mut Errors) {
    if percent(at).is_some_and(|percent| percent > 100) {
        at.invalid(errors, "must not be greater than 100%");
    }
}

/// Whether a number of pods or a percentage of them says none.
pub fn is_none(value: &Value) -> bool {
    percent(value).or(value.int()).unwrap_or(0) == 0
}

fn percent(value: &Value) -> Option<i64> {
    value.text().strip_suffix('%')?.parse().ok()
}

/// Counts in a status: none below zero, none of `parts` above the whole.
pub fn counts(status: &At, all: &[&str], parts: &[&str], errors: &mut Errors) {
    let number = |field: &str| status[field].int().unwrap_or(0);
    for field in all {
        check::nonnegative(&status.get(field), errors);
    }
    for field in parts {
        if number(field) > number("replicas") {
            status.get(field).invalid(errors, "cannot be greater than status.replicas");
        }
    }
    if number("availableReplicas") > number("readyReplicas") && parts.contains(&"availableReplicas") {
        status.get("availableReplicas").invalid(errors, "cannot be greater than readyReplicas");
    }
}

/// The count of names that were taken never goes back.
pub fn collisions(status: &At, old: &Value, errors: &mut Errors) {
    let count = status.get("collisionCount");
    if count.int().unwrap_or(0) < old["status"]["collisionCount"].int().unwrap_or(0) {
        count.invalid_value(errors, count.int().unwrap_or(0), "cannot be decremented");
    }
}

/// Sets the defaults of `spec.template`.
pub fn template_defaults(object: &mut Value) {
    if let Some(template) = at_mut(object, &["spec", "template"]) {
        pod_spec::defaults::template(template);
    }
}

/// Warnings of a workload with a template: of its name on create, of the template whenever that changes.
pub fn warnings(object: &Value, old: Option<&Value>) -> Vec<String> {
    let mut all = if old.is_none() { name_warning(object) } else { Vec::new() };
    all.extend(pod_spec::warnings::of_template(object, old, &["spec", "template"]));
    all
}

/// A name that becomes part of host names is better a DNS label.
pub fn name_warning(object: &Value) -> Vec<String> {
    let messages = names::dns1123_label(object["metadata"]["name"].text());
    if messages.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is \
         recommended: [{}]",
        messages.join(" ")
    )]
}
