//! The border to who runs pods, in the terms of the container runtime interface (CRI).
//!
//! A *sandbox* is what the containers of one pod share: network, IPC and UTS namespaces, a control group, a folder of logs. Containers are
//! created in it, started once each, and removed; what starts them again is above this border. Everything is told again by [`Sandboxes::list`]
//! and [`Containers::list`] after any process died; [`Sandboxes::events`] says when it is worth looking.
//!
//! ```text
//! id = run(sandbox) ─▶ c = create(id, container) ─▶ start(c) ─▶ (event: exited) ─▶ remove(c) ─▶ stop(id) ─▶ remove(id)
//! ```

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

/// What went wrong, so that a caller can decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    NotFound,
    AlreadyExists,
    Invalid,
    Unavailable,
    Unimplemented,
    Internal,
}

/// A failed operation, with what was attempted on what.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub kind: Kind,
    pub message: String,
}

pub type Result<T> = std::result::Result<T, Error>;
pub type Future<'a, T> = Pin<Box<dyn std::future::Future<Output = Result<T>> + Send + 'a>>;

/// Whose namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Scope {
    /// One for all containers of the pod.
    #[default]
    Pod,
    /// One for each container (process ids only).
    Container,
    /// The node's.
    Node,
    /// That of another container (ephemeral containers that look at one).
    Target(String),
}

/// A port of the pod on the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    pub container_port: u16,
    pub host_port: u16,
    pub host_ip: Option<IpAddr>,
}

/// `/etc/resolv.conf` of a pod; empty means the node's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dns {
    pub servers: Vec<String>,
    pub searches: Vec<String>,
    pub options: Vec<String>,
}

/// What a sandbox is asked to be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SandboxSpec {
    pub pod: PodName,
    /// Counts the sandboxes of one pod.
    pub attempt: u32,
    pub hostname: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub log_directory: PathBuf,
    pub dns: Option<Dns>,
    pub host_ports: Vec<HostPort>,
    pub network: Scope,
    pub ipc: Scope,
    pub pid: Scope,
    pub sysctls: BTreeMap<String, String>,
    /// Beneath the controllers' mounts, as `/kubepods/burstable/pod<uid>`.
    pub cgroup_parent: String,
    /// Of the pod as a whole.
    pub resources: Resources,
}

/// Names of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodName {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

/// Limits; zero and `None` mean none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resources {
    /// Weight, 2 and more (v1's scale).
    pub cpu_shares: u64,
    /// Microseconds of each period.
    pub cpu_quota: Option<i64>,
    pub cpu_period: u64,
    /// Bytes.
    pub memory: Option<i64>,
    pub pids: Option<i64>,
    pub oom_score_adj: i64,
    /// Bytes by page size (`2Mi`).
    pub hugepages: BTreeMap<String, u64>,
}

/// A sandbox as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Sandbox {
    pub id: String,
    pub pod: PodName,
    pub attempt: u32,
    pub ready: bool,
    pub created: Timestamp,
    /// First the address that the pod is known by; empty on the node's network.
    pub addresses: Vec<IpAddr>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub cgroup_parent: String,
}

/// How mounts travel between the node and a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Propagation {
    #[default]
    None,
    HostToContainer,
    Bidirectional,
}

/// A folder or file of the node in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mount {
    pub host_path: PathBuf,
    pub container_path: PathBuf,
    pub read_only: bool,
    pub recursive_read_only: bool,
    pub propagation: Propagation,
}

/// A device of the node in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    pub host_path: String,
    pub container_path: String,
    pub permissions: String,
}

/// What filters system calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Seccomp {
    #[default]
    RuntimeDefault,
    Unconfined,
    /// A profile's file on the node.
    Localhost(PathBuf),
}

/// Who a container's processes are and what they may do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Security {
    pub privileged: bool,
    /// `uid`, `uid:gid` or a name; empty means the image's.
    pub user: String,
    pub supplemental_groups: Vec<u32>,
    /// Takes no groups from the image (`supplementalGroupsPolicy: Strict`).
    pub strict_groups: bool,
    pub add_capabilities: Vec<String>,
    pub drop_capabilities: Vec<String>,
    pub read_only_root: bool,
    pub no_new_privileges: bool,
    pub seccomp: Seccomp,
    /// Shows `/proc` whole (`procMount: Unmasked`).
    pub unmasked_proc: bool,
}

