//! HTTP: routes, negotiation, bodies, answers.

pub mod body;
mod gzip;
mod negotiate;
pub(crate) mod path;
