//! Role and ClusterRole: lists of rules.

use serde_json::Value;

use crate::field::{Error, Errors, Path};
use crate::kinds::rules::label_selector;
use crate::policy::read::{Read, name_cell};
use crate::policy::{Column, NameRule, Policy};

const BASE: Policy = Policy {
    name: NameRule::PathSegment,
    columns: &[
        Column::NAME,
        Column {
            name: "Created At",
            kind: "date",
            format: "",
            description: "When the object was created.",
            priority: 0,
        },
    ],
    cells: |object, _| vec![name_cell(object), object["metadata"]["creationTimestamp"].clone()],
    create_on_update: true,
    ..Policy::NEUTRAL
};

pub static ROLE: Policy = Policy { validate: |role, errors| rules(role, true, errors), ..BASE };

pub static CLUSTER_ROLE: Policy = Policy { validate: validate_cluster_role, ..BASE };

fn validate_cluster_role(role: &Value, errors: &mut Errors) {
    rules(role, false, errors);
    let aggregation = &role["aggregationRule"];
    if aggregation.is_set() {
        let path = Path::new("aggregationRule").child("clusterRoleSelectors");
        let selectors = aggregation["clusterRoleSelectors"].items();
        if selectors.is_empty() {
            let wrong = "at least one clusterRoleSelector required if aggregationRule is non-nil";
            errors.push(Error::required(&path, wrong));
        }
        for (i, selector) in selectors.iter().enumerate() {
            label_selector(errors, &path.index(i), selector);
        }
    }
}

fn rules(role: &Value, namespaced: bool, errors: &mut Errors) {
    for (i, rule) in role["rules"].items().iter().enumerate() {
        check_rule(rule, namespaced, &Path::new("rules").index(i), errors);
    }
}

fn check_rule(rule: &Value, namespaced: bool, path: &Path, errors: &mut Errors) {
    let empty = |field: &str| rule[field].items().is_empty();
    if empty("verbs") {
        errors.push(Error::required(&path.child("verbs"), "verbs must contain at least one value"));
    }
    if !empty("nonResourceURLs") {
        let (path, urls) = (path.child("nonResourceURLs"), &rule["nonResourceURLs"]);
        if namespaced {
            let wrong = "namespaced rules cannot apply to non-resource URLs";
            errors.push(Error::invalid(&path, urls.clone(), wrong));
        }
        if !empty("apiGroups") || !empty("resources") || !empty("resourceNames") {
            let wrong = "rules cannot apply to both regular resources and non-resource URLs";
            errors.push(Error::invalid(&path, urls.clone(), wrong));
        }
        return;
    }
    if empty("apiGroups") {
        let wrong = "resource rules must supply at least one api group";
        errors.push(Error::required(&path.child("apiGroups"), wrong));
    }
    if empty("resources") {
        let wrong = "resource rules must supply at least one resource";
        errors.push(Error::required(&path.child("resources"), wrong));
    }
}
