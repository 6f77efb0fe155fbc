//! The verbs over a row of the catalog: one implementation for every kind.

mod call;
mod mirror;

use std::sync::{Arc, OnceLock};

use k8s_types::status::ApiError;
use serde_json::Value;

use crate::allocate::Allocator;
use crate::auth::Access;
use crate::catalog::{Catalog, Row};

pub use call::Call;
pub use mirror::Mirror;

/// Every object of the cluster, a cheap handle.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    catalog: Catalog,
    allocator: Allocator,
    access: OnceLock<Access>,
}

impl Registry {
    /// The rows that are served.
    pub fn catalog(&self) -> &Catalog {
        &self.inner.catalog
    }

    /// Access control, once it is there.
    pub fn access(&self) -> Option<&Access> {
        self.inner.access.get()
    }

    /// The row of a group's resource in its hub version. The core group is the empty string.
    pub fn row(&self, group: &str, plural: &str) -> Result<Arc<Row>, ApiError> {
        Err(ApiError::internal(format_args!("no resource {plural} in group {group:?}")))
    }

    /// An object in its hub version, with its resourceVersion. `namespace` is empty for objects of the cluster.
    pub async fn get(&self, row: &Row, namespace: &str, name: &str) -> Result<Option<Value>, ApiError> {
        Err(ApiError::internal("not there yet"))
    }

    /// All objects of a namespace, or of all where it is empty.
    pub async fn list(&self, row: &Row, namespace: &str) -> Result<Vec<Value>, ApiError> {
        Err(ApiError::internal("not there yet"))
    }

    /// Creates an object as a client would: defaults, admission, validation.
    pub async fn create(&self, call: &Call, row: &Arc<Row>, namespace: &str, object: Value) -> Result<Value, ApiError> {
        Err(ApiError::internal("not there yet"))
    }

    /// Replaces an object or, with a subresource, that part of it. Without a resourceVersion in `object` it replaces whatever is there.
    pub async fn update(
        &self,
        call: &Call,
        row: &Arc<Row>,
        subresource: &str,
        object: Value,
    ) -> Result<Value, ApiError> {
        Err(ApiError::internal("not there yet"))
    }

    /// Deletes an object; `options` is a DeleteOptions or null.
    pub async fn delete(
        &self,
        call: &Call,
        row: &Arc<Row>,
        namespace: &str,
        name: &str,
        options: Value,
    ) -> Result<Value, ApiError> {
        Err(ApiError::internal("not there yet"))
    }
}
