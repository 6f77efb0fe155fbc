//! From a bundle to a container: create, start, exec, kill, pause, delete; synchronous, without threads.

mod beneath;
pub mod cli;
pub mod error;
pub mod exec;
mod hooks;
mod init;
pub mod launch;
pub mod limits;
mod message;
pub mod pending;
mod plan;
pub mod profile;
pub mod seal;
pub mod seccomp;
pub mod start;
pub mod state;

pub use error::{Error, Kind, Result};
pub use exec::Exec;
pub use launch::{Keyring, Launch, Root, StartBy, Stdio};
pub use limits::limits;
pub use pending::{Created, Pending, Progress};
