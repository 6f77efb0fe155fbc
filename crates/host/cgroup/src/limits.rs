//! What a group is held to, in the units of the OCI specification.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::device::DeviceRule;

/// Everything that can be limited. `None` and empty mean: leave it as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Memory and swap.
    pub memory: Memory,
    /// Processor time and placement.
    pub cpu: Cpu,
    /// Highest number of processes and threads; -1 for no limit.
    pub pids: Option<i64>,
    /// Block devices.
    pub blkio: BlockIo,
    /// Huge pages by size.
    pub hugepages: Vec<HugepageLimit>,
    /// RDMA objects by device name.
    pub rdma: BTreeMap<String, RdmaLimit>,
    /// Device rules in order, the last match wins; empty leaves the devices as they are.
    pub devices: Vec<DeviceRule>,
    /// Class id of the network packets (v1 `net_cls`).
    pub network_class: Option<u32>,
    /// Priority by network interface (v1 `net_prio`).
    pub network_priorities: BTreeMap<String, u32>,
    /// Files of the v2 hierarchy and what is written to them as it is.
    pub unified: BTreeMap<String, String>,
}

/// Memory limits in bytes; -1 is unlimited.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Hard limit.
    pub limit: Option<i64>,
    /// Soft limit.
    pub reservation: Option<i64>,
    /// Limit of memory and swap together, as in v1; must not be below `limit`.
    pub swap: Option<i64>,
    /// Kernel memory (v1, ignored by kernels since 5.16).
    pub kernel: Option<i64>,
    /// Kernel memory of TCP buffers (v1).
    pub kernel_tcp: Option<i64>,
    /// 0 to 100 (v1).
    pub swappiness: Option<u64>,
    /// Stop instead of kill when out of memory (v1).
    pub disable_oom_killer: Option<bool>,
    /// Refuse a limit below the present usage instead of killing.
    pub check_before_update: bool,
}

/// Processor limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cpu {
    /// Relative share, 2 to 262144, 1024 is one.
    pub shares: Option<u64>,
    /// Microseconds of processor time per period; -1 is unlimited.
    pub quota: Option<i64>,
    /// Length of the period in microseconds.
    pub period: Option<u64>,
    /// Microseconds that may be saved up for a burst.
    pub burst: Option<u64>,
    /// Real-time microseconds per period (v1).
    pub realtime_runtime: Option<i64>,
    /// Real-time period in microseconds (v1).
    pub realtime_period: Option<u64>,
    /// Processors that may be used, as `0-2,5`.
    pub cpus: Option<String>,
    /// Memory nodes that may be used, as `0,1`.
    pub mems: Option<String>,
    /// 1 makes the group run only when nothing else does.
    pub idle: Option<i64>,
}

/// Limits of block devices.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockIo {
    /// Relative weight, 10 to 1000.
    pub weight: Option<u16>,
    /// Relative weight of the group's own tasks against its children (v1, CFQ only).
    pub leaf_weight: Option<u16>,
    /// Weight by device.
    pub weight_device: Vec<DeviceWeight>,
    /// Bytes read per second.
    pub read_bps: Vec<DeviceRate>,
    /// Bytes written per second.
    pub write_bps: Vec<DeviceRate>,
    /// Reads per second.
    pub read_iops: Vec<DeviceRate>,
    /// Writes per second.
    pub write_iops: Vec<DeviceRate>,
}

/// Weight of one block device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceWeight {
    /// Major number.
    pub major: i64,
    /// Minor number.
    pub minor: i64,
    /// 10 to 1000.
    pub weight: Option<u16>,
    /// 10 to 1000 (v1, CFQ only).
    pub leaf_weight: Option<u16>,
}

/// Rate of one block device; 0 takes the limit away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceRate {
    /// Major number.
    pub major: i64,
    /// Minor number.
    pub minor: i64,
    /// Bytes or operations per second.
    pub rate: u64,
}

/// Limit of huge pages of one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HugepageLimit {
    /// The kernel's spelling, such as `2MB`.
    pub page_size: String,
    /// Bytes.
    pub limit: u64,
}

/// Limit of one RDMA device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RdmaLimit {
    /// Handles.
    pub hca_handles: Option<u32>,
    /// Objects.
    pub hca_objects: Option<u32>,
}

/// Something that was asked for and does not hold as asked, where refusing would be wrong because docker and
/// runc go on too. The text is for the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning(pub String);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
