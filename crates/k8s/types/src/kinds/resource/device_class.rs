//! DeviceClass: devices of a sort, with their settings.

use serde_json::Value;

use super::requests::{check_opaque, check_selectors};
use crate::field::{Error, Errors, Path};
use crate::kinds::rules::at_most;
use crate::policy::read::{Read, put};
use crate::policy::{Policy, prepare};

pub static DEVICE_CLASS: Policy = Policy {
    prepare_create: |class| put(class, &["metadata", "generation"], 1),
    prepare_update: prepare::count_generation,
    validate,
    ..Policy::NEUTRAL
};

fn validate(class: &Value, errors: &mut Errors) {
    let (spec, path) = (&class["spec"], Path::new("spec"));
    check_selectors(&spec["selectors"], &path.child("selectors"), errors);
    at_most(errors, &path.child("config"), &spec["config"], 32);
    for (i, config) in spec["config"].items().iter().enumerate() {
        check_opaque(config, &path.child("config").index(i), errors);
    }
    let name = &spec["extendedResourceName"];
    if name.is_set() && !name.text().contains('/') {
        let path = path.child("extendedResourceName");
        errors.push(Error::invalid(&path, name.clone(), "must be a valid extended resource name"));
    }
}
