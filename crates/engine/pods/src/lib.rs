//! Pods on the engine: sandboxes, containers in them, their images and streams.
//!
//! [`runtime`] is the border, shaped as the container runtime interface of Kubernetes (CRI): who runs pods (the kubelet) knows these traits and
//! nothing of the engine.

mod containers;
mod images;
mod owner;
mod pods;
pub mod runtime;
mod sandboxes;
mod streams;
mod usage;

pub use pods::{Config, open};
pub use runtime::{Containers, Error, Future, Images, Kind, Result, Runtime, Sandboxes, Streams};
