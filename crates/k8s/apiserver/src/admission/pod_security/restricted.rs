//! The checks that the restricted level adds to baseline, or puts in the place of baseline's.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Violation;
use super::baseline::{added_capabilities, context};
use super::level::Grade;
use super::pod::{Pod, items, name, named_containers, plural, quoted, text};

/// Volume sources that are no reach to the host.
const VOLUMES: [&str; 8] =
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];

pub fn privilege_escalation(pod: Pod<'_>, grade: Grade) -> Option<Violation> {
    if grade.since(25) && pod.windows() {
        return None;
    }
    let set = |c: &&Value| context(c).get("allowPrivilegeEscalation").and_then(Value::as_bool) != Some(false);
    let names: Vec<&str> = pod.containers().filter(set).map(name).collect();
    (!names.is_empty()).then(|| {
        let detail = format!("{} must set securityContext.allowPrivilegeEscalation=false", named_containers(&names));
        Violation::new("allowPrivilegeEscalation != false", detail)
    })
}

pub fn capabilities(pod: Pod<'_>, grade: Grade) -> Option<Violation> {
    if grade.since(25) && pod.windows() {
        return None;
    }
    let (mut keeping, mut adding, mut added) = (Vec::new(), Vec::new(), BTreeSet::new());
    for container in pod.containers() {
        let capabilities = context(container).get("capabilities").unwrap_or(&Value::Null);
        if !items(capabilities, "drop").iter().any(|cap| cap == "ALL") {
            keeping.push(name(container));
        }
        let bad: Vec<&str> = added_capabilities(container).filter(|cap| *cap != "NET_BIND_SERVICE").collect();
        if !bad.is_empty() {
            adding.push(name(container));
            added.extend(bad);
        }
    }
    let mut details = Vec::new();
    if !keeping.is_empty() {
        details.push(format!(r#"{} must set securityContext.capabilities.drop=["ALL"]"#, named_containers(&keeping)));
    }
    if !adding.is_empty() {
        let who = named_containers(&adding);
        details.push(format!("{who} must not include {} in securityContext.capabilities.add", quoted(&added)));
    }
    (!details.is_empty()).then(|| Violation::new("unrestricted capabilities", details.join("; ")))
}

pub fn volumes(pod: Pod<'_>, grade: Grade) -> Option<Violation> {
    let (mut names, mut kinds) = (Vec::new(), BTreeSet::new());
    for volume in items(pod.spec, "volumes") {
        let source = volume.as_object().into_iter().flatten().find(|(key, value)| *key != "name" && !value.is_null());
        let kind = source.map_or("unknown", |(key, _)| key.as_str());
        if VOLUMES.contains(&kind) || (kind == "image" && grade.since(33)) {
            continue;
        }
        names.push(text(volume, "name"));
        kinds.insert(kind);
    }
    (!names.is_empty()).then(|| {
        let (noun, verb) = (plural("volume", "volumes", names.len()), plural("uses", "use", names.len()));
        let types = plural("type", "types", kinds.len());
        Violation::new(
            "restricted volume types",
            format!("{noun} {} {verb} restricted volume {types} {}", quoted(names), quoted(kinds)),
        )
    })
}

pub fn run_as_non_root(pod: Pod<'_>, grade: Grade) -> Option<Violation> {
    if grade.since(35) && outside_user_namespace_only(pod) {
        return None;
    }
    let asked = |context: &Value| context.get("runAsNonRoot").and_then(Value::as_bool);
    let by_pod = asked(pod.context());
    let (mut explicit, mut implicit) = (Vec::new(), Vec::new());
    for container in pod.containers() {
        match asked(context(container)) {
            Some(true) => {}
            Some(false) => explicit.push(name(container)),
            None if by_pod != Some(true) => implicit.push(name(container)),
            None => {}
        }
    }
    let mut details = Vec::new();
    if by_pod == Some(false) && (!implicit.is_empty() || pod.containers().next().is_none()) {
        details.push("pod must not set securityContext.runAsNonRoot=false".to_owned());
        implicit.clear();
    }
    if !explicit.is_empty() {
        details.push(format!("{} must not set securityContext.runAsNonRoot=false", named_containers(&explicit)));
    }
    if !implicit.is_empty() {
        details.push(format!("pod or {} must set securityContext.runAsNonRoot=true", named_containers(&implicit)));
    }
    (!details.is_empty()).then(|| Violation::new("runAsNonRoot != true", details.join("; ")))
}

pub fn run_as_user(pod: Pod<'_>, grade: Grade) -> Option<Violation> {
    if !grade.since(23) || (grade.since(35) && outside_user_namespace_only(pod)) {
        return None;
    }
    let root = |context: &Value| context.get("runAsUser").and_then(Value::as_i64) == Some(0);
    let mut details = Vec::new();
    if root(pod.context()) {
        details.push("pod must not set runAsUser=0".to_owned());
    }
    let names: Vec<&str> = pod.containers().filter(|c| root(context(c))).map(name).collect();
    if !names.is_empty() {
        details.push(format!("{} must not set runAsUser=0", named_containers(&names)));
    }
    (!details.is_empty()).then(|| Violation::new("runAsUser=0", details.join("; ")))
}

pub fn seccomp(pod: Pod<'_>, grade: Grade) -> Option<Violation> {
    if grade.since(25) && pod.windows() {
        return None;
    }
    let profile = |context: &Value| context.pointer("/seccompProfile/type").and_then(Value::as_str).map(str::to_owned);
    let fine = |kind: &str| matches!(kind, "RuntimeDefault" | "Localhost");
    let by_pod = profile(pod.context());
    let (mut kinds, mut explicit, mut implicit) = (BTreeSet::new(), Vec::new(), Vec::new());
    for container in pod.containers() {
        match profile(context(container)) {
            Some(kind) if fine(&kind) => {}
            Some(kind) => {
                explicit.push(name(container));
                kinds.insert(kind);
            }
            None if by_pod.as_deref().is_some_and(fine) => {}
            None => implicit.push(name(container)),
        }
    }
    let mut details = Vec::new();
    if let Some(kind) = by_pod.filter(|kind| !fine(kind)) {
        details.push(format!("pod must not set securityContext.seccompProfile.type to {kind:?}"));
    }
    if !explicit.is_empty() {
        let who = named_containers(&explicit);
        details.push(format!("{who} must not set securityContext.seccompProfile.type to {}", quoted(&kinds)));
    }
    if !implicit.is_empty() {
        let who = named_containers(&implicit);
        details.push(format!(
            r#"pod or {who} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost""#
        ));
    }
    (!details.is_empty()).then(|| Violation::new("seccompProfile", details.join("; ")))
}

/// A pod with a user namespace of its own: its root is nobody outside.
fn outside_user_namespace_only(pod: Pod<'_>) -> bool {
    pod.spec.get("hostUsers").and_then(Value::as_bool) == Some(false)
}
