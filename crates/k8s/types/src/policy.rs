//! What one kind does beyond the table: computed defaults, validation, updates, columns, scale. Plain function pointers with neutral values.
//!
//! How the registry uses a policy, in this order (`new` and `old` are in the kind's hub version, decoded, with the table's static defaults set):
//!
//! - create: `defaults`, mutating admission, metadata filled (name, uid, creation time), `prepare_create`, [`Policy::check_create`], validating admission, `warnings(new, None)`
//! - update: `defaults`, mutating admission, metadata kept from old, `prepare_update`, [`Policy::check_update`], validating admission, `warnings(new, Some(old))`
//! - update of `status`: `defaults`, `prepare_status`, [`Policy::check_status`]; of another subresource: the [`Part`] of that name in `parts`
//! - delete: `grace` decides how long it lasts, `on_delete` changes the object when deletion is marked, `held` keeps it after the last finalizer is gone
//!
//! None of them panics on an object of an unexpected shape: such a field reads as absent.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::Value;

use crate::field::Errors;

pub mod at;
pub mod check;
pub mod metadata;
pub mod read;
pub mod table;

pub use at::At;
pub use metadata::NameRule;

/// What is special about one kind. Start from [`Policy::NEUTRAL`] or [`Policy::SPEC_STATUS`].
#[derive(Clone, Copy)]
pub struct Policy {
    /// Defaults that the table cannot state: computed, conditional, or depending on other fields.
    pub defaults: fn(&mut Value),
    /// Clears and sets fields before a create (status away, generation 1, generated selectors). Metadata has its uid already.
    pub prepare_create: fn(&mut Value),
    /// Same before an update of the whole object: what an update may not touch comes back from `old`. `(new, old)`
    pub prepare_update: fn(&mut Value, &Value),
    /// Same before an update of the status. `(new, old)`
    pub prepare_status: fn(&mut Value, &Value),
    /// Everything but `metadata`, which [`metadata::validate`] checks.
    pub validate: fn(&Value, &mut Errors),
    /// What may not change. `validate` runs too, unless the kind says otherwise in `update_alone`. `(new, old)`
    pub validate_update: fn(&Value, &Value, &mut Errors),
    /// Checks of a status update. `(new, old)`
    pub validate_status: fn(&Value, &Value, &mut Errors),
    /// `validate_update` alone decides on updates; `validate` does not run.
    pub update_alone: bool,
    /// Warnings for the client. `(new, old)`, without `old` on create.
    pub warnings: fn(&Value, Option<&Value>) -> Vec<String>,
    /// Printed columns, for `Accept: application/json;as=Table`.
    pub columns: &'static [Column<'static>],
    /// The cells of those columns, as many and in the same order, at a given time.
    pub cells: fn(&Value, Timestamp) -> Vec<Value>,
    /// Where the `scale` subresource finds its fields.
    pub scale: Option<ScalePaths>,
    /// Value of a selectable field (`status.phase`); the registry asks only for fields the table lists, and answers `metadata.name` and `.namespace` itself.
    pub field: fn(&Value, &str) -> String,
    /// Changes an object in place to another version (or group) of the same kind: `(object, "autoscaling/v1")`. To and from the hub, both.
    pub convert: Option<fn(&mut Value, &str)>,
    /// Subresources other than `status` and `scale` that are written as the object itself (`ephemeralcontainers`, `resize`, `finalize`).
    pub parts: &'static [Part],
    /// What a name must look like.
    pub name: NameRule,
    /// Seconds that a deletion takes, of what was asked for; `None`: this kind is deleted at once. 0: this object is.
    pub grace: Option<fn(&Value, Option<i64>) -> i64>,
    /// Called once when an object is marked as deleted but stays.
    pub on_delete: fn(&mut Value),
    /// True while an object must stay although no finalizer in `metadata` holds it (`spec.finalizers` of a namespace).
    pub held: fn(&Value) -> bool,
    /// Dependents are orphaned when the client names no propagation policy.
    pub orphan: bool,
    /// PUT to a name that does not exist creates it.
    pub create_on_update: bool,
    /// An update may come without `metadata.resourceVersion`.
    pub unconditional_update: bool,
}

