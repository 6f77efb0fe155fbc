//! Resource usage of a container.

use std::collections::BTreeMap;

use jiff::Timestamp;

pub use cgroup::Stats as CgroupStats;

/// One reading; a stopped container has only its name.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    pub id: String,
    /// Without a leading slash.
    pub name: String,
    /// `None` while the container does not run.
    pub reading: Option<Reading>,
    /// The reading before, for differences.
    pub previous: Option<Reading>,
}

/// Counters at one moment.
#[derive(Debug, Clone)]
pub struct Reading {
    pub time: Timestamp,
    pub cgroup: CgroupStats,
    /// By interface.
    pub networks: BTreeMap<String, NetworkCounters>,
    /// Processor time of the whole host in nanoseconds.
    pub system_cpu: u64,
    pub online_cpus: u32,
    /// Memory of the host in bytes, the limit of who has none.
    pub host_memory: u64,
}

/// Counters of one interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkCounters {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
}
