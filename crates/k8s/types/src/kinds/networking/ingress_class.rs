//! IngressClass: a controller of ingresses and its parameters.

use serde_json::Value;

use super::ingress::check_reference;
use crate::field::{Error, Errors, Path};
use crate::kinds::rules::{domain_prefixed_path, immutable, named};
use crate::names;
use crate::policy::read::{Read, age_cell, name_cell, or_set, put};
use crate::policy::{Column, Policy, prepare};

pub static INGRESS_CLASS: Policy = Policy {
    defaults: |class| {
        if let Some(parameters) = class.get_mut("spec").and_then(|s| s.get_mut("parameters")) {
            or_set(parameters, "scope", "Cluster");
        }
    },
    prepare_create: |class| put(class, &["metadata", "generation"], 1),
    prepare_update: prepare::count_generation,
    validate,
    validate_update: |new, old, errors| {
        let path = Path::new("spec").child("controller");
        immutable(errors, &path, &new["spec"]["controller"], &old["spec"]["controller"]);
    },
    columns: &[
        Column::NAME,
        Column::text("Controller", "Who serves ingresses of this class."),
        Column::text("Parameters", "An object with more of its settings."),
        Column::AGE,
    ],
    cells: |class, now| {
        let spec = &class["spec"];
        vec![
            name_cell(class),
            spec["controller"].text().into(),
            parameters(&spec["parameters"]).into(),
            age_cell(class, now),
        ]
    },
    ..Policy::NEUTRAL
};

fn validate(class: &Value, errors: &mut Errors) {
    let (spec, path) = (&class["spec"], Path::new("spec"));
    if spec["controller"].text().len() > 250 {
        errors.push(Error::too_long(&path.child("controller"), 250));
    }
    domain_prefixed_path(errors, &path.child("controller"), &spec["controller"]);
    let (parameters, path) = (&spec["parameters"], path.child("parameters"));
    if parameters.is_null() {
        return;
    }
    check_reference(parameters, &path, errors);
    let place = path.child("namespace");
    match parameters["scope"].text() {
        "" => errors.push(Error::required(&path.child("scope"), "")),
        "Namespace" if parameters["namespace"].is_null() => {
            errors.push(Error::required(&place, "`parameters.scope` is set to 'Namespace'"));
        }
        "Namespace" => named(errors, &place, &parameters["namespace"], names::dns1123_label),
        "Cluster" if parameters["namespace"].is_set() => {
            errors.push(Error::forbidden(&place, "`parameters.scope` is set to 'Cluster'"));
        }
        "Cluster" => {}
        scope => errors.push(Error::not_supported(&path.child("scope"), scope, &["Cluster", "Namespace"])),
    }
}

fn parameters(parameters: &Value) -> String {
    if parameters.is_null() {
        return "<none>".to_owned();
    }
    let kind = parameters["kind"].text();
    match parameters["apiGroup"].text() {
        "" => format!("{kind}/{}", parameters["name"].text()),
        group => format!("{kind}.{group}/{}", parameters["name"].text()),
    }
}
