//! Answers what a daemon asks for.

use std::os::fd::{AsFd, OwnedFd};

use super::child::{Deleting, Stage};
use super::table::{Caller, Supervisor};
use crate::error::ErrorKind;
use crate::types::{ProcessKey, Streams};
use crate::wire::{Failure, FeedRecord, Notice, PROTOCOL, Reply, Request};

impl Supervisor {
    /// Does what is asked; what cannot be done at once is answered later.
    pub(super) fn handle(&mut self, caller: Caller, request: Request, fds: Vec<OwnedFd>) {
        let outcome = match request {
            Request::Hello { protocol } => self.hello(caller, protocol).map(Some),
            Request::Create(head) => self.create(caller, *head, fds).map(|()| None),
            Request::Exec(head) => self.exec(caller, *head).map(|()| None),
            Request::Start { container } => {
                let key = ProcessKey::container(container);
                self.start(caller, &key).map(|()| None)
            }
            Request::Attach { key, streams } => self.attach(caller, &key, streams).map(|()| None),
            Request::CloseStdin { key } => self.close_stdin(&key).map(Some),
            Request::Delete { key } => self.delete(caller, &key),
            Request::Adopt { record, feeds } => self.adopt(*record, feeds, fds).map(|()| Some(Reply::Done)),
            Request::Keep(kept) => Ok(Some(self.keep(caller, kept, fds))),
            Request::LetGo { name } => Ok(Some(self.let_go(&name))),
            Request::ReopenLog { container } => self.reopen_log(&ProcessKey::container(container)).map(Some),
            Request::Enter => enter(fds).map(Some),
            Request::Upgrade { binary } => self.plan_upgrade(caller, binary).map(|()| None),
        };
        match outcome {
            Ok(None) => {}
            Ok(Some(reply)) => self.answer(caller, Ok(reply), Vec::new()),
            Err(failure) => self.answer(caller, Err(failure), Vec::new()),
        }
    }

    /// Answers a call.
    pub(super) fn answer(&mut self, caller: Caller, outcome: Result<Reply, Failure>, fds: Vec<OwnedFd>) {
        let number = caller.number;
        self.send(caller.connection, &Notice::Reply { number, outcome }, fds);
    }

    fn hello(&mut self, caller: Caller, protocol: u32) -> Result<Reply, Failure> {
        if protocol != PROTOCOL {
            let message = format!("the supervisor speaks protocol {PROTOCOL}, the daemon {protocol}");
            return Err(refused(ErrorKind::Unavailable, message));
        }
        if let Some(connection) = self.connections.get_mut(&caller.connection) {
            connection.holder = true;
        }
        let ids: Vec<u32> = self.keys.values().copied().collect();
        for id in ids {
            self.send_hold(caller.connection, id);
        }
        self.send_kept(caller.connection);
        Ok(Reply::Hello { pid: i32::try_from(std::process::id()).unwrap_or(0), program: self.program })
    }

    fn attach(&mut self, caller: Caller, key: &ProcessKey, streams: Streams) -> Result<(), Failure> {
        let feed = self.next_feed();
        let id = self.id_of(key)?;
        let Some(child) = self.children.get_mut(&id) else {
            return Err(no_such(key));
        };
        if let Stage::Exited(_) = child.stage {
            return Err(refused(ErrorKind::Conflict, format!("{key} has ended")));
        }
        let observer = child
            .stdio
            .attach(feed, streams)
            .map_err(|error| refused(ErrorKind::Internal, format!("attach to {key}: {error}")))?;
        let pid = child.pid;
        child.poll_output(id, &self.poll);
        self.tell_hold_feeds(id, Some(feed));
        let reply = Reply::Created { pid, attached: true, warnings: Vec::new() };
        self.answer(caller, Ok(reply), vec![observer]);
        Ok(())
    }

    fn reopen_log(&mut self, key: &ProcessKey) -> Result<Reply, Failure> {
        let child = self.find(key).ok_or_else(|| no_such(key))?;
        child
            .stdio
            .reopen_log()
            .map_err(|error| refused(ErrorKind::Internal, format!("reopen the log of {key}: {error}")))?;
        Ok(Reply::Done)
    }

    fn close_stdin(&mut self, key: &ProcessKey) -> Result<Reply, Failure> {
        let Some(child) = self.find(key) else {
            return Err(no_such(key));
        };
        child.stdio.close_stdin();
        self.tell(&Notice::StdinClosed { key: key.clone() });
        Ok(Reply::Done)
    }

    fn delete(&mut self, caller: Caller, key: &ProcessKey) -> Result<Option<Reply>, Failure> {
        let id = self.id_of(key)?;
        let Some(child) = self.children.get_mut(&id) else {
            return Err(no_such(key));
        };
        match child.stage {
            Stage::Preparing(_) => {
                return Err(refused(ErrorKind::Conflict, format!("{key} is being created")));
            }
            Stage::Running { .. } => {
                return Err(refused(ErrorKind::Conflict, format!("{key} is running")));
            }
            Stage::Created(_) | Stage::Starting(_) => {
                child.deleting = Deleting::AtExit(Some(caller));
                kill(child.pidfd.as_ref());
                return Ok(None);
            }
            Stage::Ending { .. } => {
                child.deleting = Deleting::AtExit(Some(caller));
                return Ok(None);
            }
            Stage::Exited(_) => {}
        }
        if key.exec.is_none() {
            self.delete_execs(&key.container);
        }
        self.forget(id);
        Ok(Some(Reply::Done))
    }

