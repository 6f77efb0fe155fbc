//! VolumeAttributesClass: settings of volumes that can change while they live.

use serde_json::Value;

use super::storage_class::{name_and_default, parameters};
use crate::field::{Errors, Path};
use crate::kinds::rules::{csi_driver_name, immutable};
use crate::policy::read::{Read, age_cell};
use crate::policy::{Column, Policy};

pub static VOLUME_ATTRIBUTES_CLASS: Policy = Policy {
    validate,
    validate_update: |new, old, errors| {
        immutable(errors, &Path::new("driverName"), &new["driverName"], &old["driverName"]);
        immutable(errors, &Path::new("parameters"), &new["parameters"], &old["parameters"]);
    },
    columns: &[Column::NAME, Column::text("DriverName", "The driver that knows the settings."), Column::AGE],
    cells: |class, now| {
        let name = name_and_default(class, &["volumeattributesclass.alpha.kubernetes.io/is-default-class"]);
        vec![name.into(), class["driverName"].text().into(), age_cell(class, now)]
    },
    create_on_update: true,
    ..Policy::NEUTRAL
};

fn validate(class: &Value, errors: &mut Errors) {
    csi_driver_name(errors, &Path::new("driverName"), &class["driverName"]);
    parameters(class, false, errors);
}
