//! Lease: who leads, and since when.

use serde_json::Value;

use crate::field::{Error, Errors, Path};
use crate::kinds::rules::{named, one_of};
use crate::names;
use crate::policy::read::{Read, age_cell, name_cell};
use crate::policy::{Column, Policy};

pub static LEASE: Policy = Policy {
    validate,
    columns: &[Column::NAME, Column::text("Holder", "Who holds the lease."), Column::AGE],
    cells: |lease, now| vec![name_cell(lease), lease["spec"]["holderIdentity"].text().into(), age_cell(lease, now)],
    create_on_update: true,
    unconditional_update: false,
    ..Policy::NEUTRAL
};

fn validate(lease: &Value, errors: &mut Errors) {
    let (spec, path) = (&lease["spec"], Path::new("spec"));
    if let Some(seconds) = spec["leaseDurationSeconds"].int().filter(|s| *s <= 0) {
        errors.push(Error::invalid(&path.child("leaseDurationSeconds"), seconds, "must be greater than 0"));
    }
    if let Some(count) = spec["leaseTransitions"].int().filter(|c| *c < 0) {
        errors.push(Error::invalid(&path.child("leaseTransitions"), count, "must be greater than or equal to 0"));
    }
    let strategy = &spec["strategy"];
    if strategy.text().contains('/') {
        named(errors, &path.child("strategy"), strategy, names::qualified_name);
    } else {
        one_of(errors, &path.child("strategy"), strategy, &["OldestEmulationVersion"]);
    }
    if !spec["preferredHolder"].is_unset() && strategy.is_unset() {
        let wrong = "may only be specified if `strategy` is defined";
        errors.push(Error::forbidden(&path.child("preferredHolder"), wrong));
    }
}
