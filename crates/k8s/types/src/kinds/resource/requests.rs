//! Requests for devices, as claims and templates have them: their defaults and checks.

use std::collections::HashSet;

use serde_json::Value;

use crate::field::{Error, Errors, Path};
use crate::kinds::rules::{at_most, csi_driver_name, named, one_of, required, required_name};
use crate::names;
use crate::policy::read::{Read, each, or_set, put};

/// Fills in the defaults of a claim's spec.
pub fn default_requests(spec: &mut Value) {
    for request in each(spec, &["devices", "requests"]) {
        if let Some(exactly) = request.get_mut("exactly").filter(|e| e.is_object()) {
            default_request(exactly);
        }
        each(request, &["firstAvailable"]).for_each(default_request);
    }
}

fn default_request(request: &mut Value) {
    or_set(request, "allocationMode", "ExactCount");
    if request["allocationMode"] == "ExactCount" && request["count"].int().unwrap_or(0) == 0 {
        put(request, &["count"], 1);
    }
    for toleration in each(request, &["tolerations"]) {
        or_set(toleration, "operator", "Equal");
    }
}

/// Checks a claim's spec.
pub fn check_spec(spec: &Value, path: &Path, errors: &mut Errors) {
    let (devices, path) = (&spec["devices"], path.child("devices"));
    let list = path.child("requests");
    at_most(errors, &list, &devices["requests"], 32);
    let mut seen = HashSet::new();
    for (i, request) in devices["requests"].items().iter().enumerate() {
        let (path, name) = (list.index(i), request["name"].text());
        required_name(errors, &path.child("name"), &request["name"], names::dns1123_label);
        if !name.is_empty() && !seen.insert(name.to_owned()) {
            errors.push(Error::duplicate(&path.child("name"), name));
        }
        check_request(request, &path, errors);
        seen.extend(request["firstAvailable"].items().iter().map(|sub| format!("{name}/{}", sub["name"].text())));
    }
    at_most(errors, &path.child("constraints"), &devices["constraints"], 32);
    for (i, constraint) in devices["constraints"].items().iter().enumerate() {
        check_constraint(constraint, &seen, &path.child("constraints").index(i), errors);
    }
    at_most(errors, &path.child("config"), &devices["config"], 32);
    for (i, config) in devices["config"].items().iter().enumerate() {
        let path = path.child("config").index(i);
        check_names_of(&config["requests"], &seen, &path.child("requests"), errors);
        check_opaque(config, &path, errors);
    }
}

fn check_request(request: &Value, path: &Path, errors: &mut Errors) {
    let (exactly, first) = (&request["exactly"], &request["firstAvailable"]);
    let wanted = "exactly one of `exactly` or `firstAvailable` is required";
    match (exactly.is_set(), !first.is_unset()) {
        (false, false) => errors.push(Error::required(path, wanted)),
        (true, true) => {
            let wrong = format!("{wanted}, but multiple fields are set");
            errors.push(Error::invalid(path, request.clone(), wrong));
        }
        (true, false) => check_exact(exactly, &path.child("exactly"), errors),
        (false, true) => {
            let list = path.child("firstAvailable");
            at_most(errors, &list, first, 8);
            let mut seen = HashSet::new();
            for (i, sub) in first.items().iter().enumerate() {
                let path = list.index(i);
                required_name(errors, &path.child("name"), &sub["name"], names::dns1123_label);
                if !seen.insert(sub["name"].text()) {
                    errors.push(Error::duplicate(&path.child("name"), sub["name"].clone()));
                }
                check_exact(sub, &path, errors);
            }
        }
    }
}

fn check_exact(request: &Value, path: &Path, errors: &mut Errors) {
    required_name(errors, &path.child("deviceClassName"), &request["deviceClassName"], names::dns1123_subdomain);
    check_selectors(&request["selectors"], &path.child("selectors"), errors);
    let (count, place) = (request["count"].int().unwrap_or(0), path.child("count"));
    match request["allocationMode"].text() {
        "All" if count != 0 => {
            errors.push(Error::invalid(&place, count, "must not be specified when allocationMode is 'All'"));
        }
        "ExactCount" if count <= 0 => errors.push(Error::invalid(&place, count, "must be greater than zero")),
        _ => one_of(errors, &path.child("allocationMode"), &request["allocationMode"], &["All", "ExactCount"]),
    }
    at_most(errors, &path.child("tolerations"), &request["tolerations"], 16);
    for (i, toleration) in request["tolerations"].items().iter().enumerate() {
        check_toleration(toleration, &path.child("tolerations").index(i), errors);
    }
}

fn check_toleration(toleration: &Value, path: &Path, errors: &mut Errors) {
    if !toleration["key"].is_unset() {
        named(errors, &path.child("key"), &toleration["key"], names::qualified_name);
    }
    let (value, place) = (&toleration["value"], path.child("value"));
    match toleration["operator"].text() {
        "Exists" if !value.is_unset() => {
            errors.push(Error::invalid(&place, value.clone(), "must be empty for operator `Exists`"));
        }
        "Equal" => named(errors, &place, value, names::label_value),
        _ => one_of(errors, &path.child("operator"), &toleration["operator"], &["Equal", "Exists"]),
    }
    one_of(errors, &path.child("effect"), &toleration["effect"], &["NoExecute", "NoSchedule"]);
}

/// CEL selectors of devices, at most 32.
pub fn check_selectors(list: &Value, path: &Path, errors: &mut Errors) {
    at_most(errors, path, list, 32);
    for (i, selector) in list.items().iter().enumerate() {
        let path = path.index(i).child("cel");
        if required(errors, &path, &selector["cel"]) {
            let (expression, path) = (&selector["cel"]["expression"], path.child("expression"));
            if required(errors, &path, expression) && expression.text().len() > 10 << 10 {
                errors.push(Error::too_long(&path, 10 << 10));
            }
        }
    }
}

fn check_constraint(constraint: &Value, requests: &HashSet<String>, path: &Path, errors: &mut Errors) {
    check_names_of(&constraint["requests"], requests, &path.child("requests"), errors);
    if constraint["matchAttribute"].is_null() && constraint["distinctAttribute"].is_null() {
        errors.push(Error::required(&path.child("matchAttribute"), ""));
    }
    for field in ["matchAttribute", "distinctAttribute"] {
        let value = &constraint[field];
        if value.is_set() && !value.text().contains('/') {
            errors.push(Error::invalid(&path.child(field), value.clone(), "must include a domain"));
        }
    }
}

fn check_names_of(list: &Value, requests: &HashSet<String>, path: &Path, errors: &mut Errors) {
    at_most(errors, path, list, 32);
    let mut seen = HashSet::new();
    for (i, name) in list.items().iter().enumerate() {
        if !seen.insert(name.text()) {
            errors.push(Error::duplicate(&path.index(i), name.clone()));
        }
        if !requests.contains(name.text()) {
            let wrong =
                "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
            errors.push(Error::invalid(&path.index(i), name.clone(), wrong));
        }
    }
}

/// Settings for a driver.
pub fn check_opaque(config: &Value, path: &Path, errors: &mut Errors) {
    let (opaque, path) = (&config["opaque"], path.child("opaque"));
    if !required(errors, &path, opaque) {
        return;
    }
    csi_driver_name(errors, &path.child("driver"), &opaque["driver"]);
    let (parameters, place) = (&opaque["parameters"], path.child("parameters"));
    if parameters.is_null() {
        errors.push(Error::required(&place, ""));
    } else if !parameters.is_object() {
        errors.push(Error::invalid(&place, parameters.clone(), "must be a valid JSON object"));
    }
}
