//! Custom resources: definitions become rows of the catalog while running.
//!
//! - [`definitions`]: one task that follows the definitions, decides about their names, and adds, replaces and takes away rows
//! - [`cleanup`]: the objects of a deleted definition go before it does

mod cleanup;
mod definitions;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_types::codec;
use k8s_types::crd::{Scale, Version};
use k8s_types::field::Errors;
use k8s_types::policy::{Column, NameRule, metadata};
use k8s_types::schema::Resource;
use serde_json::Value;

use crate::OpenError;
use crate::catalog::Part;
use crate::registry::Registry;

/// Adds the rows of all definitions there are and keeps up with changes.
pub async fn start(registry: &Registry) -> Result<(), OpenError> {
    definitions::start(registry).await.map_err(|error| OpenError::Bootstrap(error.to_string()))
}

/// What a custom resource does by itself: checks, defaults, columns. Called through [`crate::catalog::Row`].
pub struct Custom {
    version: Version,
    /// Objects may have been stored under another schema than the present one, so that what is read must be brought in line.
    settles: bool,
    /// Versions are converted by a webhook.
    webhook: bool,
    retired: tokio::sync::watch::Sender<bool>,
}

impl Custom {
    fn new(version: Version, settles: bool, webhook: bool) -> Custom {
        Custom { version, settles, webhook, retired: tokio::sync::watch::Sender::new(false) }
    }

    /// Whether only a webhook could convert between the versions.
    pub fn converts_by_webhook(&self) -> bool {
        self.webhook
    }

    /// The row of the version.
    pub fn resource(&self) -> Arc<Resource> {
        self.version.resource.clone()
    }

    /// Whether what is read from the store must go through [`Custom::settle`].
    pub fn settles(&self) -> bool {
        self.settles
    }

    /// Brings an object that was stored under another schema in line with this one.
    pub fn settle(&self, object: &mut Value) {
        codec::prune(object, &self.version.resource.ty());
        self.version.defaults(object);
    }

    /// Returns when the row is served no longer as it is now: another schema, or none. Watches end then.
    pub async fn retired(&self) {
        let mut retired = self.retired.subscribe();
        // The sender is part of what is borrowed.
        let _ = retired.wait_for(|retired| *retired).await;
    }

    /// Whether [`Custom::retired`] returns at once.
    pub fn is_retired(&self) -> bool {
        *self.retired.borrow()
    }

    fn retire(&self) {
        self.retired.send_replace(true);
    }

    /// Defaults of the schema; the object is of the row's version.
    pub fn defaults(&self, object: &mut Value) {
        self.version.defaults(object);
    }

    /// Generation 1; no status where the status is a subresource.
    pub fn prepare_create(&self, new: &mut Value) {
        self.version.prepare_create(new);
    }

    /// Brings back what an update of this part may not change, counts the generation.
    pub fn prepare_update(&self, part: Part<'_>, new: &mut Value, old: &Value) {
        match part {
            Part::Whole => self.version.prepare_update(new, old),
            Part::Status => self.version.prepare_status(new, old),
            Part::Named(_) => {}
        }
    }

    /// Schema, CEL rules, metadata.
    pub fn check_create(&self, new: &Value, namespaced: bool, errors: &mut Errors) {
        metadata::validate(new, NameRule::Subdomain, namespaced, errors);
        self.version.check_create(new, errors);
    }

    /// The same for a change, with transition rules.
    pub fn check_update(&self, part: Part<'_>, new: &Value, old: &Value, namespaced: bool, errors: &mut Errors) {
        metadata::validate_update(new, old, namespaced, errors);
        match part {
            Part::Status => self.version.check_status(new, old, errors),
            Part::Whole | Part::Named(_) => self.version.check_update(new, old, errors),
        }
    }

    /// Its `openAPIV3Schema`, where it is published.
    pub fn schema(&self) -> Option<Arc<Value>> {
        self.version.schema.is_object().then(|| self.version.schema.clone())
    }

    /// Where its scale subresource finds its fields.
    pub fn scale(&self) -> Option<&Scale> {
        self.version.scale.as_ref()
    }

    /// The version's deprecation, where it says so.
    pub fn warnings(&self) -> Vec<String> {
        self.version.deprecation.iter().cloned().collect()
    }

    /// The name, and the additional printer columns; the age where there are none.
    pub fn columns(&self) -> Vec<Column<'_>> {
        let more = self.version.columns.iter().map(|column| column.heading());
        std::iter::once(Column::NAME).chain(more).collect()
    }

    /// The cells of these columns.
    pub fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let name = k8s_types::policy::read::name_cell(object);
        std::iter::once(name).chain(self.version.cells(object, now)).collect()
    }
}
