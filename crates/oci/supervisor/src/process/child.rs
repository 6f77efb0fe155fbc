//! One process that the supervisor holds: its output, its end, and what is left afterwards.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use cgroup::{Cgroup, Interest, OomWatch};
use jiff::Timestamp;
use rustix::event::epoll::EventFlags;
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};

use super::create::{Preparation, Starting};
use super::poll::{Poll, Token};
use super::table::{Caller, Supervisor, Timer};
use crate::stdio::Stdio;
use crate::types::{Exit, ExitStatus, Io, LogConfig, ProcessKey, ProcessState};
use crate::wire::{Notice, Reply};

/// How long the output of an ended process may be kept open by others.
const DRAIN: Duration = Duration::from_secs(2);
/// How long the exit code of a process that is somebody else's child is asked for.
const REAP: Duration = Duration::from_secs(5);
const REAP_INTERVAL: Duration = Duration::from_millis(10);
/// How often output that cannot be taken now is looked at again.
const OUTPUT: Duration = Duration::from_millis(100);

/// See the module.
pub(super) struct Child {
    pub(super) key: ProcessKey,
    pub(super) pid: i32,
    pub(super) cgroup: String,
    pub(super) io: Io,
    pub(super) log: LogConfig,
    pub(super) stage: Stage,
    pub(super) pidfd: Option<OwnedFd>,
    pub(super) stdio: Stdio,
    pub(super) oom: Option<OomWatch>,
    /// Out-of-memory kills that were told.
    pub(super) oom_kills: u64,
    /// Somebody waits for it to be gone.
    pub(super) deleting: Deleting,
    /// Which outputs are registered.
    polled: [bool; 2],
    /// Bytes missing in the log when that was last told.
    dropped_told: u64,
}

/// Where a process is in its life.
pub(super) enum Stage {
    /// It makes its namespaces and mounts.
    Preparing(Box<Preparation>),
    /// It waits for its start. After a take-over there is nothing left to start it with.
    Created(Option<Box<runtime::Created>>),
    /// It was told to start and has not executed its program yet.
    Starting(Box<Starting>),
    /// The program runs.
    Running { since: Timestamp },
    /// It has ended; its exit code or its last output is still to come.
    Ending { ran: Timestamp, since: Instant, at: Timestamp, status: Option<ExitStatus> },
    /// Everything is known and logged.
    Exited(Exit),
}

/// What becomes of an ended process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deleting {
    /// Its exit is kept until acknowledged.
    No,
    /// It is forgotten at once.
    AtExit(Option<Caller>),
}

impl Child {
    pub(super) fn new(key: ProcessKey, io: Io, log: LogConfig, stdio: Stdio, stage: Stage) -> Child {
        Child {
            key,
            pid: 0,
            cgroup: String::new(),
            io,
            log,
            stage,
            pidfd: None,
            stdio,
            oom: None,
            oom_kills: 0,
            deleting: Deleting::No,
            polled: [false; 2],
            dropped_told: 0,
        }
    }

    /// What daemons are told; `None` while it prepares itself.
    pub(super) fn state(&self) -> Option<ProcessState> {
        match self.stage {
            Stage::Preparing(_) => None,
            Stage::Created(_) | Stage::Starting(_) => Some(ProcessState::Created { pid: self.pid }),
            Stage::Running { since } => Some(ProcessState::Running { pid: self.pid, since }),
            Stage::Ending { ran, .. } => Some(ProcessState::Running { pid: self.pid, since: ran }),
            Stage::Exited(exit) => Some(ProcessState::Exited(exit)),
        }
    }

    /// It is being made for this connection.
    pub(super) fn is_prepared_for(&self, connection: u32) -> bool {
        matches!(&self.stage, Stage::Preparing(preparation) if preparation.caller.connection == connection)
    }

    /// Registers what can be waited for; called once the pidfd is known.
    pub(super) fn register(&mut self, id: u32, poll: &Poll) -> io::Result<()> {
        if let Some(pidfd) = &self.pidfd {
            poll.add(pidfd, Token::Ended(id), EventFlags::IN)?;
        }
        if let Some(watch) = &self.oom {
            let interest = match watch.interest() {
                Interest::Readable => EventFlags::IN,
                Interest::Priority => EventFlags::PRI,
            };
            poll.add(watch, Token::OutOfMemory(id), interest)?;
        }
        self.poll_output(id, poll);
        Ok(())
    }

