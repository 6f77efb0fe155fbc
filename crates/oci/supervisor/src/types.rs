//! What the daemon and the supervisor speak of: processes, their streams, states, logs and events.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Names a process: the first one of a container, or one executed in it later.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessKey {
    /// Identity of the container.
    pub container: String,
    /// Identity of the exec; `None` is the container's own process.
    pub exec: Option<String>,
}

impl ProcessKey {
    /// The container's own process.
    pub fn container(id: impl Into<String>) -> Self {
        ProcessKey { container: id.into(), exec: None }
    }

    /// A process executed in a container.
    pub fn exec(container: impl Into<String>, exec: impl Into<String>) -> Self {
        ProcessKey { container: container.into(), exec: Some(exec.into()) }
    }
}

impl fmt::Display for ProcessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.exec {
            None => write!(f, "container {}", self.container),
            Some(exec) => write!(f, "exec {exec} in container {}", self.container),
        }
    }
}

/// Size of a terminal in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    pub rows: u16,
    pub columns: u16,
}

/// How a process's standard streams are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Io {
    /// Pipes; standard input reads end of file at once unless it is asked for.
    Pipes { stdin: bool },
    /// A pseudo terminal; its output counts as standard output.
    Terminal { size: Option<WindowSize> },
}

/// Which output a piece of bytes belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Stream {
    /// Standard output, or everything on a terminal.
    Stdout = 1,
    /// Standard error.
    Stderr = 2,
}

/// The streams an attachment wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

/// Where a container's output is logged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogConfig {
    /// Nowhere: Docker's `none`, and every exec.
    #[default]
    None,
    /// Docker's `json-file`.
    JsonFile(JsonFile),
    /// The format of Kubernetes' container runtime interface, in one file that somebody else rotates.
    Cri(PathBuf),
}

/// A namespace of a sandbox that a process joins by descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Namespace {
    Ipc,
    Uts,
}

/// Options of the `json-file` log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JsonFile {
    /// The current file; older ones are `<path>.1`, `<path>.2`, … . Its folder must exist.
    pub path: PathBuf,
    /// Bytes after which a new file is begun; `None` is without bound.
    pub max_size: Option<u64>,
    /// How many files are kept in all, at least 1.
    pub max_file: u32,
    /// The `attrs` member of every line (labels, env and tag options), where not empty.
    pub attrs: BTreeMap<String, String>,
}

impl JsonFile {
    /// Bytes per file when the user does not say.
    pub const DEFAULT_MAX_SIZE: u64 = 20 << 20;
    /// Files when the user does not say.
    pub const DEFAULT_MAX_FILE: u32 = 5;

    /// A log at `path`, bounded as by default.
    pub fn bounded(path: impl Into<PathBuf>) -> Self {
        JsonFile {
            path: path.into(),
            max_size: Some(Self::DEFAULT_MAX_SIZE),
            max_file: Self::DEFAULT_MAX_FILE,
            attrs: BTreeMap::new(),
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// It called exit(2) with this code.
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
    /// It is gone, but nobody could learn how: the supervisor that was its parent died and the kernel (before 6.15)
    /// does not tell others.
    Unknown,
}

impl ExitStatus {
    /// Docker's exit code: 128 + n for signal n; 255 when unknown.
    pub fn code(self) -> i32 {
        match self {
            ExitStatus::Exited(code) => code,
            ExitStatus::Signaled(signal) => 128 + signal,
            ExitStatus::Unknown => 255,
        }
    }
}

/// The end of a process. Its output is in the log completely by the time this is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub status: ExitStatus,
    /// The kernel killed something in the container for lack of memory.
    pub oom: bool,
    pub at: Timestamp,
}

/// Life of a process as the supervisor knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessState {
    /// Namespaces, mounts and limits stand; the program is not executed yet.
    Created { pid: i32 },
    /// The program runs.
    Running { pid: i32, since: Timestamp },
    /// It has ended; kept until deleted.
    Exited(Exit),
}

/// What happens on its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The program runs.
    Started { key: ProcessKey, pid: i32, at: Timestamp },
    /// The process has ended, and its output is logged. A container's cgroup is still there for its last figures.
    Exited { key: ProcessKey, exit: Exit },
    /// The kernel killed a process of the container for lack of memory; `kills` counts them all.
    OutOfMemory { container: String, kills: u64 },
    /// The log could not be written (full disk …): so many bytes of output were dropped until now.
    LogDropped { container: String, bytes: u64 },
    /// The supervisor died; a new one has taken over everything.
    TakenOver,
    /// The supervisor is gone and could not be replaced; the reason is told. The client tries again at the next call.
    Lost { reason: String },
}
