//! Handing a process over: its record with every descriptor, and going on from one.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use cgroup::{Cgroup, OomWatch};

use super::child::{Child, Stage};
use super::request::refused;
use super::table::Supervisor;
use crate::error::ErrorKind;
use crate::feed::Feed;
use crate::stdio::{Role, Stdio};
use crate::types::ProcessState;
use crate::wire::{Failure, FeedRecord, Record};

impl Child {
    /// What a successor needs, and the descriptors in the order of the record's roles; `None` while it prepares itself.
    pub(super) fn record(&self) -> Option<(Record, Vec<BorrowedFd<'_>>)> {
        let state = self.state()?;
        let (mut roles, mut fds) = (Vec::new(), Vec::new());
        let pidfd = self.pidfd.as_ref().map(|fd| (Role::Pidfd, fd.as_fd()));
        for (role, fd) in pidfd.into_iter().chain(self.stdio.descriptors()) {
            roles.push(role);
            fds.push(fd);
        }
        let record = Record {
            key: self.key.clone(),
            pid: self.pid,
            state,
            cgroup: self.cgroup.clone(),
            io: self.io,
            log: self.log.clone(),
            oom_kills: self.oom_kills,
            roles,
        };
        Some((record, fds))
    }
}

impl Feed {
    /// What a successor needs besides the socket.
    pub(super) fn describe(&self) -> FeedRecord {
        FeedRecord { id: self.id, streams: self.streams, slot: self.slot }
    }
}

impl Supervisor {
    /// Goes on with a process that another supervisor held.
    pub(super) fn adopt(&mut self, record: Record, feeds: Vec<FeedRecord>, fds: Vec<OwnedFd>) -> Result<(), Failure> {
        let key = record.key.clone();
        if self.keys.contains_key(&key) {
            return Err(refused(ErrorKind::Conflict, format!("{key} is held already")));
        }
        let mut pidfd = None;
        let mut streams = Vec::new();
        let mut fds = fds.into_iter();
        for (role, fd) in record.roles.into_iter().zip(&mut fds) {
            match role {
                Role::Pidfd => pidfd = Some(fd),
                other => streams.push((other, fd)),
            }
        }
        let internal = |error: std::io::Error| refused(ErrorKind::Internal, format!("take over {key}: {error}"));
        let mut stdio = Stdio::adopt(&record.log, streams).map_err(internal)?;
        for (feed, socket) in feeds.into_iter().zip(fds) {
            let FeedRecord { id, streams, slot } = feed;
            self.seen_feed(id);
            stdio.adopt_feed(id, streams, slot, socket).map_err(internal)?;
        }
        let stage = match (record.state, stdio.started()) {
            // Its predecessor told it to start, and died before it heard that it had.
            (ProcessState::Created { .. }, Some(since)) => Stage::Running { since },
            (ProcessState::Created { .. }, None) => Stage::Created(None),
            (ProcessState::Running { since, .. }, _) => Stage::Running { since },
            (ProcessState::Exited(exit), _) => Stage::Exited(exit),
        };
        let ended = matches!(stage, Stage::Exited(_));
        let mut child = Child::new(key.clone(), record.io, record.log, stdio, stage);
        child.pid = record.pid;
        self.groups.extend(super::create::group_above(&record.cgroup));
        child.cgroup = record.cgroup;
        child.oom_kills = record.oom_kills;
        child.pidfd = pidfd;
        if key.exec.is_none() && !ended {
            let group = Cgroup::open(&self.hierarchy, &child.cgroup);
            // Without its group there is nothing to learn about memory any more.
            child.oom = group.and_then(|group| group.oom_watch()).ok().flatten();
        }
        let id = self.next_id();
        let registered = if ended { Ok(()) } else { child.register(id, &self.poll) };
        self.keys.insert(key.clone(), id);
        self.children.insert(id, child);
        registered.map_err(internal)?;
        if !ended {
            self.catch_up(id);
        }
        self.tell_hold(id);
        // What the predecessor read and did not finish with.
        self.turn(id);
        Ok(())
    }

    /// What happened while nobody looked: output, and kills for lack of memory.
    fn catch_up(&mut self, id: u32) {
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        let group = Cgroup::open(&self.hierarchy, &child.cgroup);
        let watched = child.oom.as_ref().is_some_and(|watch: &OomWatch| watch.count().is_ok());
        if let (true, Ok(kills)) = (watched, group.and_then(|group| group.oom_kills())) {
            let told = child.oom_kills;
            child.oom_kills = kills;
            let container = child.key.container.clone();
            if kills > told {
                self.tell(&crate::wire::Notice::OutOfMemory { container, kills });
            }
        }
    }
}
