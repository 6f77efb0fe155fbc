//! Views of containers: lists and inspection.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::config::{Config, Port};
use super::filters::Filters;
use super::host::HostConfig;
use super::mount::MountPoint;
use super::network::NetworkView;

/// Docker's word for where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Restarting => "restarting",
            Status::Removing => "removing",
            Status::Exited => "exited",
            Status::Dead => "dead",
        }
    }
}

/// The life of a container so far.
#[derive(Debug, Clone, PartialEq)]
pub struct StateView {
    pub status: Status,
    /// A process exists (also while paused, and between restarts as docker has it).
    pub running: bool,
    pub paused: bool,
    pub restarting: bool,
    pub oom_killed: bool,
    pub dead: bool,
    /// Zero when nothing runs.
    pub pid: i32,
    pub exit_code: i32,
    /// Why the last start failed.
    pub error: String,
    pub started: Option<Timestamp>,
    pub finished: Option<Timestamp>,
    pub health: Option<Health>,
}

/// Health of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    Starting,
    Healthy,
    Unhealthy,
}

impl HealthStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            HealthStatus::Starting => "starting",
            HealthStatus::Healthy => "healthy",
            HealthStatus::Unhealthy => "unhealthy",
        }
    }
}

/// Health with the last five probes, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Health {
    pub status: HealthStatus,
    pub failing_streak: u32,
    pub log: Vec<Probe>,
}

/// One probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    pub start: Timestamp,
    pub end: Timestamp,
    pub exit_code: i32,
    /// At most 4096 bytes.
    pub output: String,
}

/// One container as inspection tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    pub id: String,
    /// Without a leading slash.
    pub name: String,
    pub created: Timestamp,
    /// Program and arguments as started.
    pub path: String,
    pub args: Vec<String>,
    pub state: StateView,
    /// Image id, `sha256:...`.
    pub image: String,
    pub resolv_conf_path: String,
    pub hostname_path: String,
    pub hosts_path: String,
    pub log_path: String,
    pub restart_count: u32,
    /// Storage driver and what it says.
    pub driver: String,
    pub driver_data: BTreeMap<String, String>,
    /// `linux`.
    pub platform: String,
    /// Ids of processes started in it that still run.
    pub execs: Vec<String>,
    /// As sent, with the image's configuration merged in as docker does.
    pub config: Config,
    /// As sent, with defaults filled in.
    pub host: HostConfig,
    pub mounts: Vec<MountPoint>,
    pub network: NetworkView,
    /// Size of the writable layer and of everything, where that was asked for.
    pub size_rw: Option<u64>,
    pub size_root: Option<u64>,
}

/// Which containers are wanted.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// Stopped ones too.
    pub all: bool,
    /// The newest so many, in any state.
    pub limit: Option<usize>,
    pub size: bool,
    pub filters: Filters,
}

/// One entry of a list of containers.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerSummary {
    pub id: String,
    /// With leading slashes, as docker has it.
    pub names: Vec<String>,
    /// As named at creation, or the id when that name is another image's now.
    pub image: String,
    pub image_id: String,
    pub command: String,
    pub created: Timestamp,
    pub ports: Vec<PortView>,
    pub labels: BTreeMap<String, String>,
    pub state: Status,
    /// `Up 3 minutes (healthy)`.
    pub status: String,
    pub network_mode: String,
    pub annotations: BTreeMap<String, String>,
    pub network: NetworkView,
    pub mounts: Vec<MountPoint>,
    pub size_rw: Option<u64>,
    pub size_root: Option<u64>,
}

/// An exposed or published port in a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortView {
    pub port: Port,
    /// Host address and port.
    pub public: Option<std::net::SocketAddr>,
}

/// When waiting is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WaitCondition {
    /// As soon as it does not run.
    #[default]
    NotRunning,
    /// At the next exit.
    NextExit,
    /// When it is gone.
    Removed,
}

/// How waiting ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitResult {
    pub exit_code: i32,
    /// Why it could not be waited for or removed.
    pub error: Option<String>,
}

/// Processes of a container as `ps` shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Top {
    pub titles: Vec<String>,
    pub processes: Vec<Vec<String>>,
}

/// A change in the file system against the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub kind: ChangeKind,
    pub path: String,
}

/// Kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Modified,
    Added,
    Deleted,
}

/// A file in a container; the mode is Go's `os.FileMode`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStat {
    pub name: String,
    pub size: u64,
    pub mode: u32,
    pub mtime: Timestamp,
    pub link_target: String,
}

/// How removing goes about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RemoveOptions {
    /// Kill it first if it runs.
    pub force: bool,
    /// Anonymous volumes too.
    pub volumes: bool,
    /// Only the link of that name (legacy).
    pub link: bool,
}

/// How a container is stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StopOptions {
    /// Name or number; `None` means the container's.
    pub signal: Option<String>,
    /// Seconds; `None` means the container's, negative for ever.
    pub timeout: Option<i64>,
}
