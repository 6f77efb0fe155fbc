//! RoleBinding and ClusterRoleBinding: a role for subjects.

use jiff::Timestamp;
use serde_json::Value;

use super::GROUP;
use crate::field::{Error, Errors, Path};
use crate::kinds::rules::named;
use crate::names;
use crate::policy::read::{Read, age_cell, each, name_cell, or_set};
use crate::policy::{Column, NameRule, Policy};

const BASE: Policy = Policy {
    name: NameRule::PathSegment,
    defaults,
    validate_update,
    columns: &[
        Column::NAME,
        Column::text("Role", "The role that is given."),
        Column::AGE,
        Column::text("Users", "Users that get it.").wide(),
        Column::text("Groups", "Groups that get it.").wide(),
        Column::text("ServiceAccounts", "Service accounts that get it.").wide(),
    ],
    cells,
    create_on_update: true,
    ..Policy::NEUTRAL
};

pub static ROLE_BINDING: Policy = Policy {
    validate: |binding, errors| {
        role_ref(binding, &["Role", "ClusterRole"], errors);
        subjects(binding, true, errors);
    },
    ..BASE
};

pub static CLUSTER_ROLE_BINDING: Policy = Policy {
    validate: |binding, errors| {
        role_ref(binding, &["ClusterRole"], errors);
        subjects(binding, false, errors);
    },
    ..BASE
};

fn defaults(binding: &mut Value) {
    if let Some(role) = binding.get_mut("roleRef") {
        or_set(role, "apiGroup", GROUP);
    }
    for subject in each(binding, &["subjects"]) {
        if matches!(subject["kind"].text(), "User" | "Group") {
            or_set(subject, "apiGroup", GROUP);
        }
    }
}

fn role_ref(binding: &Value, kinds: &[&str], errors: &mut Errors) {
    let (role, path) = (&binding["roleRef"], Path::new("roleRef"));
    if role["apiGroup"].text() != GROUP {
        errors.push(Error::not_supported(&path.child("apiGroup"), role["apiGroup"].text(), &[GROUP]));
    }
    if !kinds.contains(&role["kind"].text()) {
        errors.push(Error::not_supported(&path.child("kind"), role["kind"].text(), kinds));
    }
    let path = path.child("name");
    if role["name"].is_unset() {
        errors.push(Error::required(&path, ""));
    } else {
        named(errors, &path, &role["name"], names::path_segment);
    }
}

fn subjects(binding: &Value, namespaced: bool, errors: &mut Errors) {
    for (i, subject) in binding["subjects"].items().iter().enumerate() {
        check_subject(subject, namespaced, &Path::new("subjects").index(i), errors);
    }
}

fn check_subject(subject: &Value, namespaced: bool, path: &Path, errors: &mut Errors) {
    let (name, group) = (subject["name"].text(), subject["apiGroup"].text());
    if name.is_empty() {
        errors.push(Error::required(&path.child("name"), ""));
    }
    let mut of_group = |expected: &str| {
        if group != expected {
            errors.push(Error::not_supported(&path.child("apiGroup"), group, &[expected]));
        }
    };
    match subject["kind"].text() {
        "ServiceAccount" => {
            of_group("");
            if !name.is_empty() {
                named(errors, &path.child("name"), &subject["name"], names::dns1123_subdomain);
            }
            if !namespaced && subject["namespace"].is_unset() {
                errors.push(Error::required(&path.child("namespace"), ""));
            }
        }
        "User" => {
            of_group(GROUP);
            if name.is_empty() {
                errors.push(Error::invalid(&path.child("name"), name, "user name cannot be empty"));
            }
        }
        "Group" => {
            of_group(GROUP);
            if name.is_empty() {
                errors.push(Error::invalid(&path.child("name"), name, "group name cannot be empty"));
            }
        }
        kind => {
            let known = ["ServiceAccount", "User", "Group"];
            errors.push(Error::not_supported(&path.child("kind"), kind, &known));
        }
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Errors) {
    if new["roleRef"] != old["roleRef"] {
        errors.push(Error::invalid(&Path::new("roleRef"), new["roleRef"].clone(), "cannot change roleRef"));
    }
}

fn cells(binding: &Value, now: Timestamp) -> Vec<Value> {
    let role = &binding["roleRef"];
    let subjects = binding["subjects"].items();
    let of = |kind: &str, text: fn(&Value) -> String| -> Value {
        let texts: Vec<String> = subjects.iter().filter(|s| s["kind"].text() == kind).map(text).collect();
        texts.join(", ").into()
    };
    let name = |subject: &Value| subject["name"].text().to_owned();
    vec![
        name_cell(binding),
        format!("{}/{}", role["kind"].text(), role["name"].text()).into(),
        age_cell(binding, now),
        of("User", name),
        of("Group", name),
        of("ServiceAccount", |s| format!("{}/{}", s["namespace"].text(), s["name"].text())),
    ]
}