/// One printed column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column<'a> {
    /// Heading, as kubectl turns it to capitals.
    pub name: &'a str,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: &'a str,
    /// `name` for the column that holds the object's name, else empty.
    pub format: &'a str,
    /// One sentence about it.
    pub description: &'a str,
    /// 0 is always shown, 1 with `-o wide`.
    pub priority: i32,
}

/// Where `scale` reads and writes, as paths of field names (`["spec", "replicas"]`).
#[derive(Clone, Copy, Debug)]
pub struct ScalePaths {
    /// Wanted replicas.
    pub spec: &'static [&'static str],
    /// Replicas there are.
    pub status: &'static [&'static str],
    /// The selector of the pods.
    pub selector: ScaleSelector,
}

/// How a selector becomes the text of `status.selector` of a Scale.
#[derive(Clone, Copy, Debug)]
pub enum ScaleSelector {
    /// A `metav1.LabelSelector`.
    Labels(&'static [&'static str]),
    /// A plain map of labels.
    Map(&'static [&'static str]),
}

/// A subresource that takes the object itself.
#[derive(Clone, Copy)]
pub struct Part {
    /// Name in the URL.
    pub name: &'static str,
    /// Brings back from `old` whatever this subresource may not change. `(new, old)`
    pub prepare: fn(&mut Value, &Value),
    /// Checks of the result. `(new, old)`
    pub validate: fn(&Value, &Value, &mut Errors),
}

impl Policy {
    /// A kind of plain data: no status, no generation, name and age as columns.
    pub const NEUTRAL: Policy = Policy {
        defaults: |_| {},
        prepare_create: |_| {},
        prepare_update: |_, _| {},
        prepare_status: |_, _| {},
        validate: |_, _| {},
        validate_update: |_, _, _| {},
        validate_status: |_, _, _| {},
        update_alone: false,
        warnings: |_, _| Vec::new(),
        columns: &[Column::NAME, Column::AGE],
        cells: |object, now| vec![read::name_cell(object), read::age_cell(object, now)],
        scale: None,
        field: read::field_value,
        convert: None,
        parts: &[],
        name: NameRule::Subdomain,
        grace: None,
        on_delete: |_| {},
        held: |_| false,
        orphan: false,
        create_on_update: false,
        unconditional_update: true,
    };

    /// A kind with spec, status and generation: creates drop the status, updates keep it and count the generation, status updates change nothing else.
    pub const SPEC_STATUS: Policy = Policy {
        prepare_create: prepare::first_generation,
        prepare_update: prepare::keep_status,
        prepare_status: prepare::only_status,
        ..Policy::NEUTRAL
    };

    /// The part of that name.
    pub fn part(&self, name: &str) -> Option<&'static Part> {
        self.parts.iter().find(|p| p.name == name)
    }

    /// All checks of a create, metadata first.
    pub fn check_create(&self, new: &Value, namespaced: bool, errors: &mut Errors) {
        metadata::validate(new, self.name, namespaced, errors);
        (self.validate)(new, errors);
        once(errors);
    }

    /// All checks of an update, metadata first.
    pub fn check_update(&self, new: &Value, old: &Value, namespaced: bool, errors: &mut Errors) {
        metadata::validate_update(new, old, namespaced, errors);
        if !self.update_alone {
            (self.validate)(new, errors);
        }
        (self.validate_update)(new, old, errors);
        once(errors);
    }

    /// All checks of a status update, metadata first.
    pub fn check_status(&self, new: &Value, old: &Value, namespaced: bool, errors: &mut Errors) {
        metadata::validate_update(new, old, namespaced, errors);
        (self.validate_status)(new, old, errors);
        once(errors);
    }
}

