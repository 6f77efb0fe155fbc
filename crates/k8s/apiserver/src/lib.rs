//! The Kubernetes API over HTTPS: one registry that serves every kind, with admission, discovery and access control.
