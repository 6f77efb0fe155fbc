//! The thread that keeps the table and the names as the API says.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use k8s_client::{Index, Informer};
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::sync::watch;

use crate::balancer::{Balancer, Name};
use crate::dns::zone::Zone;
use crate::health::Checks;

const ZONE: &str = "topology.kubernetes.io/zone";
/// After the kernel has refused something.
const PAUSE: Duration = Duration::from_secs(1);

/// What has to be looked at; a cheap handle.
#[derive(Clone, Default)]
pub(crate) struct Pending(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    names: HashSet<Name>,
    node: bool,
    ended: bool,
}

impl Pending {
    pub fn add(&self, name: Name) {
        self.lock().names.insert(name);
        self.0.1.notify_one();
    }

    /// The node's object has changed.
    pub fn node(&self) {
        self.lock().node = true;
        self.0.1.notify_one();
    }

    pub fn end(&self) {
        self.lock().ended = true;
        self.0.1.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that waits, once something does; nothing at the end.
    fn take(&self) -> Option<(HashSet<Name>, bool)> {
        let is_idle = |state: &mut State| state.names.is_empty() && !state.node && !state.ended;
        let mut state = self.0.1.wait_while(self.lock(), is_idle).unwrap_or_else(PoisonError::into_inner);
        if state.ended {
            return None;
        }
        Some((std::mem::take(&mut state.names), std::mem::take(&mut state.node)))
    }

    /// Waits, but not at the end.
    fn pause(&self, time: Duration) {
        let state = self.lock();
        let _ = self.0.1.wait_timeout_while(state, time, |state| !state.ended);
    }
}

/// What the thread works with.
pub(crate) struct Keeper {
    pub balancer: Balancer,
    pub zone: Arc<RwLock<Zone>>,
    pub checks: watch::Sender<Checks>,
    pub services: Informer<Service>,
    pub slices: Index<EndpointSlice>,
    pub nodes: Informer<Node>,
    pub node_name: String,
    pub pending: Pending,
}

/// Value of the index of slices for a service.
pub(crate) fn index_of((namespace, name): &Name) -> String {
    format!("{namespace}/{name}")
}

impl Keeper {
    /// Runs until the end; the table stays. Tells when everything has been looked at once.
    pub fn run(mut self, known: watch::Sender<bool>) {
        let mut names: HashSet<Name> =
            self.services.list().iter().map(|service| k8s_client::informer::key(&service.metadata)).collect();
        self.look_at_node();
        loop {
            let begun = Instant::now();
            for name in names.drain() {
                self.look_at(&name);
            }
            known.send_replace(true);
            self.commit();
            // much that changes is written together, and others have the kernel's lock, too
            self.pending.pause(begun.elapsed().min(PAUSE));
            let Some((more, node)) = self.pending.take() else { return };
            names = more;
            if node && self.look_at_node() {
                names.extend(self.services.list().iter().map(|it| k8s_client::informer::key(&it.metadata)));
            }
        }
    }

    fn look_at(&mut self, name: &Name) {
        let service = self.services.get(&name.0, &name.1);
        let slices = self.slices.get(&index_of(name));
        self.balancer.look_at(name, service.as_deref(), &slices);
        self.zone.write().unwrap_or_else(PoisonError::into_inner).set(name, service.as_deref(), &slices);
    }

    fn look_at_node(&mut self) -> bool {
        let node = self.nodes.get("", &self.node_name);
        let zone = node.as_ref().and_then(|node| node.metadata.labels.as_ref()?.get(ZONE)).cloned();
        self.balancer.set_zone(zone.as_deref().unwrap_or(""))
    }

    fn commit(&mut self) {
        while self.balancer.is_changed() {
            let begun = Instant::now();
            match self.balancer.commit() {
                Ok(elements) => tracing::debug!(elements, took = ?begun.elapsed(), "services are as they should be"),
                Err(error) => {
                    tracing::error!(%error, "services are not as they should be; again in a moment");
                    self.pending.pause(PAUSE);
                    if self.pending.lock().ended {
                        return;
                    }
                }
            }
        }
        let checks = self.balancer.health();
        self.checks.send_if_modified(|held| {
            let changed = *held != checks;
            *held = checks;
            changed
        });
    }
}