/// What the table and a kind both found is told once.
fn once(errors: &mut Errors) {
    let mut seen: Vec<String> = Vec::new();
    errors.0.retain(|error| {
        let text = error.to_string();
        let new = !seen.contains(&text);
        seen.push(text);
        new
    });
}

impl Column<'static> {
    /// The object's name.
    pub const NAME: Column<'static> =
        Column { name: "Name", kind: "string", format: "name", description: "Name of the object.", priority: 0 };
    /// Time since its creation.
    pub const AGE: Column<'static> = Column::text("Age", "Time since the object was created.");

    /// A column of text that is always shown.
    pub const fn text(name: &'static str, description: &'static str) -> Column<'static> {
        Column { name, kind: "string", format: "", description, priority: 0 }
    }

    /// A column of whole numbers that is always shown.
    pub const fn integer(name: &'static str, description: &'static str) -> Column<'static> {
        Column { name, kind: "integer", format: "", description, priority: 0 }
    }

    /// The same column, only shown with `-o wide`.
    pub const fn wide(self) -> Column<'static> {
        Column { priority: 1, ..self }
    }
}

/// The policy of a built-in kind; the neutral one where nothing is special. Core's group is the empty string.
pub fn of(group: &str, kind: &str) -> &'static Policy {
    crate::kinds::of(group, kind).unwrap_or(&NEUTRAL)
}

static NEUTRAL: Policy = Policy::NEUTRAL;

/// Ready-made prepare functions.
pub mod prepare {
    use super::Value;
    use super::read::{put, take};

    /// Drops the status of a new object and sets its generation to 1.
    pub fn first_generation(new: &mut Value) {
        take(new, &["status"]);
        put(new, &["metadata", "generation"], 1);
    }

    /// Drops the status of a new object.
    pub fn drop_status(new: &mut Value) {
        take(new, &["status"]);
    }

    /// Takes the status from `old`; counts the generation when the spec changed.
    pub fn keep_status(new: &mut Value, old: &Value) {
        status_from(new, old);
        count_generation(new, old);
    }

    /// Takes the status from `old`, for kinds that have no generation.
    pub fn status_from(new: &mut Value, old: &Value) {
        match old.get("status") {
            Some(status) => put(new, &["status"], status.clone()),
            None => {
                take(new, &["status"]);
            }
        }
    }

    /// Generation of `old`, one more when the spec is another.
    pub fn count_generation(new: &mut Value, old: &Value) {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or(0);
        let changed = new["spec"] != old["spec"];
        put(new, &["metadata", "generation"], generation + i64::from(changed));
    }

    /// Takes everything but the status from `old`, of the metadata only what a status update may not change.
    pub fn only_status(new: &mut Value, old: &Value) {
        for (key, value) in old.as_object().into_iter().flatten() {
            if key != "status" && key != "metadata" {
                put(new, &[key], value.clone());
            }
        }
        if let Some(object) = new.as_object_mut() {
            object.retain(|key, _| key == "status" || key == "metadata" || old.get(key).is_some());
        }
        for key in ["labels", "annotations", "finalizers", "ownerReferences", "generation", "deletionTimestamp"] {
            match old["metadata"].get(key) {
                Some(value) => put(new, &["metadata", key], value.clone()),
                None => {
                    take(new, &["metadata", key]);
                }
            }
        }
    }
}

impl ScalePaths {
    /// `spec.replicas`, `status.replicas` and the label selector `spec.selector`, as the workloads of apps have them.
    pub const REPLICAS: ScalePaths = ScalePaths {
        spec: &["spec", "replicas"],
        status: &["status", "replicas"],
        selector: ScaleSelector::Labels(&["spec", "selector"]),
    };

    /// The `status.selector` text of a Scale for this object.
    pub fn selector_text<'a>(&self, object: &'a Value) -> Cow<'a, str> {
        match self.selector {
            ScaleSelector::Labels(path) => read::selector_text(read::at(object, path)).into(),
            ScaleSelector::Map(path) => read::labels_text(read::at(object, path)).into(),
        }
    }
}
