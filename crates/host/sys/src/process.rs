//! Attributes of the calling process that rustix does not set.

use std::io;

/// Sets the execution domain (personality(2)).
pub fn set_personality(persona: u64) -> io::Result<()> {
    // SAFETY: takes a number only.
    match unsafe { libc::personality(persona) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Sets class (1 real time, 2 best effort, 3 idle) and level of the calling thread's input and output.
pub fn set_io_priority(class: u8, level: u16) -> io::Result<()> {
    const WHO_PROCESS: libc::c_long = 1;
    let value = (libc::c_long::from(class) << 13) | libc::c_long::from(level);
    // SAFETY: takes numbers only.
    match unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, value) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Gives every signal its default handling and blocks none.
pub fn reset_signals() {
    // `struct sigaction` of the kernel, as long as any architecture's: all zeroes are the default handling.
    let default = [0u64; 4];
    for signal in 1..=64 {
        // SAFETY: the kernel reads no more than the structure, whose mask is 8 bytes long; KILL and STOP are refused
        // harmlessly. The C library is not asked because it protects two signals of its own.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), std::ptr::null::<u64>(), 8) };
    }
    // SAFETY: `sigset_t` is plain integers; it is initialised by sigemptyset and outlives the call.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Gives the process a control group namespace whose root is the group that it is in.
pub fn new_cgroup_namespace() -> io::Result<()> {
    // SAFETY: takes a flag only, one that changes what is seen and no memory or descriptor.
    match unsafe { libc::unshare(libc::CLONE_NEWCGROUP) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Makes a time namespace for what the calling process forks and executes; it does not move itself yet.
pub fn new_time_namespace() -> io::Result<()> {
    // SAFETY: takes a flag only, one that changes no memory or descriptor.
    match unsafe { libc::unshare(libc::CLONE_NEWTIME) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Kills the calling process when its parent ends.
pub fn end_with_parent() -> io::Result<()> {
    // SAFETY: takes numbers only.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
