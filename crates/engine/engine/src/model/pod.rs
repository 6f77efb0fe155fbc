//! Sandboxes of pods, and what makes a container a member of one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use network::PortRequest;
use serde::{Deserialize, Serialize};

use super::host::Resources;

/// Whose namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Whose {
    /// The sandbox's.
    #[default]
    Pod,
    /// The host's.
    Node,
}

/// Whether the containers of a sandbox see each other's processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Processes {
    #[default]
    Apart,
    Shared,
}

/// Where the supplementary groups of a process come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Groups {
    /// Those that are asked for, and those that the image puts the user into.
    #[default]
    Merged,
    /// Only those that are asked for.
    Strict,
}

/// `/etc/resolv.conf` of a sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resolver {
    pub servers: Vec<String>,
    pub searches: Vec<String>,
    pub options: Vec<String>,
}

/// What a sandbox is asked to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SandboxSpec {
    pub hostname: String,
    /// What the caller wants to find again; nothing is made of it here.
    pub owner: String,
    pub log_directory: PathBuf,
    /// `None` means the host's.
    pub resolver: Option<Resolver>,
    pub ports: Vec<PortRequest>,
    pub network: Whose,
    pub ipc: Whose,
    pub processes: Processes,
    pub sysctls: BTreeMap<String, String>,
    /// Beneath the engine's own group.
    pub cgroup_parent: String,
    pub resources: Resources,
}

/// A sandbox as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct SandboxView {
    pub id: String,
    pub created: Timestamp,
    pub ready: bool,
    pub addresses: Vec<IpAddr>,
    pub spec: SandboxSpec,
}

/// What makes a container a member of a sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Member {
    pub sandbox: String,
    /// The image to take, whatever the name in the configuration leads to now.
    pub image: String,
    pub groups: Groups,
    /// The log, in the format of the container runtime interface.
    pub log: PathBuf,
    /// What the caller wants to find again.
    pub owner: String,
}

/// A container of a sandbox as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberView {
    pub id: String,
    pub member: Member,
    pub image: String,
    pub created: Timestamp,
    pub state: super::view::StateView,
}