/// What a container is asked to be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContainerSpec {
    pub name: String,
    pub attempt: u32,
    /// As the pod names it, and as [`Images::status`] found it.
    pub image: String,
    pub image_id: String,
    /// Empty means the image's entry point.
    pub command: Vec<String>,
    pub args: Vec<String>,
    /// Empty means the image's.
    pub working_dir: String,
    pub env: Vec<(String, String)>,
    pub mounts: Vec<Mount>,
    pub devices: Vec<Device>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// Beneath the sandbox's folder, as `app/0.log`.
    pub log_path: PathBuf,
    pub stdin: bool,
    pub stdin_once: bool,
    pub tty: bool,
    /// Whose processes it sees; [`Scope::Pod`] only where the sandbox has one process namespace.
    pub pid: Scope,
    pub resources: Resources,
    pub security: Security,
    /// `SIGTERM` or `TERM`; empty means the image's.
    pub stop_signal: String,
}

/// How far a container got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Created,
    Running { started: Timestamp },
    Exited { started: Option<Timestamp>, finished: Timestamp, code: i32, oom_killed: bool, message: String },
}

/// A container as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    pub id: String,
    pub sandbox: String,
    pub name: String,
    pub attempt: u32,
    pub image: String,
    pub image_id: String,
    pub created: Timestamp,
    pub state: State,
    /// Zero when nothing runs.
    pub pid: i32,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// The whole path.
    pub log_path: PathBuf,
}

/// Usage of a container or a pod at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Usage {
    pub time: Timestamp,
    pub cpu_nanoseconds: u64,
    /// Bytes that cannot be taken back without swapping.
    pub memory_working_set: u64,
    pub memory_usage: u64,
    pub memory_rss: u64,
    pub page_faults: u64,
    pub major_page_faults: u64,
    pub pids: u64,
}

/// Counters of a pod's network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    pub interface: String,
    pub rx_bytes: u64,
    pub rx_errors: u64,
    pub tx_bytes: u64,
    pub tx_errors: u64,
}

/// Something changed in a pod: look again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    pub pod: PodName,
}

/// A terminal's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub width: u16,
    pub height: u16,
}

/// Which of a process's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Stdout,
    Stderr,
}

/// A process or container that a client is connected to. Dropping `input` ends its standard input; dropping the whole leaves the process alone
/// when it was attached to, and kills it when it was started for the client.
pub struct Session {
    pub input: Option<mpsc::Sender<Bytes>>,
    pub output: mpsc::Receiver<(Output, Bytes)>,
    pub resize: Option<mpsc::Sender<Size>>,
    /// The exit code, when it ends.
    pub exit: oneshot::Receiver<Result<i32>>,
}

/// A process wanted in a running container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exec {
    pub command: Vec<String>,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

/// What a process that was waited for said; at most a megabyte of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    pub code: i32,
    pub stdout: Bytes,
    pub stderr: Bytes,
}

/// A connection to a port of a pod, made inside its network namespace.
pub trait Connection: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Connection for T {}

/// Sandboxes of this node.
pub trait Sandboxes: Send + Sync {
    /// This node's part of the pods' addresses (`10.42.0.0/24`), before the first sandbox that needs one; again with
    /// another one only while no sandbox has an address.
    fn configure<'a>(&'a self, _pod_cidr: &'a str) -> Future<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
    fn run(&self, spec: SandboxSpec) -> Future<'_, Sandbox>;
    /// Changes the limits of the pod as a whole; its containers keep their own.
    fn update<'a>(&'a self, _id: &'a str, _resources: Resources) -> Future<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
    /// Ends its containers and gives its network back; nothing happens where that was done.
    fn stop<'a>(&'a self, id: &'a str) -> Future<'a, ()>;
    /// Of a stopped one, with its containers; nothing happens where there is none.
    fn remove<'a>(&'a self, id: &'a str) -> Future<'a, ()>;
    fn list(&self) -> Future<'_, Vec<Sandbox>>;
    /// Those of one pod.
    fn of_pod<'a>(&'a self, uid: &'a str) -> Future<'a, Vec<Sandbox>> {
        Box::pin(async move { Ok(self.list().await?.into_iter().filter(|sandbox| sandbox.pod.uid == uid).collect()) })
    }
    /// Changes from now on. A receiver that is too slow for the channel is told that it lagged and lists again.
    fn events(&self) -> tokio::sync::broadcast::Receiver<Changed>;
    fn connect<'a>(&'a self, id: &'a str, port: u16) -> Future<'a, Box<dyn Connection>>;
    /// Usage of the whole pod, and its network's counters.
    fn usage<'a>(&'a self, id: &'a str) -> Future<'a, (Usage, Vec<Traffic>)>;
}

