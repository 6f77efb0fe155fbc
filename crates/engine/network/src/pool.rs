//! Sandboxes made ahead: a thread keeps a few ready for each network that has been used.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::{Result, io_error};
use crate::network::NetworkId;
use crate::sandbox::{self, Plug, Sandbox};

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
    closed: bool,
}

struct Shelf {
    plug: Option<Plug>,
    ready: VecDeque<Sandbox>,
}

impl Pool {
    /// Starts the pool; with a target of zero there is no thread and every sandbox is made when asked for. Belongs to
    /// the calling thread's network namespace.
    pub fn start(target: usize) -> Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::new(State::default()), changed: Condvar::new(), target });
        let thread = if target == 0 {
            None
        } else {
            let shared = shared.clone();
            let work = move || shared.refill_until_closed();
            let thread = std::thread::Builder::new().name("sandbox-pool".to_owned()).spawn(work);
            Some(thread.map_err(io_error("start the sandbox pool"))?)
        };
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

    fn refill_until_closed(&self) {
        let mut state = self.lock();
        while !state.closed {
            let wanting = state.shelves.values().filter(|shelf| shelf.ready.len() < self.target);
            let Some(plug) = wanting.min_by_key(|shelf| shelf.ready.len()).map(|shelf| shelf.plug.clone()) else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            let made = sandbox::make(plug.clone());
            state = self.lock();
            let network = plug.as_ref().map(|plug| plug.network.clone());
            match made {
                Ok(sandbox) => {
                    if let Some(shelf) = state.shelves.get_mut(&network).filter(|shelf| shelf.plug == plug) {
                        shelf.ready.push_back(sandbox);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "no sandboxes made ahead until the next is asked for");
                    state.shelves.remove(&network);
                }
            }
        }
    }
}
