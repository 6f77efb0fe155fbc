//! Control groups v1, v2 and hybrid behind one interface, with limits, device rules and statistics.
//!
//! - [`Hierarchy`]: what is mounted where, found once with [`Hierarchy::detect`].
//! - [`Cgroup`]: one group by its path beneath the mounts (`/sampan/<instance>/<id>`), on every hierarchy at once.
//! - [`Limits`]: what a group is held to. A pure plan ([`plan`]) is computed from it and written afterwards.
//! - [`Stats`]: what `docker stats` shows, in one shape for both versions.
//! - [`OomWatch`]: a descriptor to poll and a count of kills that is right even after every process is gone.
//!
//! This crate does not know the OCI specification: `runtime` translates. It keeps no state besides paths, so a
//! group may be opened by any process at any time. A limit that the host cannot hold is an error, except where
//! docker itself only warns; those come back as [`Warning`]s, never silently.

mod cgroup;
mod create;
mod delete;
pub mod device;
mod error;
mod files;
mod freezer;
mod hierarchy;
mod kill;
mod limits;
mod oom;
pub mod plan;
mod stats;
pub mod systemd;

pub use cgroup::{Cgroup, Entry, Freezer};
pub use device::{Access, DeviceRule, DeviceType};
pub use error::{Error, Result};
pub use hierarchy::{Controller, Hierarchy, Mode};
pub use limits::{BlockIo, Cpu, DeviceRate, DeviceWeight, HugepageLimit, Limits, Memory, RdmaLimit, Warning};
pub use oom::{Interest, OomWatch};
pub use stats::{BlkioEntry, BlkioStats, CpuStats, HugetlbStats, MemoryStats, PidsStats, Stats, Throttling};
