//! CSINode: the drivers of volumes on a node.

use std::collections::HashSet;

use serde_json::Value;

use crate::field::{Error, Errors, Path};
use crate::kinds::rules::{IMMUTABLE, csi_driver_name, named};
use crate::names;
use crate::policy::read::{Read, age_cell, name_cell, take};
use crate::policy::{Column, Policy};

pub static CSI_NODE: Policy = Policy {
    validate,
    validate_update,
    columns: &[Column::NAME, Column::integer("Drivers", "How many drivers are registered."), Column::AGE],
    cells: |node, now| vec![name_cell(node), node["spec"]["drivers"].items().len().into(), age_cell(node, now)],
    create_on_update: true,
    ..Policy::NEUTRAL
};

fn validate(node: &Value, errors: &mut Errors) {
    let list = Path::new("spec").child("drivers");
    let mut seen = HashSet::new();
    for (i, driver) in node["spec"]["drivers"].items().iter().enumerate() {
        let path = list.index(i);
        csi_driver_name(errors, &path.child("name"), &driver["name"]);
        let id = &driver["nodeID"];
        if id.is_unset() {
            errors.push(Error::required(&path.child("nodeID"), id.text()));
        } else if id.text().len() > 256 {
            errors.push(Error::invalid(&path.child("nodeID"), id.clone(), "must be 256 characters or less"));
        }
        let mut keys = HashSet::new();
        for (i, key) in driver["topologyKeys"].items().iter().enumerate() {
            let path = path.child("topologyKeys").index(i);
            if key.is_unset() {
                errors.push(Error::required(&path, key.text()));
                continue;
            }
            if !keys.insert(key.text()) {
                errors.push(Error::duplicate(&path, key.clone()));
            }
            named(errors, &path, key, names::qualified_name);
        }
        if let Some(count) = driver["allocatable"]["count"].int().filter(|count| *count < 0) {
            let path = path.child("allocatable").child("count");
            errors.push(Error::invalid(&path, count, "must be greater than or equal to 0"));
        }
        if !seen.insert(driver["name"].text()) {
            errors.push(Error::duplicate(&path.child("name"), driver["name"].clone()));
        }
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Errors) {
    let without_count = |driver: &Value| {
        let mut driver = driver.clone();
        take(&mut driver, &["allocatable"]);
        driver
    };
    let path = Path::new("CSINodeDriver");
    for driver in new["spec"]["drivers"].items() {
        let before = old["spec"]["drivers"].items().iter().find(|d| d["name"] == driver["name"]);
        if before.is_some_and(|before| without_count(before) != without_count(driver)) {
            errors.push(Error::invalid(&path, driver.clone(), IMMUTABLE));
        }
    }
}