    /// Registers outputs and attachments as they are wanted now; tells whether one is to be tried again later.
    pub(super) fn poll_output(&mut self, id: u32, poll: &Poll) -> bool {
        for fd in self.stdio.take_retired() {
            poll.remove(fd.as_fd());
        }
        let wants = self.stdio.wants();
        for index in 0..2_u8 {
            let at = usize::from(index);
            let Some(fd) = self.stdio.source(at) else {
                self.polled[at] = false;
                continue;
            };
            match (self.polled[at], wants.read[at]) {
                (false, true) => {
                    let token = Token::Output(id, index);
                    self.polled[at] = poll.add(fd, token, EventFlags::IN).is_ok();
                }
                (true, false) => {
                    poll.remove(fd);
                    self.polled[at] = false;
                }
                (true, true) | (false, false) => {}
            }
        }
        for feed in self.stdio.feeds() {
            let interest = match wants.blocked.contains(&feed.id) {
                true => EventFlags::OUT | EventFlags::RDHUP,
                false => EventFlags::RDHUP,
            };
            // Where it cannot be registered, a send finds out.
            let _ = poll.add(feed.as_fd(), Token::Feed(id, feed.slot as u16), interest);
        }
        wants.retry
    }

    /// Takes everything of it out of the poller, before it is dropped.
    pub(super) fn unregister(&mut self, poll: &Poll) {
        self.stop_watching(poll);
        for fd in self.stdio.take_retired() {
            poll.remove(fd.as_fd());
        }
        for index in 0..2 {
            if let Some(fd) = self.stdio.source(index) {
                poll.remove(fd);
            }
        }
        for feed in self.stdio.feeds() {
            poll.remove(feed.as_fd());
        }
    }

    fn stop_watching(&mut self, poll: &Poll) {
        if let Some(pidfd) = &self.pidfd {
            poll.remove(pidfd.as_fd());
        }
        if let Some(watch) = self.oom.take() {
            poll.remove(watch.as_fd());
        }
    }
}

impl Supervisor {
    /// An output is readable, or an attachment has room.
    pub(super) fn turn(&mut self, id: u32) {
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        child.stdio.turn(&mut self.scratch);
        if matches!(child.stage, Stage::Exited(_)) {
            child.stdio.finish_feeds();
        }
        let ending = matches!(child.stage, Stage::Ending { .. });
        if child.poll_output(id, &self.poll) && !ending {
            self.after(OUTPUT, Timer::Output(id));
        }
        self.tell_of_output(id);
        if ending {
            self.drained(id, false);
        }
        self.drop_if_done(id);
    }

    /// An attachment has room or has gone.
    pub(super) fn feed_ready(&mut self, id: u32, slot: u16, flags: EventFlags) {
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        if flags.intersects(EventFlags::HUP | EventFlags::ERR | EventFlags::RDHUP) {
            let found = child.stdio.feeds().iter().find(|f| f.slot as u16 == slot);
            if let Some(feed) = found.map(|feed| feed.id) {
                child.stdio.detach(feed);
            }
        }
        self.turn(id);
    }

    /// The kernel killed something in the container.
    pub(super) fn out_of_memory(&mut self, id: u32) {
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        let Some(Ok(kills)) = child.oom.as_ref().map(OomWatch::count) else {
            // The group is gone, and with it what there was to say.
            if let Some(watch) = child.oom.take() {
                self.poll.remove(watch.as_fd());
            }
            return;
        };
        if kills > child.oom_kills {
            child.oom_kills = kills;
            let container = child.key.container.clone();
            self.tell(&Notice::OutOfMemory { container, kills });
        }
    }

    /// A process has ended, or its exit code is asked for once more.
    pub(super) fn ended(&mut self, id: u32) {
        // Whether it had executed its program, and why not, is told by its control socket.
        self.hear_start(id);
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        let now = Timestamp::now();
        let (ran, since, at) = match child.stage {
            // Its own report comes over its control socket.
            Stage::Preparing(_) | Stage::Starting(_) | Stage::Exited(_) => return,
            Stage::Ending { status: Some(_), .. } => return,
            Stage::Ending { ran, since, at, .. } => (ran, since, at),
            Stage::Running { since } => (since, Instant::now(), now),
            Stage::Created(_) => (now, Instant::now(), now),
        };
        let status = match child.pidfd.as_ref().map(|fd| exit_status(fd.as_fd(), child.pid)) {
            Some(Ok(status)) => status,
            Some(Err(_)) | None => Some(ExitStatus::Unknown),
        };
        let status = status.or((since.elapsed() > REAP).then_some(ExitStatus::Unknown));
        child.stage = Stage::Ending { ran, since, at, status };
        match (status, &child.pidfd) {
            (None, Some(pidfd)) => {
                self.poll.remove(pidfd.as_fd());
                self.after(REAP_INTERVAL, Timer::Reap(id));
            }
            (Some(_), _) | (None, None) => {
                child.stop_watching(&self.poll);
                self.drained(id, false);
            }
        }
    }

