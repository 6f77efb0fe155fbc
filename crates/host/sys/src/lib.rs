//! Safe, synchronous Linux system calls that rustix does not cover; the only crate with unsafe code.

pub mod activation;
pub mod bpf;
pub mod netns;
pub mod seccomp;
pub mod signals;
