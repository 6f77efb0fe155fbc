//! Sandboxes made ahead, and devices that outstay: work of one thread in the background.
//!
//! A few sandboxes are kept ready for each network that has been used. A pair dies with its namespace as a rule, but a
//! connection that nobody answers keeps a dead container's namespace for minutes: then the pair is removed by name.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use std::time::{Duration, Instant};

use netlink::{Protocol, Socket, route};
use rustix::io::Errno;

use crate::error::{Result, io_error, netlink_error};
use crate::network::NetworkId;
use crate::sandbox::{self, Plug, Sandbox};

/// How long a pair may outlive its endpoint.
const GRACE: Duration = Duration::from_secs(2);

/// Handle of the pool; its thread ends when the handle is dropped.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    target: usize,
}

#[derive(Default)]
struct State {
    /// By network; sandboxes with nothing but loopback under `None`.
    shelves: HashMap<Option<NetworkId>, Shelf>,
    /// Host's ends of pairs that should be gone by then.
    leaving: VecDeque<(Instant, String)>,
    closed: bool,
}

struct Shelf {
    plug: Option<Plug>,
    ready: VecDeque<Sandbox>,
}

impl Pool {
    /// Starts the pool; with a target of zero every sandbox is made when asked for. Belongs to the calling thread's
    /// network namespace.
    pub fn start(target: usize) -> Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::new(State::default()), changed: Condvar::new(), target });
        let work = {
            let shared = shared.clone();
            move || shared.work_until_closed()
        };
        let thread = std::thread::Builder::new().name("sandbox-pool".to_owned()).spawn(work);
        let thread = Some(thread.map_err(io_error("start the sandbox pool"))?);
        Ok(Pool { shared, thread })
    }

    /// A sandbox for this plug, from the shelf if there is one.
    pub fn take(&self, plug: Option<Plug>) -> Result<Sandbox> {
        let network = plug.as_ref().map(|plug| plug.network.clone());
        let ready = {
            let mut state = self.shared.lock();
            let shelf =
                state.shelves.entry(network).or_insert_with(|| Shelf { plug: plug.clone(), ready: VecDeque::new() });
            if shelf.plug != plug {
                *shelf = Shelf { plug: plug.clone(), ready: VecDeque::new() };
            }
            shelf.ready.pop_front()
        };
        self.shared.changed.notify_all();
        match ready {
            Some(sandbox) => Ok(sandbox),
            None => sandbox::make(plug),
        }
    }

    /// The namespace of this pair is about to die; if it does not, the pair goes all the same.
    pub fn expect_gone(&self, host_device: String) {
        self.shared.lock().leaving.push_back((Instant::now() + GRACE, host_device));
        self.shared.changed.notify_all();
    }

    /// Throws away what is ready for a network, and makes no more.
    pub fn forget(&self, network: &NetworkId) {
        let shelf = self.shared.lock().shelves.remove(&Some(network.clone()));
        drop(shelf);
    }

    /// Throws away everything and makes no more.
    pub fn close(&self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let shelves = std::mem::take(&mut state.shelves);
        drop(state);
        self.shared.changed.notify_all();
        drop(shelves);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work_until_closed(&self) {
        let mut state = self.lock();
        while !state.closed {
            let now = Instant::now();
            let overdue = state.leaving.partition_point(|(when, _)| *when <= now);
            if overdue > 0 {
                let names: Vec<_> = state.leaving.drain(..overdue).map(|(_, name)| name).collect();
                drop(state);
                remove(&names);
                state = self.lock();
                continue;
            }
            let wanting = state.shelves.values().filter(|shelf| shelf.ready.len() < self.target);
            if let Some(plug) = wanting.min_by_key(|shelf| shelf.ready.len()).map(|shelf| shelf.plug.clone()) {
                drop(state);
                let made = sandbox::make(plug.clone());
                state = self.lock();
                state.shelve(plug, made);
                continue;
            }
            let wait = state.leaving.front().map_or(Duration::from_secs(3600), |(when, _)| *when - now);
            state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl State {
    fn shelve(&mut self, plug: Option<Plug>, made: Result<Sandbox>) {
        let network = plug.as_ref().map(|plug| plug.network.clone());
        match made {
            Ok(sandbox) => {
                if let Some(shelf) = self.shelves.get_mut(&network).filter(|shelf| shelf.plug == plug) {
                    shelf.ready.push_back(sandbox);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "no sandboxes made ahead until the next is asked for");
                self.shelves.remove(&network);
            }
        }
    }
}

/// Removes pairs that are still there.
fn remove(names: &[String]) {
    let removed = Socket::open(Protocol::Route).and_then(|mut socket| {
        for name in names {
            if let Some(link) = route::link_named(&mut socket, name)? {
                tracing::debug!(device = name, "a connection keeps a dead container's namespace; removing its device");
                socket.run_one(route::delete_link(link.index).tolerate(Errno::NODEV))?;
            }
        }
        Ok(())
    });
    if let Err(error) = removed.map_err(netlink_error("remove a dead container's device")) {
        tracing::warn!(%error);
    }
}
