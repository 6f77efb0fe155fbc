//! Statistics from the v2 tree.

use std::path::Path;

use super::{BlkioEntry, HugetlbStats, Stats};
use crate::cgroup::Cgroup;
use crate::error::Result;
use crate::files::{read_key, read_keyed, read_number, read_optional};
use crate::hierarchy::Controller;

pub(super) fn read(group: &Cgroup, stats: &mut Stats) -> Result<()> {
    let Some(dir) = group.v2_dir() else {
        return Ok(());
    };
    let hierarchy = group.hierarchy();
    let here = |controller| hierarchy.v1_mount(controller).is_none();
    // Processor time is counted on v2 without a controller; in hybrid mode v1 has told it already.
    if here(Controller::Cpuacct) {
        cpu(&dir, stats)?;
    }
    if here(Controller::Memory) && hierarchy.has_v2(Controller::Memory) {
        memory(&dir, stats)?;
    }
    if here(Controller::Blkio) && hierarchy.has_v2(Controller::Blkio) {
        blkio(&dir, stats)?;
    }
    if here(Controller::Pids) && hierarchy.has_v2(Controller::Pids) {
        super::pids(&dir, stats)?;
    }
    if here(Controller::Hugetlb) && hierarchy.has_v2(Controller::Hugetlb) {
        hugetlb(&dir, stats)?;
    }
    Ok(())
}

fn cpu(dir: &Path, stats: &mut Stats) -> Result<()> {
    for (key, value) in read_keyed(&dir.join("cpu.stat"))? {
        let cpu = &mut stats.cpu;
        match key.as_str() {
            "usage_usec" => cpu.total = value * 1000,
            "user_usec" => cpu.user = value * 1000,
            "system_usec" => cpu.system = value * 1000,
            "nr_periods" => cpu.throttling.periods = value,
            "nr_throttled" => cpu.throttling.throttled_periods = value,
            "throttled_usec" => cpu.throttling.throttled_time = value * 1000,
            _ => {}
        }
    }
    Ok(())
}

fn memory(dir: &Path, stats: &mut Stats) -> Result<()> {
    let number = |file: &str| read_number(&dir.join(file));
    let memory = &mut stats.memory;
    memory.v2 = true;
    memory.usage = number("memory.current")?.unwrap_or(0);
    memory.max_usage = number("memory.peak")?.unwrap_or(0);
    memory.limit = number("memory.max")?.unwrap_or(u64::MAX);
    memory.swap = number("memory.swap.current")?.unwrap_or(0);
    memory.swap_limit = match number("memory.swap.max")? {
        Some(swap) if memory.limit != u64::MAX => swap.saturating_add(memory.limit),
        _ => u64::MAX,
    };
    memory.failcnt = read_key(&dir.join("memory.events"), "oom")?.unwrap_or(0);
    memory.stats = read_keyed(&dir.join("memory.stat"))?.into_iter().collect();
    Ok(())
}

fn blkio(dir: &Path, stats: &mut Stats) -> Result<()> {
    let text = read_optional(&dir.join("io.stat"))?.unwrap_or_default();
    let (bytes, operations) = parse_io_stat(&text);
    stats.blkio.service_bytes = bytes;
    stats.blkio.serviced = operations;
    Ok(())
}

/// Lines `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`.
pub(super) fn parse_io_stat(text: &str) -> (Vec<BlkioEntry>, Vec<BlkioEntry>) {
    let (mut bytes, mut operations) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let device = words.next().and_then(|device| device.split_once(':'));
        let Some((Ok(major), Ok(minor))) = device.map(|(a, b)| (a.parse(), b.parse())) else {
            continue;
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let Ok(value) = value.parse() else { continue };
            let (list, op) = match key {
                "rbytes" => (&mut bytes, "read"),
                "wbytes" => (&mut bytes, "write"),
                "rios" => (&mut operations, "read"),
                "wios" => (&mut operations, "write"),
                _ => continue,
            };
            list.push(BlkioEntry { major, minor, op: op.to_owned(), value });
        }
    }
    (bytes, operations)
}

fn hugetlb(dir: &Path, stats: &mut Stats) -> Result<()> {
    for size in super::huge_pages(dir, ".current") {
        let file = |what: &str| dir.join(format!("hugetlb.{size}.{what}"));
        let reading = HugetlbStats {
            usage: read_number(&file("current"))?.unwrap_or(0),
            max_usage: 0,
            failcnt: read_key(&file("events"), "max")?.unwrap_or(0),
        };
        stats.hugetlb.insert(size, reading);
    }
    Ok(())
}
