//! Logs of containers as docker's `json-file` driver writes them.

pub mod options;
pub mod reader;
pub mod record;
