//! Custom resources: definitions become rows of the catalog while running.

use jiff::Timestamp;
use k8s_types::field::Errors;
use serde_json::Value;

use crate::OpenError;
use crate::catalog::{Column, Part};
use crate::registry::Registry;

/// Adds the rows of all definitions there are and keeps up with changes.
pub async fn start(_registry: &Registry) -> Result<(), OpenError> {
    Ok(())
}

/// What a custom resource does by itself: checks, defaults, columns. Called through [`crate::catalog::Row`].
pub struct Custom {}

impl Custom {
    /// Defaults of the schema; the object is of the row's version.
    pub fn defaults(&self, _object: &mut Value) {}

    /// Generation 1; no status where the status is a subresource.
    pub fn prepare_create(&self, _new: &mut Value) {}

    /// Brings back what an update of this part may not change, counts the generation.
    pub fn prepare_update(&self, _part: Part<'_>, _new: &mut Value, _old: &Value) {}

    /// Schema, CEL rules, metadata.
    pub fn check_create(&self, _new: &Value, _namespaced: bool, _errors: &mut Errors) {}

    /// The same for a change, with transition rules.
    pub fn check_update(&self, _part: Part<'_>, _new: &Value, _old: &Value, _namespaced: bool, _errors: &mut Errors) {}

    /// Its `openAPIV3Schema`, where it is published.
    pub fn schema(&self) -> Option<std::sync::Arc<Value>> {
        None
    }

    /// The scale subresource.
    pub fn scale(&self) -> Option<&k8s_types::crd::Scale> {
        None
    }

    /// The version's deprecation, where it says so.
    pub fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Additional printer columns after the name; the age where there are none.
    pub fn columns(&self) -> Vec<Column> {
        Vec::new()
    }

    /// The cells of these columns.
    pub fn cells(&self, _object: &Value, _now: Timestamp) -> Vec<Value> {
        Vec::new()
    }
}
