//! Ingress: HTTP from outside to services.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value;

use crate::field::{Error, Errors, Path};
use crate::kinds::rules::{ip, named, one_of, port_number};
use crate::names;
use crate::policy::read::{Read, age_cell, name_cell};
use crate::policy::{Column, Policy};

const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const DNS_NAME: &str = "must be a DNS name, not an IP address";

pub static INGRESS: Policy = Policy {
    validate: |ingress, errors| {
        check(ingress, errors);
        class_matches(ingress, errors);
    },
    validate_update: |new, _, errors| check(new, errors),
    update_alone: true,
    validate_status: |new, _, errors| check_status(new, errors),
    warnings,
    columns: &[
        Column::NAME,
        Column::text("Class", "Name of its class."),
        Column::text("Hosts", "Hosts it answers for."),
        Column::text("Address", "Where it can be reached."),
        Column::text("Ports", "Ports it listens on."),
        Column::AGE,
    ],
    cells,
    ..Policy::SPEC_STATUS
};

fn class_matches(ingress: &Value, errors: &mut Errors) {
    let (annotation, class) =
        (&ingress["metadata"]["annotations"][CLASS_ANNOTATION], &ingress["spec"]["ingressClassName"]);
    if annotation.is_set() && class.is_set() && annotation != class {
        let path = Path::new("annotations").child(CLASS_ANNOTATION);
        let wrong = "must match `ingressClassName` when both are specified";
        errors.push(Error::invalid(&path, annotation.clone(), wrong));
    }
}

fn check(ingress: &Value, errors: &mut Errors) {
    let (spec, path) = (&ingress["spec"], Path::new("spec"));
    let rules = spec["rules"].items();
    if rules.is_empty() && spec["defaultBackend"].is_null() {
        let wrong = "either `defaultBackend` or `rules` must be specified";
        errors.push(Error::invalid(&path, spec["rules"].clone(), wrong));
    }
    if spec["defaultBackend"].is_set() {
        check_backend(&spec["defaultBackend"], &path.child("defaultBackend"), errors);
    }
    for (i, rule) in rules.iter().enumerate() {
        check_rule(rule, &path.child("rules").index(i), errors);
    }
    for (i, tls) in spec["tls"].items().iter().enumerate() {
        let path = path.child("tls").index(i);
        for (i, host) in tls["hosts"].items().iter().enumerate() {
            check_host(host, &path.child("hosts").index(i), errors);
        }
        if !tls["secretName"].is_unset() {
            named(errors, &path.child("secretName"), &tls["secretName"], names::dns1123_subdomain);
        }
    }
    if spec["ingressClassName"].is_set() {
        named(errors, &path.child("ingressClassName"), &spec["ingressClassName"], names::dns1123_subdomain);
    }
}

fn check_host(host: &Value, path: &Path, errors: &mut Errors) {
    let rule = if host.text().contains('*') { names::wildcard_dns1123_subdomain } else { names::dns1123_subdomain };
    named(errors, path, host, rule);
}

fn check_rule(rule: &Value, path: &Path, errors: &mut Errors) {
    let host = &rule["host"];
    if !host.is_unset() {
        if host.text().parse::<IpAddr>().is_ok() {
            errors.push(Error::invalid(&path.child("host"), host.clone(), DNS_NAME));
        }
        check_host(host, &path.child("host"), errors);
    }
    if rule["http"].is_set() {
        let (paths, list) = (rule["http"]["paths"].items(), path.child("http").child("paths"));
        if paths.is_empty() {
            errors.push(Error::required(&list, ""));
        }
        for (i, item) in paths.iter().enumerate() {
            check_path(item, &list.index(i), errors);
        }
    }
}

fn check_path(item: &Value, path: &Path, errors: &mut Errors) {
    let (text, place) = (item["path"].text(), path.child("path"));
    if item["pathType"].is_null() {
        errors.push(Error::required(&path.child("pathType"), "pathType must be specified"));
        return;
    }
    let mut wrong = |detail: String| errors.push(Error::invalid(&place, text, detail));
    match item["pathType"].text() {
        "Exact" | "Prefix" => {
            if !text.starts_with('/') {
                wrong("must be an absolute path".to_owned());
            }
            for part in ["//", "/./", "/../", "%2f", "%2F"].iter().filter(|part| text.contains(**part)) {
                wrong(format!("must not contain '{part}'"));
            }
            for end in ["/..", "/."].iter().filter(|end| text.ends_with(**end)) {
                wrong(format!("cannot end with '{end}'"));
            }
        }
        "ImplementationSpecific" => {
            if !text.is_empty() && !text.starts_with('/') {
                wrong("must be an absolute path".to_owned());
            }
        }
        kind => {
            let known = ["Exact", "ImplementationSpecific", "Prefix"];
            errors.push(Error::not_supported(&path.child("pathType"), kind, &known));
        }
    }
    check_backend(&item["backend"], &path.child("backend"), errors);
}

