//! What is stored of a container.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::compose::mounts::Planned;
use crate::lifecycle::State;
use crate::model::config::Config;
use crate::model::host::HostConfig;
use crate::model::network::EndpointView;
use crate::model::pod::Member;
use crate::model::view::Health;

/// Identity of a container: 64 hexadecimal digits.
pub type Id = String;

/// One container as it is stored; whatever can be derived is not in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub id: Id,
    /// Without a leading slash.
    pub name: String,
    pub created: Timestamp,
    /// The image's configuration merged with what was sent.
    pub config: Config,
    /// As sent, with defaults filled in.
    pub host: HostConfig,
    /// `sha256:...`.
    pub image: String,
    /// Program and arguments.
    pub args: Vec<String>,
    /// diffIDs of the image, lowest first.
    pub image_layers: Vec<String>,
    pub mounts: Vec<Planned>,
    /// By network name.
    pub networks: BTreeMap<String, EndpointView>,
    /// Identity of the present or last sandbox.
    #[serde(default)]
    pub sandbox: String,
    /// What makes it a member of a sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Member>,
    pub state: State,
    pub restarts: u32,
    /// Wait before the present run.
    #[serde(default)]
    pub waited: Duration,
    /// The user asked for the end of the last run.
    #[serde(default)]
    pub stopped: bool,
    /// Ran at least once.
    #[serde(default)]
    pub ran: bool,
    /// How it is doing; begins anew with every run and is stored only by the way.
    #[serde(default)]
    pub health: Option<Health>,
}

impl Record {
    /// Docker's short form of an id.
    pub fn short_id(&self) -> &str {
        &self.id[..self.id.len().min(12)]
    }

    /// Whether the process has a terminal.
    pub fn tty(&self) -> bool {
        self.config.tty
    }

    /// Seconds between the stop signal and the kill; negative for ever.
    pub fn stop_timeout(&self) -> i64 {
        self.config.stop_timeout.unwrap_or(10)
    }

    /// Key of the writable layer.
    pub fn snapshot(&self) -> &str {
        &self.id
    }
}

/// Where a container's own files are.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(data_root: &Path, id: &str) -> Folder {
        Folder(data_root.join("containers").join(id))
    }

    /// Files that lie in another place.
    pub fn at(path: PathBuf) -> Folder {
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn hosts(&self) -> PathBuf {
        self.0.join("hosts")
    }

    pub fn hostname(&self) -> PathBuf {
        self.0.join("hostname")
    }

    pub fn resolv_conf(&self) -> PathBuf {
        self.0.join("resolv.conf")
    }

    /// The json-file log; `id` names the container.
    pub fn log(&self, id: &str) -> PathBuf {
        self.0.join(format!("{id}-json.log"))
    }
}
