//! ResourceSlice: devices that a driver has somewhere.

use std::collections::HashSet;

use jiff::{Timestamp, Unit};
use serde_json::Value;

use crate::field::{Error, Errors, Path};
use crate::kinds::rules::{at_most, csi_driver_name, immutable, named, required, required_name, required_one_of};
use crate::names;
use crate::policy::read::{Read, age_cell, each, name_cell, put};
use crate::policy::{Column, Policy, prepare};

pub static RESOURCE_SLICE: Policy = Policy {
    defaults,
    prepare_create: |slice| put(slice, &["metadata", "generation"], 1),
    prepare_update: prepare::count_generation,
    validate,
    validate_update: |new, old, errors| {
        let (path, ours, before) = (Path::new("spec"), &new["spec"], &old["spec"]);
        immutable(errors, &path.child("driver"), &ours["driver"], &before["driver"]);
        immutable(errors, &path.child("pool").child("name"), &ours["pool"]["name"], &before["pool"]["name"]);
        immutable(errors, &path.child("nodeName"), &ours["nodeName"], &before["nodeName"]);
    },
    columns: &[
        Column::NAME,
        Column::text("Node", "The node that has them."),
        Column::text("Driver", "The driver that has them."),
        Column::text("Pool", "The pool they belong to."),
        Column::AGE,
    ],
    cells: |slice, now| {
        let spec = &slice["spec"];
        vec![
            name_cell(slice),
            spec["nodeName"].text().into(),
            spec["driver"].text().into(),
            spec["pool"]["name"].text().into(),
            age_cell(slice, now),
        ]
    },
    ..Policy::NEUTRAL
};

fn defaults(slice: &mut Value) {
    let now = Timestamp::now().round(Unit::Second).unwrap_or_else(|_| Timestamp::now()).to_string();
    for device in each(slice, &["spec", "devices"]) {
        for taint in each(device, &["taints"]) {
            if taint["timeAdded"].is_null() {
                put(taint, &["timeAdded"], now.as_str());
            }
        }
    }
}

fn validate(slice: &Value, errors: &mut Errors) {
    let (spec, path) = (&slice["spec"], Path::new("spec"));
    csi_driver_name(errors, &path.child("driver"), &spec["driver"]);
    let (pool, place) = (&spec["pool"], path.child("pool"));
    if required(errors, &place.child("name"), &pool["name"]) {
        for part in pool["name"].text().split('/') {
            named(errors, &place.child("name"), &Value::from(part), names::dns1123_subdomain);
        }
    }
    let (count, generation) = (pool["resourceSliceCount"].int().unwrap_or(0), pool["generation"].int().unwrap_or(0));
    if count <= 0 {
        errors.push(Error::invalid(&place.child("resourceSliceCount"), count, "must be greater than zero"));
    }
    if generation < 0 {
        errors.push(Error::invalid(&place.child("generation"), generation, "must be greater than or equal to zero"));
    }
    check_place(spec, &path, errors);
    at_most(errors, &path.child("devices"), &spec["devices"], 128);
    let mut seen = HashSet::new();
    for (i, device) in spec["devices"].items().iter().enumerate() {
        let path = path.child("devices").index(i);
        if !seen.insert(device["name"].text()) {
            errors.push(Error::duplicate(&path.child("name"), device["name"].clone()));
        }
        check_device(device, &path, errors);
    }
}

fn check_place(spec: &Value, path: &Path, errors: &mut Errors) {
    let ways = [
        (!spec["nodeName"].is_unset(), "`nodeName`"),
        (spec["nodeSelector"].is_set(), "`nodeSelector`"),
        (spec["allNodes"].yes(), "`allNodes`"),
        (spec["perDeviceNodeSelection"].yes(), "`perDeviceNodeSelection`"),
    ];
    let set: Vec<&str> = ways.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect();
    let wanted = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    match set.len() {
        0 if spec["sharedCounters"].is_unset() => errors.push(Error::required(path, wanted)),
        0 | 1 => {}
        _ => {
            let wrong = format!("{wanted}, but multiple fields are set");
            errors.push(Error::invalid(path, format!("{{{}}}", set.join(", ")), wrong));
        }
    }
    if !spec["nodeName"].is_unset() {
        named(errors, &path.child("nodeName"), &spec["nodeName"], names::dns1123_subdomain);
    }
}

fn check_device(device: &Value, path: &Path, errors: &mut Errors) {
    required_name(errors, &path.child("name"), &device["name"], names::dns1123_label);
    let count = device["attributes"].fields().len() + device["capacity"].fields().len();
    if count > 32 {
        let wrong = "the total number of attributes and capacities must not exceed 32";
        errors.push(Error::invalid(path, count, wrong));
    }
    for (name, attribute) in device["attributes"].fields() {
        if attribute.fields().len() != 1 {
            let path = path.child("attributes").key(name);
            errors.push(Error::required(&path, "exactly one value must be specified"));
        }
    }
    for (i, taint) in device["taints"].items().iter().enumerate() {
        let path = path.child("taints").index(i);
        required_name(errors, &path.child("key"), &taint["key"], names::qualified_name);
        required_one_of(errors, &path.child("effect"), &taint["effect"], &["NoExecute", "NoSchedule", "None"]);
    }
}
