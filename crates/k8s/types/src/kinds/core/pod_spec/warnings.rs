//! What a client is warned of about a pod or template, in Kubernetes' words.

use std::collections::HashMap;

use serde_json::Value;

use super::annotations::APP_ARMOR;
use super::containers::LISTS;
use crate::field::{Path, quote};
use crate::policy::At;
use crate::policy::read::Read;
use crate::quantity::Quantity;

/// Labels of nodes that have other names now.
const OLD_LABELS: &[(&str, &str, &str)] = &[
    ("beta.kubernetes.io/arch", "v1.14", "kubernetes.io/arch"),
    ("beta.kubernetes.io/os", "v1.14", "kubernetes.io/os"),
    ("beta.kubernetes.io/instance-type", "v1.17", "node.kubernetes.io/instance-type"),
    ("failure-domain.beta.kubernetes.io/region", "v1.17", "topology.kubernetes.io/region"),
    ("failure-domain.beta.kubernetes.io/zone", "v1.17", "topology.kubernetes.io/zone"),
];

/// Sources of volumes that do nothing any more, or soon.
const OLD_SOURCES: &[(&str, &str)] = &[
    ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
];

/// Warnings of a specification with the metadata beside it.
pub fn of(spec: &At, metadata: &At) -> Vec<String> {
    let mut all = Vec::new();
    for (key, since, new) in OLD_LABELS {
        if spec["nodeSelector"].get(key).is_some() {
            let path = spec.get("nodeSelector").key(key).path();
            all.push(format!("{path}: deprecated since {since}; use \"{new}\" instead"));
        }
    }
    affinity(spec, &mut all);
    for (index, constraint) in spec["topologySpreadConstraints"].items().iter().enumerate() {
        let path = spec.get("topologySpreadConstraints").index(index).get("topologyKey").path();
        old_label(path, constraint["topologyKey"].text(), &mut all);
    }
    annotations(metadata, &mut all);
    volumes(spec, &mut all);
    hosts_and_secrets(spec, &mut all);
    for list in LISTS {
        for container in spec.get(list).each() {
            environment(&container, &mut all);
            ports(&container, &mut all);
            fractions(&container, &mut all);
        }
    }
    let grace = spec.get("terminationGracePeriodSeconds");
    if grace.int().is_some_and(|seconds| seconds < 0) {
        let path = grace.path();
        all.push(format!("{path}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    all
}

fn old_label(path: Path, key: &str, all: &mut Vec<String>) {
    if let Some((_, since, new)) = OLD_LABELS.iter().find(|(old, ..)| *old == key) {
        all.push(format!("{path}: {key} is deprecated since {since}; use \"{new}\" instead"));
    }
}

fn affinity(spec: &At, all: &mut Vec<String>) {
    let node = spec.down(&["affinity", "nodeAffinity"]);
    let required = node.down(&["requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"]);
    for term in required.each() {
        for expression in term.get("matchExpressions").each() {
            old_label(expression.get("key").path(), expression["key"].text(), all);
        }
    }
    for term in node.get("preferredDuringSchedulingIgnoredDuringExecution").each() {
        for expression in term.down(&["preference", "matchExpressions"]).each() {
            old_label(expression.get("key").path(), expression["key"].text(), all);
        }
    }
}

fn annotations(metadata: &At, all: &mut Vec<String>) {
    const CRITICAL: &str = "scheduler.alpha.kubernetes.io/critical-pod";
    let annotations = metadata.get("annotations");
    if annotations.get(CRITICAL).is_set() {
        let path = annotations.key(CRITICAL).path();
        all.push(format!("{path}: non-functional in v1.16+; use the \"priorityClassName\" field instead"));
    }
    for (key, at) in annotations.entries() {
        let old = ["seccomp.security.alpha.kubernetes.io/pod", "container.seccomp.security.alpha.kubernetes.io/"];
        if key == old[0] || key.starts_with(old[1]) {
            all.push(format!("{}: non-functional in v1.27+; use the \"seccompProfile\" field instead", at.path()));
        }
        if key.starts_with(APP_ARMOR) {
            all.push(format!("{}: deprecated since v1.30; use the \"appArmorProfile\" field instead", at.path()));
        }
    }
}

fn volumes(spec: &At, all: &mut Vec<String>) {
    for volume in spec.get("volumes").each() {
        for (kind, what) in OLD_SOURCES {
            if volume[*kind].is_set() {
                all.push(format!("{}: {what}", volume.get(kind).path()));
            }
        }
        let claim = volume.down(&["ephemeral", "volumeClaimTemplate", "spec", "resources", "requests", "storage"]);
        fraction(&claim, all);
    }
}

fn hosts_and_secrets(spec: &At, all: &mut Vec<String>) {
    for (list, field) in [("hostAliases", "ip"), ("imagePullSecrets", "name")] {
        let mut seen = Vec::new();
        for (index, item) in spec[list].items().iter().enumerate() {
            let text = item[field].text();
            let list_at = spec.get(list);
            let path = list_at.index(index).get(field).path();
            if text.is_empty() {
                all.push(format!("{path}: invalid empty {field} \"\""));
            } else if seen.contains(&text) {
                all.push(format!("{path}: duplicate {field} {}", quote(text)));
            }
            seen.push(text);
        }
    }
}

fn environment(container: &At, all: &mut Vec<String>) {
    let mut seen = Vec::new();
    for variable in container["env"].items().iter().enumerate() {
        let (index, name) = (variable.0, variable.1["name"].text());
        if seen.contains(&name) {
            let path = container.get("env").index(index).path();
            let name = quote(name);
            all.push(format!("{path}: hides previous definition of {name}, which may be dropped when using apply"));
        }
        seen.push(name);
    }
}

fn ports(container: &At, all: &mut Vec<String>) {
    let mut seen: HashMap<(i64, i64, &str, &str), usize> = HashMap::new();
    let list = container.get("ports");
    for (index, port) in container["ports"].items().iter().enumerate() {
        let number = |field: &str| port[field].int().unwrap_or(0);
        let protocol = if port["protocol"].is_unset() { "TCP" } else { port["protocol"].text() };
        let key = (number("containerPort"), number("hostPort"), protocol, port["hostIP"].text());
        if let Some(before) = seen.insert(key, index) {
            let (path, before) = (list.index(index).path(), list.index(before).path());
            all.push(format!("{path}: duplicate port definition with {before}"));
        }
    }
}

fn fractions(container: &At, all: &mut Vec<String>) {
    for list in ["limits", "requests"] {
        for resource in ["memory", "ephemeral-storage"] {
            let resources = container.get("resources");
            let list = resources.get(list);
            fraction(&list.key(resource), all);
        }
    }
}

/// Half a byte is nothing one can have.
pub fn fraction(at: &At, all: &mut Vec<String>) {
    if let Ok(amount) = Quantity::from_value(at.value())
        && amount.milli_value() % 1000 != 0
    {
        let (path, text) = (at.path(), quote(&amount.to_string()));
        all.push(format!("{path}: fractional byte value {text} is invalid, must be an integer"));
    }
}

/// Warnings of the template at `path` of a workload; none when the template is as before.
pub fn of_template(object: &Value, old: Option<&Value>, path: &[&str]) -> Vec<String> {
    let root = At::root(object);
    if old.is_some_and(|old| crate::policy::read::at(old, path) == crate::policy::read::at(object, path)) {
        return Vec::new();
    }
    let template = root.down(path);
    of(&template.get("spec"), &template.get("metadata"))
}
