//! Admission of what is not stored as it comes in: deletes, and what is created beneath an object.

use std::sync::Arc;

use k8s_types::status::ApiError;
use serde_json::Value;

use super::{Call, Registry};
use crate::admission::{self, Attributes, Operation};
use crate::catalog::Row;

/// What is asked for.
pub(super) struct Asked<'a> {
    pub row: &'a Arc<Row>,
    pub subresource: &'a str,
    pub operation: Operation,
    pub namespace: &'a str,
    pub name: &'a str,
    pub object: Option<&'a mut Value>,
    pub old: Option<&'a Value>,
}

impl Registry {
    /// Both phases, one after the other; nothing happens to the object between them.
    pub(super) async fn admit_at_once(&self, call: &Call, asked: Asked<'_>) -> Result<(), ApiError> {
        let mut warnings = Vec::new();
        let mut attributes = Attributes {
            row: asked.row,
            subresource: asked.subresource,
            operation: asked.operation,
            namespace: asked.namespace,
            name: asked.name,
            object: asked.object,
            old: asked.old,
            dry_run: call.dry_run,
            identity: &call.identity,
            warnings: &mut warnings,
        };
        admission::mutate(self, &mut attributes).await?;
        admission::validate(self, &mut attributes).await?;
        warnings.into_iter().for_each(|warning| call.warn(warning));
        Ok(())
    }
}
