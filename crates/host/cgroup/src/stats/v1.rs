//! Statistics from the v1 hierarchies.

use std::path::Path;

use super::{BlkioEntry, HugetlbStats, Stats};
use crate::cgroup::Cgroup;
use crate::error::Result;
use crate::files::{read_keyed, read_number, read_optional};
use crate::hierarchy::Controller;

pub(super) fn read(group: &Cgroup, stats: &mut Stats) -> Result<()> {
    if let Some(dir) = group.v1_dir(Controller::Cpuacct) {
        cpu_usage(&dir, stats)?;
    }
    if let Some(dir) = group.v1_dir(Controller::Cpu) {
        throttling(&dir, stats)?;
    }
    if let Some(dir) = group.v1_dir(Controller::Memory) {
        memory(&dir, stats)?;
    }
    if let Some(dir) = group.v1_dir(Controller::Blkio) {
        blkio(&dir, stats)?;
    }
    if let Some(dir) = group.v1_dir(Controller::Pids) {
        super::pids(&dir, stats)?;
    }
    if let Some(dir) = group.v1_dir(Controller::Hugetlb) {
        hugetlb(&dir, stats)?;
    }
    Ok(())
}

fn cpu_usage(dir: &Path, stats: &mut Stats) -> Result<()> {
    let cpu = &mut stats.cpu;
    cpu.total = read_number(&dir.join("cpuacct.usage"))?.unwrap_or(0);
    let per_cpu = read_optional(&dir.join("cpuacct.usage_percpu"))?.unwrap_or_default();
    cpu.per_cpu = per_cpu.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let user = read_number(&dir.join("cpuacct.usage_user"))?;
    let system = read_number(&dir.join("cpuacct.usage_sys"))?;
    if let (Some(user), Some(system)) = (user, system) {
        (cpu.user, cpu.system) = (user, system);
        return Ok(());
    }
    // Before Linux 4.7: clock ticks.
    let tick = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
    for (key, ticks) in read_keyed(&dir.join("cpuacct.stat"))? {
        match key.as_str() {
            "user" => cpu.user = ticks * tick,
            "system" => cpu.system = ticks * tick,
            _ => {}
        }
    }
    Ok(())
}

fn throttling(dir: &Path, stats: &mut Stats) -> Result<()> {
    for (key, value) in read_keyed(&dir.join("cpu.stat"))? {
        let throttling = &mut stats.cpu.throttling;
        match key.as_str() {
            "nr_periods" => throttling.periods = value,
            "nr_throttled" => throttling.throttled_periods = value,
            "throttled_time" => throttling.throttled_time = value,
            _ => {}
        }
    }
    Ok(())
}

fn memory(dir: &Path, stats: &mut Stats) -> Result<()> {
    let number = |file: &str| read_number(&dir.join(file));
    let memory = &mut stats.memory;
    memory.usage = number("memory.usage_in_bytes")?.unwrap_or(0);
    memory.max_usage = number("memory.max_usage_in_bytes")?.unwrap_or(0);
    memory.limit = number("memory.limit_in_bytes")?.unwrap_or(u64::MAX);
    memory.failcnt = number("memory.failcnt")?.unwrap_or(0);
    memory.swap_limit = number("memory.memsw.limit_in_bytes")?.unwrap_or(u64::MAX);
    memory.stats = read_keyed(&dir.join("memory.stat"))?.into_iter().collect();
    memory.swap = memory.stats.get("swap").copied().unwrap_or(0);
    Ok(())
}

/// BFQ counts what it schedules; the throttling layer counts everything, so it is asked when BFQ knows nothing.
fn blkio(dir: &Path, stats: &mut Stats) -> Result<()> {
    let first = |files: [&str; 2]| -> Result<Vec<BlkioEntry>> {
        for file in files {
            let entries = parse_blkio(&read_optional(&dir.join(file))?.unwrap_or_default());
            if !entries.is_empty() {
                return Ok(entries);
            }
        }
        Ok(Vec::new())
    };
    stats.blkio.service_bytes =
        first(["blkio.bfq.io_service_bytes_recursive", "blkio.throttle.io_service_bytes_recursive"])?;
    stats.blkio.serviced = first(["blkio.bfq.io_serviced_recursive", "blkio.throttle.io_serviced_recursive"])?;
    Ok(())
}

/// Lines `8:0 Read 4096`; the sum over all devices at the end has no device.
pub(super) fn parse_blkio(text: &str) -> Vec<BlkioEntry> {
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        let (major, minor) = words.next()?.split_once(':')?;
        let op = words.next()?.to_owned();
        Some(BlkioEntry {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
            op,
            value: words.next()?.parse().ok()?,
        })
    };
    text.lines().filter_map(entry).collect()
}

fn hugetlb(dir: &Path, stats: &mut Stats) -> Result<()> {
    for size in super::huge_pages(dir, ".usage_in_bytes") {
        let number = |what: &str| read_number(&dir.join(format!("hugetlb.{size}.{what}")));
        let reading = HugetlbStats {
            usage: number("usage_in_bytes")?.unwrap_or(0),
            max_usage: number("max_usage_in_bytes")?.unwrap_or(0),
            failcnt: number("failcnt")?.unwrap_or(0),
        };
        stats.hugetlb.insert(size, reading);
    }
    Ok(())
}
