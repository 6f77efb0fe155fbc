//! ValidatingWebhookConfiguration and MutatingWebhookConfiguration: servers that judge or change what is written.

use std::collections::HashSet;

use serde_json::Value;

use super::matching::{check_conditions, check_rule, defaults};
use crate::field::{Error, Errors, Path};
use crate::kinds::rules::{label_selector, named, one_of};
use crate::names;
use crate::policy::read::{Read, age_cell, each, name_cell, or_set, put};
use crate::policy::{Column, Policy};

const BASE: Policy = Policy {
    prepare_create: |config| put(config, &["metadata", "generation"], 1),
    prepare_update: |new, old| {
        let generation = old["metadata"]["generation"].int().unwrap_or(0);
        let changed = new["webhooks"] != old["webhooks"];
        put(new, &["metadata", "generation"], generation + i64::from(changed));
    },
    warnings: |config, _| {
        let some = !config["webhooks"].items().is_empty();
        some.then(|| "admission webhooks are stored but not called by this server yet".to_owned()).into_iter().collect()
    },
    columns: &[Column::NAME, Column::integer("Webhooks", "How many there are."), Column::AGE],
    cells: |config, now| vec![name_cell(config), config["webhooks"].items().len().into(), age_cell(config, now)],
    ..Policy::NEUTRAL
};

pub static VALIDATING: Policy =
    Policy { defaults: default_webhooks, validate: |config, errors| check(config, false, errors), ..BASE };

pub static MUTATING: Policy = Policy {
    defaults: |config| {
        default_webhooks(config);
        for webhook in each(config, &["webhooks"]) {
            or_set(webhook, "reinvocationPolicy", "Never");
        }
    },
    validate: |config, errors| check(config, true, errors),
    ..BASE
};

fn default_webhooks(config: &mut Value) {
    for webhook in each(config, &["webhooks"]) {
        or_set(webhook, "failurePolicy", "Fail");
        if webhook["timeoutSeconds"].is_null() {
            put(webhook, &["timeoutSeconds"], 10);
        }
        defaults(webhook, &["rules"]);
        let service = &webhook["clientConfig"]["service"];
        if service.is_object() && service["port"].is_null() {
            put(webhook, &["clientConfig", "service", "port"], 443);
        }
    }
}

fn check(config: &Value, mutating: bool, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for (i, webhook) in config["webhooks"].items().iter().enumerate() {
        let path = Path::new("webhooks").index(i);
        check_webhook(webhook, mutating, &path, errors);
        check_versions(&webhook["admissionReviewVersions"], &path.child("admissionReviewVersions"), errors);
        let name = &webhook["name"];
        if !name.is_unset() && !seen.insert(name.text()) {
            errors.push(Error::duplicate(&path.child("name"), name.clone()));
        }
    }
}

fn check_webhook(webhook: &Value, mutating: bool, path: &Path, errors: &mut Errors) {
    qualified(&webhook["name"], &path.child("name"), errors);
    for (i, rule) in webhook["rules"].items().iter().enumerate() {
        check_rule(rule, true, &path.child("rules").index(i), errors);
    }
    one_of(errors, &path.child("failurePolicy"), &webhook["failurePolicy"], &["Fail", "Ignore"]);
    one_of(errors, &path.child("matchPolicy"), &webhook["matchPolicy"], &["Equivalent", "Exact"]);
    if webhook["sideEffects"].is_null() {
        errors.push(Error::required(&path.child("sideEffects"), "must specify one of None, NoneOnDryRun"));
    } else {
        one_of(errors, &path.child("sideEffects"), &webhook["sideEffects"], &["None", "NoneOnDryRun"]);
    }
    if let Some(seconds) = webhook["timeoutSeconds"].int().filter(|s| !(1..=30).contains(s)) {
        let wrong = "the timeout value must be between 1 and 30 seconds";
        errors.push(Error::invalid(&path.child("timeoutSeconds"), seconds, wrong));
    }
    label_selector(errors, &path.child("namespaceSelector"), &webhook["namespaceSelector"]);
    label_selector(errors, &path.child("objectSelector"), &webhook["objectSelector"]);
    if mutating {
        one_of(errors, &path.child("reinvocationPolicy"), &webhook["reinvocationPolicy"], &["IfNeeded", "Never"]);
    }
    check_client(&webhook["clientConfig"], &path.child("clientConfig"), errors);
    check_conditions(&webhook["matchConditions"], &path.child("matchConditions"), errors);
}

fn qualified(name: &Value, path: &Path, errors: &mut Errors) {
    if name.is_unset() {
        errors.push(Error::required(path, ""));
        return;
    }
    named(errors, path, name, names::dns1123_subdomain);
    if name.text().split('.').count() < 3 {
        errors.push(Error::invalid(
            path,
            name.clone(),
            "should be a domain with at least three segments separated by dots",
        ));
    }
}

fn check_client(client: &Value, path: &Path, errors: &mut Errors) {
    let (url, service) = (&client["url"], &client["service"]);
    match (url.is_set(), service.is_set()) {
        (true, false) => check_url(url, &path.child("url"), errors),
        (false, true) => {
            let place = path.child("service");
            for field in ["name", "namespace"] {
                if service[field].is_unset() {
                    errors.push(Error::required(&place.child(field), format!("service {field} is required")));
                }
            }
            if let Some(port) = service["port"].int().filter(|port| !(1..=65535).contains(port)) {
                let wrong = "port is not valid: must be between 1 and 65535, inclusive";
                errors.push(Error::invalid(&place.child("port"), port, wrong));
            }
            if service["path"].is_set() && !service["path"].text().starts_with('/') {
                let wrong = "must start with a '/'";
                errors.push(Error::invalid(&place.child("path"), service["path"].clone(), wrong));
            }
        }
        _ => errors.push(Error::required(path, "exactly one of url or service is required")),
    }
}

fn check_url(url: &Value, path: &Path, errors: &mut Errors) {
    let form = "; desired format: https://host[/path]";
    let text = url.text();
    let Some(rest) = text.strip_prefix("https://") else {
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        errors.push(Error::invalid(path, scheme, format!("'https' is the only allowed URL scheme{form}")));
        return;
    };
    if rest.is_empty() || rest.starts_with('/') {
        errors.push(Error::invalid(path, "", format!("host must be specified{form}")));
    }
    for (sign, what) in [
        ('@', "user information is not permitted in the URL"),
        ('#', "fragments are not permitted in the URL"),
        ('?', "query parameters are not permitted in the URL"),
    ] {
        if let Some((_, after)) = rest.split_once(sign) {
            errors.push(Error::invalid(path, after, what));
        }
    }
}

fn check_versions(versions: &Value, path: &Path, errors: &mut Errors) {
    if versions.items().is_empty() {
        errors.push(Error::required(path, "must specify one of v1, v1beta1"));
        return;
    }
    let mut seen = HashSet::new();
    for (i, version) in versions.items().iter().enumerate() {
        if !seen.insert(version.text()) {
            errors.push(Error::invalid(&path.index(i), version.clone(), "duplicate version"));
            continue;
        }
        named(errors, &path.index(i), version, names::dns1035_label);
    }
    if !seen.contains("v1") && !seen.contains("v1beta1") {
        errors.push(Error::invalid(path, versions.clone(), "must include at least one of v1, v1beta1"));
    }
}
