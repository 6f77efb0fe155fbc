//! Signals waited for instead of handled: for single-threaded processes that reap children.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;

/// A signal that was waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// Its number.
    pub number: i32,
    /// The kernel made it itself, for instance because a key was pressed on the terminal; the whole foreground group has it already.
    pub from_kernel: bool,
}

/// Blocks every signal that can be blocked, apart from those that a fault of this thread raises.
pub fn block_all() -> io::Result<()> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset initialises the whole set before anything reads it; the numbers taken out are valid signals.
    let set = unsafe {
        libc::sigfillset(set.as_mut_ptr());
        for fault in
            [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGABRT, libc::SIGSYS]
        {
            libc::sigdelset(set.as_mut_ptr(), fault);
        }
        set.assume_init()
    };
    // SAFETY: `set` is initialised, and a null pointer for the old set is allowed.
    match unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &set, std::ptr::null_mut()) } {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// Takes the next blocked signal, waiting up to `patience` for one; `None` when there was none.
pub fn wait(patience: Duration) -> io::Result<Option<Pending>> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset initialises the set.
    let set = unsafe {
        libc::sigfillset(set.as_mut_ptr());
        set.assume_init()
    };
    let timeout = libc::timespec { tv_sec: patience.as_secs() as libc::time_t, tv_nsec: patience.subsec_nanos() as _ };
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: all three point to live, initialised (or, for `info`, writable) values of the right type.
    let number = unsafe { libc::sigtimedwait(&set, info.as_mut_ptr(), &timeout) };
    if number < 0 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::EAGAIN | libc::EINTR) => Ok(None),
            _ => Err(error),
        };
    }
    // SAFETY: zeroed is a valid siginfo_t, and the kernel filled it in.
    let code = unsafe { info.assume_init() }.si_code;
    Ok(Some(Pending { number, from_kernel: code == SI_KERNEL }))
}

/// A descriptor that is readable while a blocked signal waits, for loops that wait for other things too.
pub fn descriptor() -> io::Result<OwnedFd> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset initialises the set, which outlives the call of signalfd.
    let fd = unsafe {
        libc::sigfillset(set.as_mut_ptr());
        libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `SI_KERNEL`, which the libc crate does not have for every target (`asm-generic/siginfo.h`).
const SI_KERNEL: i32 = 0x80;
