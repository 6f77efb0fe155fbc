//! From what was asked for to the runtime's specification: pure, apart from a look at devices of the host.

pub mod capabilities;
pub mod devices;
pub mod document;
pub mod environment;
pub mod merge;
pub mod mounts;
pub mod resources;
pub mod security;
pub mod subpath;
pub mod users;
