//! The daemon's side: finds or starts the supervisor, holds duplicates, asks and listens.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use spec::runtime::{Process, Spec};

use crate::error::Result;
use crate::types::{Event, Exit, Io, LogConfig, ProcessKey, ProcessState, Streams, WindowSize};

/// Where the supervisor lives and how to start one.
#[derive(Clone, Debug)]
pub struct SupervisorConfig {
    /// Folder of its socket, lock and log; exists. One supervisor per folder.
    pub exec_root: PathBuf,
    /// The `sampan` binary.
    pub binary: PathBuf,
}

/// A container to make. Its process sleeps until [`Client::start`].
#[derive(Debug)]
pub struct CreateRequest {
    pub id: String,
    pub spec: Spec,
    /// Detached mount of the root file system.
    pub root: OwnedFd,
    /// Network namespace to join; `None`: as the specification says.
    pub netns: Option<OwnedFd>,
    /// Path of its control group beneath the mounts, such as `/sampan/<instance>/<id>`.
    pub cgroup: String,
    pub io: Io,
    pub log: LogConfig,
    /// An attachment that sees everything from the first byte on.
    pub attach: Option<Streams>,
}

/// A process to execute in a running container; it starts at once.
#[derive(Debug)]
pub struct ExecRequest {
    pub container: String,
    pub exec: String,
    pub process: Process,
    pub io: Io,
    /// An attachment that sees everything from the first byte on.
    pub attach: Option<Streams>,
}

/// A process that was made.
#[derive(Debug)]
pub struct Created {
    pub pid: i32,
    /// As asked for in the request.
    pub attachment: Option<Attachment>,
}

/// A process the supervisor held when the client connected.
#[derive(Clone, Debug)]
pub struct Found {
    pub key: ProcessKey,
    pub state: ProcessState,
    pub cgroup: String,
    pub io: Io,
    pub log: LogConfig,
}

/// One observer of a process's output, and maybe a writer of its input. Dropping it detaches; the process does not notice.
#[derive(Debug)]
pub struct Attachment {}

/// Cloneable handle to the supervisor. All clones share one connection and one table of held descriptors.
#[derive(Clone, Debug)]
pub struct Client {
    _shared: Arc<()>,
}

/// Events from the moment of the call on; none is lost.
#[derive(Debug)]
pub struct EventStream {}

impl EventStream {
    /// The next event; `None` when the client is gone.
    pub async fn next(&mut self) -> Option<Event> {
        todo!()
    }
}

impl Client {
    /// Connects to the supervisor of `config.exec_root`, or starts one where none lives; tells what it holds.
    /// Exits that happened meanwhile are among them, until they are deleted.
    pub async fn connect_or_spawn(config: SupervisorConfig) -> Result<(Client, Vec<Found>)> {
        let _ = config;
        todo!()
    }

    /// Makes a container; its process sleeps before exec.
    pub async fn create(&self, request: CreateRequest) -> Result<Created> {
        let _ = request;
        todo!()
    }

    /// Executes a created container's program; an error tells that this failed, and the process is then exited.
    pub async fn start(&self, container: &str) -> Result<()> {
        let _ = container;
        todo!()
    }

    /// Executes a further process in a running container.
    pub async fn exec(&self, request: ExecRequest) -> Result<Created> {
        let _ = request;
        todo!()
    }

    /// Sends a signal to one process.
    pub async fn kill(&self, key: &ProcessKey, signal: i32) -> Result<()> {
        let _ = (key, signal);
        todo!()
    }

    /// Sets the size of a process's terminal.
    pub async fn resize(&self, key: &ProcessKey, size: WindowSize) -> Result<()> {
        let _ = (key, size);
        todo!()
    }

    /// Freezes every process of a container.
    pub async fn pause(&self, container: &str) -> Result<()> {
        let _ = container;
        todo!()
    }

    /// Thaws them.
    pub async fn resume(&self, container: &str) -> Result<()> {
        let _ = container;
        todo!()
    }

    /// Changes a container's limits.
    pub async fn update(&self, container: &str, limits: cgroup::Limits) -> Result<Vec<cgroup::Warning>> {
        let _ = (container, limits);
        todo!()
    }

    /// What a container uses.
    pub async fn stats(&self, container: &str) -> Result<cgroup::Stats> {
        let _ = container;
        todo!()
    }

    /// Host process ids of everything in a container.
    pub async fn pids(&self, container: &str) -> Result<Vec<i32>> {
        let _ = container;
        todo!()
    }

    /// Observes a process from now on (a created one: from its first byte on).
    pub async fn attach(&self, key: &ProcessKey, streams: Streams) -> Result<Attachment> {
        let _ = (key, streams);
        todo!()
    }

    /// Ends a process's standard input for good, whoever else writes to it.
    pub async fn close_stdin(&self, key: &ProcessKey) -> Result<()> {
        let _ = key;
        todo!()
    }

    /// Waits for the end of a process; at once where it has ended.
    pub async fn wait(&self, key: &ProcessKey) -> Result<Exit> {
        let _ = key;
        todo!()
    }

    /// What state a process is in, from the client's own table.
    pub fn state(&self, key: &ProcessKey) -> Option<ProcessState> {
        let _ = key;
        todo!()
    }

    /// Forgets an ended or created process and removes its control group; acknowledges its exit. A created one is killed.
    /// Attachments still get what is left for them. A container's execs go with it.
    pub async fn delete(&self, key: &ProcessKey) -> Result<()> {
        let _ = key;
        todo!()
    }

    /// Events from now on.
    pub fn events(&self) -> EventStream {
        todo!()
    }

    /// Process id of the supervisor.
    pub fn supervisor_pid(&self) -> i32 {
        todo!()
    }

    /// Has the supervisor re-execute itself as `binary` with every descriptor kept.
    pub async fn upgrade(&self) -> Result<()> {
        todo!()
    }
}

impl Attachment {
    /// The next piece of output (at most 32 KiB); `None` when the process has ended and everything was told.
    /// Not taking it holds the process back once the buffers are full.
    pub async fn read(&mut self) -> Result<Option<(crate::types::Stream, Vec<u8>)>> {
        todo!()
    }

    /// Writes all of `bytes` to the process's standard input.
    pub async fn write(&self, bytes: &[u8]) -> Result<()> {
        let _ = bytes;
        todo!()
    }

    /// Ends the process's standard input (pipes only; on a terminal this does nothing).
    pub async fn close_stdin(&self) -> Result<()> {
        todo!()
    }

    /// Separates the input from the output, for two tasks.
    pub fn split(self) -> (AttachmentInput, Attachment) {
        todo!()
    }
}

/// The input half of an [`Attachment`].
#[derive(Debug)]
pub struct AttachmentInput {}

impl AttachmentInput {
    /// Writes all of `bytes` to the process's standard input.
    pub async fn write(&self, bytes: &[u8]) -> Result<()> {
        let _ = bytes;
        todo!()
    }

    /// Ends the process's standard input (pipes only; on a terminal this does nothing).
    pub async fn close(self) -> Result<()> {
        todo!()
    }
}
