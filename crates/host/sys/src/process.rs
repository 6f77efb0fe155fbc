//! Attributes of the calling process that rustix does not set.

use std::io;
use std::time::Duration;

/// A child that has ended, and what it took, its own children included as far as it waited for them.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Its number, free to be used again.
    pub pid: u32,
    /// Its exit code, 128 and the signal if one has ended it.
    pub code: i32,
    /// Processor time in user mode and in the kernel.
    pub cpu: Duration,
    /// The most memory that one of these processes had resident, in KiB.
    pub peak: u64,
}

/// Waits for the end of any child and reaps it (wait4(2)).
pub fn wait_any() -> io::Result<Ended> {
    let mut status = 0;
    // SAFETY: `rusage` is plain integers, for which zeroes are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values of the right type, which the kernel fills in.
    let pid = unsafe { libc::wait4(-1, &raw mut status, 0, &raw mut usage) };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    Ok(Ended {
        pid: pid as u32,
        code: if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) },
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        peak: usage.ru_maxrss as u64,
    })
}

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
