//! The cluster's name server.
//!
//! - [`zone`]: the cluster's own names
//! - [`upstream`]: other names, asked of the node's servers, kept as long as they say
//! - [`server`]: questions over UDP and TCP

pub(crate) mod server;
pub(crate) mod upstream;
pub(crate) mod zone;
