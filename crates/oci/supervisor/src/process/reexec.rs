//! Upgrade: the supervisor executes a newer program over itself and keeps its pid, its children and every descriptor.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{FdFlags, fcntl_setfd};
use serde::{Deserialize, Serialize};

use super::child::Stage;
use super::connection::Connection;
use super::request::refused;
use super::setup::system;
use super::table::{Caller, Seat, Supervisor};
use crate::error::{Error, ErrorKind, Result};
use crate::wire::{Failure, FeedRecord, Kept, Record, Reply};

/// A wish that waits for a calm moment: nothing is being created, nothing waits to be sent.
#[derive(Debug)]
pub(super) struct Upgrade {
    binary: PathBuf,
    caller: Caller,
}

/// What the next program reads from descriptor 0. Numbers are descriptors that stay open.
#[derive(Debug, Serialize, Deserialize)]
struct Image {
    lock: RawFd,
    listener: RawFd,
    descriptor_limit: Option<u64>,
    connections: Vec<ConnectionImage>,
    processes: Vec<ProcessImage>,
    #[serde(default)]
    kept: Vec<(Kept, Vec<RawFd>)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ConnectionImage {
    fd: RawFd,
    holder: bool,
    /// It waits for the answer of this call, which was the upgrade.
    answer: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ProcessImage {
    record: Record,
    fds: Vec<RawFd>,
    feeds: Vec<(FeedRecord, RawFd)>,
}

impl Supervisor {
    /// Notes the wish; the answer comes from the next program.
    pub(super) fn plan_upgrade(&mut self, caller: Caller, binary: PathBuf) -> Result<(), Failure> {
        if self.upgrade.is_some() {
            return Err(refused(ErrorKind::Conflict, "an upgrade is waiting already"));
        }
        self.upgrade = Some(Upgrade { binary, caller });
        Ok(())
    }

    /// Executes the next program if one is wanted and nothing is under way; returns when that fails.
    pub(super) fn upgrade_when_calm(&mut self) {
        let busy = |stage: &Stage| match stage {
            Stage::Preparing(_) | Stage::Created(Some(_)) | Stage::Starting(_) => true,
            Stage::Created(None) | Stage::Running { .. } | Stage::Ending { .. } | Stage::Exited(_) => false,
        };
        if self.upgrade.is_none()
            || self.children.values().any(|child| busy(&child.stage))
            || !self.connections.values().all(Connection::is_flushed)
        {
            return;
        }
        let Some(upgrade) = self.upgrade.take() else {
            return;
        };
        let error = self.execute(&upgrade);
        let message = format!("execute {}: {error}", upgrade.binary.display());
        self.answer(upgrade.caller, Err(refused(ErrorKind::Internal, message)), Vec::new());
    }

    fn execute(&self, upgrade: &Upgrade) -> io::Error {
        let (image, fds) = self.image(upgrade.caller);
        let kept: Result<(), io::Error> = (|| {
            let bytes = serde_json::to_vec(&image)?;
            let file = File::from(memfd_create("sampan-upgrade", MemfdFlags::CLOEXEC)?);
            file.write_all_at(&bytes, 0)?;
            rustix::stdio::dup2_stdin(&file)?;
            for fd in &fds {
                fcntl_setfd(fd, FdFlags::empty())?;
            }
            Ok(())
        })();
        let error = match kept {
            Ok(()) => Command::new(&upgrade.binary).args(["supervisor", "--resume"]).exec(),
            Err(error) => error,
        };
        // Still here: nothing may leak into containers.
        for fd in &fds {
            let _ = fcntl_setfd(fd, FdFlags::CLOEXEC);
        }
        if let Ok(null) = File::open("/dev/null") {
            let _ = rustix::stdio::dup2_stdin(&null);
        }
        error
    }

    fn image(&self, caller: Caller) -> (Image, Vec<BorrowedFd<'_>>) {
        let mut all = vec![self.seat.lock.as_fd(), self.seat.listener.as_fd()];
        let mut connections = Vec::new();
        for (id, connection) in &self.connections {
            all.push(connection.as_fd());
            connections.push(ConnectionImage {
                fd: connection.as_fd().as_raw_fd(),
                holder: connection.holder,
                answer: (*id == caller.connection).then_some(caller.number),
            });
        }
        let mut processes = Vec::new();
        for id in self.keys.values() {
            let Some(child) = self.children.get(id) else { continue };
            let Some((record, fds)) = child.record() else { continue };
            let mut feeds = Vec::new();
            for feed in child.stdio.feeds() {
                all.push(feed.as_fd());
                feeds.push((feed.describe(), feed.as_fd().as_raw_fd()));
            }
            processes.push(ProcessImage { record, fds: fds.iter().map(AsRawFd::as_raw_fd).collect(), feeds });
            all.extend(fds);
        }
        let mut kept = Vec::new();
        for (what, fds) in self.kept.values() {
            kept.push((what.clone(), fds.iter().map(AsRawFd::as_raw_fd).collect()));
            all.extend(fds.iter().map(AsFd::as_fd));
        }
        let image = Image {
            kept,
            lock: self.seat.lock.as_raw_fd(),
            listener: self.seat.listener.as_raw_fd(),
            descriptor_limit: self.seat.descriptor_limit,
            connections,
            processes,
        };
        (image, all)
    }
}

/// Goes on from what the former program left.
pub(super) fn resume() -> Result<Supervisor> {
    let bytes = std::fs::read("/proc/self/fd/0").map_err(system("read what the former program left"))?;
    let image: Image = serde_json::from_slice(&bytes)?;
    let null = File::open("/dev/null").map_err(system("open /dev/null"))?;
    rustix::stdio::dup2_stdin(&null).map_err(system("let go of standard input"))?;
    let mut supervisor = Supervisor::new(Seat {
        lock: File::from(take(image.lock)?),
        listener: take(image.listener)?,
        descriptor_limit: image.descriptor_limit,
    })?;
    // First the processes, so that nobody is told of what he holds already.
    for process in image.processes {
        let (feeds, sockets): (Vec<FeedRecord>, Vec<RawFd>) = process.feeds.into_iter().unzip();
        let fds: Result<Vec<OwnedFd>> = process.fds.into_iter().chain(sockets).map(take).collect();
        let key = process.record.key.clone();
        if let Err(failure) = supervisor.adopt(process.record, feeds, fds?) {
            eprintln!("sampan supervisor: keep {key} over the upgrade: {}", failure.message);
        }
    }
    for (kept, fds) in image.kept {
        let fds: Result<Vec<OwnedFd>> = fds.into_iter().map(take).collect();
        supervisor.kept.insert(kept.name.clone(), (kept, fds?));
    }
    for kept in image.connections {
        let mut connection = Connection::new(take(kept.fd)?);
        connection.holder = kept.holder;
        let id = supervisor.add_connection(connection);
        if let Some(number) = kept.answer {
            let caller = Caller { connection: id, number };
            supervisor.answer(caller, Ok(Reply::Done), Vec::new());
        }
    }
    Ok(supervisor)
}

fn take(fd: RawFd) -> Result<OwnedFd> {
    sys::inherit::take(fd).map_err(|source| Error::System { step: "take a descriptor of the former program", source })
}
