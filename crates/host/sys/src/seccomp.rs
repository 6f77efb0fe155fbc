//! Loading a seccomp filter program (seccomp(2)).

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// One instruction of a classic BPF program (`struct sock_filter`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// How many instructions to skip if a comparison holds.
    pub jt: u8,
    /// How many to skip if it does not.
    pub jf: u8,
    /// Constant, offset or distance.
    pub k: u32,
}

/// Put the same filter on every thread of the process.
pub const FLAG_TSYNC: u32 = 1;
/// Log every action but allow.
pub const FLAG_LOG: u32 = 1 << 1;
/// Do not force the speculative store bypass mitigation.
pub const FLAG_SPEC_ALLOW: u32 = 1 << 2;
/// Return a descriptor for notifications.
pub const FLAG_NEW_LISTENER: u32 = 1 << 3;
/// Give ESRCH instead of a thread id when TSYNC fails; needed for TSYNC together with a listener.
pub const FLAG_TSYNC_ESRCH: u32 = 1 << 4;
/// A caller whose notification was received can only be killed, not interrupted.
pub const FLAG_WAIT_KILLABLE_RECV: u32 = 1 << 5;

/// Loads a filter for the calling thread. Allocates nothing, so it may be called between fork and exec.
///
/// Needs `no_new_privs` or CAP_SYS_ADMIN. Returns the listener if [`FLAG_NEW_LISTENER`] was given.
pub fn install(program: &[Instruction], flags: u32) -> io::Result<Option<OwnedFd>> {
    let Ok(len) = u16::try_from(program.len()) else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    let filter = libc::sock_fprog {
        len,
        // The kernel only reads through this pointer; `Instruction` has the layout of `sock_filter`.
        filter: program.as_ptr().cast_mut().cast(),
    };
    // SAFETY: `filter` and the instructions it points to outlive the call, and `len` is their number.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const filter) };
    match result {
        -1 => Err(io::Error::last_os_error()),
        // Without TSYNC_ESRCH a positive answer is the thread that could not be synchronised.
        thread if thread > 0 && flags & FLAG_NEW_LISTENER == 0 => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        fd if flags & FLAG_NEW_LISTENER != 0 => {
            // SAFETY: with NEW_LISTENER the kernel returned a new descriptor that nobody else owns.
            Ok(Some(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
        }
        _ => Ok(None),
    }
}

/// Whether the kernel knows an action (`SECCOMP_RET_*`).
pub fn action_available(action: u32) -> bool {
    // SAFETY: the kernel reads four bytes at the address of `action`, which lives until the call is over.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) };
    result == 0
}
