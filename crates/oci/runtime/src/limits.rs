//! From the spec's resources to the control group's limits.

use std::collections::BTreeMap;

use cgroup::{
    Access, BlockIo, Cpu, DeviceRate, DeviceRule, DeviceType, DeviceWeight, HugepageLimit, Limits, Memory, RdmaLimit,
};
use spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxDeviceCgroup, LinuxDeviceType, LinuxMemory, LinuxResources, LinuxThrottleDevice,
    LinuxWeightDevice,
};

use crate::error::{Error, Result};

/// Translates; a device rule that cannot be read is refused. No device rules mean that none are changed.
pub fn limits(resources: &LinuxResources) -> Result<Limits> {
    let devices = resources.devices().as_deref().unwrap_or_default();
    let hugepages = resources.hugepage_limits().iter().flatten();
    let rdma = resources.rdma().iter().flatten();
    let network = resources.network().as_ref();
    Ok(Limits {
        memory: resources.memory().as_ref().map(memory).unwrap_or_default(),
        cpu: resources.cpu().as_ref().map(cpu).unwrap_or_default(),
        pids: resources.pids().as_ref().map(|pids| pids.limit()),
        blkio: resources.block_io().as_ref().map(block_io).unwrap_or_default(),
        hugepages: hugepages
            .map(|limit| HugepageLimit {
                page_size: limit.page_size().clone(),
                limit: u64::try_from(limit.limit()).unwrap_or(u64::MAX),
            })
            .collect(),
        rdma: rdma
            .map(|(device, limit)| {
                let limit = RdmaLimit { hca_handles: limit.hca_handles(), hca_objects: limit.hca_objects() };
                (device.clone(), limit)
            })
            .collect(),
        devices: devices.iter().map(device).collect::<Result<_>>()?,
        network_class: network.and_then(|network| network.class_id()),
        network_priorities: network
            .and_then(|network| network.priorities().as_ref())
            .into_iter()
            .flatten()
            .map(|priority| (priority.name().clone(), priority.priority()))
            .collect(),
        unified: resources
            .unified()
            .iter()
            .flatten()
            .map(|(file, value)| (file.clone(), value.clone()))
            .collect::<BTreeMap<_, _>>(),
    })
}

/// As [`limits`], with the device rules of a whole container: nothing is allowed but what the spec and every
/// container allow.
pub(crate) fn of_container(resources: Option<&LinuxResources>) -> Result<Limits> {
    let mut limits = match resources {
        Some(resources) => limits(resources)?,
        None => Limits::default(),
    };
    if limits.devices.first().is_none_or(|rule| !rule.is_wildcard()) {
        limits.devices.insert(0, DeviceRule::DENY_ALL);
    }
    let allows_all = limits.devices.last() == Some(&DeviceRule::ALLOW_ALL);
    if !allows_all {
        limits.devices.extend(ALWAYS);
    }
    Ok(limits)
}

const fn character(major: Option<u32>, minor: Option<u32>, access: Access) -> DeviceRule {
    DeviceRule { allow: true, kind: DeviceType::Char, major, minor, access }
}

/// Making any node, and using null, zero, full, random, urandom, tty, console, ptmx and ptys.
const ALWAYS: [DeviceRule; 10] = [
    character(None, None, Access::MKNOD),
    DeviceRule { allow: true, kind: DeviceType::Block, major: None, minor: None, access: Access::MKNOD },
    character(Some(1), Some(3), Access::ALL),
    character(Some(1), Some(5), Access::ALL),
    character(Some(1), Some(7), Access::ALL),
    character(Some(1), Some(8), Access::ALL),
    character(Some(1), Some(9), Access::ALL),
    character(Some(5), Some(0), Access::ALL),
    character(Some(5), Some(2), Access::ALL),
    character(Some(136), None, Access::ALL),
];

fn memory(memory: &LinuxMemory) -> Memory {
    Memory {
        limit: memory.limit(),
        reservation: memory.reservation(),
        swap: memory.swap(),
        kernel: memory.kernel(),
        kernel_tcp: memory.kernel_tcp(),
        swappiness: memory.swappiness(),
        disable_oom_killer: memory.disable_oom_killer(),
        check_before_update: memory.check_before_update() == Some(true),
    }
}

fn cpu(cpu: &LinuxCpu) -> Cpu {
    let set = |list: &Option<String>| list.clone().filter(|list| !list.is_empty());
    Cpu {
        shares: cpu.shares(),
        quota: cpu.quota(),
        period: cpu.period(),
        burst: cpu.burst(),
        realtime_runtime: cpu.realtime_runtime(),
        realtime_period: cpu.realtime_period(),
        cpus: set(cpu.cpus()),
        mems: set(cpu.mems()),
        idle: cpu.idle(),
    }
}

fn block_io(block: &LinuxBlockIo) -> BlockIo {
    let rates = |list: &Option<Vec<LinuxThrottleDevice>>| {
        let rate = |device: &LinuxThrottleDevice| DeviceRate {
            major: device.major(),
            minor: device.minor(),
            rate: device.rate(),
        };
        list.iter().flatten().map(rate).collect()
    };
    let weight = |device: &LinuxWeightDevice| DeviceWeight {
        major: device.major(),
        minor: device.minor(),
        weight: device.weight(),
        leaf_weight: device.leaf_weight(),
    };
    BlockIo {
        weight: block.weight(),
        leaf_weight: block.leaf_weight(),
        weight_device: block.weight_device().iter().flatten().map(weight).collect(),
        read_bps: rates(block.throttle_read_bps_device()),
        write_bps: rates(block.throttle_write_bps_device()),
        read_iops: rates(block.throttle_read_iops_device()),
        write_iops: rates(block.throttle_write_iops_device()),
    }
}

fn device(rule: &LinuxDeviceCgroup) -> Result<DeviceRule> {
    let refuse = |problem: String| Error::Spec { field: "linux.resources.devices", problem };
    let number = |number: Option<i64>| match number {
        None | Some(-1) => Ok(None),
        Some(n) => u32::try_from(n).map(Some).map_err(|_| refuse(format!("{n} is no device number"))),
    };
    let letters = rule.access().as_deref().unwrap_or("rwm");
    Ok(DeviceRule {
        allow: rule.allow(),
        kind: match rule.typ() {
            None | Some(LinuxDeviceType::A) => DeviceType::All,
            Some(LinuxDeviceType::C | LinuxDeviceType::U) => DeviceType::Char,
            Some(LinuxDeviceType::B) => DeviceType::Block,
            Some(LinuxDeviceType::P) => return Err(refuse("a fifo has no rule".to_owned())),
        },
        major: number(rule.major())?,
        minor: number(rule.minor())?,
        access: Access::parse(letters)
            .ok_or_else(|| refuse(format!("access {letters:?} is not made of r, w and m")))?,
    })
}
