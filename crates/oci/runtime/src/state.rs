//! What is known of a container on disk, in a folder of its own, and what is said about it.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;

/// The state that the OCI runtime specification defines, as hooks get it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StateView {
    /// Version of the specification.
    pub oci_version: &'static str,
    /// The container's name.
    pub id: String,
    /// `creating`, `created`, `running`, `paused` or `stopped`.
    pub status: &'static str,
    /// Its first process; 0 when there is none.
    pub pid: i32,
    /// The bundle's folder.
    pub bundle: String,
    /// As in the configuration.
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    pub annotations: HashMap<String, String>,
}

impl StateView {
    /// A state.
    pub fn new(
        id: &str,
        status: &'static str,
        pid: i32,
        bundle: &Path,
        annotations: Option<&HashMap<String, String>>,
    ) -> StateView {
        StateView {
            oci_version: OCI_VERSION,
            id: id.to_owned(),
            status,
            pid,
            bundle: bundle.display().to_string(),
            annotations: annotations.cloned().unwrap_or_default(),
        }
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What the agent of a seccomp filter is told with the listener (runtime specification, "The Container Process State").
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProcessState {
    oci_version: &'static str,
    /// What the descriptors are that come along.
    fds: [&'static str; 1],
    pid: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
    state: StateView,
}

impl ProcessState {
    pub fn new(container: StateView, metadata: Option<String>) -> ProcessState {
        ProcessState { oci_version: OCI_VERSION, fds: ["seccompFd"], pid: 0, metadata, state: container }
    }

    /// Names the process, which is the container's first one unless the container has one already.
    pub fn set_pid(&mut self, pid: i32) {
        self.pid = pid;
        if self.state.pid == 0 {
            self.state.pid = pid;
        }
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The version of the OCI runtime specification that is followed.
pub const OCI_VERSION: &str = "1.3.0";
