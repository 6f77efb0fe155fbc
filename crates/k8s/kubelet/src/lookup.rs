//! The pods of this node and their containers, for those who serve them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use pods::runtime::{Container, Runtime, Sandbox};

/// The pods of this node as the kubelet sees them; a cheap handle.
#[derive(Clone)]
pub struct Lookup {
    runtime: Runtime,
    pods: Arc<Mutex<BTreeMap<String, Seen>>>,
}

/// A pod, and what of it is on the node.
#[derive(Clone)]
pub struct Seen {
    /// As the kubelet last told the API, so at times ahead of what the API serves.
    pub pod: Arc<Pod>,
    /// The newest first.
    pub sandboxes: Vec<Sandbox>,
    /// The newest of each name first; finished ones too, as long as they are kept.
    pub containers: Vec<Container>,
}

impl Seen {
    /// The newest container of a name.
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// The one before it (`kubectl logs --previous`).
    pub fn previous(&self, name: &str) -> Option<&Container> {
        self.containers.iter().filter(|container| container.name == name).nth(1)
    }

    /// The sandbox that runs.
    pub fn sandbox(&self) -> Option<&Sandbox> {
        self.sandboxes.first().filter(|sandbox| sandbox.ready)
    }
}

impl Lookup {
    /// With no pods yet.
    pub fn new(runtime: Runtime) -> Lookup {
        Lookup { runtime, pods: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Seen>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What runs them.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// All pods of this node.
    pub fn pods(&self) -> Vec<Seen> {
        self.lock().values().cloned().collect()
    }

    /// The pod of a name.
    pub fn pod(&self, namespace: &str, name: &str) -> Option<Seen> {
        self.lock()
            .values()
            .find(|seen| seen.pod.name_any() == name && seen.pod.namespace().as_deref() == Some(namespace))
            .cloned()
    }

    /// The kubelet has looked at a pod.
    pub fn put(&self, uid: &str, seen: Seen) {
        self.lock().insert(uid.to_owned(), seen);
    }

    /// A pod is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }
}
