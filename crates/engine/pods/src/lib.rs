//! Pods on the engine: sandboxes, containers in them, their images and streams.
//!
//! [`runtime`] is the border, shaped as the container runtime interface of Kubernetes (CRI): who runs pods (the kubelet) knows these traits and
//! nothing of the engine.

pub mod runtime;

pub use runtime::{Containers, Error, Future, Images, Kind, Result, Sandboxes};
