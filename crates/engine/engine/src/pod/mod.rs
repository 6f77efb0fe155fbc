//! Sandboxes: what the containers of a pod share, without a process of its own.
//!
//! A sandbox is a handful of descriptors (network, IPC and UTS namespace, the mount of `/dev/shm`), a control group that
//! those of its containers are made in, a place on the network of pods, and a few files. The supervisor and the daemon
//! hold the descriptors both, so they outlive either; containers join them by descriptor. Where both died, the
//! sandbox is not ready any more, and whoever runs pods makes another one.
//!
//! [`run`] makes them, [`end`] takes them apart, [`table`] has them, [`members`] is about the containers in them.

mod adopt;
mod cgroups;
mod end;
mod join;
pub mod members;
mod namespaces;
mod pause;
mod run;
mod table;

pub use adopt::{Adopted, adopt, collect};
pub use cgroups::collect as collect_cgroups;
pub use join::{Joined, SHM};
pub use table::{Sandbox, Sandboxes};
