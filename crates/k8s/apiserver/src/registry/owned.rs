//! Who owns which fields (`metadata.managedFields`), kept up to date by every write.

use std::sync::Arc;

use k8s_types::managed::{Request, Versions};
use k8s_types::schema::Type;
use k8s_types::status::ApiError;
use serde_json::Value;

use super::{Call, Registry, metadata};
use crate::catalog::{Row, Rows};

/// A write, as far as ownership is concerned.
pub struct Owner<'a> {
    /// The request.
    pub call: &'a Call,
    /// The row, whose version all objects here are of.
    pub row: &'a Row,
    /// The subresource.
    pub subresource: &'a str,
    rows: Arc<Rows>,
}

impl<'a> Owner<'a> {
    /// Of a request to a registry.
    pub fn new(registry: &Registry, call: &'a Call, row: &'a Row, subresource: &'a str) -> Owner<'a> {
        Owner { call, row, subresource, rows: registry.catalog().rows() }
    }

    /// Notes what a write changed; without `live` it is a create.
    pub fn update(&self, live: Option<&Value>, new: &mut Value) {
        self.with(|request| request.update(live, new));
    }

    /// Merges an applied configuration into what is there.
    pub fn apply(&self, live: Option<&Value>, config: &Value) -> Result<Value, ApiError> {
        self.with(|request| request.apply(live, config, self.call.force))
    }

    fn with<T>(&self, run: impl FnOnce(&Request<'_>) -> T) -> T {
        let r = &self.row.resource;
        let api_version = r.api_version();
        let ty = r.ty();
        let now = metadata::now();
        run(&Request {
            api_version: &api_version,
            kind: &r.kind,
            ty: &ty,
            manager: &self.call.manager,
            subresource: self.subresource,
            now: &now,
            reset: self.reset(),
            versions: self,
        })
    }

    /// What this way of writing never changes.
    fn reset(&self) -> &'static [&'static [&'static str]] {
        match self.subresource {
            "" if self.row.resource.subresource("status").is_some() => &[&["status"]],
            "status" => &[&["spec"], &["metadata", "labels"]],
            _ => &[],
        }
    }
}

impl Versions for Owner<'_> {
    fn convert(&self, object: &Value, api_version: &str) -> Option<(Value, Type)> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let other = self.rows.find(group, version, &self.row.resource.plural)?;
        if other.stored.prefix != self.row.stored.prefix {
            return None;
        }
        let mut object = object.clone();
        self.row.to_stored(&mut object);
        other.from_stored(&mut object);
        Some((object, other.resource.ty()))
    }
}
