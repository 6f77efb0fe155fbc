//! What can go wrong with a control group, each with the path that it happened at.

use std::io;
use std::path::PathBuf;

/// Result of an operation on control groups.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation on a control group.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The table of mounts could not be read.
    #[error("read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A control file refused a value.
    #[error("write {value:?} to {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What was to be written.
        value: String,
        /// Why.
        source: io::Error,
    },
    /// A directory of the group could not be made.
    #[error("make cgroup {}: {source}", path.display())]
    Create {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory of the group could not be opened.
    #[error("open cgroup {}: {source}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory of the group could not be removed.
    #[error("remove cgroup {}: {source}", path.display())]
    Remove {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A process could not be put into the group.
    #[error("move process {pid} into cgroup {}: {source}", path.display())]
    Attach {
        /// The process.
        pid: i32,
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something could not be had from systemd.
    #[error("systemd: {action}: {source}")]
    Systemd {
        /// What was asked for.
        action: String,
        /// Why not, with what systemd said.
        source: io::Error,
    },
    /// A `slice:prefix:name` that names no scope.
    #[error("{0:?} is not slice:prefix:name of a systemd scope")]
    InvalidScope(String),
    /// No cgroup file system is mounted.
    #[error("no cgroup file system is mounted (looked in /proc/self/mountinfo)")]
    NotMounted,
    /// The group does not exist on any hierarchy.
    #[error("cgroup {0} does not exist")]
    NotFound(String),
    /// A path that could leave the hierarchy or is empty.
    #[error("invalid cgroup path {0:?}: must be relative to the mount, without \"..\" components")]
    InvalidPath(String),
    /// A limit was asked for whose controller this host does not have.
    #[error("{limit} cannot be limited: the {controller} cgroup controller is not available on this host")]
    NoController {
        /// What was to be limited.
        limit: &'static str,
        /// The controller that would hold it.
        controller: &'static str,
    },
    /// A limit was asked for that this version of control groups or this kernel does not have.
    #[error("{limit} is not supported by this host: {reason}")]
    Unsupported {
        /// What was to be limited.
        limit: String,
        /// Why it cannot be.
        reason: &'static str,
    },
    /// A value that makes no sense on any host.
    #[error("invalid value for {limit}: {value}")]
    InvalidValue {
        /// What was to be limited.
        limit: &'static str,
        /// The value given.
        value: String,
    },
    /// The memory limit is below what the group uses already.
    #[error("cannot set the memory limit to {limit} bytes: the cgroup uses {usage} bytes (peak {peak})")]
    MemoryBelowUsage {
        /// The wanted limit in bytes.
        limit: i64,
        /// Usage now in bytes.
        usage: u64,
        /// Highest usage in bytes.
        peak: u64,
    },
    /// The group did not reach the wanted freezer state in time.
    #[error("cgroup {path} did not become {wanted} within {milliseconds} ms")]
    FreezeTimeout {
        /// Path of the group.
        path: String,
        /// `frozen` or `thawed`.
        wanted: &'static str,
        /// How long it was waited for.
        milliseconds: u64,
    },
    /// Processes were left after killing them again and again.
    #[error("cgroup {path} still has processes after they were killed: {pids:?}")]
    KillTimeout {
        /// Path of the group.
        path: String,
        /// Who is left.
        pids: Vec<i32>,
    },
    /// The device filter could not be loaded or attached.
    #[error("{action} the device filter of cgroup {}: {source}", path.display())]
    DeviceFilter {
        /// `load`, `attach` or `replace`.
        action: &'static str,
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Out-of-memory notification could not be set up.
    #[error("watch {} for out-of-memory kills: {source}", path.display())]
    OomWatch {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Several steps of a teardown failed; it went on after each.
    #[error("{}", join(.0))]
    Several(Vec<Error>),
}

fn join(errors: &[Error]) -> String {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    texts.join("; ")
}
