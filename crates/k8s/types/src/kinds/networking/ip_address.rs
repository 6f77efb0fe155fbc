//! IPAddress: one address that a service has; its name is the address.

use serde_json::Value;

use crate::field::{Error, Errors, Path};
use crate::kinds::rules::{immutable, ip_fault, named};
use crate::names;
use crate::policy::read::{Read, age_cell, field_value, name_cell, put};
use crate::policy::{Column, NameRule, Policy, prepare};

pub static IP_ADDRESS: Policy = Policy {
    name: NameRule::Own,
    prepare_create: |address| put(address, &["metadata", "generation"], 1),
    prepare_update: prepare::count_generation,
    validate,
    validate_update: |new, old, errors| {
        let path = Path::new("spec").child("parentRef");
        immutable(errors, &path, &new["spec"]["parentRef"], &old["spec"]["parentRef"]);
    },
    columns: &[Column::NAME, Column::text("ParentRef", "What has the address."), Column::AGE],
    cells: |address, now| vec![name_cell(address), parent(address).into(), age_cell(address, now)],
    field: field_value,
    ..Policy::NEUTRAL
};

fn validate(address: &Value, errors: &mut Errors) {
    let name = &address["metadata"]["name"];
    if !name.is_unset()
        && let Some(wrong) = ip_fault(name.text())
    {
        errors.push(Error::invalid(&Path::new("metadata").child("name"), name.clone(), wrong));
    }
    let (parent, path) = (&address["spec"]["parentRef"], Path::new("spec").child("parentRef"));
    if parent.is_null() {
        errors.push(Error::required(&path, ""));
        return;
    }
    if !parent["group"].is_unset() {
        named(errors, &path.child("group"), &parent["group"], names::dns1123_subdomain);
    }
    for field in ["resource", "name"] {
        if parent[field].is_unset() {
            errors.push(Error::required(&path.child(field), ""));
        } else {
            named(errors, &path.child(field), &parent[field], names::path_segment);
        }
    }
    if !parent["namespace"].is_unset() {
        named(errors, &path.child("namespace"), &parent["namespace"], names::path_segment);
    }
}

fn parent(address: &Value) -> String {
    let parent = &address["spec"]["parentRef"];
    if parent.is_null() {
        return "<none>".to_owned();
    }
    let resource = match parent["group"].text() {
        "" => parent["resource"].text().to_owned(),
        group => format!("{}.{group}", parent["resource"].text()),
    };
    let parts = [resource.to_lowercase(), parent["namespace"].text().to_owned(), parent["name"].text().to_owned()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}
