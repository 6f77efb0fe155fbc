//! OCI runtime, image and distribution types, names, digests and references.
