//! What may be mounted at /proc and beneath it: a forged one would lead what is later written there elsewhere.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use crate::error::{AtStep, Error, Result};
use crate::plan::mounts::MountStep;

const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// Files that show numbers only, which lxcfs and the like replace by those of the container.
const REPLACEABLE: [&str; 11] = [
    "cpuinfo",
    "diskstats",
    "loadavg",
    "meminfo",
    "net/dev",
    "slabinfo",
    "stat",
    "swaps",
    "sys/crypto/fips_enabled",
    "sys/kernel/ns_last_pid",
    "uptime",
];

/// Refuses a tree at a place if that is in a /proc, by whatever links it was reached, or is to be /proc and is none.
pub(crate) fn check(step: &MountStep, tree: impl AsFd, target: impl AsFd) -> Result<()> {
    let is_proc = |fd: &dyn Fn() -> rustix::io::Result<rustix::fs::StatFs>| -> Result<bool> {
        Ok(fd().at(|| step.name())?.f_type as u64 == PROC_SUPER_MAGIC)
    };
    let place_is = is_proc(&|| rustix::fs::fstatfs(&target))?;
    let at_proc = step.target == Path::new("/proc");
    if !place_is && !at_proc {
        return Ok(());
    }
    let refused = match step.target.strip_prefix("/proc") {
        _ if at_proc => !is_proc(&|| rustix::fs::fstatfs(&tree))?,
        Ok(name) => !REPLACEABLE.iter().any(|known| name == Path::new(known)),
        Err(_) => true,
    };
    match refused {
        true => Err(Error::step(step.name(), io::Error::other("nothing but a procfs may be mounted at or in /proc"))),
        false => Ok(()),
    }
}
