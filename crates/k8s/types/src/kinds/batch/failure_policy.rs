//! When a job gives up early, or is done early.

use std::collections::HashSet;

use serde_json::Value;

use crate::field::{Error, Errors};
use crate::policy::At;
use crate::policy::check;
use crate::policy::read::Read;

/// Checks `podFailurePolicy`.
pub fn failure(spec: &At, errors: &mut Errors) {
    let policy = spec.get("podFailurePolicy");
    if policy.is_null() {
        return;
    }
    let rules = policy.get("rules");
    if rules.items().len() > 20 {
        errors.push(Error::too_many(&rules.path(), rules.items().len(), 20));
    }
    let containers: Vec<&str> = ["containers", "initContainers"]
        .iter()
        .flat_map(|list| spec["template"]["spec"][*list].items())
        .map(|container| container["name"].text())
        .collect();
    for rule in rules.each() {
        failure_rule(&rule, spec, &containers, errors);
    }
}

fn failure_rule(rule: &At, spec: &At, containers: &[&str], errors: &mut Errors) {
    const ACTIONS: &[&str] = &["Count", "FailIndex", "FailJob", "Ignore"];
    let action = rule.get("action");
    if action.needed(errors) {
        if action.text() == "FailIndex" && spec["backoffLimitPerIndex"].is_null() {
            action.invalid(errors, "requires the backoffLimitPerIndex to be set");
        }
        check::one_of(&action, ACTIONS, errors);
    }
    let (codes, conditions) = (rule.get("onExitCodes"), rule.get("onPodConditions"));
    if codes.is_set() {
        exit_codes(&codes, containers, errors);
    }
    if conditions.items().len() > 20 {
        errors.push(Error::too_many(&conditions.path(), conditions.items().len(), 20));
    }
    for condition in conditions.each() {
        check::qualified_name(&condition.get("type"), errors);
        let status = condition.get("status");
        if status.needed(errors) {
            check::one_of(&status, &["False", "True", "Unknown"], errors);
        }
    }
    match (codes.is_set(), !conditions.is_unset()) {
        (true, true) => {
            rule.invalid_value(errors, Value::Null, "specifying both OnExitCodes and OnPodConditions is not supported");
        }
        (false, false) => {
            rule.invalid_value(errors, Value::Null, "specifying one of OnExitCodes and OnPodConditions is required");
        }
        _ => {}
    }
}

fn exit_codes(codes: &At, containers: &[&str], errors: &mut Errors) {
    let operator = codes.get("operator");
    if operator.needed(errors) {
        check::one_of(&operator, &["In", "NotIn"], errors);
    }
    let name = codes.get("containerName");
    if name.is_set() && !containers.contains(&name.text()) {
        name.invalid(errors, "must be one of the container or initContainer names in the pod template");
    }
    let values = codes.get("values");
    let count = values.items().len();
    if count == 0 {
        values.invalid(errors, "at least one value is required");
    } else if count > 255 {
        errors.push(Error::too_many(&values.path(), count, 255));
    }
    let mut seen = HashSet::new();
    for value in values.each() {
        if !seen.insert(value.int()) {
            value.duplicate(errors);
        }
        if operator.text() == "In" && value.int() == Some(0) {
            value.invalid(errors, "must not be 0 for the In operator");
        }
    }
    let numbers: Vec<i64> = values.items().iter().filter_map(Read::int).collect();
    if !numbers.is_sorted() {
        values.invalid(errors, "must be ordered");
    }
}

/// Checks `successPolicy`.
pub fn success(spec: &At, errors: &mut Errors) {
    let policy = spec.get("successPolicy");
    if policy.is_null() {
        return;
    }
    if spec["completionMode"].text() != "Indexed" {
        return policy.invalid(errors, "requires indexed completion mode");
    }
    let rules = policy.get("rules");
    let count = rules.items().len();
    if count == 0 {
        rules.required(errors, "at least one rules must be specified when the successPolicy is specified");
    } else if count > 20 {
        errors.push(Error::too_many(&rules.path(), count, 20));
    }
    let all = spec["completions"].int().unwrap_or(0);
    for rule in rules.each() {
        let (indexes, needed) = (rule.get("succeededIndexes"), rule.get("succeededCount"));
        if indexes.is_null() && needed.is_null() {
            rule.required(errors, "at least one of succeededCount or succeededIndexes must be specified");
        }
        let mut named = all;
        if indexes.is_set() {
            match index_count(indexes.text(), all) {
                Ok(count) => named = count,
                Err(fault) => indexes.invalid(errors, format!("error parsing succeededIndexes: {fault}")),
            }
        }
        check::nonnegative(&needed, errors);
        if needed.int().is_some_and(|count| count > all) {
            let detail = format!("must be less than or equal to {all} (the number of specified completions)");
            needed.invalid(errors, detail);
        } else if needed.int().is_some_and(|count| indexes.is_set() && count > named) {
            let detail = format!(
                "must be less than or equal to {named} (the number of indexes in the specified succeededIndexes field)"
            );
            needed.invalid(errors, detail);
        }
    }
}

/// How many indexes `1,3-5` names.
fn index_count(text: &str, all: i64) -> Result<i64, String> {
    let (mut count, mut last) = (0, -1);
    for part in text.split(',') {
        let number = |text: &str| -> Result<i64, String> {
            text.parse()
                .map_err(|_| format!("cannot convert string to integer for index: {}", crate::field::quote(text)))
        };
        let (first, end) = match part.split_once('-') {
            Some((first, end)) => (number(first)?, number(end)?),
            None => (number(part)?, number(part)?),
        };
        if first <= last {
            return Err(format!("non-increasing order, previous: {last}, current: {first}"));
        }
        if end < first {
            return Err(format!("non-increasing order, previous: {first}, current: {end}"));
        }
        if end >= all {
            return Err(format!("too large index: {}", crate::field::quote(&end.to_string())));
        }
        count += end - first + 1;
        last = end;
    }
    Ok(count)
}
