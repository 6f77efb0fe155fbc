//! What an update of a pod may change, and its ephemeral containers.

use serde_json::Value;

use super::common;
use crate::field::Errors;
use crate::kinds::core::difference;
use crate::kinds::core::pod_spec::annotations::{APP_ARMOR, MIRROR};
use crate::kinds::core::pod_spec::{containers, scheduling};
use crate::policy::At;
use crate::policy::read::{Read, put, same, take};

const CHANGEABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
    `spec.tolerations` (only additions to existing tolerations),\
    `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Checks an update of the whole pod. `(new, old)`
pub fn validate(new: &Value, old: &Value, errors: &mut Errors) {
    let root = At::root(new);
    let spec = root.get("spec");
    let before = &old["spec"];
    common(new, errors);
    annotations(&root, old, errors);
    for list in ["containers", "initContainers"] {
        let at = spec.get(list);
        if at.items().len() != before[list].items().len() {
            return at.forbidden(errors, "pod updates may not add or remove containers");
        }
        for container in at.each() {
            container.get("image").needed(errors);
            containers::image_text(&container, errors);
        }
    }
    if !deadline(&spec, before, errors) {
        return;
    }
    tolerations(&spec.get("tolerations"), &before["tolerations"], errors);
    gates(&spec.get("schedulingGates"), &before["schedulingGates"], errors);
    if same(&spec, before) {
        return;
    }
    let mut rest = new["spec"].clone();
    for list in ["containers", "initContainers"] {
        for (index, container) in crate::policy::read::each(&mut rest, &[list]).enumerate() {
            put(container, &["image"], before[list][index]["image"].clone());
        }
    }
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        restore(&mut rest, before, field);
    }
    let grace = "terminationGracePeriodSeconds";
    if before[grace].int().is_some_and(|s| s < 0) && rest[grace].int() == Some(1) {
        restore(&mut rest, before, grace);
    }
    if !before["schedulingGates"].is_unset() {
        gated(&spec, &mut rest, before, errors);
    }
    if !same(&rest, before) {
        let changes = difference::between(before, &rest);
        spec.forbidden(errors, format!("pod updates may not change fields other than {CHANGEABLE}\n{changes}"));
    }
}

fn restore(spec: &mut Value, before: &Value, field: &str) {
    match before.get(field) {
        Some(value) => put(spec, &[field], value.clone()),
        None => {
            take(spec, &[field]);
        }
    }
}

/// Annotations of mirror pods and AppArmor stay as they were.
pub fn annotations(root: &At, old: &Value, errors: &mut Errors) {
    let metadata = root.get("metadata");
    let (new, before) = (metadata.get("annotations"), &old["metadata"]["annotations"]);
    let what = |key: &str| match key {
        MIRROR => Some("mirror pod annotation"),
        _ if key.starts_with(APP_ARMOR) => Some("AppArmor annotations"),
        _ => None,
    };
    for (key, value) in before.fields() {
        if let Some(what) = what(key).filter(|_| new.get(key).value() != value) {
            new.key(key).forbidden(errors, format!("may not remove or update {what}"));
        }
    }
    for (key, at) in new.entries() {
        if let Some(what) = what(key).filter(|_| before.get(key).is_none()) {
            at.forbidden(errors, format!("may not add {what}"));
        }
    }
}

/// A deadline may be set, or come sooner. False: it is no use to look further.
fn deadline(spec: &At, before: &Value, errors: &mut Errors) -> bool {
    let (new, old) = (spec.get("activeDeadlineSeconds"), before["activeDeadlineSeconds"].int());
    match (new.int(), old) {
        (Some(seconds), _) if !(0..=i64::from(i32::MAX)).contains(&seconds) => {
            new.invalid(errors, format!("must be between 0 and {}, inclusive", i32::MAX));
            false
        }
        (Some(seconds), Some(old)) if old < seconds => {
            new.invalid(errors, "must be less than or equal to previous value");
            false
        }
        (None, Some(_)) => {
            new.invalid(errors, "must not update from a positive integer to nil value");
            true
        }
        _ => true,
    }
}

fn tolerations(new: &At, old: &Value, errors: &mut Errors) {
    let without_time = |toleration: &Value| {
        let mut rest = toleration.clone();
        take(&mut rest, &["tolerationSeconds"]);
        rest
    };
    let kept: Vec<Value> = new.items().iter().map(without_time).collect();
    if old.items().iter().any(|toleration| !kept.contains(&without_time(toleration))) {
        return new.forbidden(errors, "existing toleration can not be modified except its tolerationSeconds");
    }
    scheduling::tolerations(new, errors);
}

fn gates(new: &At, old: &Value, errors: &mut Errors) {
    for gate in new.each() {
        let name = gate["name"].text();
        if !old.items().iter().any(|old| old["name"].text() == name) {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            gate.get("name").forbidden(errors, detail);
        }
    }
}

/// A pod that waits for gates may still be narrowed down to fewer nodes.
fn gated(spec: &At, rest: &mut Value, before: &Value, errors: &mut Errors) {
    let selector = spec.get("nodeSelector");
    let lost = before["nodeSelector"].fields().iter().any(|(key, value)| selector.get(key).value() != value);
    if lost {
        selector.invalid(errors, "only additions to spec.nodeSelector are allowed (no mutations or deletions)");
    }
    restore(rest, before, "nodeSelector");
    let path = ["affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"];
    let old_terms = crate::policy::read::at(before, &path).items();
    let terms = spec.down(&path);
    if !old_terms.is_empty() {
        if terms.items().len() != old_terms.len() {
            let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
            terms.invalid(errors, detail);
        } else {
            for (term, old) in terms.each().zip(old_terms) {
                if !only_added(&term, old) {
                    term.invalid(errors, "only additions are allowed (no mutations or deletions)");
                }
            }
        }
    }
    match before["affinity"].get("nodeAffinity") {
        Some(affinity) => put(rest, &["affinity", "nodeAffinity"], affinity.clone()),
        None => {
            take(rest, &["affinity", "nodeAffinity"]);
        }
    }
}

fn only_added(new: &Value, old: &Value) -> bool {
    let lists = ["matchExpressions", "matchFields"];
    if lists.iter().all(|list| old[*list].is_unset()) {
        return lists.iter().all(|list| new[*list].is_unset());
    }
    lists.iter().all(|list| new[*list].items().starts_with(old[*list].items()))
}

/// Takes everything but the ephemeral containers from `old`.
pub fn only_ephemeral(new: &mut Value, old: &Value) {
    let containers = take(new, &["spec", "ephemeralContainers"]);
    put(new, &["spec"], old["spec"].clone());
    match containers {
        Some(containers) => put(new, &["spec", "ephemeralContainers"], containers),
        None => {
            take(new, &["spec", "ephemeralContainers"]);
        }
    }
    crate::policy::prepare::status_from(new, old);
    crate::policy::prepare::count_generation(new, old);
}

/// Checks an update of the ephemeral containers: more of them, and none changed. `(new, old)`
pub fn ephemeral(new: &Value, old: &Value, errors: &mut Errors) {
    let root = At::root(new);
    if old["metadata"]["annotations"].get(MIRROR).is_some() {
        return root.get("").forbidden(errors, "static pods do not support ephemeral containers");
    }
    common(new, errors);
    annotations(&root, old, errors);
    let list = root.down(&["spec", "ephemeralContainers"]);
    for container in old["spec"]["ephemeralContainers"].items() {
        let name = crate::field::quote(container["name"].text());
        let now = list.items().iter().find(|c| c["name"] == container["name"]);
        match now {
            None => list.forbidden(errors, format!("existing ephemeral containers {name} may not be removed\n")),
            Some(now) if !same(now, container) => {
                let changes = difference::between(container, now);
                let detail = format!("existing ephemeral containers {name} may not be changed\n{changes}");
                list.forbidden(errors, detail);
            }
            Some(_) => {}
        }
    }
}
