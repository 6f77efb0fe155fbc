//! What all workers of a node share.

use std::net::IpAddr;
use std::sync::Arc;

use k8s_client::{Recorder, Severity};
use kube::Client;
use pods::runtime::Runtime;
use tokio::sync::{Semaphore, watch};

use crate::admission::Admission;
use crate::config::{Addressing, Config};
use crate::environment::Environment;
use crate::lookup::Lookup;
use crate::sources::Sources;
use crate::view::{Part, View};
use crate::volumes::Volumes;

/// So many images are pulled at a time.
const PULLS: usize = 4;

/// One for each kubelet.
pub struct Context {
    pub config: Config,
    pub client: Client,
    pub runtime: Runtime,
    pub recorder: Recorder,
    pub volumes: Volumes,
    pub environment: Environment,
    pub sources: Sources,
    pub lookup: Lookup,
    pub admission: Admission,
    pub pulls: Semaphore,
    /// The node's addresses, the one it is known by first.
    pub addresses: watch::Receiver<Vec<IpAddr>>,
    /// Whether the runtime knows which addresses pods have.
    pub network: watch::Sender<bool>,
    /// Bytes of memory of the node.
    pub memory: u64,
}

impl Context {
    pub fn new(
        config: Config,
        client: Client,
        runtime: Runtime,
        addresses: watch::Receiver<Vec<IpAddr>>,
        admission: Admission,
        memory: u64,
    ) -> Arc<Context> {
        let sources = Sources::new(client.clone());
        Arc::new(Context {
            recorder: Recorder::new(client.clone(), "kubelet", &config.node_name),
            volumes: Volumes::new(&config, client.clone(), &sources),
            environment: Environment::new(&config, client.clone(), &sources),
            sources,
            lookup: Lookup::new(runtime.clone()),
            pulls: Semaphore::new(PULLS),
            network: watch::Sender::new(config.addressing == Addressing::Runtime),
            admission,
            addresses,
            memory,
            config,
            client,
            runtime,
        })
    }

    pub fn host(&self) -> Vec<IpAddr> {
        self.addresses.borrow().clone()
    }

    /// Tells what happened to a pod.
    pub fn event(&self, view: &View, severity: Severity, reason: &str, message: impl Into<String>) {
        self.recorder.tell(&*view.pod, severity, reason, message);
    }

    /// Tells what happened to one of its containers.
    pub fn event_of(&self, view: &View, part: &Part, severity: Severity, reason: &str, message: impl Into<String>) {
        self.recorder.tell_of(view.reference(part), severity, reason, message);
    }
}
