//! OpenAPI of the table and of custom resources: version 2 as one document (JSON, protobuf), version 3 as one document for each group version.
//!
//! Nothing is kept: a document is made when it is asked for, in milliseconds.

mod custom;
mod definitions;
mod gnostic;
mod operations;
mod parameters;
#[cfg(test)]
mod tests;
mod v2;
mod v3;

use crate::schema::{Resource, builtin};
use serde_json::{Value, json};
use std::sync::Arc;

/// A custom resource as it is published: a row, and the schema that its author wrote.
#[derive(Clone, Debug)]
pub struct Custom {
    /// The row of one served version.
    pub resource: Arc<Resource>,
    /// Its `openAPIV3Schema`.
    pub schema: Arc<Value>,
}

/// The document of version 2 as JSON.
pub fn v2_json(custom: &[Custom]) -> Vec<u8> {
    v2::document(custom).to_string().into_bytes()
}

/// The document of version 2 as the protobuf message that clients ask for (`application/com.github.proto-openapi.spec.v2@v1.0+protobuf`).
pub fn v2_protobuf(custom: &[Custom]) -> Vec<u8> {
    gnostic::document(&v2::document(custom))
}

/// The paths below `/openapi/v3` that there is a document for, such as `api/v1` and `apis/apps/v1`.
pub fn v3_paths(custom: &[Custom]) -> Vec<String> {
    let rows = builtin().resources().iter().chain(custom.iter().map(|custom| &*custom.resource));
    let mut paths: Vec<String> = rows.map(v3::place).collect();
    paths.sort();
    paths.dedup();
    paths
}

/// The document of version 3 for one of [`v3_paths`], as JSON.
pub fn v3_json(path: &str, custom: &[Custom]) -> Option<Vec<u8>> {
    Some(v3::document(path, custom)?.to_string().into_bytes())
}

fn info() -> Value {
    json!({"title": "Kubernetes", "version": "v1.37.0"})
}
