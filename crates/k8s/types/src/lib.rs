//! The kinds of Kubernetes as a table, and what is done to objects: decode, default, validate, patch, select. No input or output.
