//! From a bundle to a container: create, start, exec, kill, pause, delete; synchronous, without threads.
//!
//! One way to start a container, used by `sampan runtime` ([`cli`]) and by the supervisor alike:
//!
//! ```text
//! Spec ──▶ plan (pure: what is to be done, checked) ──▶ launch::spawn ─ clone3 ─▶ init: one straight line of steps
//!                                                            │                       │
//!                                                            ▼       message         ▼
//!                                                         Pending ◀─────────▶ mounts, devices, paths, pivot,
//!                                                            │                 ids, capabilities, filter
//!                                                            ▼
//!                                                         Created ── start ─▶ execve
//! ```
//!
//! - [`launch`] and [`exec`] are the two entrances, [`pending`] what the caller holds meanwhile, [`start`] the start by
//!   another process. `message` draws the hand-shake.
//! - `plan` computes, `init` does; `beneath` resolves every path inside a root by descriptor.
//! - [`seccomp`] compiles filters, [`profile`] holds docker's defaults, [`limits`] translates resources for the
//!   control group, [`seal`] protects the program's own file.
//!
//! What holds here:
//! - The caller has one thread. The first process is a copy of it and runs ordinary code until it executes.
//! - The first process is in its control group, and the parent's descriptors are closed, before anything else happens.
//! - A path of the container is never resolved outside of its root, whatever links an image has.
//! - A failure names its step with its path and leaves nothing: no process, no group, no mount on the host.
//! - What a spec asks for and is not built is refused as [`Error::Unimplemented`], never ignored.
//!
//! It does not know images, networks, logs or Docker.

mod beneath;
pub mod cli;
pub mod error;
pub mod exec;
mod hooks;
mod idmap;
mod init;
mod join;
pub mod launch;
pub mod limits;
mod maps;
mod message;
mod netdevices;
pub mod pending;
mod plan;
pub mod profile;
mod rights;
pub mod seal;
pub mod seccomp;
pub mod start;
pub mod state;

pub use error::{Error, Kind, Result};
pub use exec::Exec;
pub use launch::{Enter, Group, Keyring, Launch, Root, StartBy, Stdio};
pub use limits::limits;
pub use pending::{Created, Pending, Progress};
pub use plan::sysctls::{OwnNamespaces, sysctl_file};
