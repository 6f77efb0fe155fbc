//! CSIStorageCapacity: how much a driver can still give somewhere.

use serde_json::Value;

use crate::field::{Error, Errors, Path};
use crate::kinds::rules::{immutable, label_selector, named};
use crate::names;
use crate::policy::read::{Read, age_cell, name_cell};
use crate::policy::{Column, Policy};
use crate::quantity::Quantity;

pub static CSI_STORAGE_CAPACITY: Policy = Policy {
    validate,
    validate_update: |new, old, errors| {
        immutable(errors, &Path::new("nodeTopology"), &new["nodeTopology"], &old["nodeTopology"]);
        immutable(errors, &Path::new("storageClassName"), &new["storageClassName"], &old["storageClassName"]);
    },
    columns: &[
        Column::NAME,
        Column::text("StorageClassName", "The class it is about."),
        Column::text("Capacity", "What is left."),
        Column::AGE,
    ],
    cells: |capacity, now| {
        let left = capacity["capacity"].as_str().unwrap_or("<unset>");
        vec![name_cell(capacity), capacity["storageClassName"].text().into(), left.into(), age_cell(capacity, now)]
    },
    ..Policy::NEUTRAL
};

fn validate(capacity: &Value, errors: &mut Errors) {
    let path = Path::new("storageClassName");
    if capacity["storageClassName"].is_unset() {
        errors.push(Error::required(&path, ""));
    } else {
        named(errors, &path, &capacity["storageClassName"], names::dns1123_subdomain);
    }
    label_selector(errors, &Path::new("nodeTopology"), &capacity["nodeTopology"]);
    for field in ["capacity", "maximumVolumeSize"] {
        let value = &capacity[field];
        if value.is_set() && Quantity::parse(value.text()).is_ok_and(|q| q.sign() < 0) {
            errors.push(Error::invalid(&Path::new(field), value.clone(), "must be greater than or equal to 0"));
        }
    }
}
