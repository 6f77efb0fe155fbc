//! Pull from and push to registries of the OCI distribution specification.
