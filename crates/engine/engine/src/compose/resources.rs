//! Limits as the runtime specification has them.

use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{major, minor};
use spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxHugepageLimit, LinuxHugepageLimitBuilder, LinuxMemory, LinuxPids, LinuxResources,
    LinuxThrottleDevice, LinuxThrottleDeviceBuilder, LinuxWeightDevice, LinuxWeightDeviceBuilder, PosixRlimit,
    PosixRlimitBuilder, PosixRlimitType,
};

use crate::error::{Error, Kind, Result};
use crate::model::host::{DeviceRate, Resources, Ulimit};

const PERIOD: u64 = 100_000;

/// Everything but the devices.
pub fn limits(resources: &Resources) -> Result<LinuxResources> {
    let mut limits = LinuxResources::default();
    limits
        .set_devices(None)
        .set_memory(Some(memory(resources)))
        .set_cpu(Some(processors(resources)))
        .set_block_io(Some(block_io(resources)?));
    limits.set_hugepage_limits(hugepages(resources)?);
    if let Some(pids) = pids(resources) {
        limits.set_pids(Some(pids));
    }
    Ok(limits)
}

fn memory(resources: &Resources) -> LinuxMemory {
    let mut memory = LinuxMemory::default();
    let set = |value: i64| (value != 0).then_some(value);
    memory
        .set_limit(set(resources.memory))
        .set_reservation(set(resources.memory_reservation))
        .set_kernel(set(resources.kernel_memory))
        .set_kernel_tcp(set(resources.kernel_memory_tcp))
        .set_swap(set(resources.memory_swap))
        .set_disable_oom_killer(resources.oom_kill_disable)
        .set_swappiness(resources.memory_swappiness.and_then(|it| u64::try_from(it).ok()));
    memory
}

fn processors(resources: &Resources) -> LinuxCpu {
    let mut cpu = LinuxCpu::default();
    let positive = |value: i64| u64::try_from(value).ok().filter(|it| *it > 0);
    let text = |value: &str| (!value.is_empty()).then(|| value.to_owned());
    cpu.set_shares(positive(resources.cpu_shares))
        .set_cpus(text(&resources.cpuset_cpus))
        .set_mems(text(&resources.cpuset_mems))
        .set_realtime_period(positive(resources.cpu_realtime_period))
        .set_realtime_runtime((resources.cpu_realtime_runtime != 0).then_some(resources.cpu_realtime_runtime));
    if resources.nano_cpus > 0 {
        cpu.set_period(Some(PERIOD)).set_quota(Some(resources.nano_cpus * PERIOD as i64 / 1_000_000_000));
    } else {
        cpu.set_period(positive(resources.cpu_period))
            .set_quota((resources.cpu_quota != 0).then_some(resources.cpu_quota));
    }
    cpu
}

fn hugepages(resources: &Resources) -> Result<Option<Vec<LinuxHugepageLimit>>> {
    let limit = |(size, bytes): (&String, &u64)| {
        LinuxHugepageLimitBuilder::default()
            .page_size(size.clone())
            .limit(i64::try_from(*bytes).unwrap_or(i64::MAX))
            .build()
            .map_err(|error| Error::because(Kind::Internal, size, error))
    };
    let limits: Vec<_> = resources.hugepages.iter().map(limit).collect::<Result<_>>()?;
    Ok((!limits.is_empty()).then_some(limits))
}

fn pids(resources: &Resources) -> Option<LinuxPids> {
    let limit = match resources.pids_limit? {
        0 => return None,
        limit if limit < 0 => -1,
        limit => limit,
    };
    let mut pids = LinuxPids::default();
    pids.set_limit(limit);
    Some(pids)
}

fn block_io(resources: &Resources) -> Result<LinuxBlockIo> {
    let mut io = LinuxBlockIo::default();
    let weights = resources.blkio_weight_device.iter();
    let weights: Result<Vec<LinuxWeightDevice>> = weights
        .map(|it| {
            let (major, minor) = numbers(&it.path)?;
            LinuxWeightDeviceBuilder::default()
                .major(major)
                .minor(minor)
                .weight(it.weight)
                .build()
                .map_err(|error| Error::because(Kind::Internal, &it.path, error))
        })
        .collect();
    let some = |rates: Vec<LinuxThrottleDevice>| (!rates.is_empty()).then_some(rates);
    let weights = weights?;
    io.set_weight((resources.blkio_weight != 0).then_some(resources.blkio_weight))
        .set_weight_device((!weights.is_empty()).then_some(weights))
        .set_throttle_read_bps_device(some(rates(&resources.blkio_read_bps)?))
        .set_throttle_write_bps_device(some(rates(&resources.blkio_write_bps)?))
        .set_throttle_read_iops_device(some(rates(&resources.blkio_read_iops)?))
        .set_throttle_write_iops_device(some(rates(&resources.blkio_write_iops)?));
    Ok(io)
}

