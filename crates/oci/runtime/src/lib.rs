//! From a bundle to a container: create, start, exec, kill, pause, delete; synchronous, without threads.

pub mod cli;
pub mod error;
pub mod exec;
pub mod launch;
pub mod limits;
pub mod pending;
pub mod profile;
pub mod seccomp;

pub use error::{Error, Kind, Result};
pub use exec::Exec;
pub use launch::{Keyring, Launch, Root, StartBy, Stdio};
pub use limits::limits;
pub use pending::{Created, Pending, Progress};
