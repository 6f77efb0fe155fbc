//! Scopes of quotas: which pods and claims a quota is about.

use serde_json::Value;

use super::usage::Subject;
use crate::policy::read::Read;

/// Whether an object is in all the scopes of a quota.
pub fn all_match(subject: Subject<'_>, quota: &Value, object: &Value) -> bool {
    let spec = &quota["spec"];
    let plain = spec["scopes"].items().iter().all(|scope| one(subject, scope.text(), "Exists", &[], object));
    plain
        && spec["scopeSelector"]["matchExpressions"].items().iter().all(|expression| {
            let operator = expression["operator"].text();
            one(subject, expression["scopeName"].text(), operator, expression["values"].items(), object)
        })
}

fn one(subject: Subject<'_>, scope: &str, operator: &str, values: &[Value], object: &Value) -> bool {
    let spec = &object["spec"];
    match (subject.group, subject.plural) {
        ("", "pods") => match scope {
            "Terminating" => spec["activeDeadlineSeconds"].is_set(),
            "NotTerminating" => spec["activeDeadlineSeconds"].is_null(),
            "BestEffort" => best_effort(spec),
            "NotBestEffort" => !best_effort(spec),
            "PriorityClass" => named(spec["priorityClassName"].text(), operator, values),
            "CrossNamespacePodAffinity" => crosses_namespaces(spec),
            _ => false,
        },
        ("", "persistentvolumeclaims") if scope == "VolumeAttributesClass" => {
            let classes = [&spec["volumeAttributesClassName"], &object["status"]["currentVolumeAttributesClassName"]];
            let wanted = &object["status"]["modifyVolumeStatus"]["targetVolumeAttributesClassName"];
            let some = |class: &&Value| !class.is_unset();
            let classes: Vec<&Value> = classes.into_iter().chain([wanted]).filter(some).collect();
            match classes.as_slice() {
                [] => named("", operator, values),
                classes => classes.iter().any(|class| named(class.text(), operator, values)),
            }
        }
        _ => false,
    }
}

fn named(class: &str, operator: &str, values: &[Value]) -> bool {
    let listed = values.iter().any(|value| value == class);
    match operator {
        "Exists" => !class.is_empty(),
        "DoesNotExist" => class.is_empty(),
        "In" => listed,
        "NotIn" => !listed,
        _ => false,
    }
}

fn best_effort(spec: &Value) -> bool {
    let nothing = |resources: &Value| {
        let amounts = ["requests", "limits"].iter().flat_map(|field| resources[*field].fields());
        !amounts.into_iter().any(|(name, amount)| matches!(name.as_str(), "cpu" | "memory") && amount.text() != "0")
    };
    let containers = spec["containers"].items().iter().chain(spec["initContainers"].items());
    nothing(&spec["resources"]) && containers.into_iter().all(|container| nothing(&container["resources"]))
}

fn crosses_namespaces(spec: &Value) -> bool {
    let crosses = |term: &Value| !term["namespaces"].is_unset() || term["namespaceSelector"].is_set();
    ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
        let affinity = &spec["affinity"][*kind];
        let required = affinity["requiredDuringSchedulingIgnoredDuringExecution"].items().iter();
        let preferred = affinity["preferredDuringSchedulingIgnoredDuringExecution"].items().iter();
        required.chain(preferred.map(|weighted| &weighted["podAffinityTerm"])).any(crosses)
    })
}
