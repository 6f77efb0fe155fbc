//! LimitRange and ResourceQuota: bounds of a namespace.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::resource_name as resource;
use crate::amounts::amounts;
use crate::field::Errors;
use crate::policy::read::{Read, age_cell, each, name_cell, or_set, put};
use crate::policy::{At, Column, Policy, check, prepare};
use crate::quantity::Quantity;

/// The policy of limit ranges.
pub static LIMIT_RANGE: Policy = Policy {
    defaults: |range| each(range, &["spec", "limits"]).for_each(limit_defaults),
    validate: limit_range,
    columns: &[Column::NAME, Column { name: "Created At", kind: "date", ..Column::AGE }],
    cells: |range, _| vec![name_cell(range), range["metadata"]["creationTimestamp"].clone()],
    create_on_update: true,
    ..Policy::NEUTRAL
};

/// The policy of quotas.
pub static QUOTA: Policy = Policy {
    prepare_create: prepare::drop_status,
    prepare_update: prepare::status_from,
    prepare_status: prepare::only_status,
    validate: |quota, errors| quota_spec(&At::root(quota).get("spec"), errors),
    validate_update: |new, old, errors| {
        let set = |quota: &Value| -> BTreeSet<String> {
            quota["spec"]["scopes"].items().iter().map(|scope| scope.text().to_owned()).collect()
        };
        if set(new) != set(old) {
            At::root(new).down(&["spec", "scopes"]).invalid(errors, check::IMMUTABLE);
        }
    },
    validate_status: |new, _, errors| {
        let root = At::root(new);
        for field in ["hard", "used"] {
            quota_list(&root.down(&["status", field]), errors);
        }
    },
    columns: &[
        Column::NAME,
        Column::text("Request", "What is used and may be used, requests and numbers of objects."),
        Column::text("Limit", "What is used and may be used, limits."),
        Column::AGE,
    ],
    cells: quota_cells,
    ..Policy::NEUTRAL
};

fn limit_defaults(limit: &mut Value) {
    if limit["type"].text() != "Container" {
        return;
    }
    for (to, from) in [("default", "max"), ("defaultRequest", "default"), ("defaultRequest", "min")] {
        for (key, amount) in limit[from].fields().clone() {
            if limit[to].is_null() {
                put(limit, &[to], serde_json::json!({}));
            }
            if let Some(list) = limit.get_mut(to) {
                or_set(list, &key, amount);
            }
        }
    }
}

fn limit_range(range: &Value, errors: &mut Errors) {
    let root = At::root(range);
    let mut types = BTreeSet::new();
    for limit in root.down(&["spec", "limits"]).each() {
        let kind = limit.get("type");
        check::qualified_name(&kind, errors);
        let known = ["Pod", "Container", "PersistentVolumeClaim"].contains(&kind.text());
        if !kind.is_unset() && !kind.text().contains('/') && !known {
            kind.invalid(errors, "must be a standard limit type or fully qualified");
        }
        if !types.insert(kind.text().to_owned()) {
            kind.duplicate(errors);
        }
        limit_of(&limit, errors);
    }
}

const LISTS: [&str; 5] = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];

fn limit_of(limit: &At, errors: &mut Errors) {
    let kind = limit["type"].text();
    let mut keys = BTreeSet::new();
    for list in LISTS {
        let list_at = limit.get(list);
        if kind == "Pod" && list.starts_with("default") {
            if !list_at.is_unset() {
                list_at.forbidden(errors, "may not be specified when `type` is 'Pod'");
            }
            continue;
        }
        for (key, at) in list_at.entries() {
            match kind {
                "Pod" | "Container" => resource::of_container(&at, key, errors),
                _ => {
                    resource::any(&at, key, errors);
                }
            }
            keys.insert(key.to_owned());
        }
    }
    if kind == "PersistentVolumeClaim" && limit["min"]["storage"].is_null() && limit["max"]["storage"].is_null() {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        limit.get("limits").required(errors, detail);
    }
    for key in keys {
        compare(limit, &key, errors);
    }
}

