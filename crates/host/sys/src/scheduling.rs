//! How the kernel schedules the calling thread and where it places its memory.

use std::io;

/// A scheduling policy with its parameters (sched_setattr(2)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduler {
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// -20 to 19, of the policies without real time.
    pub nice: i32,
    /// 1 to 99, of the real-time policies.
    pub priority: u32,
    /// Nanoseconds of processor time per period, of the deadline policy.
    pub runtime: u64,
    /// Nanoseconds until it must be had, of the deadline policy.
    pub deadline: u64,
    /// Length of the period in nanoseconds, of the deadline policy.
    pub period: u64,
}

/// The first version of the kernel's `struct sched_attr`.
#[repr(C)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Schedules the calling thread otherwise.
pub fn set_scheduler(scheduler: Scheduler) -> io::Result<()> {
    let attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        policy: scheduler.policy,
        flags: scheduler.flags,
        nice: scheduler.nice,
        priority: scheduler.priority,
        runtime: scheduler.runtime,
        deadline: scheduler.deadline,
        period: scheduler.period,
    };
    // SAFETY: the kernel reads as many bytes as `size` says of a value that outlives the call.
    match unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Sets where the calling thread's memory comes from (set_mempolicy(2)): `MPOL_*` with its flags, and the nodes as a bit mask,
/// the lowest first.
pub fn set_memory_policy(mode: i32, nodes: &[u64]) -> io::Result<()> {
    let (mask, length) = match nodes {
        [] => (std::ptr::null(), 0),
        // The kernel takes one bit less than it is told.
        nodes => (nodes.as_ptr(), nodes.len() * 64 + 1),
    };
    // SAFETY: the kernel reads `length - 1` bits at the mask, which has as many and outlives the call.
    match unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, length) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
