//! OCI runtime, image and distribution types, names, digests and references.

pub use oci_spec::runtime;