fn check_backend(backend: &Value, path: &Path, errors: &mut Errors) {
    let (resource, service) = (&backend["resource"], &backend["service"]);
    match (resource.is_set(), service.is_set()) {
        (true, true) => errors.push(Error::invalid(path, "", "cannot set both resource and service backends")),
        (true, false) => check_reference(resource, &path.child("resource"), errors),
        (false, true) => check_service(service, path, errors),
        (false, false) => errors.push(Error::invalid(path, "", "resource or service backend is required")),
    }
}

fn check_service(service: &Value, path: &Path, errors: &mut Errors) {
    let place = path.child("service").child("name");
    if service["name"].is_unset() {
        errors.push(Error::required(&place, ""));
    } else {
        named(errors, &place, &service["name"], names::dns1035_label);
    }
    let port = &service["port"];
    let number = port["number"].int().unwrap_or(0);
    let place = path.child("service").child("port");
    match (!port["name"].is_unset(), number != 0) {
        (true, true) => errors.push(Error::invalid(path, "", "cannot set both port name & port number")),
        (true, false) => named(errors, &place.child("name"), &port["name"], names::port_name),
        (false, true) => port_number(errors, &place.child("number"), number),
        (false, false) => errors.push(Error::required(path, "port name or number is required")),
    }
}

/// A `TypedLocalObjectReference`.
pub fn check_reference(reference: &Value, path: &Path, errors: &mut Errors) {
    if reference["apiGroup"].is_set() {
        named(errors, &path.child("apiGroup"), &reference["apiGroup"], names::dns1123_subdomain);
    }
    for field in ["kind", "name"] {
        if reference[field].is_unset() {
            errors.push(Error::required(&path.child(field), ""));
        } else {
            named(errors, &path.child(field), &reference[field], names::path_segment);
        }
    }
}

fn check_status(new: &Value, errors: &mut Errors) {
    let path = Path::new("status").child("loadBalancer").child("ingress");
    for (i, entry) in new["status"]["loadBalancer"]["ingress"].items().iter().enumerate() {
        let path = path.index(i);
        if !entry["ip"].is_unset() {
            ip(errors, &path.child("ip"), &entry["ip"]);
        }
        if !entry["hostname"].is_unset() {
            named(errors, &path.child("hostname"), &entry["hostname"], names::dns1123_subdomain);
            if entry["hostname"].text().parse::<IpAddr>().is_ok() {
                errors.push(Error::invalid(&path.child("hostname"), entry["hostname"].clone(), DNS_NAME));
            }
        }
        for (i, port) in entry["ports"].items().iter().enumerate() {
            one_of(errors, &path.child("ports").index(i).child("protocol"), &port["protocol"], &["SCTP", "TCP", "UDP"]);
        }
    }
}

fn warnings(ingress: &Value, _: Option<&Value>) -> Vec<String> {
    let annotated = ingress["metadata"]["annotations"][CLASS_ANNOTATION].is_set();
    let wanted = "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead";
    annotated.then(|| wanted.to_owned()).into_iter().collect()
}

fn cells(ingress: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &ingress["spec"];
    let class = match (spec["ingressClassName"].as_str(), ingress["metadata"]["annotations"][CLASS_ANNOTATION].as_str())
    {
        (Some(class), _) | (None, Some(class)) => class,
        (None, None) => "<none>",
    };
    let mut addresses: Vec<&str> = ingress["status"]["loadBalancer"]["ingress"]
        .items()
        .iter()
        .map(|entry| if entry["ip"].is_unset() { entry["hostname"].text() } else { entry["ip"].text() })
        .filter(|text| !text.is_empty())
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    let ports = if spec["tls"].items().is_empty() { "80" } else { "80, 443" };
    vec![
        name_cell(ingress),
        class.into(),
        hosts(spec["rules"].items()).into(),
        addresses.join(",").into(),
        ports.into(),
        age_cell(ingress, now),
    ]
}

fn hosts(rules: &[Value]) -> String {
    let (mut list, mut more) = (Vec::new(), false);
    for rule in rules {
        more |= list.len() == 3;
        if !more && !rule["host"].is_unset() {
            list.push(rule["host"].text());
        }
    }
    match (list.is_empty(), more) {
        (true, _) => "*".to_owned(),
        (false, true) => format!("{} + {} more...", list.join(","), rules.len() - 3),
        (false, false) => list.join(","),
    }
}
