//! Views of the whole: information, disk usage, what pruning did.

use std::collections::BTreeMap;

use super::image::ImageSummary;
use super::view::ContainerSummary;
use super::volume::Volume;

/// What `docker info` tells that only the engine knows.
#[derive(Debug, Clone, Default)]
pub struct Info {
    pub id: String,
    pub containers: u64,
    pub running: u64,
    pub paused: u64,
    pub stopped: u64,
    pub images: u64,
    /// Storage driver with what it says of itself.
    pub storage_driver: String,
    pub storage_status: Vec<(String, String)>,
    pub log_driver: String,
    pub log_drivers: Vec<String>,
    /// `cgroupfs`.
    pub cgroup_driver: String,
    /// `1` or `2`.
    pub cgroup_version: String,
    pub memory_limit: bool,
    pub swap_limit: bool,
    pub cpu_cfs: bool,
    pub cpu_shares: bool,
    pub cpuset: bool,
    pub pids_limit: bool,
    pub oom_kill_disable: bool,
    pub ipv4_forwarding: bool,
    pub kernel_version: String,
    pub operating_system: String,
    pub os_version: String,
    /// `x86_64`, `aarch64`.
    pub architecture: String,
    pub cpus: u64,
    /// Bytes.
    pub memory: u64,
    pub data_root: String,
    pub name: String,
    pub labels: Vec<String>,
    pub security_options: Vec<String>,
    pub insecure_registries: Vec<String>,
    pub registry_mirrors: Vec<String>,
    pub event_listeners: u64,
    pub warnings: Vec<String>,
    /// Version of the engine.
    pub version: String,
    pub default_address_pools: Vec<(String, u8)>,
}

/// What disk usage is asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskUsageQuery {
    pub images: bool,
    pub containers: bool,
    pub volumes: bool,
}

/// Room on a file system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes.
    pub capacity: u64,
    pub available: u64,
    pub inodes: u64,
    pub inodes_free: u64,
}

/// Disk usage; `None` where it was not asked for.
#[derive(Debug, Clone, Default)]
pub struct DiskUsage {
    pub layers_size: u64,
    pub images: Option<Vec<ImageSummary>>,
    pub containers: Option<Vec<ContainerSummary>>,
    pub volumes: Option<Vec<Volume>>,
}

/// What pruning took away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Ids or names, in order.
    pub deleted: Vec<String>,
    /// Bytes.
    pub reclaimed: u64,
}

/// What pruning images took away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImagesPruned {
    pub removed: Vec<super::image::ImageRemoved>,
    pub reclaimed: u64,
}

/// Attributes by name, as events carry them.
pub type Attributes = BTreeMap<String, String>;
