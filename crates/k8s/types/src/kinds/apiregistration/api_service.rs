//! APIService: a group and version, and the service that answers for it.

use jiff::{Timestamp, Unit};
use serde_json::{Value, json};

use crate::field::{Error, Errors, Path};
use crate::kinds::rules::named;
use crate::names;
use crate::policy::read::{Read, age_cell, name_cell, put};
use crate::policy::{Column, NameRule, Policy, prepare};

pub static API_SERVICE: Policy = Policy {
    name: NameRule::Own,
    defaults: |service| {
        let backend = &service["spec"]["service"];
        if backend.is_object() && backend["port"].is_null() {
            put(service, &["spec", "service", "port"], 443);
        }
    },
    prepare_create: |service| {
        let status = availability(service);
        put(service, &["status"], status);
    },
    prepare_update: |new, old| {
        prepare::status_from(new, old);
        if new["spec"]["service"].is_set() != old["spec"]["service"].is_set() {
            let status = availability(new);
            put(new, &["status"], status);
        }
    },
    prepare_status: prepare::only_status,
    validate,
    warnings: |service, _| {
        let remote = service["spec"]["service"].is_set();
        let text = "aggregated API servers are not supported yet: nothing is proxied to spec.service";
        remote.then(|| text.to_owned()).into_iter().collect()
    },
    columns: &[
        Column::NAME,
        Column::text("Service", "Who answers."),
        Column::text("Available", "Whether it does."),
        Column::AGE,
    ],
    cells: |service, now| {
        let backend = &service["spec"]["service"];
        let who = match backend.is_set() {
            true => format!("{}/{}", backend["namespace"].text(), backend["name"].text()),
            false => "Local".to_owned(),
        };
        vec![name_cell(service), who.into(), available(service).into(), age_cell(service, now)]
    },
    ..Policy::NEUTRAL
};

/// What this server can say about a service at once: its own groups are there, others are not reached.
fn availability(service: &Value) -> Value {
    let now = Timestamp::now().round(Unit::Second).unwrap_or_else(|_| Timestamp::now()).to_string();
    let condition = match service["spec"]["service"].is_set() {
        false => json!({"type": "Available", "status": "True", "reason": "Local",
            "message": "Local APIServices are always available", "lastTransitionTime": now}),
        true => json!({"type": "Available", "status": "False", "reason": "AggregationNotSupported",
            "message": "this server does not proxy to other API servers", "lastTransitionTime": now}),
    };
    json!({"conditions": [condition]})
}

fn available(service: &Value) -> String {
    let conditions = service["status"]["conditions"].items();
    let condition = conditions.iter().find(|c| c["type"] == "Available");
    match condition.map(|c| (c["status"].text(), c["reason"].text())) {
        None => "Unknown".to_owned(),
        Some((status, "")) | Some((status @ "True", _)) => status.to_owned(),
        Some((status, reason)) => format!("{status} ({reason})"),
    }
}

fn validate(service: &Value, errors: &mut Errors) {
    let (spec, path) = (&service["spec"], Path::new("spec"));
    let (group, version) = (spec["group"].text(), spec["version"].text());
    let (name, wanted) = (service["metadata"]["name"].text(), format!("{version}.{group}"));
    if name != wanted {
        let wrong = format!("must be `spec.version+\".\"+spec.group`: {wanted:?}");
        errors.push(Error::invalid(&Path::new("metadata").child("name"), name, wrong));
    }
    if group.is_empty() {
        if version != "v1" {
            errors.push(Error::required(
                &path.child("group"),
                "only v1 may have an empty group and it better be legacy kube",
            ));
        }
    } else {
        named(errors, &path.child("group"), &spec["group"], names::dns1123_subdomain);
    }
    named(errors, &path.child("version"), &spec["version"], names::dns1035_label);
    priorities(spec, &path, errors);
    let (backend, place) = (&spec["service"], path.child("service"));
    let (insecure, bundle) = (spec["insecureSkipTLSVerify"].yes(), !spec["caBundle"].is_unset());
    if backend.is_null() {
        if bundle {
            errors.push(Error::invalid(&path.child("caBundle"), "", "local APIServices may not have a caBundle"));
        }
        if insecure {
            let wrong = "local APIServices may not have insecureSkipTLSVerify";
            errors.push(Error::invalid(&path.child("insecureSkipTLSVerify"), true, wrong));
        }
        return;
    }
    for field in ["namespace", "name"] {
        if backend[field].is_unset() {
            errors.push(Error::required(&place.child(field), ""));
        }
    }
    if let Some(port) = backend["port"].int().filter(|port| !(1..=65535).contains(port)) {
        errors.push(Error::invalid(
            &place.child("port"),
            port,
            "port is not valid: must be between 1 and 65535, inclusive",
        ));
    }
    if insecure && bundle {
        let wrong = "may not be true if caBundle is present";
        errors.push(Error::invalid(&path.child("insecureSkipTLSVerify"), true, wrong));
    }
}

fn priorities(spec: &Value, path: &Path, errors: &mut Errors) {
    for (field, most) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
        let value = spec[field].int().unwrap_or(0);
        if value <= 0 || value > most {
            let wrong = format!("must be positive and less than {most}");
            errors.push(Error::invalid(&path.child(field), value, wrong));
        }
    }
}
