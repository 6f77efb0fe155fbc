//! What a kind does by itself, whether its rules are written here or in a custom resource definition.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_types::codec;
use k8s_types::field::Errors;
use k8s_types::policy::{Column, Policy, table};
use k8s_types::schema::{self, Resource};
use serde_json::Value;

use super::Row;
use crate::crd::Custom;

/// Where the rules of a kind are.
#[derive(Clone)]
pub enum Behaviour {
    /// Written here.
    Builtin(&'static Policy),
    /// Written in a custom resource definition.
    Custom(Arc<Custom>),
}

/// What an update is allowed to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Everything but the status.
    Whole,
    /// The status.
    Status,
    /// What this subresource is for.
    Named(&'a str),
}

impl Behaviour {
    /// The policy of a built-in kind.
    pub fn policy(&self) -> Option<&'static Policy> {
        match self {
            Behaviour::Builtin(policy) => Some(policy),
            Behaviour::Custom(_) => None,
        }
    }

    /// Returns when the kind is served no longer as it is now; that happens to custom resources only.
    pub async fn retired(&self) {
        match self {
            Behaviour::Builtin(_) => std::future::pending().await,
            Behaviour::Custom(custom) => custom.retired().await,
        }
    }
}

impl Row {
    fn policy(&self) -> &'static Policy {
        static NEUTRAL: Policy = Policy::NEUTRAL;
        self.behaviour.policy().unwrap_or(&NEUTRAL)
    }

    /// Computed defaults, after those of the table.
    pub fn defaults(&self, object: &mut Value) {
        match &self.behaviour {
            Behaviour::Builtin(policy) => (policy.defaults)(object),
            Behaviour::Custom(custom) => custom.defaults(object),
        }
    }

    /// What a create starts from: fields that are always there are there from the start.
    pub fn prepare_create(&self, new: &mut Value) {
        match &self.behaviour {
            Behaviour::Builtin(policy) => {
                (policy.prepare_create)(new);
                if let Some(resource) = self.stored_resource() {
                    codec::normalize(new, &resource.ty());
                }
            }
            Behaviour::Custom(custom) => custom.prepare_create(new),
        }
    }

    /// The row of the version that is stored, of a built-in kind.
    fn stored_resource(&self) -> Option<&Resource> {
        let stored = &self.stored;
        match stored.converted {
            true => schema::builtin().resource(&stored.group, &stored.version, &self.resource.plural),
            false => Some(&*self.resource),
        }
    }

    /// Brings back what an update of this part may not change.
    pub fn prepare_update(&self, part: Part<'_>, new: &mut Value, old: &Value) {
        match (&self.behaviour, part) {
            (Behaviour::Builtin(policy), Part::Whole) => (policy.prepare_update)(new, old),
            (Behaviour::Builtin(policy), Part::Status) => (policy.prepare_status)(new, old),
            (Behaviour::Builtin(policy), Part::Named(name)) => {
                if let Some(part) = policy.part(name) {
                    (part.prepare)(new, old);
                }
            }
            (Behaviour::Custom(custom), part) => custom.prepare_update(part, new, old),
        }
    }

    /// Every check of a new object.
    pub fn check_create(&self, new: &Value, errors: &mut Errors) {
        match &self.behaviour {
            Behaviour::Builtin(policy) => {
                policy.check_create(new, self.resource.namespaced, errors);
                if let Some(resource) = self.stored_resource() {
                    table::check(new, &resource.object, errors);
                }
            }
            Behaviour::Custom(custom) => custom.check_create(new, self.resource.namespaced, errors),
        }
    }

    /// Every check of a change.
    pub fn check_update(&self, part: Part<'_>, new: &Value, old: &Value, errors: &mut Errors) {
        let namespaced = self.resource.namespaced;
        match (&self.behaviour, part) {
            (Behaviour::Builtin(policy), Part::Whole) => {
                policy.check_update(new, old, namespaced, errors);
                if let Some(resource) = self.stored_resource().filter(|_| !policy.update_alone) {
                    table::check_change(new, old, &resource.object, errors);
                }
            }
            (Behaviour::Builtin(policy), Part::Status) => policy.check_status(new, old, namespaced, errors),
            (Behaviour::Builtin(policy), Part::Named(name)) => {
                k8s_types::policy::metadata::validate_update(new, old, namespaced, errors);
                if let Some(part) = policy.part(name) {
                    (part.validate)(new, old, errors);
                }
            }
            (Behaviour::Custom(custom), part) => custom.check_update(part, new, old, namespaced, errors),
        }
    }

    /// Wanted replicas, replicas there are and the selector's text of a scalable object; `None` where the kind has no scale.
    pub fn scale(&self, object: &Value) -> Option<(i64, i64, String)> {
        use k8s_types::policy::read;
        match &self.behaviour {
            Behaviour::Builtin(policy) => policy.scale.as_ref().map(|paths| {
                let number = |path| read::at(object, path).as_i64().unwrap_or(0);
                (number(paths.spec), number(paths.status), paths.selector_text(object).into_owned())
            }),
            Behaviour::Custom(custom) => custom.scale().map(|scale| {
                let (wanted, there, selector) = scale.of(object);
                (wanted.unwrap_or(0), there, selector)
            }),
        }
    }

    /// Sets the wanted replicas.
    pub fn set_scale(&self, object: &mut Value, replicas: i64) {
        match &self.behaviour {
            Behaviour::Builtin(policy) => {
                if let Some(paths) = &policy.scale {
                    k8s_types::policy::read::put(object, paths.spec, replicas);
                }
            }
            Behaviour::Custom(custom) => {
                if let Some(scale) = custom.scale() {
                    scale.set(object, replicas);
                }
            }
        }
    }

    /// Warnings about a change, for the client.
    pub fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        match &self.behaviour {
            Behaviour::Builtin(policy) => (policy.warnings)(new, old),
            Behaviour::Custom(custom) => custom.warnings(),
        }
    }

    /// Headings of its table.
    pub fn columns(&self) -> Vec<Column<'_>> {
        match &self.behaviour {
            Behaviour::Builtin(policy) => policy.columns.to_vec(),
            Behaviour::Custom(custom) => custom.columns(),
        }
    }

    /// The cells of a stored object's line, as many as there are columns.
    pub fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        match &self.behaviour {
            Behaviour::Builtin(policy) => (policy.cells)(object, now),
            Behaviour::Custom(custom) => custom.cells(object, now),
        }
    }

    /// The value of a selectable field.
    pub fn field(&self, object: &Value, path: &str) -> String {
        match &self.behaviour {
            Behaviour::Builtin(policy) => (policy.field)(object, path),
            Behaviour::Custom(_) => match path.split('.').fold(object, |value, name| &value[name]) {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            },
        }
    }

    /// Changes an object of the row's version to the stored one.
    pub fn to_stored(&self, object: &mut Value) {
        if self.stored.converted {
            self.convert(object, &self.stored.api_version);
        }
    }

    /// Changes a stored object to the row's version.
    pub fn from_stored(&self, object: &mut Value) {
        if self.stored.converted {
            self.convert(object, &self.resource.api_version());
            if let Behaviour::Custom(custom) = &self.behaviour {
                custom.settle(object);
            }
        }
    }

    fn convert(&self, object: &mut Value, to: &str) {
        if let Behaviour::Builtin(policy) = &self.behaviour
            && let Some(convert) = policy.convert
        {
            convert(object, to);
        }
        if let Some(object) = object.as_object_mut() {
            object.insert("apiVersion".to_owned(), to.into());
        }
    }

    /// Seconds that a deletion takes, of what was asked for; `None` where it is done at once.
    pub fn grace(&self, object: &Value, asked: Option<i64>) -> Option<i64> {
        self.policy().grace.map(|grace| grace(object, asked))
    }

    /// Changes an object that is marked as deleted but stays.
    pub fn on_delete(&self, object: &mut Value) {
        (self.policy().on_delete)(object);
    }

    /// Whether an object must stay although no finalizer in its metadata holds it.
    pub fn held(&self, object: &Value) -> bool {
        (self.policy().held)(object)
    }

    /// Whether dependents are orphaned by default.
    pub fn orphans(&self) -> bool {
        self.policy().orphan
    }

    /// Whether PUT creates what is not there.
    pub fn create_on_update(&self) -> bool {
        self.policy().create_on_update
    }

    /// Whether an update may come without a resource version.
    pub fn unconditional_update(&self) -> bool {
        match &self.behaviour {
            Behaviour::Builtin(policy) => policy.unconditional_update,
            Behaviour::Custom(_) => false,
        }
    }
}
