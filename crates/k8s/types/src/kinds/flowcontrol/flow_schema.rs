//! FlowSchema: which requests belong to which priority level.

use std::collections::HashSet;

use serde_json::Value;

use crate::field::{Error, Errors, Path};
use crate::kinds::rules::{has_wildcard, named};
use crate::names;
use crate::policy::read::{Read, age_cell, name_cell, put};
use crate::policy::{Column, Policy};

const VERBS: [&str; 9] = ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

pub static FLOW_SCHEMA: Policy = Policy {
    defaults: |schema| {
        if schema["spec"].is_object() && schema["spec"]["matchingPrecedence"].int().unwrap_or(0) == 0 {
            put(schema, &["spec", "matchingPrecedence"], 1000);
        }
    },
    validate,
    validate_status: |new, _, errors| conditions(new, errors),
    columns: &[
        Column::NAME,
        Column::text("PriorityLevel", "The level its requests belong to."),
        Column::integer("MatchingPrecedence", "The lowest number matches first."),
        Column::text("DistinguisherMethod", "What tells flows apart."),
        Column::AGE,
        Column::text("MissingPL", "Whether the level is missing."),
    ],
    cells: |schema, now| {
        let spec = &schema["spec"];
        let method = spec["distinguisherMethod"]["type"].as_str().unwrap_or("<none>");
        let conditions = schema["status"]["conditions"].items();
        let dangling = conditions.iter().find(|c| c["type"] == "Dangling").map_or("?", |c| c["status"].text());
        vec![
            name_cell(schema),
            spec["priorityLevelConfiguration"]["name"].text().into(),
            spec["matchingPrecedence"].int().unwrap_or(0).into(),
            method.into(),
            age_cell(schema, now),
            dangling.into(),
        ]
    },
    ..Policy::SPEC_STATUS
};

fn validate(schema: &Value, errors: &mut Errors) {
    let (spec, path) = (&schema["spec"], Path::new("spec"));
    let (precedence, place) = (spec["matchingPrecedence"].int().unwrap_or(0), path.child("matchingPrecedence"));
    if precedence <= 0 {
        errors.push(Error::invalid(&place, precedence, "must be a positive value"));
    }
    if precedence > 10_000 {
        errors.push(Error::invalid(&place, precedence, "must not be greater than 10000"));
    }
    if precedence == 1 && schema["metadata"]["name"] != "exempt" {
        let wrong = "only the schema named 'exempt' may have matchingPrecedence 1";
        errors.push(Error::invalid(&place, precedence, wrong));
    }
    let method = &spec["distinguisherMethod"];
    if method.is_set() && !["ByNamespace", "ByUser"].contains(&method["type"].text()) {
        let place = path.child("distinguisherMethod").child("type");
        errors.push(Error::not_supported(&place, method["type"].clone(), &["ByNamespace", "ByUser"]));
    }
    let (level, place) =
        (&spec["priorityLevelConfiguration"]["name"], path.child("priorityLevelConfiguration").child("name"));
    if level.is_unset() {
        errors.push(Error::required(&place, "must reference a priority level"));
    } else {
        named(errors, &place, level, names::dns1123_subdomain);
    }
    for (i, rule) in spec["rules"].items().iter().enumerate() {
        check_rule(rule, &path.child("rules").index(i), errors);
    }
}

fn conditions(schema: &Value, errors: &mut Errors) {
    let list = Path::new("status").child("conditions");
    let mut seen = HashSet::new();
    for (i, condition) in schema["status"]["conditions"].items().iter().enumerate() {
        let path = list.index(i).child("type");
        if !seen.insert(condition["type"].text()) {
            errors.push(Error::duplicate(&path, condition["type"].clone()));
        }
        if condition["type"].is_unset() {
            errors.push(Error::required(&path, "must not be empty"));
        }
    }
}

fn check_rule(rule: &Value, path: &Path, errors: &mut Errors) {
    let subjects = rule["subjects"].items();
    if subjects.is_empty() {
        errors.push(Error::required(&path.child("subjects"), "subjects must contain at least one value"));
    }
    for (i, subject) in subjects.iter().enumerate() {
        check_subject(subject, &path.child("subjects").index(i), errors);
    }
    let (resources, others) = (rule["resourceRules"].items(), rule["nonResourceRules"].items());
    if resources.is_empty() && others.is_empty() {
        let wrong = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.push(Error::required(path, wrong));
    }
    for (i, rule) in resources.iter().enumerate() {
        check_resource_rule(rule, &path.child("resourceRules").index(i), errors);
    }
    for (i, rule) in others.iter().enumerate() {
        check_non_resource_rule(rule, &path.child("nonResourceRules").index(i), errors);
    }
}

