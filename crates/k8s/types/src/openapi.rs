//! OpenAPI of the table and of custom resources: version 2 as one document (JSON, protobuf), version 3 as one document for each group version.
//!
//! Nothing is kept: a document is made when it is asked for, in milliseconds.

use crate::schema::Resource;
use serde_json::Value;
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
pub fn v2_json(_custom: &[Custom]) -> Vec<u8> {
    b"{}".to_vec()
}

/// The document of version 2 as the protobuf message that clients ask for (`application/com.github.proto-openapi.spec.v2@v1.0+protobuf`).
pub fn v2_protobuf(_custom: &[Custom]) -> Vec<u8> {
    Vec::new()
}

/// The paths below `/openapi/v3` that there is a document for, such as `api/v1` and `apis/apps/v1`.
pub fn v3_paths(_custom: &[Custom]) -> Vec<String> {
    Vec::new()
}

/// The document of version 3 for one of [`v3_paths`], as JSON.
pub fn v3_json(_path: &str, _custom: &[Custom]) -> Option<Vec<u8>> {
    None
}
