//! What webhooks and admission policies are about: rules, conditions, selectors.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::field::{Error, Errors, Path};
use crate::kinds::rules::{has_wildcard, named, one_of};
use crate::names;
use crate::policy::read::{Read, each, or_set, put};

/// Selectors that select everything, scopes that are every scope, equivalent matching.
pub fn defaults(holder: &mut Value, rules: &[&str]) {
    for selector in ["namespaceSelector", "objectSelector"] {
        if holder[selector].is_null() {
            put(holder, &[selector], json!({}));
        }
    }
    or_set(holder, "matchPolicy", "Equivalent");
    for list in rules {
        for rule in each(holder, &[list]) {
            or_set(rule, "scope", "*");
        }
    }
}

/// A rule with its operations.
pub fn check_rule(rule: &Value, subresources: bool, path: &Path, errors: &mut Errors) {
    let (operations, place) = (&rule["operations"], path.child("operations"));
    if operations.items().is_empty() {
        errors.push(Error::required(&place, ""));
    }
    if operations.items().len() > 1 && has_wildcard(operations) {
        let wrong = "if '*' is present, must not specify other operations";
        errors.push(Error::invalid(&place, operations.clone(), wrong));
    }
    for (i, operation) in operations.items().iter().enumerate() {
        one_of(errors, &place.index(i), operation, &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"]);
    }
    for (field, what) in [("apiGroups", "API groups"), ("apiVersions", "API versions")] {
        let (list, place) = (&rule[field], path.child(field));
        if list.items().is_empty() {
            errors.push(Error::required(&place, ""));
        }
        if list.items().len() > 1 && has_wildcard(list) {
            let wrong = format!("if '*' is present, must not specify other {what}");
            errors.push(Error::invalid(&place, list.clone(), wrong));
        }
    }
    for (i, _) in rule["apiVersions"].items().iter().enumerate().filter(|(_, version)| version.is_unset()) {
        errors.push(Error::required(&path.child("apiVersions").index(i), ""));
    }
    check_resources(&rule["resources"], subresources, &path.child("resources"), errors);
    one_of(errors, &path.child("scope"), &rule["scope"], &["*", "Cluster", "Namespaced"]);
}

fn check_resources(list: &Value, subresources: bool, path: &Path, errors: &mut Errors) {
    let resources = list.items();
    if resources.is_empty() {
        errors.push(Error::required(path, ""));
    }
    let (mut all_of, mut any_with) = (HashSet::new(), HashSet::new());
    for (i, resource) in resources.iter().enumerate() {
        let text = resource.text();
        if text.is_empty() {
            errors.push(Error::required(&path.index(i), ""));
            continue;
        }
        let Some((resource, sub)) = text.split_once('/') else { continue };
        if !subresources {
            errors.push(Error::invalid(&path.index(i), text, "must not specify subresources"));
            continue;
        }
        if all_of.contains(resource) {
            let wrong = format!("if '{resource}/*' is present, must not specify {text}");
            errors.push(Error::invalid(&path.index(i), text, wrong));
        }
        if any_with.contains(sub) {
            let wrong = format!("if '*/{sub}' is present, must not specify {text}");
            errors.push(Error::invalid(&path.index(i), text, wrong));
        }
        if sub == "*" {
            all_of.insert(resource);
        }
        if resource == "*" {
            any_with.insert(sub);
        }
    }
    if resources.len() > 1 && resources.iter().any(|r| r == "*/*") {
        let wrong = "if '*/*' is present, must not specify other resources";
        errors.push(Error::invalid(path, list.clone(), wrong));
    }
    let plain = |r: &Value| !r.text().contains('/') && r != "*";
    if has_wildcard(list) && resources.iter().any(plain) {
        let wrong = "if '*' is present, must not specify other resources without subresources";
        errors.push(Error::invalid(path, list.clone(), wrong));
    }
}

/// `matchConditions`: named CEL expressions, at most 64.
pub fn check_conditions(list: &Value, path: &Path, errors: &mut Errors) {
    if list.items().len() > 64 {
        errors.push(Error::too_many(path, list.items().len(), 64));
    }
    let mut seen = HashSet::new();
    for (i, condition) in list.items().iter().enumerate() {
        let path = path.index(i);
        if condition["expression"].text().trim().is_empty() {
            errors.push(Error::required(&path.child("expression"), ""));
        }
        let name = &condition["name"];
        if name.is_unset() {
            errors.push(Error::required(&path.child("name"), ""));
            continue;
        }
        named(errors, &path.child("name"), name, names::qualified_name);
        if !seen.insert(name.text()) {
            errors.push(Error::duplicate(&path.child("name"), name.clone()));
        }
    }
}