/// Containers in sandboxes.
pub trait Containers: Send + Sync {
    fn create<'a>(&'a self, sandbox: &'a str, spec: ContainerSpec) -> Future<'a, String>;
    fn start<'a>(&'a self, id: &'a str) -> Future<'a, ()>;
    /// Its stop signal, then a kill after the grace; returns when it ended.
    fn stop<'a>(&'a self, id: &'a str, grace: Duration) -> Future<'a, ()>;
    fn remove<'a>(&'a self, id: &'a str) -> Future<'a, ()>;
    fn list(&self) -> Future<'_, Vec<Container>>;
    /// Those in one sandbox.
    fn of_sandbox<'a>(&'a self, sandbox: &'a str) -> Future<'a, Vec<Container>> {
        Box::pin(async move {
            Ok(self.list().await?.into_iter().filter(|container| container.sandbox == sandbox).collect())
        })
    }
    fn update<'a>(&'a self, id: &'a str, resources: Resources) -> Future<'a, ()>;
    fn usage<'a>(&'a self, id: &'a str) -> Future<'a, Usage>;
    /// Closes the log file and opens it again by its name, after somebody has moved it.
    fn reopen_log<'a>(&'a self, id: &'a str) -> Future<'a, ()>;
}

/// Processes in containers, and their standard streams.
pub trait Streams: Send + Sync {
    fn exec<'a>(&'a self, id: &'a str, exec: Exec) -> Future<'a, Session>;
    /// Runs a command to its end; it is killed at the timeout, which is an error of kind [`Kind::Unavailable`].
    fn exec_sync<'a>(&'a self, id: &'a str, command: Vec<String>, timeout: Duration) -> Future<'a, Said>;
    fn attach<'a>(&'a self, id: &'a str) -> Future<'a, Session>;
}

/// Who pulls an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullAuth {
    pub username: String,
    pub password: String,
    pub identity_token: String,
    pub registry_token: String,
}

/// An image of this node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Image {
    pub id: String,
    pub tags: Vec<String>,
    pub digests: Vec<String>,
    /// Bytes.
    pub size: u64,
    /// As the image says it: `uid`, `name`, either with a group.
    pub user: String,
    /// It was pulled for a pod and by nobody by hand: it may be collected.
    pub collectable: bool,
    pub last_used: Option<Timestamp>,
}

/// The file system that images and containers are on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Disk {
    pub capacity: u64,
    pub available: u64,
    pub inodes: u64,
    pub inodes_free: u64,
    pub images_used: u64,
}

/// Images of this node, those of the engine's other users too.
pub trait Images: Send + Sync {
    fn status<'a>(&'a self, image: &'a str) -> Future<'a, Option<Image>>;
    /// Tries each of the credentials, none where there are none; returns the image.
    fn pull<'a>(&'a self, image: &'a str, auths: Vec<PullAuth>) -> Future<'a, Image>;
    fn list(&self) -> Future<'_, Vec<Image>>;
    fn remove<'a>(&'a self, image: &'a str) -> Future<'a, ()>;
    fn disk(&self) -> Future<'_, Disk>;
}

/// All of it, as the binary hands it to the kubelet.
#[derive(Clone)]
pub struct Runtime {
    pub sandboxes: std::sync::Arc<dyn Sandboxes>,
    pub containers: std::sync::Arc<dyn Containers>,
    pub streams: std::sync::Arc<dyn Streams>,
    pub images: std::sync::Arc<dyn Images>,
    /// Its name and version, for the node's `containerRuntimeVersion`.
    pub version: String,
}
