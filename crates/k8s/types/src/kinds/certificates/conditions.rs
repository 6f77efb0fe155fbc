//! Conditions of a certificate signing request: which may be set where, and when they changed.

use std::collections::HashSet;

use jiff::{Timestamp, Unit};
use serde_json::Value;

use crate::field::{Error, Errors, Path};
use crate::kinds::rules::one_of;
use crate::policy::read::{Read, at_mut, put};

/// Fills in the times of conditions that come without.
pub fn stamp(new: &mut Value, old: &Value) {
    let now = Timestamp::now().round(Unit::Second).unwrap_or_else(|_| Timestamp::now()).to_string();
    let before = old["status"]["conditions"].items();
    let Some(conditions) = at_mut(new, &["status", "conditions"]).and_then(Value::as_array_mut) else { return };
    for condition in conditions {
        let same = before.iter().find(|c| c["type"] == condition["type"] && c["status"] == condition["status"]);
        let since = same.map(|c| c["lastTransitionTime"].text()).filter(|time| !time.is_empty()).unwrap_or(&now);
        if condition["lastUpdateTime"].is_null() {
            put(condition, &["lastUpdateTime"], now.as_str());
        }
        if condition["lastTransitionTime"].is_null() {
            put(condition, &["lastTransitionTime"], since);
        }
    }
}

/// Checks the conditions of an update that may not add those of the kinds `closed`, nor take away any decision.
pub fn check_conditions(new: &Value, old: &Value, closed: &[&str], errors: &mut Errors) {
    let list = Path::new("status").child("conditions");
    let (ours, before) = (new["status"]["conditions"].items(), old["status"]["conditions"].items());
    let count = |conditions: &[Value], kind: &str| conditions.iter().filter(|c| c["type"] == kind).count();
    for kind in ["Approved", "Denied", "Failed"] {
        if count(before, kind) > count(ours, kind) {
            errors.push(Error::forbidden(&list, format!("updates may not remove a condition of type {kind:?}")));
        }
        if closed.contains(&kind) && count(ours, kind) > count(before, kind) {
            errors.push(Error::forbidden(&list, format!("updates may not add a condition of type {kind:?}")));
        }
    }
    let mut seen = HashSet::new();
    for (i, condition) in ours.iter().enumerate() {
        let (path, kind) = (list.index(i), condition["type"].text());
        if kind.is_empty() {
            errors.push(Error::required(&path.child("type"), ""));
        }
        if !seen.insert(kind) {
            errors.push(Error::duplicate(&path.child("type"), kind));
        }
        check_status(condition, &path, errors);
    }
    if seen.contains("Approved") && seen.contains("Denied") {
        let at = ours.iter().rposition(|c| matches!(c["type"].text(), "Approved" | "Denied")).unwrap_or(0);
        let wrong = "Approved and Denied conditions are mutually exclusive";
        errors.push(Error::invalid(&list.index(at).child("type"), ours[at]["type"].clone(), wrong));
    }
}

fn check_status(condition: &Value, path: &Path, errors: &mut Errors) {
    let (status, place) = (&condition["status"], path.child("status"));
    if status.is_unset() {
        errors.push(Error::required(&place, ""));
    } else if matches!(condition["type"].text(), "Approved" | "Denied" | "Failed") {
        one_of(errors, &place, status, &["True"]);
    } else {
        one_of(errors, &place, status, &["False", "True", "Unknown"]);
    }
}
