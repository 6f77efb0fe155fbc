//! What a container asks of its host.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::config::Port;
use super::mode::{CgroupnsMode, IpcMode, NetworkMode, PidMode, RestartPolicy, UsernsMode, UtsMode};
use super::mount::Mount;

/// Everything about a container that depends on its host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostConfig {
    pub resources: Resources,
    /// `source:target[:options]`.
    pub binds: Vec<String>,
    pub mounts: Vec<Mount>,
    /// Options of tmpfs mounts by target.
    pub tmpfs: BTreeMap<String, String>,
    /// `container[:ro]` whose volumes are mounted too.
    pub volumes_from: Vec<String>,
    pub volume_driver: String,
    pub container_id_file: String,
    pub log: LogConfig,
    pub network_mode: NetworkMode,
    pub port_bindings: BTreeMap<Port, Vec<PortBinding>>,
    pub publish_all_ports: bool,
    pub restart: RestartPolicy,
    pub auto_remove: bool,
    /// Height and width.
    pub console_size: [u32; 2],
    pub annotations: BTreeMap<String, String>,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub cgroupns: CgroupnsMode,
    pub dns: Vec<String>,
    pub dns_options: Vec<String>,
    pub dns_search: Vec<String>,
    /// `name:address`.
    pub extra_hosts: Vec<String>,
    pub group_add: Vec<String>,
    pub ipc: IpcMode,
    pub cgroup: String,
    pub links: Vec<String>,
    pub oom_score_adj: i64,
    pub pid: PidMode,
    pub privileged: bool,
    pub readonly_rootfs: bool,
    pub security_opt: Vec<String>,
    pub storage_opt: BTreeMap<String, String>,
    pub uts: UtsMode,
    pub userns: UsernsMode,
    /// Bytes; zero means the default of 64 MiB.
    pub shm_size: i64,
    pub sysctls: BTreeMap<String, String>,
    pub runtime: String,
    pub isolation: String,
    /// `None` means the default ones.
    pub masked_paths: Option<Vec<String>>,
    pub readonly_paths: Option<Vec<String>>,
    /// `None` means as the daemon is configured.
    pub init: Option<bool>,
}

/// Limits of a container; zero and empty mean none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    pub cpu_shares: i64,
    /// Bytes.
    pub memory: i64,
    pub nano_cpus: i64,
    pub cgroup_parent: String,
    pub blkio_weight: u16,
    pub blkio_weight_device: Vec<DeviceWeight>,
    pub blkio_read_bps: Vec<DeviceRate>,
    pub blkio_write_bps: Vec<DeviceRate>,
    pub blkio_read_iops: Vec<DeviceRate>,
    pub blkio_write_iops: Vec<DeviceRate>,
    pub cpu_period: i64,
    pub cpu_quota: i64,
    pub cpu_realtime_period: i64,
    pub cpu_realtime_runtime: i64,
    pub cpuset_cpus: String,
    pub cpuset_mems: String,
    pub devices: Vec<DeviceMapping>,
    pub device_cgroup_rules: Vec<String>,
    pub device_requests: Vec<DeviceRequest>,
    pub kernel_memory: i64,
    pub kernel_memory_tcp: i64,
    pub memory_reservation: i64,
    /// Memory and swap together; -1 for no limit.
    pub memory_swap: i64,
    pub memory_swappiness: Option<i64>,
    pub oom_kill_disable: Option<bool>,
    pub pids_limit: Option<i64>,
    /// Bytes by page size, as the kernel spells it (`2MB`).
    pub hugepages: BTreeMap<String, u64>,
    pub ulimits: Vec<Ulimit>,
    pub cpu_count: i64,
    pub cpu_percent: i64,
    pub io_maximum_iops: u64,
    pub io_maximum_bandwidth: u64,
}

/// A request to change the limits or the restart policy of a container that exists; zero and `None` leave as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UpdateSpec {
    pub resources: Resources,
    pub restart: Option<RestartPolicy>,
}

/// Where one port is published: texts as they were sent, a port may be empty or a range.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortBinding {
    pub host_ip: String,
    pub host_port: String,
}

/// Log driver with its options; an empty driver means the daemon's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogConfig {
    pub driver: String,
    pub options: BTreeMap<String, String>,
}

/// Weight of one block device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceWeight {
    pub path: String,
    pub weight: u16,
}

/// Rate of one block device, per second.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceRate {
    pub path: String,
    pub rate: u64,
}

/// A device of the host given to the container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceMapping {
    pub host_path: String,
    pub container_path: String,
    /// Some of `rwm`.
    pub permissions: String,
}

/// Devices asked of a driver, such as GPUs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceRequest {
    pub driver: String,
    pub count: i64,
    pub device_ids: Vec<String>,
    pub capabilities: Vec<Vec<String>>,
    pub options: BTreeMap<String, String>,
}

/// A resource limit; -1 is unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ulimit {
    pub name: String,
    pub hard: i64,
    pub soft: i64,
}
