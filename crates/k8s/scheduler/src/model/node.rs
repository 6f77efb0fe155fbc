//! One node: what it offers, what is placed on it, who it is kept for.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_types::amounts::Sum;

use super::resources::{Requests, Resources, whole};
use super::template::{HostPort, Template};

/// A node's place in the cluster's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

impl NodeId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A pod on a node.
#[derive(Debug, Clone)]
pub struct Placed {
    pub pod: Arc<Pod>,
    pub template: Arc<Template>,
    /// Where it holds other amounts than its template says.
    pub held: Option<Requests>,
    /// It is being deleted.
    pub leaving: bool,
}

impl Placed {
    pub fn requests(&self) -> &Requests {
        self.held.as_ref().unwrap_or(&self.template.requests)
    }

    /// Since when it runs, as text that sorts by time.
    pub fn started(&self) -> jiff::Timestamp {
        let started = self.pod.status.as_ref().and_then(|status| status.start_time.as_ref());
        let time = started.or(self.pod.metadata.creation_timestamp.as_ref());
        time.map_or(jiff::Timestamp::MAX, |time| time.0)
    }
}

/// What is used of a node.
#[derive(Debug, Clone, Default)]
pub struct Load {
    pub requested: Resources,
    /// As scores count it: processors and memory, with a default for who asks for nothing.
    pub counted: [i64; 2],
    pub pods: i64,
    ports: HashMap<HostPort, u32>,
}

impl Load {
    pub fn add(&mut self, requests: &Requests, ports: &[HostPort]) {
        self.requested.add(&requests.all);
        self.counted[0] += requests.counted[0];
        self.counted[1] += requests.counted[1];
        self.pods += 1;
        for port in ports {
            *self.ports.entry(port.clone()).or_insert(0) += 1;
        }
    }

    pub fn sub(&mut self, requests: &Requests, ports: &[HostPort]) {
        self.requested.sub(&requests.all);
        self.counted[0] -= requests.counted[0];
        self.counted[1] -= requests.counted[1];
        self.pods -= 1;
        for port in ports {
            if let Some(count) = self.ports.get_mut(port) {
                *count -= 1;
                if *count == 0 {
                    self.ports.remove(port);
                }
            }
        }
    }

    /// Whether a port of the host is free.
    pub fn is_free(&self, port: &HostPort) -> bool {
        self.ports.is_empty() || !self.ports.keys().any(|used| used.conflicts(port))
    }
}

/// A pod that a node is kept for: what it preempted is not gone yet.
#[derive(Debug, Clone)]
pub struct Nominee {
    pub uid: Arc<str>,
    pub template: Arc<Template>,
}

/// One node; without an object where only its pods are known.
#[derive(Debug, Default)]
pub struct NodeInfo {
    pub name: Arc<str>,
    pub node: Option<Arc<Node>>,
    pub allocatable: Resources,
    pub most_pods: i64,
    pub load: Load,
    pub pods: HashMap<Arc<str>, Placed>,
    pub nominees: Vec<Nominee>,
    /// Values of the topology's labels, by key.
    pub topology: Vec<u32>,
    pub images: HashMap<String, i64>,
}

impl NodeInfo {
    pub fn new(name: &str) -> NodeInfo {
        NodeInfo { name: name.into(), ..NodeInfo::default() }
    }

    pub fn set(&mut self, node: Arc<Node>) {
        let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
        self.allocatable = Resources::read(allocatable);
        self.most_pods = allocatable.and_then(|list| list.get("pods")).map_or(0, whole);
        self.images = images(&node);
        self.node = Some(node);
    }

    /// The value of a topology's label.
    pub fn value(&self, key: super::topology::KeyId) -> u32 {
        self.topology.get(usize::from(key.0)).copied().unwrap_or(super::topology::NONE)
    }
}

/// The images on a node by each of their names, with their sizes.
pub fn images(node: &Node) -> HashMap<String, i64> {
    let images = node.status.as_ref().and_then(|status| status.images.as_ref());
    let named = images
        .into_iter()
        .flatten()
        .flat_map(|image| image.names.iter().flatten().map(|name| (name.clone(), image.size_bytes.unwrap_or(0))));
    named.collect()
}
