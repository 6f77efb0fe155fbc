//! The process that owns the containers and outlives the daemon, and the daemon's client for it.
//!
//! ```text
//!  daemon (tokio) ── Client ──seqpacket──▶ supervisor (one thread, epoll) ──▶ containers, execs
//!       ▲  duplicates of every pipe, pty, pidfd and spool ◀── Hold ──┘
//! ```
//!
//! - [`process`]: the supervisor itself: forks and reaps, holds the standard streams, writes the logs, feeds attachments.
//! - [`client`]: what the daemon uses. It keeps the duplicates, so signals, terminal sizes, standard input, pause and
//!   statistics go straight to the container without asking the supervisor.
//! - [`types`]: what both speak of; `wire`: how it is framed.
//!
//! Invariants: the supervisor never waits for a client, a container or a start in progress; a byte leaves a pipe only
//! into a spool that somebody else holds too; a log line is written exactly once however either process dies. It knows
//! no image, no network and no restart policy.

pub mod client;
mod error;
mod feed;
mod log;
pub mod process;
mod spool;
mod stdio;
pub mod types;
mod wire;

pub use client::{
    Attachment, AttachmentInput, Client, CreateRequest, Created, EventStream, ExecRequest, Found, SupervisorConfig,
};
pub use error::{Error, ErrorKind, Result};
pub use types::{
    Event, Exit, ExitStatus, Io, JsonFile, LogConfig, Namespace, ProcessKey, ProcessState, Stream, Streams, WindowSize,
};
