//! `delete`, and removing what is left of a container.

use std::time::{Duration, Instant};

use clap::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::kill;
use super::log::Log;
use super::state::{Lock, State, Status, Store};
use crate::error::{AtStep, Error, Result};
use crate::hooks::{self, Point};

#[derive(Args)]
pub(super) struct Delete {
    /// Kill the container first if it runs; fine if there is none
    #[arg(short, long)]
    force: bool,
    /// Name of the container
    id: String,
}

impl Delete {
    pub(super) fn run(self, store: &Store, log: &Log) -> Result<()> {
        let _lock = match self.lock(store) {
            Err(Error::NotFound(_)) if self.force => return Ok(()),
            result => result?,
        };
        let state = match store.load(&self.id) {
            // A folder with nothing behind it.
            Err(Error::NotFound(_)) if self.force => return store.remove(&self.id),
            result => result?,
        };
        match store.status_held(&state)? {
            Status::Stopped | Status::Created => destroy(store, &state, log),
            _ if self.force => destroy(store, &state, log),
            other => Err(Error::WrongState { action: "delete", state: other.word() }),
        }
    }

    /// Who is forced to wait for the end of a creation makes it end.
    fn lock(&self, store: &Store) -> Result<Lock> {
        if !self.force {
            return store.lock(&self.id);
        }
        match store.lock_within(&self.id, Duration::from_millis(500)) {
            Err(Error::Step { .. }) => {
                let state = store.load(&self.id)?;
                if let Some(group) = state.cgroup()? {
                    group.kill_all()?;
                }
                store.lock_within(&self.id, Duration::from_secs(30))
            }
            result => result,
        }
    }
}

/// Ends what runs, removes the control group and the state, and runs the poststop hooks. Goes on after an error and
/// returns the first; only the state stays then, so that it can be tried again. The container's lock must be held.
pub(super) fn destroy(store: &Store, state: &State, log: &Log) -> Result<()> {
    let ended = end(state);
    let removed = match state.cgroup() {
        Ok(Some(group)) => {
            let deleted = group.delete();
            group.delete_empty_parents();
            deleted.map_err(Error::from)
        }
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    ended.and(removed)?;
    let forgotten = store.remove(&state.id);
    hooks(state, Point::Poststop, "stopped", 0, log);
    forgotten
}

/// Kills the first process, and with it everything in its process namespace, and waits until it has gone.
fn end(state: &State) -> Result<()> {
    let Some(pidfd) = state.pidfd()? else { return Ok(()) };
    kill::first(state, kill::KILL)?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&second)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            result => return result.map(drop).at(|| "wait for the end of the container"),
        }
    }
    Err(Error::step(format!("wait for the end of process {}", state.pid), rustix::io::Errno::TIMEDOUT))
}

/// Runs the hooks of a point after which nothing can be undone: a failure is only told.
pub(super) fn hooks(state: &State, point: Point, status: &'static str, pid: i32, log: &Log) {
    let plan = hooks::Plan {
        hooks: state.spec.hooks().as_ref(),
        id: &state.id,
        bundle: &state.bundle,
        annotations: state.spec.annotations().as_ref(),
    };
    if plan.any(&[point])
        && let Err(error) = plan.run_for(point, status, pid)
    {
        log.warning(&error.to_string());
    }
}
