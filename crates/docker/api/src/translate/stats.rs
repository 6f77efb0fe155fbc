//! Readings of resource use.

use docker_types::stats as wire;

use super::time;

/// `null` for what the kernel does not count. (A macro, since this crate has no name for the type of an entry.)
macro_rules! entries {
    ($list:expr) => {
        super::non_empty(
            $list
                .into_iter()
                .map(|e| wire::BlkioEntry { major: e.major, minor: e.minor, op: e.op.to_lowercase(), value: e.value })
                .collect(),
        )
    };
}

/// A sample with the one before it. A container that does not run has only its name.
pub fn stats(stats: engine::Stats) -> wire::Stats {
    let never = super::time_or_never(None);
    let mut shown = wire::Stats {
        name: format!("/{}", stats.name),
        id: stats.id,
        read: never.clone(),
        preread: never,
        ..Default::default()
    };
    if let Some(previous) = stats.previous {
        shown.preread = time(previous.time);
        shown.precpu_stats = cpu(&previous);
    }
    let Some(reading) = stats.reading else { return shown };
    shown.read = time(reading.time);
    shown.cpu_stats = cpu(&reading);
    shown.memory_stats = memory(&reading);
    let cgroup = reading.cgroup;
    shown.pids_stats = wire::PidsStats {
        current: cgroup.pids.current,
        // Docker writes the largest number for "no limit".
        limit: if cgroup.pids.limit == 0 { u64::MAX } else { cgroup.pids.limit },
    };
    shown.blkio_stats.io_service_bytes_recursive = entries!(cgroup.blkio.service_bytes);
    shown.blkio_stats.io_serviced_recursive = entries!(cgroup.blkio.serviced);
    shown.networks = reading.networks.into_iter().map(|(name, n)| (name, network(n))).collect();
    shown
}

fn cpu(reading: &engine::Reading) -> wire::CpuStats {
    let cpu = &reading.cgroup.cpu;
    wire::CpuStats {
        cpu_usage: wire::CpuUsage {
            total_usage: cpu.total,
            percpu_usage: cpu.per_cpu.clone(),
            usage_in_kernelmode: cpu.system,
            usage_in_usermode: cpu.user,
        },
        system_cpu_usage: reading.system_cpu,
        online_cpus: reading.online_cpus,
        throttling_data: wire::Throttling {
            periods: cpu.throttling.periods,
            throttled_periods: cpu.throttling.throttled_periods,
            throttled_time: cpu.throttling.throttled_time,
        },
    }
}

fn memory(reading: &engine::Reading) -> wire::MemoryStats {
    let memory = &reading.cgroup.memory;
    wire::MemoryStats {
        usage: memory.usage,
        max_usage: memory.max_usage,
        stats: memory.stats.clone(),
        failcnt: memory.failcnt,
        limit: memory.limit.min(reading.host_memory),
    }
}

fn network(counters: engine::NetworkCounters) -> wire::NetworkStats {
    wire::NetworkStats {
        rx_bytes: counters.rx_bytes,
        rx_packets: counters.rx_packets,
        rx_errors: counters.rx_errors,
        rx_dropped: counters.rx_dropped,
        tx_bytes: counters.tx_bytes,
        tx_packets: counters.tx_packets,
        tx_errors: counters.tx_errors,
        tx_dropped: counters.tx_dropped,
    }
}
