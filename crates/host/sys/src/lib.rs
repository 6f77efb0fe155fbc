//! Safe, synchronous Linux system calls that rustix does not cover; the only crate with unsafe code.

pub mod activation;
pub mod bpf;
pub mod caps;
pub mod clone;
pub mod exec;
pub mod fd;
pub mod inherit;
pub mod keyring;
pub mod mount;
pub mod namespace;
pub mod netns;
pub mod pidfd;
pub mod process;
pub mod quota;
pub mod scheduling;
pub mod seccomp;
pub mod signals;
pub mod sockets;
