//! Tolerations, gates and the spread of pods over a topology.

use std::collections::HashSet;

use crate::field::{Error, Errors};
use crate::names;
use crate::policy::At;
use crate::policy::check;
use crate::policy::read::Read;

/// Effects of taints.
pub const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// Checks `tolerations`.
pub fn tolerations(list: &At, errors: &mut Errors) {
    for toleration in list.each() {
        let (key, operator) = (toleration.get("key"), toleration.get("operator"));
        let (effect, value) = (toleration.get("effect"), toleration.get("value"));
        if !key.is_unset() {
            check::qualified_name(&key, errors);
        } else if operator.text() != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            operator.invalid_value(errors, operator.text(), detail);
        }
        if toleration["tolerationSeconds"].is_set() && effect.text() != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            effect.invalid_value(errors, effect.text(), detail);
        }
        match operator.text() {
            "Equal" | "" => {
                let messages = names::label_value(value.text());
                if !messages.is_empty() {
                    operator.invalid_value(errors, value.text(), messages.join(";"));
                }
            }
            "Exists" => {
                if !value.is_unset() {
                    let detail = "value must be empty when `operator` is 'Exists'";
                    operator.invalid_value(errors, value.text(), detail);
                }
            }
            _ => operator.not_supported(errors, &["Equal", "Exists"]),
        }
        if !effect.is_unset() {
            check::one_of(&effect, EFFECTS, errors);
        }
    }
}

/// Checks `schedulingGates`.
pub fn gates(list: &At, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for gate in list.each() {
        let name = gate["name"].text();
        for message in names::qualified_name(name) {
            gate.invalid_value(errors, name, message);
        }
        if !seen.insert(name.to_owned()) {
            gate.duplicate_value(errors, name);
        }
    }
}

/// Checks `topologySpreadConstraints`.
pub fn spread(list: &At, errors: &mut Errors) {
    const ACTIONS: &[&str] = &["DoNotSchedule", "ScheduleAnyway"];
    let items = list.value().items();
    for (index, constraint) in list.each().enumerate() {
        let skew = constraint.get("maxSkew");
        if skew.int().unwrap_or(0) <= 0 {
            skew.invalid_value(errors, skew.int().unwrap_or(0), check::NOT_POSITIVE);
        }
        let key = constraint.get("topologyKey");
        if key.is_unset() {
            key.required(errors, "can not be empty");
        }
        let action = constraint.get("whenUnsatisfiable");
        if !ACTIONS.contains(&action.text()) {
            errors.push(Error::not_supported(&action.path(), action.text(), ACTIONS));
        }
        let repeated = |other: &serde_json::Value| {
            other["topologyKey"] == *key.value() && other["whenUnsatisfiable"] == *action.value()
        };
        if items[index + 1..].iter().any(repeated) {
            let pair = format!("{{{}, {}}}", key.text(), action.text());
            constraint.get("{topologyKey, whenUnsatisfiable}").duplicate_value(errors, pair);
        }
        let domains = constraint.get("minDomains");
        check::positive(&domains, errors);
        if domains.is_set() && action.text() != "DoNotSchedule" {
            let found = action.text();
            let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {found}");
            domains.invalid(errors, detail);
        }
        for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            check::one_of(&constraint.get(field), &["Honor", "Ignore"], errors);
        }
        match_label_keys(&constraint, errors);
        check::label_selector(&constraint.get("labelSelector"), errors);
    }
}

fn match_label_keys(constraint: &At, errors: &mut Errors) {
    let (keys, selector) = (constraint.get("matchLabelKeys"), &constraint["labelSelector"]);
    if keys.is_unset() {
        return;
    }
    if selector.is_null() {
        keys.forbidden(errors, "must not be specified when labelSelector is not set");
    }
    for key in keys.each() {
        check::qualified_name(&key, errors);
        let labels = selector["matchLabels"].get(key.text()).is_some();
        // the server itself adds one expression for each of these keys
        let expressions = selector["matchExpressions"].items().iter().filter(|e| e["key"] == *key.value()).count();
        if labels || expressions > 1 {
            key.invalid(errors, "exists in both matchLabelKeys and labelSelector");
        }
    }
}

/// Checks the taints of a node, or any other list of taints.
pub fn taints(list: &At, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for taint in list.each() {
        let (key, value, effect) = (taint.get("key"), taint.get("value"), taint.get("effect"));
        for message in names::qualified_name(key.text()) {
            key.invalid_value(errors, key.text(), message);
        }
        let messages = names::label_value(value.text());
        if !messages.is_empty() {
            value.invalid_value(errors, value.text(), messages.join(";"));
        }
        if effect.needed(errors) {
            check::one_of(&effect, EFFECTS, errors);
        }
        if !seen.insert((key.text().to_owned(), effect.text().to_owned())) {
            let mut error = Error::duplicate(&taint.path(), taint.value().clone());
            error.detail = "taints must be unique by key and effect pair".into();
            errors.push(error);
        }
    }
}
