//! What this host can do.

use std::path::Path;

use cgroup::Hierarchy;

use crate::error::{Error, Kind, Result};

/// What the engine needs to know of the host; found once.
#[derive(Debug, Clone)]
pub struct Facts {
    pub hierarchy: Hierarchy,
    /// Only cgroup v2.
    pub unified: bool,
    pub swap_limit: bool,
    /// Memory limits that only v1 has.
    pub v1_memory: bool,
    pub cpus: u32,
    /// Bytes.
    pub memory: u64,
    /// Processors and memory nodes that are online, as `0-3`.
    pub cpus_online: String,
    pub mems_online: String,
    pub hostname: String,
}

impl Facts {
    pub fn find() -> Result<Facts> {
        let hierarchy =
            Hierarchy::detect().map_err(|error| Error::because(Kind::Unavailable, "control groups", error))?;
        let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let v1 = Path::new("/sys/fs/cgroup/memory");
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        Ok(Facts {
            unified,
            swap_limit: unified || v1.join("memory.memsw.limit_in_bytes").exists(),
            v1_memory: !unified && v1.exists(),
            cpus: online_cpus(),
            memory: memory(),
            cpus_online: read("/sys/devices/system/cpu/online"),
            mems_online: read("/sys/devices/system/node/online"),
            hostname: read("/proc/sys/kernel/hostname"),
            hierarchy,
        })
    }
}

fn online_cpus() -> u32 {
    std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX))
}

fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