fn check_subject(subject: &Value, path: &Path, errors: &mut Errors) {
    let kinds = [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")];
    let kind = subject["kind"].text();
    let Some((_, field)) = kinds.iter().find(|(known, _)| *known == kind) else {
        let known = ["Group", "ServiceAccount", "User"];
        errors.push(Error::not_supported(&path.child("kind"), kind, &known));
        return;
    };
    let (who, place) = (&subject[*field], path.child(*field));
    if who.is_null() {
        errors.push(Error::required(&place, format!("{field} is required when subject kind is '{kind}'")));
    } else {
        if who["name"].is_unset() {
            errors.push(Error::required(&place.child("name"), ""));
        } else if kind == "ServiceAccount" && who["name"] != "*" {
            named(errors, &place.child("name"), &who["name"], names::dns1123_subdomain);
        }
        if kind == "ServiceAccount" {
            if who["namespace"].is_unset() {
                errors.push(Error::required(&place.child("namespace"), "must specify namespace for service account"));
            } else {
                named(errors, &place.child("namespace"), &who["namespace"], names::dns1123_label);
            }
        }
    }
    for (other, field) in kinds.iter().filter(|(other, field)| *other != kind && subject[*field].is_set()) {
        let wrong = format!("{field} is forbidden when subject kind is not '{other}'");
        errors.push(Error::forbidden(&path.child(*field), wrong));
    }
}

fn check_verbs(verbs: &Value, path: &Path, errors: &mut Errors) {
    if verbs.items().is_empty() {
        errors.push(Error::required(path, "verbs must contain at least one value"));
    } else if has_wildcard(verbs) {
        alone(verbs, "verbs", path, errors);
    } else if verbs.items().iter().any(|verb| !VERBS.contains(&verb.text())) {
        errors.push(Error::not_supported(path, verbs.clone(), &VERBS));
    }
}

fn alone(list: &Value, what: &str, path: &Path, errors: &mut Errors) {
    if list.items().len() > 1 && has_wildcard(list) {
        let wrong = format!("if '*' is present, must not specify other {what}");
        errors.push(Error::invalid(path, list.clone(), wrong));
    }
}

fn check_resource_rule(rule: &Value, path: &Path, errors: &mut Errors) {
    check_verbs(&rule["verbs"], &path.child("verbs"), errors);
    for (field, what, one) in [("apiGroups", "api groups", "api group"), ("resources", "resources", "resource")] {
        if rule[field].items().is_empty() {
            errors.push(Error::required(&path.child(field), format!("resource rules must supply at least one {one}")));
        }
        alone(&rule[field], what, &path.child(field), errors);
    }
    let (namespaces, place) = (&rule["namespaces"], path.child("namespaces"));
    if namespaces.items().is_empty() && !rule["clusterScope"].yes() {
        let wrong = "resource rules that are not cluster scoped must supply at least one namespace";
        errors.push(Error::required(&place, wrong));
    } else if has_wildcard(namespaces) {
        alone(namespaces, "namespaces", &place, errors);
    } else {
        for (i, namespace) in namespaces.items().iter().enumerate() {
            for message in names::dns1123_label(namespace.text()) {
                let wrong = format!("each member of this list must be '*' or a DNS-1123 label; {message}");
                errors.push(Error::invalid(&place.index(i), namespace.clone(), wrong));
            }
        }
    }
}

fn check_non_resource_rule(rule: &Value, path: &Path, errors: &mut Errors) {
    check_verbs(&rule["verbs"], &path.child("verbs"), errors);
    let (urls, place) = (&rule["nonResourceURLs"], path.child("nonResourceURLs"));
    if urls.items().is_empty() {
        errors.push(Error::required(&place, "nonResourceURLs must contain at least one value"));
    }
    alone(urls, "non-resource URLs", &place, errors);
    for (i, url) in urls.items().iter().enumerate() {
        check_url(url, &place.index(i), errors);
    }
}

fn check_url(url: &Value, path: &Path, errors: &mut Errors) {
    let text = url.text();
    let wrong = match text {
        "*" | "/" => return,
        "" => "must not be empty",
        _ if !text.starts_with('/') => "must start with slash",
        _ if text.contains(' ') => "must not contain white-space",
        _ if text.contains("//") => "must not contain double slash",
        _ => match text.find('*') {
            None => return,
            Some(at) if at == text.len() - 1 && text.ends_with("/*") => return,
            Some(at) if at == text.len() - 1 => "wildcard can only exist in the end of path, following a slash",
            Some(_) => "wildcard can only do suffix matching",
        },
    };
    errors.push(Error::invalid(path, url.clone(), wrong));
}