fn rates(rates: &[DeviceRate]) -> Result<Vec<LinuxThrottleDevice>> {
    rates
        .iter()
        .map(|it| {
            let (major, minor) = numbers(&it.path)?;
            LinuxThrottleDeviceBuilder::default()
                .major(major)
                .minor(minor)
                .rate(it.rate)
                .build()
                .map_err(|error| Error::because(Kind::Internal, &it.path, error))
        })
        .collect()
}

fn numbers(path: &str) -> Result<(i64, i64)> {
    let stat =
        std::fs::metadata(path).map_err(|error| Error::because(Kind::Invalid, format_args!("stat {path}"), error))?;
    if !stat.file_type().is_block_device() {
        return Err(Error::invalid(format!("{path} is not a block device")));
    }
    let device = stat.rdev();
    Ok((i64::from(major(device)), i64::from(minor(device))))
}

/// The ulimits of a container, then those of the daemon that it does not set.
pub fn rlimits<'a>(own: &'a [Ulimit], defaults: impl Iterator<Item = &'a Ulimit>) -> Result<Vec<PosixRlimit>> {
    let defaults = defaults.filter(|it| !own.iter().any(|own| own.name == it.name));
    own.iter().chain(defaults).map(rlimit).collect()
}

fn rlimit(limit: &Ulimit) -> Result<PosixRlimit> {
    let kind = match limit.name.to_ascii_lowercase().as_str() {
        "core" => PosixRlimitType::RlimitCore,
        "cpu" => PosixRlimitType::RlimitCpu,
        "data" => PosixRlimitType::RlimitData,
        "fsize" => PosixRlimitType::RlimitFsize,
        "locks" => PosixRlimitType::RlimitLocks,
        "memlock" => PosixRlimitType::RlimitMemlock,
        "msgqueue" => PosixRlimitType::RlimitMsgqueue,
        "nice" => PosixRlimitType::RlimitNice,
        "nofile" => PosixRlimitType::RlimitNofile,
        "nproc" => PosixRlimitType::RlimitNproc,
        "rss" => PosixRlimitType::RlimitRss,
        "rtprio" => PosixRlimitType::RlimitRtprio,
        "rttime" => PosixRlimitType::RlimitRttime,
        "sigpending" => PosixRlimitType::RlimitSigpending,
        "stack" => PosixRlimitType::RlimitStack,
        _ => return Err(Error::invalid(format!("invalid ulimit type: {}", limit.name))),
    };
    if limit.hard != -1 && (limit.soft == -1 || limit.soft > limit.hard) {
        return Err(Error::invalid(format!(
            "ulimit soft limit must be less than or equal to hard limit: {} > {}",
            limit.soft, limit.hard
        )));
    }
    PosixRlimitBuilder::default()
        .typ(kind)
        .hard(limit.hard as u64)
        .soft(limit.soft as u64)
        .build()
        .map_err(|error| Error::because(Kind::Internal, &limit.name, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_become_a_quota_and_zero_becomes_nothing() {
        let resources =
            Resources { nano_cpus: 500_000_000, memory: 64 << 20, pids_limit: Some(50), ..Resources::default() };
        let limits = limits(&resources).unwrap();
        let cpu = limits.cpu().as_ref().unwrap();
        assert_eq!((cpu.quota(), cpu.period()), (Some(50_000), Some(100_000)));
        assert_eq!(limits.memory().unwrap().limit(), Some(64 << 20));
        assert_eq!(limits.memory().unwrap().swap(), None);
        assert_eq!(limits.pids().unwrap().limit(), 50);
    }

    #[test]
    fn ulimits_of_the_container_win_and_soft_stays_below_hard() {
        let own = [Ulimit { name: "nofile".into(), soft: 10, hard: 20 }];
        let default = Ulimit { name: "nofile".into(), soft: 1, hard: 2 };
        let limits = rlimits(&own, [&default].into_iter()).unwrap();
        assert_eq!(limits.len(), 1);
        assert_eq!(limits[0].soft(), 10);
        let bad = [Ulimit { name: "nofile".into(), soft: 30, hard: 20 }];
        assert!(rlimits(&bad, [].into_iter()).is_err());
    }
}
