//! What the daemon holds of each process, so that a supervisor's death loses nothing.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::sync::watch;

use super::Found;
use super::attachment::StdinSlot;
use crate::error::{Error, Result};
use crate::stdio::Role;
use crate::types::{Event, ProcessKey, ProcessState};
use crate::wire::{FeedRecord, Record};

/// One process's duplicates.
#[derive(Debug)]
pub(super) struct Held {
    record: Record,
    fds: Vec<OwnedFd>,
    feeds: Vec<(FeedRecord, OwnedFd)>,
    state: watch::Sender<ProcessState>,
    stdin: Arc<StdinSlot>,
    /// The connection over which it was told last.
    epoch: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Table {
    processes: HashMap<ProcessKey, Held>,
}

impl Table {
    /// Takes what the supervisor gave to hold; tells what changed.
    pub(super) fn hold(&mut self, record: Record, fds: Vec<OwnedFd>, epoch: u64) -> Option<Event> {
        let (key, state) = (record.key.clone(), record.state);
        let stdin = record.roles.iter().position(|role| *role == Role::Stdin);
        let terminal = record.roles.iter().position(|role| *role == Role::Terminal);
        let input = stdin.or(terminal).and_then(|at| fds.get(at)?.try_clone().ok());
        match self.processes.get_mut(&key) {
            Some(held) => {
                held.record = record;
                held.fds = fds;
                held.feeds.clear();
                held.epoch = epoch;
                if stdin.is_none() && terminal.is_none() {
                    held.stdin.close();
                }
                self.change(&key, state)
            }
            None => {
                let held = Held {
                    stdin: Arc::new(StdinSlot::new(input, terminal.is_some())),
                    record,
                    fds,
                    feeds: Vec::new(),
                    state: watch::Sender::new(state),
                    epoch,
                };
                self.processes.insert(key, held);
                None
            }
        }
    }

    /// Takes an attachment's supervisor end.
    pub(super) fn hold_feed(&mut self, key: &ProcessKey, feed: FeedRecord, fd: OwnedFd) {
        if let Some(held) = self.processes.get_mut(key) {
            held.feeds.push((feed, fd));
        }
    }

    /// Lets an attachment's supervisor end go.
    pub(super) fn release_feed(&mut self, key: &ProcessKey, id: u64) {
        if let Some(held) = self.processes.get_mut(key) {
            held.feeds.retain(|(feed, _)| feed.id != id);
        }
    }

    /// Lets standard input go.
    pub(super) fn close_stdin(&mut self, key: &ProcessKey) {
        let Some(held) = self.processes.get_mut(key) else {
            return;
        };
        held.stdin.close();
        if let Some(at) = held.record.roles.iter().position(|role| *role == Role::Stdin) {
            held.record.roles.remove(at);
            held.fds.remove(at);
        }
    }

    /// Notes another state; tells what happened, if it is news.
    pub(super) fn change(&mut self, key: &ProcessKey, state: ProcessState) -> Option<Event> {
        let held = self.processes.get_mut(key)?;
        held.record.state = state;
        let news = held.state.send_replace(state) != state;
        if let ProcessState::Exited(_) = state {
            held.stdin.close();
        }
        let key = key.clone();
        match state {
            _ if !news => None,
            ProcessState::Created { .. } => None,
            ProcessState::Running { pid, since } => Some(Event::Started { key, pid, at: since }),
            ProcessState::Exited(exit) => Some(Event::Exited { key, exit }),
        }
    }

    /// Lets everything of a process go.
    pub(super) fn release(&mut self, key: &ProcessKey) {
        if let Some(held) = self.processes.remove(key) {
            held.stdin.close();
        }
    }

    /// Notes how many kills for lack of memory were told.
    pub(super) fn out_of_memory(&mut self, container: &str, kills: u64) {
        if let Some(held) = self.processes.get_mut(&ProcessKey::container(container)) {
            held.record.oom_kills = kills;
        }
    }

    /// Duplicates of everything that was not told over this connection: what a new supervisor must be given.
    pub(super) fn untold(&self, epoch: u64) -> Vec<(Record, Vec<FeedRecord>, Vec<OwnedFd>)> {
        let untold = self.processes.values().filter(|held| held.epoch != epoch);
        untold.filter_map(Held::duplicate).collect()
    }

    /// Lets go of what was not told over this connection.
    pub(super) fn forget_untold(&mut self, epoch: u64) {
        self.processes.retain(|_, held| held.epoch == epoch);
    }

    /// Everything, for a daemon that starts.
    pub(super) fn found(&self) -> Vec<Found> {
        let found = self.processes.values().map(|held| Found {
            key: held.record.key.clone(),
            state: held.record.state,
            cgroup: held.record.cgroup.clone(),
            io: held.record.io,
            log: held.record.log.clone(),
        });
        found.collect()
    }

    /// A duplicate of one descriptor.
    pub(super) fn duplicate(&self, key: &ProcessKey, role: Role) -> Result<OwnedFd> {
        let held = self.get(key)?;
        let at = held.record.roles.iter().position(|r| *r == role);
        let fd = at.and_then(|at| held.fds.get(at));
        let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
        fd.ok_or_else(missing).and_then(OwnedFd::try_clone).map_err(|source| Error::Held {
            step: "find its descriptor",
            key: key.clone(),
            source,
        })
    }

    /// Where its standard input is written.
    pub(super) fn stdin(&self, key: &ProcessKey) -> Result<Arc<StdinSlot>> {
        Ok(self.get(key)?.stdin.clone())
    }

    /// Its state from now on.
    pub(super) fn watch(&self, key: &ProcessKey) -> Result<watch::Receiver<ProcessState>> {
        Ok(self.get(key)?.state.subscribe())
    }

    /// Path of its control group.
    pub(super) fn cgroup(&self, key: &ProcessKey) -> Option<String> {
        Some(self.processes.get(key)?.record.cgroup.clone())
    }

    fn get(&self, key: &ProcessKey) -> Result<&Held> {
        self.processes.get(key).ok_or_else(|| Error::NoSuchProcess(key.clone()))
    }
}

impl Held {
    fn duplicate(&self) -> Option<(Record, Vec<FeedRecord>, Vec<OwnedFd>)> {
        let sockets = self.feeds.iter().map(|(_, fd)| fd);
        let fds: std::io::Result<Vec<OwnedFd>> = self.fds.iter().chain(sockets).map(OwnedFd::try_clone).collect();
        let feeds = self.feeds.iter().map(|(feed, _)| *feed).collect();
        match fds {
            Ok(fds) => Some((self.record.clone(), feeds, fds)),
            Err(error) => {
                tracing::error!(key = %self.record.key, %error, "cannot hand a process over to the new supervisor");
                None
            }
        }
    }
}
