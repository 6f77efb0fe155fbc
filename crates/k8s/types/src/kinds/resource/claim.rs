//! ResourceClaim and ResourceClaimTemplate: devices that are wanted, and which ones it got.

use std::collections::HashSet;

use serde_json::Value;

use super::requests::{check_spec, default_requests};
use crate::field::{Error, Errors, Path};
use crate::kinds::rules::{at_most, csi_driver_name, immutable, required, required_name};
use crate::names;
use crate::policy::read::{Read, age_cell, at_mut, name_cell};
use crate::policy::{Column, Policy, prepare};

pub static RESOURCE_CLAIM: Policy = Policy {
    defaults: |claim| {
        if let Some(spec) = claim.get_mut("spec") {
            default_requests(spec);
        }
    },
    prepare_create: prepare::drop_status,
    prepare_update: prepare::status_from,
    prepare_status: prepare::only_status,
    validate: |claim, errors| check_spec(&claim["spec"], &Path::new("spec"), errors),
    validate_update: |new, old, errors| immutable(errors, &Path::new("spec"), &new["spec"], &old["spec"]),
    update_alone: true,
    validate_status,
    columns: &[Column::NAME, Column::text("State", "What became of it."), Column::AGE],
    cells: |claim, now| vec![name_cell(claim), state(claim).into(), age_cell(claim, now)],
    ..Policy::NEUTRAL
};

pub static RESOURCE_CLAIM_TEMPLATE: Policy = Policy {
    defaults: |template| {
        if let Some(spec) = at_mut(template, &["spec", "spec"]) {
            default_requests(spec);
        }
    },
    validate: |template, errors| check_spec(&template["spec"]["spec"], &Path::new("spec").child("spec"), errors),
    validate_update: |new, old, errors| immutable(errors, &Path::new("spec"), &new["spec"], &old["spec"]),
    update_alone: true,
    ..Policy::NEUTRAL
};

fn validate_status(new: &Value, old: &Value, errors: &mut Errors) {
    let (status, path) = (&new["status"], Path::new("status"));
    let list = path.child("reservedFor");
    at_most(errors, &list, &status["reservedFor"], 256);
    let mut seen = HashSet::new();
    for (i, user) in status["reservedFor"].items().iter().enumerate() {
        let path = list.index(i);
        for field in ["resource", "name", "uid"] {
            required(errors, &path.child(field), &user[field]);
        }
        if !seen.insert(user["uid"].text()) {
            errors.push(Error::duplicate(&path.child("uid"), user["uid"].clone()));
        }
    }
    let (ours, before) = (&status["allocation"], &old["status"]["allocation"]);
    if !status["reservedFor"].is_unset() && ours.is_null() {
        errors.push(Error::forbidden(&list, "may not be specified when `allocated` is not set"));
    }
    let path = path.child("allocation");
    if before.is_set() && ours.is_set() {
        immutable(errors, &path, ours, before);
    }
    for (i, result) in ours["devices"]["results"].items().iter().enumerate() {
        let path = path.children(&["devices", "results"]).index(i);
        required(errors, &path.child("request"), &result["request"]);
        csi_driver_name(errors, &path.child("driver"), &result["driver"]);
        required(errors, &path.child("pool"), &result["pool"]);
        required_name(errors, &path.child("device"), &result["device"], names::dns1123_label);
    }
}

fn state(claim: &Value) -> String {
    let (deleted, status) = (claim["metadata"]["deletionTimestamp"].is_set(), &claim["status"]);
    let allocated = status["allocation"].is_set();
    let states = [
        (deleted, "deleted"),
        (!deleted && !allocated, "pending"),
        (allocated, "allocated"),
        (allocated && !status["reservedFor"].is_unset(), "reserved"),
    ];
    states.iter().filter(|(holds, _)| *holds).map(|(_, name)| *name).collect::<Vec<_>>().join(",")
}
