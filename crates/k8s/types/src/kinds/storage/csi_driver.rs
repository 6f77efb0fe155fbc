//! CSIDriver: what a driver of volumes wants to be told.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::field::{Error, Errors, Path};
use crate::kinds::rules::{IMMUTABLE, csi_driver_name, one_of};
use crate::policy::read::{Read, age_cell, name_cell, put};
use crate::policy::{Column, NameRule, Policy, prepare};

pub static CSI_DRIVER: Policy = Policy {
    name: NameRule::Own,
    defaults,
    prepare_create: |driver| put(driver, &["metadata", "generation"], 1),
    prepare_update: prepare::count_generation,
    validate,
    validate_update,
    columns: &[
        Column::NAME,
        yes_or_no("AttachRequired", "Volumes are attached to a node first."),
        yes_or_no("PodInfoOnMount", "The driver is told about the pod."),
        yes_or_no("StorageCapacity", "The driver tells how much is left."),
        Column::text("TokenRequests", "Audiences of the tokens the driver gets."),
        yes_or_no("RequiresRepublish", "The driver is called again and again."),
        Column::text("Modes", "Sorts of volumes."),
        Column::AGE,
    ],
    cells: |driver, now| {
        let spec = &driver["spec"];
        let audiences = spec["tokenRequests"].items().iter().map(|r| r["audience"].text());
        let modes = spec["volumeLifecycleModes"].items().iter().map(Read::text);
        vec![
            name_cell(driver),
            spec["attachRequired"].as_bool().unwrap_or(true).into(),
            spec["podInfoOnMount"].yes().into(),
            spec["storageCapacity"].yes().into(),
            text_or(audiences.collect(), "<unset>"),
            spec["requiresRepublish"].yes().into(),
            text_or(modes.collect(), "<none>"),
            age_cell(driver, now),
        ]
    },
    create_on_update: true,
    ..Policy::NEUTRAL
};

const fn yes_or_no(name: &'static str, description: &'static str) -> Column<'static> {
    Column { kind: "boolean", ..Column::text(name, description) }
}

fn text_or(list: Vec<&str>, none: &str) -> Value {
    if list.is_empty() { none.into() } else { list.join(",").into() }
}

fn defaults(driver: &mut Value) {
    let Some(spec) = driver.get_mut("spec").filter(|spec| spec.is_object()) else { return };
    let defaults = [
        ("attachRequired", json!(true)),
        ("podInfoOnMount", json!(false)),
        ("storageCapacity", json!(false)),
        ("fsGroupPolicy", json!("ReadWriteOnceWithFSType")),
        ("volumeLifecycleModes", json!(["Persistent"])),
        ("requiresRepublish", json!(false)),
        ("seLinuxMount", json!(false)),
    ];
    for (field, value) in defaults {
        if spec[field].is_unset() {
            put(spec, &[field], value);
        }
    }
}

fn validate(driver: &Value, errors: &mut Errors) {
    csi_driver_name(errors, &Path::new("name"), &driver["metadata"]["name"]);
    let (spec, path) = (&driver["spec"], Path::new("spec"));
    for (field, shown) in [
        ("attachRequired", "attachedRequired"),
        ("podInfoOnMount", "podInfoOnMount"),
        ("storageCapacity", "storageCapacity"),
    ] {
        if spec[field].is_null() {
            errors.push(Error::required(&path.child(shown), ""));
        }
    }
    let policies = ["File", "None", "ReadWriteOnceWithFSType"];
    one_of(errors, &path.child("fsGroupPolicy"), &spec["fsGroupPolicy"], &policies);
    let mut seen = HashSet::new();
    for (i, request) in spec["tokenRequests"].items().iter().enumerate() {
        let path = path.child("tokenRequests").index(i);
        if !seen.insert(request["audience"].text()) {
            errors.push(Error::duplicate(&path.child("audience"), request["audience"].clone()));
        }
        if let Some(seconds) = request["expirationSeconds"].int() {
            let path = path.child("expirationSeconds");
            if seconds < 600 {
                errors.push(Error::invalid(&path, seconds, "may not specify a duration less than 10 minutes"));
            } else if seconds > 1 << 32 {
                errors.push(Error::invalid(&path, seconds, "may not specify a duration larger than 2^32 seconds"));
            }
        }
    }
    for (i, mode) in spec["volumeLifecycleModes"].items().iter().enumerate() {
        one_of(errors, &path.child("volumeLifecycleModes").index(i), mode, &["Ephemeral", "Persistent"]);
    }
    if let Some(seconds) = spec["nodeAllocatableUpdatePeriodSeconds"].int().filter(|s| *s < 10) {
        let path = path.child("nodeAllocatableUpdatePeriodSeconds");
        errors.push(Error::invalid(&path, seconds, "must be greater than or equal to 10 seconds"));
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Errors) {
    let path = Path::new("spec");
    for (field, shown) in [("attachRequired", "attachedRequired"), ("volumeLifecycleModes", "volumeLifecycleModes")] {
        if new["spec"][field] != old["spec"][field] {
            errors.push(Error::invalid(&path.child(shown), new["spec"][field].clone(), IMMUTABLE));
        }
    }
}
