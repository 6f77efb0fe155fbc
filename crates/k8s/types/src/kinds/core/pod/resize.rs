//! Resources of a running pod's containers, changed in place.

use serde_json::Value;

use super::{common, qos};
use crate::field::Errors;
use crate::kinds::core::pod_spec::annotations::MIRROR;
use crate::kinds::core::pod_spec::containers::is_sidecar;
use crate::policy::At;
use crate::policy::read::{Read, each, put, same, take};
use crate::quantity::Quantity;

/// Takes everything but the resources and resize policies of containers from `old`.
pub fn prepare(new: &mut Value, old: &Value) {
    let mut spec = old["spec"].clone();
    for list in ["containers", "initContainers"] {
        for (index, container) in each(&mut spec, &[list]).enumerate() {
            if list == "initContainers" && !is_sidecar(container) {
                continue;
            }
            let wanted = &new["spec"][list][index];
            for field in ["resources", "resizePolicy"] {
                match wanted.get(field) {
                    Some(value) => put(container, &[field], value.clone()),
                    None => {
                        take(container, &[field]);
                    }
                }
            }
        }
    }
    put(new, &["spec"], spec);
    for field in ["labels", "annotations"] {
        match old["metadata"].get(field) {
            Some(value) => put(new, &["metadata", field], value.clone()),
            None => {
                take(new, &["metadata", field]);
            }
        }
    }
    crate::policy::prepare::status_from(new, old);
    crate::policy::prepare::count_generation(new, old);
}

/// Checks a resize. `(new, old)`
pub fn validate(new: &Value, old: &Value, errors: &mut Errors) {
    let root = At::root(new);
    let whole = root.get("");
    if old["metadata"]["annotations"].get(MIRROR).is_some() {
        return whole.forbidden(errors, "static pods cannot be resized");
    }
    if old["spec"]["os"]["name"].text() == "windows" {
        return whole.forbidden(errors, "windows pods cannot be resized");
    }
    common(new, errors);
    let spec = root.get("spec");
    let before = match old["status"]["qosClass"].text() {
        "" => qos::class(old),
        class => class,
    };
    if before != qos::class(new) {
        spec.invalid_value(errors, before, "Pod QOS Class may not change as a result of resizing");
    }
    let running = old["status"]["containerStatuses"].items().iter().find(|s| s["state"]["running"].is_set());
    if running.is_some_and(|status| status["resources"].is_null()) {
        spec.forbidden(errors, "Pod running on node without support for resize");
    }
    for list in ["initContainers", "containers"] {
        for (container, old) in spec.get(list).each().zip(old["spec"][list].items()) {
            if list == "initContainers" && !is_sidecar(&container) {
                continue;
            }
            resources(&container, old, errors);
            if !same(&without_compute(&container), &without_compute(old)) {
                let of = if list == "containers" { "" } else { " for sidecar containers" };
                spec.forbidden(errors, format!("only cpu and memory resources{of} are mutable"));
            }
        }
    }
}

fn without_compute(container: &Value) -> Value {
    let mut rest = container.clone();
    for list in ["limits", "requests"] {
        for resource in ["cpu", "memory"] {
            take(&mut rest, &["resources", list, resource]);
        }
    }
    rest
}

fn resources(container: &At, old: &Value, errors: &mut Errors) {
    let at = container.get("resources");
    for (list, what) in [("requests", "resource requests"), ("limits", "resource limits")] {
        let lost = old["resources"][list].fields().keys().any(|resource| at[list].get(resource).is_none());
        if lost {
            at.get(list).forbidden(errors, format!("{what} cannot be removed"));
        }
    }
    let policies = container["resizePolicy"].items();
    let policy = policies.iter().find(|policy| policy["resourceName"].text() == "memory");
    if policy.is_some_and(|policy| policy["restartPolicy"].text() == "RestartContainer") {
        return;
    }
    let limits = at.get("limits");
    let memory = limits.key("memory");
    let had = &old["resources"]["limits"]["memory"];
    let amount = |value: &Value| Quantity::from_value(value).ok().filter(|_| value.is_set());
    if amount(&memory).is_some() && amount(had).is_none() {
        memory.forbidden(errors, "memory limits cannot be added unless resizePolicy is RestartContainer");
    }
}
