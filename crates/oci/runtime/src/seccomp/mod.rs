//! Compiler from an OCI seccomp profile to the kernel's BPF.

use spec::runtime::LinuxSeccomp;
pub use sys::seccomp::Instruction;

/// A compiled filter, ready to load with [`sys::seccomp::install`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// The instructions; never more than 4096.
    pub instructions: Vec<Instruction>,
    /// Flags for the load (`sys::seccomp::FLAG_*`).
    pub flags: u32,
    /// Whether a rule notifies user space, so the load returns a listener.
    pub notifies: bool,
}

/// Why a profile cannot be compiled.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A rule compares an argument that does not exist.
    #[error("seccomp rule for {syscall}: no argument {index}, a system call has six (0 to 5)")]
    ArgumentIndex {
        /// Name in the rule.
        syscall: String,
        /// The index given.
        index: usize,
    },
    /// An architecture that this build has no system call table for.
    #[error("seccomp architecture {0} is not supported")]
    Architecture(String),
    /// The program is longer than the kernel takes.
    #[error("seccomp profile compiles to {0} instructions, the kernel takes at most 4096")]
    TooLong(usize),
    /// An error number that does not fit.
    #[error("seccomp errno {0} is out of range (0 to 65535)")]
    Errno(u32),
}

/// Compiles a profile for the architecture of this build and those that it names.
pub fn compile(profile: &LinuxSeccomp) -> Result<Program, Error> {
    let _ = profile;
    todo!()
}
