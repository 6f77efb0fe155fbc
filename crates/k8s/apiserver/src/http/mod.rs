//! HTTP: connections, routes, negotiation, bodies, answers.

pub mod answer;
pub mod body;
mod components;
mod documents;
mod gzip;
mod handle;
mod listen;
pub mod lists;
pub mod negotiate;
mod objects;
pub mod options;
mod parts;
mod patch;
pub mod path;
pub mod render;

pub use handle::{Origin, handle};
pub use listen::listen;
