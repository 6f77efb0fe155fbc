//! What a container is asked to be: the portable part, as an image can carry it too, and the whole request.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use network::Protocol;
use serde::{Deserialize, Serialize};

use super::host::HostConfig;
use super::network::EndpointSpec;
use super::pod::Member;

/// A request to create a container; kept with the container as it was sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerSpec {
    /// Without a leading slash; made up when absent.
    pub name: Option<String>,
    /// `os[/arch[/variant]]` the image must have.
    pub platform: Option<String>,
    pub config: Config,
    pub host: HostConfig,
    /// Wanted endpoints by network name.
    pub networks: BTreeMap<String, EndpointSpec>,
    /// What makes it a member of a sandbox.
    pub pod: Option<Member>,
}

/// The portable part of a container's configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    pub hostname: String,
    pub domainname: String,
    /// `user[:group]`, names or numbers.
    pub user: String,
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    pub exposed_ports: BTreeSet<Port>,
    pub tty: bool,
    pub open_stdin: bool,
    pub stdin_once: bool,
    /// `NAME=value`; a bare `NAME` takes the variable away.
    pub env: Vec<String>,
    /// `None` means the image's.
    pub cmd: Option<Vec<String>>,
    pub healthcheck: Option<HealthConfig>,
    pub args_escaped: bool,
    /// The image as it was named.
    pub image: String,
    /// Paths of anonymous volumes.
    pub volumes: BTreeSet<String>,
    pub working_dir: String,
    /// `None` means the image's.
    pub entrypoint: Option<Vec<String>>,
    pub network_disabled: bool,
    pub mac_address: String,
    pub on_build: Vec<String>,
    pub labels: BTreeMap<String, String>,
    pub stop_signal: String,
    /// Seconds; `None` means ten, negative means for ever.
    pub stop_timeout: Option<i64>,
    pub shell: Option<Vec<String>>,
}

/// How health is probed; zero durations are inherited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthConfig {
    /// Empty: inherited; `NONE`; `CMD`, args...; `CMD-SHELL`, command.
    pub test: Vec<String>,
    pub interval: Duration,
    pub timeout: Duration,
    pub start_period: Duration,
    pub start_interval: Duration,
    pub retries: u32,
}

/// A port of the container, written `80/tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port {
    pub number: u16,
    pub protocol: Protocol,
}

/// A text is not a port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid port specification: \"{0}\"")]
pub struct BadPort(pub String);

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol)
    }
}

impl FromStr for Port {
    type Err = BadPort;

    fn from_str(text: &str) -> Result<Port, BadPort> {
        let bad = || BadPort(text.to_owned());
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = match protocol.to_ascii_lowercase().as_str() {
            "tcp" | "" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            _ => return Err(bad()),
        };
        let number = number.parse().map_err(|_| bad())?;
        Ok(Port { number, protocol })
    }
}

impl Serialize for Port {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What creating a container answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    pub id: String,
    pub warnings: Vec<String>,
}