/// Minimum, defaults and maximum of one resource in their order.
fn compare(limit: &At, key: &str, errors: &mut Errors) {
    let of = |list: &str| Quantity::from_value(&limit[list][key]).ok().filter(|_| limit[list][key].is_set());
    let (min, max, default, request) = (of("min"), of("max"), of("default"), of("defaultRequest"));
    let mut fault = |list: &str, value: &Quantity, detail: String| {
        limit.get(list).key(key).invalid_value(errors, value.to_string(), detail);
    };
    let above = |low: &Option<Quantity>, high: &Option<Quantity>| match (low, high) {
        (Some(low), Some(high)) if low > high => Some((low.clone(), high.clone())),
        _ => None,
    };
    if let Some((min, max)) = above(&min, &max) {
        fault("min", &min, format!("min value {min} is greater than max value {max}"));
    }
    if let Some((min, request)) = above(&min, &request) {
        fault("defaultRequest", &request, format!("min value {min} is greater than default request value {request}"));
    }
    if let Some((request, max)) = above(&request, &max) {
        fault("defaultRequest", &request, format!("default request value {request} is greater than max value {max}"));
    }
    if let Some((request, default)) = above(&request, &default) {
        let detail = format!("default request value {request} is greater than default limit value {default}");
        fault("defaultRequest", &request, detail);
    }
    if let Some((min, default)) = above(&min, &default) {
        fault("default", &min, format!("min value {min} is greater than default value {default}"));
    }
    if let Some((default, max)) = above(&default, &max) {
        fault("default", &max, format!("default value {default} is greater than max value {max}"));
    }
    if let Some(ratio) = of("maxLimitRequestRatio") {
        if ratio.milli_value() < 1000 {
            fault("maxLimitRequestRatio", &ratio, format!("ratio {ratio} is less than 1"));
        }
        if let (Some(min), Some(max)) = (&min, &max) {
            let most = max.to_f64() / min.to_f64();
            if ratio.to_f64() > most {
                let detail = format!("ratio {ratio} is greater than max/min = {most:.6}");
                fault("maxLimitRequestRatio", &ratio, detail);
            }
        }
    }
    if let (Some(default), Some(request)) = (&default, &request)
        && !resource::may_overcommit(key)
        && default != request
    {
        let detail = format!("default value {default} must equal to defaultRequest value {request} in {key}");
        fault("defaultRequest", request, detail);
    }
}

const SCOPES: &[&str] = &[
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];

fn quota_list(list: &At, errors: &mut Errors) {
    for (key, at) in list.entries() {
        resource::of_quota(&at, key, errors);
        resource::amount(&at, key, errors);
    }
}

fn quota_spec(spec: &At, errors: &mut Errors) {
    quota_list(&spec.get("hard"), errors);
    let hard: Vec<&str> = resource::names_in(&spec["hard"]).filter(|key| resource::is_standard_of_quota(key)).collect();
    let scopes = spec.get("scopes");
    let mut set = BTreeSet::new();
    for scope in scopes.items() {
        if !SCOPES.contains(&scope.text()) {
            scopes.invalid(errors, "unsupported scope");
        }
        if hard.iter().any(|key| !fits(scope.text(), key)) {
            scopes.invalid(errors, "unsupported scope applied to resource");
        }
        set.insert(scope.text());
    }
    conflicting(&set, &scopes, errors);
    let selector = spec.get("scopeSelector");
    let list = selector.get("matchExpressions");
    let mut set = BTreeSet::new();
    for requirement in list.items() {
        scope_requirement(spec, &list, requirement, errors);
        if hard.iter().any(|key| !fits(requirement["scopeName"].text(), key)) {
            list.invalid_value(errors, selector.value().clone(), "unsupported scope applied to resource");
        }
        set.insert(requirement["scopeName"].text());
    }
    conflicting(&set, &scopes, errors);
}

fn conflicting(set: &BTreeSet<&str>, told: &At, errors: &mut Errors) {
    for (one, other) in [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")] {
        if set.contains(one) && set.contains(other) {
            told.invalid(errors, "conflicting scopes");
        }
    }
}

/// Whether a scope can narrow down what is counted of a resource.
fn fits(scope: &str, key: &str) -> bool {
    let of_pods = ["cpu", "memory", "ephemeral-storage"];
    let plain = key.strip_prefix("requests.").or(key.strip_prefix("limits.")).unwrap_or(key);
    match scope {
        "BestEffort" => key == "pods",
        "VolumeAttributesClass" => ["persistentvolumeclaims", "requests.storage"].contains(&key),
        _ => key == "pods" || of_pods.contains(&plain) || plain.starts_with("hugepages-"),
    }
}

fn scope_requirement(spec: &At, list: &At, requirement: &Value, errors: &mut Errors) {
    let _ = spec;
    let (scope, operator) = (requirement["scopeName"].text(), requirement["operator"].text());
    if !SCOPES.contains(&scope) {
        list.get("scopeName").invalid_value(errors, scope, "unsupported scope");
    }
    let exists_only = !["PriorityClass", "VolumeAttributesClass"].contains(&scope) && SCOPES.contains(&scope);
    if exists_only && operator != "Exists" {
        let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, \
            ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or \
            ResourceQuotaScopeCrossNamespacePodAffinity";
        list.get("operator").invalid_value(errors, operator, detail);
    }
    let values = &requirement["values"];
    match operator {
        "In" | "NotIn" if values.is_unset() => {
            let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
            list.get("values").required(errors, detail);
        }
        "Exists" | "DoesNotExist" if !values.is_unset() => {
            let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
            list.get("values").invalid_value(errors, values.clone(), detail);
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => list.get("operator").invalid_value(errors, other, "not a valid selector operator"),
    }
}

fn quota_cells(quota: &Value, now: Timestamp) -> Vec<Value> {
    let (hard, used) = (amounts(&quota["status"]["hard"]), amounts(&quota["status"]["used"]));
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (key, most) in hard {
        let now_used = used.get(&key).cloned().unwrap_or(Quantity::ZERO);
        let text = format!("{key}: {now_used}/{most}");
        if key.starts_with("limits") { limits.push(text) } else { requests.push(text) }
    }
    vec![name_cell(quota), requests.join(", ").into(), limits.join(", ").into(), age_cell(quota, now)]
}
