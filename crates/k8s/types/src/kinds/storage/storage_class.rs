//! StorageClass: who makes volumes of this sort, and how.

use std::collections::HashSet;

use serde_json::Value;

use crate::field::{Error, Errors, Path};
use crate::kinds::rules::{immutable, named, one_of, required_one_of};
use crate::names;
use crate::policy::read::{Read, age_cell, or_set};
use crate::policy::{Column, Policy};

/// The annotations that make a class the default one.
pub const DEFAULT_ANNOTATIONS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

pub static STORAGE_CLASS: Policy = Policy {
    defaults: |class| {
        or_set(class, "reclaimPolicy", "Delete");
        or_set(class, "volumeBindingMode", "Immediate");
    },
    validate,
    validate_update,
    columns: &[
        Column::NAME,
        Column::text("Provisioner", "Who makes the volumes."),
        Column::text("ReclaimPolicy", "What becomes of a volume that is no longer claimed."),
        Column::text("VolumeBindingMode", "When a volume is made."),
        Column::text("AllowVolumeExpansion", "Whether claims may grow."),
        Column::AGE,
    ],
    cells: |class, now| {
        vec![
            name_and_default(class, &DEFAULT_ANNOTATIONS).into(),
            class["provisioner"].text().into(),
            class["reclaimPolicy"].as_str().unwrap_or("Delete").into(),
            class["volumeBindingMode"].as_str().unwrap_or("Immediate").into(),
            class["allowVolumeExpansion"].yes().into(),
            age_cell(class, now),
        ]
    },
    create_on_update: true,
    ..Policy::NEUTRAL
};

/// The name, with ` (default)` where an annotation says so.
pub fn name_and_default(class: &Value, annotations: &[&str]) -> String {
    let metadata = &class["metadata"];
    let default = annotations.iter().any(|key| metadata["annotations"][*key] == "true");
    format!("{}{}", metadata["name"].text(), if default { " (default)" } else { "" })
}

fn validate(class: &Value, errors: &mut Errors) {
    let path = Path::new("provisioner");
    if class["provisioner"].is_unset() {
        errors.push(Error::required(&path, ""));
    } else {
        for message in names::qualified_name(&class["provisioner"].text().to_lowercase()) {
            errors.push(Error::invalid(&path, class["provisioner"].clone(), message));
        }
    }
    parameters(class, true, errors);
    one_of(errors, &Path::new("reclaimPolicy"), &class["reclaimPolicy"], &["Delete", "Retain"]);
    let modes = ["Immediate", "WaitForFirstConsumer"];
    required_one_of(errors, &Path::new("volumeBindingMode"), &class["volumeBindingMode"], &modes);
    topologies(class["allowedTopologies"].items(), &Path::new("allowedTopologies"), errors);
}

/// Parameters of a class, all together not too large.
pub fn parameters(class: &Value, may_be_empty: bool, errors: &mut Errors) {
    let (path, parameters) = (Path::new("parameters"), class["parameters"].fields());
    if !may_be_empty && parameters.is_empty() {
        errors.push(Error::required(&path, "must contain at least one key/value pair"));
    }
    if parameters.len() > 512 {
        errors.push(Error::too_long(&path, 512));
        return;
    }
    if parameters.keys().any(String::is_empty) {
        errors.push(Error::invalid(&path, "", "field can not be empty."));
    }
    let size: usize = parameters.iter().map(|(key, value)| key.len() + value.text().len()).sum();
    if size > 256 << 10 {
        errors.push(Error::too_long(&path, 256 << 10));
    }
}

fn topologies(terms: &[Value], path: &Path, errors: &mut Errors) {
    for (i, term) in terms.iter().enumerate() {
        let list = path.index(i).child("matchLabelExpressions");
        let mut keys = HashSet::new();
        for (i, expression) in term["matchLabelExpressions"].items().iter().enumerate() {
            let path = list.index(i);
            let (key, values) = (&expression["key"], expression["values"].items());
            if values.is_empty() {
                errors.push(Error::required(&path.child("values"), ""));
            }
            let mut seen = HashSet::new();
            for (i, value) in values.iter().enumerate() {
                if !seen.insert(value.text()) {
                    errors.push(Error::duplicate(&path.child("values").index(i), value.clone()));
                }
            }
            named(errors, &path.child("key"), key, names::qualified_name);
            if !keys.insert(key.text()) {
                errors.push(Error::duplicate(&path.child("key"), key.clone()));
            }
        }
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Errors) {
    for (field, wrong) in [
        ("parameters", "updates to parameters are forbidden."),
        ("provisioner", "updates to provisioner are forbidden."),
        ("reclaimPolicy", "updates to reclaimPolicy are forbidden."),
    ] {
        let (ours, before) = (&new[field], &old[field]);
        if ours != before && !(ours.is_unset() && before.is_unset()) {
            errors.push(Error::forbidden(&Path::new(field), wrong));
        }
    }
    immutable(errors, &Path::new("volumeBindingMode"), &new["volumeBindingMode"], &old["volumeBindingMode"]);
}
