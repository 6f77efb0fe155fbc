//! PriorityClass: a name for a number.

use serde_json::Value;

use crate::field::{Error, Errors, Path};
use crate::kinds::rules::{immutable, one_of};
use crate::policy::read::{Read, age_cell, name_cell, or_set, put};
use crate::policy::{Column, Policy};

/// The highest priority that is not of the system.
pub const HIGHEST_USER_PRIORITY: i64 = 1_000_000_000;

/// The classes of the system: name and value.
const SYSTEM: [(&str, i64); 2] = [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];

pub static PRIORITY_CLASS: Policy = Policy {
    defaults: |class| or_set(class, "preemptionPolicy", "PreemptLowerPriority"),
    prepare_create: |class| put(class, &["metadata", "generation"], 1),
    validate,
    validate_update,
    update_alone: true,
    columns: &[
        Column::NAME,
        Column::integer("Value", "The priority."),
        Column { kind: "boolean", ..Column::text("Global-Default", "Pods that name no class get this one.") },
        Column::AGE,
        Column::text("PreemptionPolicy", "Whether pods of the class push others away."),
    ],
    cells: |class, now| {
        vec![
            name_cell(class),
            class["value"].int().unwrap_or(0).into(),
            class["globalDefault"].yes().into(),
            age_cell(class, now),
            class["preemptionPolicy"].text().into(),
        ]
    },
    ..Policy::NEUTRAL
};

fn validate(class: &Value, errors: &mut Errors) {
    let (name, value) = (class["metadata"]["name"].text(), class["value"].int().unwrap_or(0));
    if name.starts_with("system-") {
        let fault = match SYSTEM.iter().find(|(known, _)| *known == name) {
            None => Some(format!("{name} is not a known system priority class")),
            Some((_, known)) if *known != value => Some(format!("value of {name} PriorityClass must be {known}")),
            Some(_) if class["globalDefault"].yes() => {
                Some(format!("globalDefault of {name} PriorityClass must be false"))
            }
            Some(_) => None,
        };
        if let Some(fault) = fault {
            let path = Path::new("metadata").child("name");
            let wrong =
                format!("priority class names with 'system-' prefix are reserved for system use only. error: {fault}");
            errors.push(Error::forbidden(&path, wrong));
        }
    } else if value > HIGHEST_USER_PRIORITY {
        let wrong = format!("maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}");
        errors.push(Error::forbidden(&Path::new("value"), wrong));
    }
    one_of(errors, &Path::new("preemptionPolicy"), &class["preemptionPolicy"], &["Never", "PreemptLowerPriority"]);
}

fn validate_update(new: &Value, old: &Value, errors: &mut Errors) {
    if new["value"].int().unwrap_or(0) != old["value"].int().unwrap_or(0) {
        errors.push(Error::forbidden(&Path::new("value"), "may not be changed in an update."));
    }
    immutable(errors, &Path::new("preemptionPolicy"), &new["preemptionPolicy"], &old["preemptionPolicy"]);
}
