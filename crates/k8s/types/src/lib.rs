//! The kinds of Kubernetes as a table, and what is done to objects: decode, default, validate, patch, select. No input or output.
//!
//! Objects are `serde_json::Value`; what clients see of errors is [`status::ApiError`].

pub mod amounts;
pub mod cel;
pub mod codec;
pub mod crd;
pub mod field;
pub mod kinds;
pub mod managed;
pub mod names;
pub mod object;
pub mod openapi;
pub mod patch;
pub mod policy;
pub mod quantity;
pub mod quota;
pub mod schema;
pub mod selector;
pub mod status;
