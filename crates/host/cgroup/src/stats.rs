//! Statistics of a group in one shape for v1 and v2, as `docker stats` needs them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;
use crate::error::Result;
use crate::files::{read_key, read_number};

/// A reading of everything at once. Controllers that are absent leave their part empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Processor time.
    pub cpu: CpuStats,
    /// Memory.
    pub memory: MemoryStats,
    /// Block devices.
    pub blkio: BlkioStats,
    /// Processes and threads.
    pub pids: PidsStats,
    /// Huge pages by size (`2MB`).
    pub hugetlb: BTreeMap<String, HugetlbStats>,
}

/// Processor time in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CpuStats {
    /// All of it.
    pub total: u64,
    /// In user mode.
    pub user: u64,
    /// In the kernel.
    pub system: u64,
    /// By processor; v1 only.
    pub per_cpu: Vec<u64>,
    /// How the quota bit.
    pub throttling: Throttling,
}

/// How often and how long the quota stopped the group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Throttling {
    /// Periods that passed.
    pub periods: u64,
    /// Periods in which it was stopped.
    pub throttled_periods: u64,
    /// Nanoseconds that it was stopped.
    pub throttled_time: u64,
}

/// Memory in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryStats {
    /// Usage, page cache included.
    pub usage: u64,
    /// Highest usage, where the kernel tells it.
    pub max_usage: u64,
    /// Limit; `u64::MAX` when there is none.
    pub limit: u64,
    /// How often the limit was met.
    pub failcnt: u64,
    /// Swap in use.
    pub swap: u64,
    /// Limit of memory and swap together; `u64::MAX` when there is none.
    pub swap_limit: u64,
    /// Whether this is a reading of v2 (docker's clients compute the cache from other fields then).
    pub v2: bool,
    /// `memory.stat` as it is.
    pub stats: BTreeMap<String, u64>,
    /// Processes killed for want of memory, nested groups included.
    pub oom_kills: u64,
}

/// Transfers by device and operation, as docker reports them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BlkioStats {
    /// Bytes.
    pub service_bytes: Vec<BlkioEntry>,
    /// Operations.
    pub serviced: Vec<BlkioEntry>,
}

/// One counter of one device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BlkioEntry {
    /// Major number.
    pub major: u64,
    /// Minor number.
    pub minor: u64,
    /// `Read`, `Write`, `Sync`, `Async`, `Discard` or `Total` (v1), `read` or `write` (v2).
    pub op: String,
    /// The count.
    pub value: u64,
}

/// Processes and threads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PidsStats {
    /// How many there are.
    pub current: u64,
    /// Limit; 0 when there is none.
    pub limit: u64,
    /// How often a fork was refused.
    pub failures: u64,
}

/// Huge pages in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HugetlbStats {
    /// Usage.
    pub usage: u64,
    /// Highest usage (v1).
    pub max_usage: u64,
    /// How often the limit was met.
    pub failcnt: u64,
}

mod v1;
mod v2;

/// Reads everything; what is absent stays empty.
pub(crate) fn read(group: &Cgroup) -> Result<Stats> {
    let mut stats = Stats::default();
    v1::read(group, &mut stats)?;
    v2::read(group, &mut stats)?;
    stats.memory.oom_kills = group.oom_kills()?;
    Ok(stats)
}

/// The files are the same in both versions.
fn pids(dir: &Path, stats: &mut Stats) -> Result<()> {
    stats.pids.current = read_number(&dir.join("pids.current"))?.unwrap_or(0);
    let limit = read_number(&dir.join("pids.max"))?;
    stats.pids.limit = limit.filter(|&limit| limit != u64::MAX).unwrap_or(0);
    stats.pids.failures = read_key(&dir.join("pids.events"), "max")?.unwrap_or(0);
    Ok(())
}

/// Sizes of huge pages (`2MB`) that have a file with this ending; reservations, which have a dot more, apart.
fn huge_pages(dir: &Path, ending: &str) -> Vec<String> {
    let size = |name: &str| name.strip_prefix("hugetlb.")?.strip_suffix(ending).map(str::to_owned);
    let names = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter_map(|name| size(name.to_str()?)).filter(|size| !size.contains('.')).collect()
}

#[cfg(test)]
mod tests;
