//! The bounds of a limit range, with the texts that tell who breaks them.

use std::collections::BTreeMap;

use k8s_types::policy::read::Read;
use k8s_types::quantity::Quantity;
use serde_json::Value;

use k8s_types::amounts::{Amounts, amounts, pod_amounts};

/// What is asked for and what it may grow to.
struct Asked {
    requests: Amounts,
    limits: Amounts,
}

/// What a pod breaks, its containers first.
pub fn pod_faults(pod: &Value, range: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for item in range["spec"]["limits"].items() {
        match item["type"].text() {
            "Container" => {
                for list in ["containers", "initContainers"] {
                    for container in pod["spec"][list].items() {
                        let resources = &container["resources"];
                        let asked =
                            Asked { requests: amounts(&resources["requests"]), limits: amounts(&resources["limits"]) };
                        check(item, "Container", &asked, &mut faults);
                    }
                }
            }
            "Pod" => {
                let asked = Asked { requests: pod_amounts(pod, "requests"), limits: pod_amounts(pod, "limits") };
                check(item, "Pod", &asked, &mut faults);
            }
            _ => {}
        }
    }
    faults
}

/// What a claim breaks: of its size only.
pub fn claim_faults(claim: &Value, range: &Value) -> Vec<String> {
    let requests = amounts(&claim["spec"]["resources"]["requests"]);
    let mut faults = Vec::new();
    for item in range["spec"]["limits"].items().iter().filter(|i| i["type"] == "PersistentVolumeClaim") {
        for (name, bound) in amounts(&item["min"]) {
            faults.extend(too_small(&name, "PersistentVolumeClaim", &bound, &requests, &BTreeMap::new()));
        }
        for (name, bound) in amounts(&item["max"]) {
            let fault = match requests.get(&name) {
                None => {
                    Some(format!("maximum {name} usage per PersistentVolumeClaim is {bound}.  No request is specified"))
                }
                Some(request) if *request > bound => {
                    Some(format!("maximum {name} usage per PersistentVolumeClaim is {bound}, but request is {request}"))
                }
                Some(_) => None,
            };
            faults.extend(fault);
        }
    }
    faults
}

fn check(item: &Value, kind: &str, asked: &Asked, faults: &mut Vec<String>) {
    for (name, bound) in amounts(&item["min"]) {
        faults.extend(too_small(&name, kind, &bound, &asked.requests, &asked.limits));
    }
    for (name, bound) in amounts(&item["max"]) {
        faults.extend(too_large(&name, kind, &bound, asked));
    }
    for (name, bound) in amounts(&item["maxLimitRequestRatio"]) {
        faults.extend(too_far_apart(&name, kind, &bound, asked));
    }
}

fn too_small(name: &str, kind: &str, bound: &Quantity, requests: &Amounts, limits: &Amounts) -> Option<String> {
    let head = format!("minimum {name} usage per {kind} is {bound}");
    match (requests.get(name), limits.get(name)) {
        (None, _) => Some(format!("{head}.  No request is specified")),
        (Some(request), _) if request < bound => Some(format!("{head}, but request is {request}")),
        (_, Some(limit)) if limit < bound => Some(format!("{head}, but limit is {limit}")),
        _ => None,
    }
}

fn too_large(name: &str, kind: &str, bound: &Quantity, asked: &Asked) -> Option<String> {
    let head = format!("maximum {name} usage per {kind} is {bound}");
    match (asked.limits.get(name), asked.requests.get(name)) {
        (None, _) => Some(format!("{head}.  No limit is specified")),
        (Some(limit), _) if limit > bound => Some(format!("{head}, but limit is {limit}")),
        (_, Some(request)) if request > bound => Some(format!("{head}, but request is {request}")),
        _ => None,
    }
}

fn too_far_apart(name: &str, kind: &str, bound: &Quantity, asked: &Asked) -> Option<String> {
    let head = format!("{name} max limit to request ratio per {kind} is {bound}");
    let (request, limit) = (asked.requests.get(name), asked.limits.get(name));
    let Some(request) = request.filter(|request| !request.is_zero()) else {
        return Some(format!("{head}, but no request is specified or request is 0"));
    };
    let Some(limit) = limit.filter(|limit| !limit.is_zero()) else {
        return Some(format!("{head}, but no limit is specified or limit is 0"));
    };
    let ratio = limit.to_f64() / request.to_f64();
    (ratio > bound.to_f64()).then(|| format!("{head}, but provided ratio is {ratio:.6}"))
}
