//! From a bundle to a container: create, start, exec, kill, pause, delete; synchronous, without threads.

pub mod profile;
pub mod seccomp;