    /// Takes the last output of an ended process; when there can be no more, or nobody will wait for more, it is exited.
    pub(super) fn drained(&mut self, id: u32, give_up: bool) {
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        let Stage::Ending { since, at, status: Some(status), .. } = child.stage else {
            return;
        };
        // Its status may have come later than that already.
        let close = give_up || since.elapsed() >= DRAIN;
        child.stdio.drain(close, &mut self.scratch);
        if !child.stdio.ended() {
            child.poll_output(id, &self.poll);
            return self.after(DRAIN, Timer::Drain(id));
        }
        let oom = child.key.exec.is_none() && {
            let kills = Cgroup::open(&self.hierarchy, &child.cgroup).and_then(|g| g.oom_kills());
            kills.unwrap_or(child.oom_kills) > 0
        };
        let exit = Exit { status, oom, at };
        child.stage = Stage::Exited(exit);
        child.stdio.close_stdin();
        child.stdio.finish_feeds();
        child.poll_output(id, &self.poll);
        let key = child.key.clone();
        self.tell_of_output(id);
        self.tell(&Notice::Changed { key, state: ProcessState::Exited(exit) });
        self.delete_if_wanted(id);
    }

    fn delete_if_wanted(&mut self, id: u32) {
        let Some(child) = self.children.get(&id) else {
            return;
        };
        match child.deleting {
            Deleting::No => {}
            Deleting::AtExit(caller) => {
                self.forget(id);
                if let Some(caller) = caller {
                    self.answer(caller, Ok(Reply::Done), Vec::new());
                }
            }
        }
    }

    /// Forgets an ended process. Attachments that have not taken everything yet are served on.
    pub(super) fn forget(&mut self, id: u32) {
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        let key = child.key.clone();
        if self.keys.get(&key) == Some(&id) {
            self.keys.remove(&key);
        }
        child.deleting = Deleting::AtExit(None);
        self.tell(&Notice::Release { key });
        self.drop_if_done(id);
    }

    fn drop_if_done(&mut self, id: u32) {
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        let exited = matches!(child.stage, Stage::Exited(_));
        let forgotten = child.deleting != Deleting::No;
        if exited && forgotten && child.stdio.feeds().is_empty() {
            child.unregister(&self.poll);
            self.children.remove(&id);
            self.rest();
        }
    }

    /// Tells of attachments that ended and of output that the log misses.
    pub(super) fn tell_of_output(&mut self, id: u32) {
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        let ended = child.stdio.take_ended_feeds();
        let dropped = child.stdio.dropped();
        let key = child.key.clone();
        let worse = dropped > 0 && dropped >= child.dropped_told.saturating_mul(2);
        if worse || dropped == 0 {
            child.dropped_told = dropped;
        }
        for id in ended {
            self.tell(&Notice::ReleaseFeed { key: key.clone(), id });
        }
        if worse {
            let container = key.container;
            self.tell(&Notice::LogDropped { container, bytes: dropped });
        }
    }
}

/// How a process ended; `None` when that cannot be told yet.
fn exit_status(pidfd: BorrowedFd<'_>, pid: i32) -> io::Result<Option<ExitStatus>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    match waitid(WaitId::PidFd(pidfd), options) {
        Ok(status) => Ok(status.as_ref().map(from_wait)),
        // Somebody else's child, or reaped already: the kernel keeps the code with the handle, once it is reaped.
        Err(rustix::io::Errno::CHILD) => match (sys::pidfd::exit_status(pidfd), zombie_status(pidfd, pid)) {
            (Ok(Some(status)), _) | (_, Some(status)) => Ok(Some(from_raw(status))),
            (Ok(None), None) => Ok(None),
            (Err(error), None) => Err(error),
        },
        Err(error) => Err(error.into()),
    }
}

/// The wait status of a process that nobody has reaped yet: the last field of its `stat`.
fn zombie_status(pidfd: BorrowedFd<'_>, pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let (state, code) = (fields.next()?, fields.next_back()?);
    // Not reaped even now: so the number was its own, and nobody else's, when the file was read.
    sys::pidfd::send_signal(pidfd, 0).ok()?;
    if state == "Z" { code.parse().ok() } else { None }
}

fn from_wait(status: &WaitIdStatus) -> ExitStatus {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => ExitStatus::Exited(code),
        (None, Some(signal)) => ExitStatus::Signaled(signal),
        (None, None) => ExitStatus::Unknown,
    }
}

/// From waitpid(2)'s encoding.
fn from_raw(status: i32) -> ExitStatus {
    match status & 0x7f {
        0 => ExitStatus::Exited(status >> 8 & 0xff),
        signal => ExitStatus::Signaled(signal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_statuses_are_read_as_waitpid_writes_them() {
        assert_eq!(from_raw(0), ExitStatus::Exited(0));
        assert_eq!(from_raw(3 << 8), ExitStatus::Exited(3));
        assert_eq!(from_raw(9), ExitStatus::Signaled(9));
        assert_eq!(from_raw(11 | 0x80), ExitStatus::Signaled(11));
    }
}
