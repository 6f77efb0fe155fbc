//! ControllerRevision: a state that a controller can go back to.

use crate::policy::read::{Read, age_cell, name_cell};
use crate::policy::{At, Column, Policy, check};

/// The policy of controller revisions.
pub static POLICY: Policy = Policy {
    validate: |revision, errors| {
        let root = At::root(revision);
        if revision["data"].is_null() {
            root.get("data").required(errors, "data is mandatory");
        }
        check::nonnegative(&root.get("revision"), errors);
    },
    validate_update: |new, old, errors| {
        let root = At::root(new);
        let data = root.get("data");
        if data.value() != &old["data"] {
            data.invalid(errors, check::IMMUTABLE);
        }
    },
    columns: &[
        Column::NAME,
        Column::text("Controller", "Owner of the revision."),
        Column::text("Revision", "Number of the revision."),
        Column::AGE,
    ],
    cells: |revision, now| {
        let owner = revision["metadata"]["ownerReferences"].items().iter().find(|owner| owner["controller"].yes());
        let controller = owner.map_or("<none>".to_owned(), |owner| {
            let group = owner["apiVersion"].text().split_once('/').map_or("", |(group, _)| group);
            let kind = owner["kind"].text().to_lowercase();
            let dot = if group.is_empty() { "" } else { "." };
            format!("{kind}{dot}{group}/{}", owner["name"].text())
        });
        let number = revision["revision"].int().unwrap_or(0).to_string();
        vec![name_cell(revision), controller.into(), number.into(), age_cell(revision, now)]
    },
    ..Policy::NEUTRAL
};
