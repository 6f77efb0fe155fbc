//! Compiler from an OCI seccomp profile to the kernel's BPF.
//!
//! Three steps, all pure: [`rules`] settles what a profile says for each architecture, the same way as runc with
//! libseccomp does; [`emit`] turns that into instructions; [`compile`] puts the architectures together. The
//! numbers of the system calls come from [`syscalls`].
//!
//! Shape of a program: the architecture first, then a balanced search over ranges of system call numbers with the
//! same verdict (about seven comparisons for docker's profile), then comparisons of arguments where a rule has
//! them. Whatever the kernel knows to be allowed without looking at arguments it keeps in a bitmap anyway.

mod arch;
mod emit;
mod rules;
mod syscalls;

use spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag};
pub use sys::seccomp::Instruction;
use sys::seccomp::{
    FLAG_LOG, FLAG_NEW_LISTENER, FLAG_SPEC_ALLOW, FLAG_TSYNC, FLAG_TSYNC_ESRCH, FLAG_WAIT_KILLABLE_RECV,
};

pub use self::arch::native as native_architecture;

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
    /// A rule that names no system call.
    #[error("seccomp rule {0} names no system call")]
    NoName(usize),
    /// The program is longer than the kernel takes.
    #[error("seccomp profile compiles to {0} instructions, the kernel takes at most {MAX_LENGTH}")]
    TooLong(usize),
    /// An error number that does not fit.
    #[error("seccomp errno {0} is out of range (0 to 4095)")]
    Errno(u32),
    /// The default action notifies: the process could not even tell its agent.
    #[error("seccomp action SCMP_ACT_NOTIFY cannot be the default action")]
    NotifyByDefault,
    /// A notification for the very call that hands the listener over would wait for itself.
    #[error("seccomp action SCMP_ACT_NOTIFY cannot be used for the write system call")]
    NotifyWrite,
}

/// `BPF_MAXINSNS`
const MAX_LENGTH: usize = 4096;

/// Compiles a profile for the architecture of this build and those that it names.
///
/// Names that an architecture does not have are left out there, and so are architectures that this program knows
/// nothing of: a process of one of those is killed at its first system call, as it would be anyway.
pub fn compile(profile: &LinuxSeccomp) -> Result<Program, Error> {
    let settled = rules::settle(profile)?;
    let instructions = emit::program(&settled);
    if instructions.len() > MAX_LENGTH {
        return Err(Error::TooLong(instructions.len()));
    }
    let notify = |rule: &spec::runtime::LinuxSyscall| rule.action() == LinuxSeccompAction::ScmpActNotify;
    let notifies = profile.syscalls().iter().flatten().any(notify);
    Ok(Program { instructions, flags: flags(profile, notifies), notifies })
}

/// As runc: without a list of flags, speculative store bypass stays allowed.
fn flags(profile: &LinuxSeccomp, notifies: bool) -> u32 {
    let mut flags = match profile.flags() {
        None => FLAG_SPEC_ALLOW,
        Some(list) => list.iter().fold(0, |all, flag| all | flag_bit(*flag)),
    };
    if notifies {
        flags |= FLAG_NEW_LISTENER;
        if flags & FLAG_TSYNC != 0 {
            flags |= FLAG_TSYNC_ESRCH;
        }
    }
    flags
}

fn flag_bit(flag: LinuxSeccompFilterFlag) -> u32 {
    match flag {
        LinuxSeccompFilterFlag::SeccompFilterFlagLog => FLAG_LOG,
        LinuxSeccompFilterFlag::SeccompFilterFlagTsync => FLAG_TSYNC,
        LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => FLAG_SPEC_ALLOW,
        LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => FLAG_WAIT_KILLABLE_RECV,
    }
}

#[cfg(test)]
mod interpret;
#[cfg(test)]
mod tests;
