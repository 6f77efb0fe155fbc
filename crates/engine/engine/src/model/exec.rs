//! Processes started in a running container.

use serde::{Deserialize, Serialize};

/// A request for a process in a running container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecSpec {
    pub user: String,
    pub privileged: bool,
    pub tty: bool,
    /// Height and width.
    pub console_size: Option<[u32; 2]>,
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    /// `None` means the daemon's (`ctrl-p,ctrl-q`).
    pub detach_keys: Option<String>,
    pub env: Vec<String>,
    pub working_dir: String,
    pub cmd: Vec<String>,
}

/// How far a process got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExecState {
    Created,
    Running { pid: i32 },
    Exited { pid: i32, code: i32 },
}

/// A process in a container, as inspection tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    pub id: String,
    pub container: String,
    pub spec: ExecSpec,
    pub state: ExecState,
}

/// How `exec start` is attached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecStart {
    pub detach: bool,
    /// Terminal as the client believes; must agree with the spec.
    pub tty: bool,
    pub console_size: Option<[u32; 2]>,
}
