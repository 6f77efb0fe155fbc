//! OCI runtime, image and distribution types, names, digests and references.
//!
//! Data only: nothing here reads a file or a socket. The runtime specification's types are the `oci-spec` crate's;
//! those of images are our own, because docker's images carry more than the specification knows and none of it may be lost.
//!
//! - [`config`]: decoding the runtime specification's JSON
//! - [`digest`]: content addresses, and newtypes for what is addressed
//! - [`image`]: manifests, indexes, image configurations
//! - [`reference`]: names of images, as users write them and as they are meant
//! - [`duration`]: durations in Go's notation
//! - [`size`]: sizes in docker's notation
//! - [`platform`]: operating system, architecture and variant

pub mod config;
pub mod digest;
pub mod duration;
pub mod image;
pub mod platform;
pub mod reference;
pub mod size;

/// Types of the OCI runtime specification.
pub use oci_spec::runtime;