    /// A container's execs go with it; those that live on in a shared process namespace are killed.
    fn delete_execs(&mut self, container: &str) {
        let of_it = |key: &&ProcessKey| key.container == container && key.exec.is_some();
        let keys: Vec<ProcessKey> = self.keys.keys().filter(of_it).cloned().collect();
        for key in keys {
            let Ok(id) = self.id_of(&key) else { continue };
            let Some(child) = self.children.get_mut(&id) else {
                continue;
            };
            match child.stage {
                Stage::Preparing(_) => self.discard(id),
                Stage::Exited(_) => self.forget(id),
                Stage::Created(_) | Stage::Starting(_) | Stage::Running { .. } | Stage::Ending { .. } => {
                    kill(child.pidfd.as_ref());
                    self.forget_at_exit(id);
                }
            }
        }
    }

    /// Forgets a process as soon as it has ended.
    pub(super) fn forget_at_exit(&mut self, id: u32) {
        let Some(child) = self.children.get_mut(&id) else {
            return;
        };
        child.deleting = Deleting::AtExit(None);
        if let Stage::Exited(_) = child.stage {
            self.forget(id);
        }
    }

    fn id_of(&self, key: &ProcessKey) -> Result<u32, Failure> {
        self.keys.get(key).copied().ok_or_else(|| no_such(key))
    }

    /// Gives a daemon one process with duplicates of everything.
    pub(super) fn send_hold(&mut self, connection: u32, id: u32) {
        let Some(child) = self.children.get(&id) else {
            return;
        };
        let Some((record, fds)) = child.record() else {
            return;
        };
        match fds.iter().map(|fd| fd.try_clone_to_owned()).collect() {
            Ok(fds) => self.send(connection, &Notice::Hold(Box::new(record)), fds),
            Err(error) => eprintln!("sampan supervisor: duplicate the descriptors of {}: {error}", record.key),
        }
        self.send_hold_feeds(connection, id, None);
    }

    /// Gives every daemon one process.
    pub(super) fn tell_hold(&mut self, id: u32) {
        for connection in self.holders() {
            self.send_hold(connection, id);
        }
    }

    fn tell_hold_feeds(&mut self, id: u32, only: Option<u64>) {
        for connection in self.holders() {
            self.send_hold_feeds(connection, id, only);
        }
    }

    fn send_hold_feeds(&mut self, connection: u32, id: u32, only: Option<u64>) {
        let Some(child) = self.children.get(&id) else {
            return;
        };
        let key = child.key.clone();
        let wanted = child.stdio.feeds().iter().filter(|f| only.is_none_or(|id| f.id == id));
        let feeds: Vec<(FeedRecord, OwnedFd)> =
            wanted.filter_map(|feed| Some((feed.describe(), feed.as_fd().try_clone_to_owned().ok()?))).collect();
        for (feed, fd) in feeds {
            let key = key.clone();
            self.send(connection, &Notice::HoldFeed { key, feed }, vec![fd]);
        }
    }
}

/// A refusal in our own words.
pub(super) fn refused(kind: ErrorKind, message: impl Into<String>) -> Failure {
    Failure { kind, message: message.into() }
}

/// A failure of the runtime.
pub(super) fn failed(error: &runtime::Error) -> Failure {
    let kind = match (error.exit_code(), error.kind()) {
        (127, _) => ErrorKind::CommandNotFound,
        (126, _) => ErrorKind::CommandNotExecutable,
        (_, runtime::Kind::NotFound) => ErrorKind::NotFound,
        (_, runtime::Kind::Conflict) => ErrorKind::Conflict,
        (_, runtime::Kind::Invalid) => ErrorKind::Invalid,
        (_, runtime::Kind::Denied) => ErrorKind::Denied,
        (_, runtime::Kind::Unimplemented) => ErrorKind::Unimplemented,
        (_, runtime::Kind::Internal) => ErrorKind::Internal,
    };
    refused(kind, error.to_string())
}

/// Goes on in the mount namespace that came along; what is open, and containers that run, stay where they are.
fn enter(fds: Vec<OwnedFd>) -> Result<Reply, Failure> {
    let Some(namespace) = fds.first() else {
        return Err(refused(ErrorKind::Invalid, "no mount namespace came along".to_owned()));
    };
    let kind = rustix::thread::LinkNameSpaceType::Mount;
    let entered = rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(kind));
    entered.map_err(|errno| refused(ErrorKind::Internal, format!("enter the daemon's mount namespace: {errno}")))?;
    Ok(Reply::Done)
}

pub(super) fn no_such(key: &ProcessKey) -> Failure {
    refused(ErrorKind::NotFound, format!("no such process: {key}"))
}

fn kill(pidfd: Option<&OwnedFd>) {
    if let Some(pidfd) = pidfd {
        // ESRCH: it has ended already.
        let _ = rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::KILL);
    }
}
