//! The life cycle of containers: create, start, exec, logs, statistics, events, health and restart.
//!
//! [`Engine`] is the handle that façades translate to; it knows neither HTTP nor Docker's JSON nor Kubernetes. Its own
//! types are in [`model`]; texts of its errors are docker's, their class is [`Kind`].

mod attach;
mod compose;
mod containers;
mod create;
mod engine;
mod error;
mod events;
mod exec;
mod facts;
mod files;
mod health;
mod images;
mod inspect;
mod journal;
mod keeper;
mod lifecycle;
mod list;
mod logs;
pub mod model;
mod names;
mod networks;
mod open;
mod pattern;
mod pod;
mod record;
mod root;
mod settings;
mod signals;
mod stats;
mod system;
mod top;
mod update;
mod validate;
mod verbs;
mod volumes;

pub use engine::Engine;
pub use error::{Error, Kind, Result};
pub use model::config::{BadPort, Config, ContainerSpec, Created, HealthConfig, Port};
pub use model::event::{Event, EventKind, EventQuery};
pub use model::exec::{Exec, ExecSpec, ExecStart, ExecState};
pub use model::filters::Filters;
pub use model::host::{
    DeviceMapping, DeviceRate, DeviceRequest, DeviceWeight, HostConfig, LogConfig, PortBinding, Resources, Ulimit,
    UpdateSpec,
};
pub use model::image::{
    CommitSpec, ImageHistory, ImageInspect, ImageRemoved, ImageSummary, ImportSpec, PodImageView, Progress,
    RegistryAuth,
};
pub use model::mode::{BadMode, CgroupnsMode, IpcMode, NetworkMode, PidMode, RestartPolicy, UsernsMode, UtsMode};
pub use model::mount::{BindOptions, Mount, MountKind, MountPoint, TmpfsOptions, VolumeDriver, VolumeOptions};
pub use model::network::{
    BoundPort, Endpoint, EndpointSpec, EndpointView, Ipam, IpamPool, Network, NetworkInspect, NetworkSpec, NetworkView,
    Protocol, Subnet,
};
pub use model::pod::{Groups, Member, MemberView, Processes, Resolver, SandboxSpec, SandboxView, Whose};
pub use model::stats::{CgroupStats, NetworkCounters, Reading, Stats};
pub use model::stream::{
    AttachSpec, Attachment, ByteSender, ByteStream, EventStream, InputSink, LogQuery, LogRecord, LogStream, Output,
    OutputStream, ProgressSink, StatsStream,
};
pub use model::system::{DiskSpace, DiskUsage, DiskUsageQuery, ImagesPruned, Info, Pruned};
pub use model::view::{
    Change, ChangeKind, Container, ContainerSummary, Health, HealthStatus, ListQuery, PathStat, PortView, Probe,
    RemoveOptions, StateView, Status, StopOptions, Top, WaitCondition, WaitResult,
};
pub use model::volume::{Volume, VolumeSpec};
pub use registry::{Event as Transfer, LayerStep};
pub use settings::EngineConfig;
