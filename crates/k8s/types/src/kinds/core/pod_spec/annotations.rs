//! Annotations that mean something to a pod, and whether they agree with its fields.

use super::platform::each_container;
use crate::field::Errors;
use crate::policy::At;
use crate::policy::check;
use crate::policy::read::Read;

/// On pods that stand for a static pod of a node.
pub const MIRROR: &str = "kubernetes.io/config.mirror";
/// Beginning of the annotations that name an AppArmor profile of a container.
pub const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";

/// Checks the annotations of a pod or template that has `spec`.
pub fn validate(annotations: &At, spec: &At, errors: &mut Errors) {
    for (key, at) in annotations.entries() {
        if key == MIRROR && spec["nodeName"].is_unset() {
            at.invalid(errors, "must set spec.nodeName if mirror pod annotation is set");
        }
        if key == DELETION_COST && !is_cost(at.text()) {
            at.invalid(errors, "must be a 32bit integer");
        }
        if key == SECCOMP_POD || key.starts_with(SECCOMP_CONTAINER) {
            seccomp(&annotations.named(key, at.value()), errors);
        }
        if let Some(container) = key.strip_prefix(APP_ARMOR) {
            let mut found = false;
            each_container(spec, |c| found |= c["name"].text() == container);
            if !found {
                at.invalid_value(errors, container, "container not found");
            }
            let known = ["", "runtime/default", "unconfined"].contains(&at.text());
            if !known && !at.text().starts_with("localhost/") {
                let detail = format!("invalid AppArmor profile name: {}", crate::field::quote(at.text()));
                at.invalid(errors, detail);
            }
        }
    }
}

fn is_cost(text: &str) -> bool {
    text == "0" || (!text.starts_with(['0', '+']) && !text.starts_with("-0") && text.parse::<i32>().is_ok())
}

fn seccomp(at: &At, errors: &mut Errors) {
    let profile = at.text();
    if ["runtime/default", "docker/default", "unconfined"].contains(&profile) {
        return;
    }
    match profile.strip_prefix("localhost/") {
        Some(path) => {
            let path = serde_json::Value::from(path);
            check::descending_path(&at.with(&path), errors);
        }
        None => at.invalid(errors, "must be a valid seccomp profile"),
    }
}

/// Annotations and fields that say the same thing must say the same.
pub fn agree(annotations: &At, spec: &At, errors: &mut Errors) {
    if annotations.is_unset() {
        return;
    }
    let own = spec.down(&["securityContext", "seccompProfile"]);
    if let Some(annotation) = annotations.get(SECCOMP_POD).as_str() {
        same_profile("seccomp", annotation, &own, &own, &["runtime/default", "docker/default"], errors);
    }
    let pod_armor = &spec["securityContext"]["appArmorProfile"];
    let windows = spec["os"]["name"].text() == "windows";
    each_container(spec, |container| {
        let context = container.get("securityContext");
        let name = container["name"].text();
        let profile = context.get("seccompProfile");
        if let Some(annotation) = annotations.get(&format!("{SECCOMP_CONTAINER}{name}")).as_str() {
            let defaults = ["runtime/default", "docker/default"];
            same_profile("seccomp", annotation, &profile, &profile, &defaults, errors);
        }
        let armor = context.get("appArmorProfile");
        let profile = if armor.is_set() { armor } else { armor.with(pod_armor) };
        if let Some(annotation) = annotations.get(&format!("{APP_ARMOR}{name}")).as_str()
            && !windows
        {
            same_profile("apparmor", annotation, &profile, &armor, &["runtime/default"], errors);
        }
    });
}

fn same_profile(what: &str, annotation: &str, profile: &At, told: &At, defaults: &[&str], errors: &mut Errors) {
    let type_differs = format!("{what} type in annotation and field must match");
    let same = match profile["type"].text() {
        "Unconfined" => annotation == "unconfined",
        "RuntimeDefault" => defaults.contains(&annotation),
        "Localhost" => match annotation.strip_prefix("localhost/") {
            Some(path) if path == profile["localhostProfile"].text() => true,
            Some(_) => {
                let detail = format!("{what} profile in annotation and field must match");
                return told.get("localhostProfile").forbidden(errors, detail);
            }
            None => false,
        },
        _ => true,
    };
    if !same {
        told.get("type").forbidden(errors, type_differs);
    }
}
