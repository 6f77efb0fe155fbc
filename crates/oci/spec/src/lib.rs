//! OCI runtime, image and distribution types, names, digests and references.
//!
//! Types and pure functions only: nothing here reads a file, a clock or the network.
//!
//! - [`runtime`]: the runtime specification (`config.json`, state).
//! - [`digest`]: content digests and the newtypes made of them.
//! - [`image`]: manifests, indexes, media types and the image configuration, OCI's and Docker's.
//! - [`platform`]: platform names and the choice of one manifest out of an index.
//! - [`mod@reference`]: image names, with Docker's grammar and error texts.

/// The OCI runtime specification, as the `oci-spec` crate has it.
pub use oci_spec::runtime;

pub mod digest;
pub mod image;
pub mod media;
pub mod platform;
pub mod reference;
